/*
 * The OpenAPI document says what the service does: it and the route table name the
 * same operations, and every example in it is sent and answered as it says. Examples
 * of one name belong together: those of the parameters and of the request body make the
 * request, that of a response, or else the response that has no body, is its answer.
 */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/instance.h"
#include "handlers/routes.h"
#include "service/core/log.h"
#include "service/http/percent.h"
#include "tests/support/cmocka.h"
#include "tests/support/http.h"
#include "tests/support/test_dir.h"

struct fixture {
	char dir[TEST_DIR_SIZE];
	struct instance *instance;
	unsigned port;
	json_t *doc;
};

static json_t *get_document(unsigned port)
{
	struct http_response res = { 0 };
	http_get(port, "/openapi.json", &res);
	assert_int_equal(res.status, 200);
	json_t *doc = http_json(&res);
	http_response_finish(&res);
	return doc;
}

static void lower(const char *text, char *ret, size_t size)
{
	size_t i = 0;
	for (; text[i] && i + 1 < size; i++)
		ret[i] = (char)tolower((unsigned char)text[i]);
	ret[i] = '\0';
}

static void every_route_is_in_the_document(void **state)
{
	struct fixture *fixture = *state;
	json_t *paths = json_object_get(fixture->doc, "paths");
	for (size_t i = 0; i < routes_count; i++) {
		char method[16];
		lower(routes[i].method, method, sizeof method);
		json_t *path = json_object_get(paths, routes[i].path);
		if (!json_object_get(path, method))
			fail_msg("%s %s is not documented", routes[i].method,
				routes[i].path);
	}
}

static void every_operation_of_the_document_has_a_route(void **state)
{
	struct fixture *fixture = *state;
	const char *path;
	const char *method;
	json_t *operations;
	json_t *operation;
	size_t count = 0;
	json_object_foreach(json_object_get(fixture->doc, "paths"), path, operations) {
		json_object_foreach(operations, method, operation) {
			struct route_match match;
			char upper[16] = "";
			for (size_t i = 0; method[i] && i < 15; i++)
				upper[i] = (char)toupper((unsigned char)method[i]);
			assert_int_equal(
				route_find(routes, routes_count, upper, path, &match),
				ERR_OK);
			assert_string_equal(match.route->path, path);
			assert_string_equal(match.route->method, upper);
			assert_non_null(json_object_get(operation, "operationId"));
			count++;
		}
	}
	assert_int_equal(count, routes_count);
}

static json_t *resolve(json_t *doc, const char *ref)
{
	char part[128];
	json_t *at = doc;
	assert_true(strncmp(ref, "#/", 2) == 0);
	for (ref += 2; *ref; ref += ref[0] == '/') {
		size_t len = strcspn(ref, "/");
		assert_true(len < sizeof part);
		memcpy(part, ref, len);
		part[len] = '\0';
		at = json_object_get(at, part);
		ref += len;
	}
	return at;
}

static unsigned check_references(json_t *doc, json_t *json)
{
	const char *key;
	size_t index;
	json_t *child;
	unsigned count = 0;
	json_array_foreach(json, index, child)
		count += check_references(doc, child);
	json_object_foreach(json, key, child) {
		count += check_references(doc, child);
		if (strcmp(key, "$ref") != 0)
			continue;
		if (!resolve(doc, json_string_value(child)))
			fail_msg("%s leads nowhere", json_string_value(child));
		count++;
	}
	return count;
}

static void assert_tags_are_in(json_t *described, json_t *operation)
{
	size_t index;
	json_t *tag;
	json_array_foreach(json_object_get(operation, "tags"), index, tag) {
		const char *name = json_string_value(tag);
		if (!json_object_get(described, name))
			fail_msg("the tag %s is not described", name);
	}
}

/* The parts of the document come together in one list. */
static void every_tag_is_described_once(void **state)
{
	struct fixture *fixture = *state;
	const char *key;
	json_t *operations;
	json_t *operation;
	size_t index;
	json_t *tag;
	json_t *described = json_object();
	json_array_foreach(json_object_get(fixture->doc, "tags"), index, tag) {
		const char *name = json_string_value(json_object_get(tag, "name"));
		if (json_object_get(described, name))
			fail_msg("the tag %s is described twice", name);
		json_object_set(described, name, tag);
	}
	json_object_foreach(json_object_get(fixture->doc, "paths"), key, operations)
		json_object_foreach(operations, key, operation)
			assert_tags_are_in(described, operation);
	json_decref(described);
}

static void every_reference_leads_somewhere(void **state)
{
	struct fixture *fixture = *state;
	assert_true(check_references(fixture->doc, fixture->doc) > 0);
}

/*
 * Examples.
 */

/* What differs from one run to the next: only its type is compared. */
static bool is_volatile(const char *key)
{
	static const char *const keys[] = { "created_at", "updated_at", "instance",
		"next_cursor" };
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
		if (strcmp(key, keys[i]) == 0)
			return true;
	return false;
}

static bool is_like(json_t *example, json_t *answer)
{
	const char *key;
	size_t index;
	json_t *child;
	if (json_typeof(example) != json_typeof(answer) ||
		json_object_size(example) != json_object_size(answer) ||
		json_array_size(example) != json_array_size(answer))
		return false;
	json_array_foreach(example, index, child)
		if (!is_like(child, json_array_get(answer, index)))
			return false;
	json_object_foreach(example, key, child) {
		json_t *other = json_object_get(answer, key);
		if (!other || json_typeof(other) != json_typeof(child))
			return false;
		if (!is_volatile(key) && !is_like(child, other))
			return false;
	}
	return json_is_object(example) || json_is_array(example) ||
		json_equal(example, answer);
}

static json_t *dereference(json_t *doc, json_t *json)
{
	json_t *ref = json_object_get(json, "$ref");
	return ref ? resolve(doc, json_string_value(ref)) : json;
}

static json_t *example_in(json_t *holder, const char *name)
{
	json_t *example = json_object_get(json_object_get(holder, "examples"), name);
	return json_object_get(example, "value");
}

static json_t *first_content(json_t *holder, const char **ret_type)
{
	json_t *content = json_object_get(holder, "content");
	void *iter = json_object_iter(content);
	*ret_type = iter ? json_object_iter_key(iter) : NULL;
	return iter ? json_object_iter_value(iter) : NULL;
}

struct sent {
	char path[512];
	char texts[8][256];
	const char *headers[9]; /* of texts */
	unsigned headers_count;
	char *body; /* owned */
};

static void text_of(json_t *value, char *ret, size_t size)
{
	if (json_is_string(value))
		snprintf(ret, size, "%s", json_string_value(value));
	else
		snprintf(ret, size, "%" JSON_INTEGER_FORMAT, json_integer_value(value));
}

static void put_in_path(struct sent *sent, const char *name, const char *value)
{
	char braced[64];
	char rest[256];
	snprintf(braced, sizeof braced, "{%s}", name);
	char *at = strstr(sent->path, braced);
	assert_non_null(at);
	snprintf(rest, sizeof rest, "%s", at + strlen(braced));
	snprintf(at, sizeof sent->path - (size_t)(at - sent->path), "%s%s", value, rest);
}

static void add_query(struct sent *sent, const char *name, const char *value)
{
	size_t len = strlen(sent->path);
	struct buffer encoded = { 0 };
	assert_int_equal(percent_append(&encoded, span_of(value)), ERR_OK);
	snprintf(sent->path + len, sizeof sent->path - len, "%c%s=%s",
		strchr(sent->path, '?') ? '&' : '?', name, buffer_text(&encoded));
	buffer_finish(&encoded);
}

static void add_header(struct sent *sent, const char *name, const char *value)
{
	char *text = sent->texts[sent->headers_count];
	snprintf(text, sizeof sent->texts[0], "%s: %s", name, value);
	sent->headers[sent->headers_count++] = text;
}

static void add_parameter(struct sent *sent, json_t *parameter, const char *example)
{
	char value[128];
	json_t *found = example_in(parameter, example);
	const char *name = json_string_value(json_object_get(parameter, "name"));
	const char *in = json_string_value(json_object_get(parameter, "in"));
	bool required = json_is_true(json_object_get(parameter, "required"));
	if (!found && required)
		fail_msg("parameter %s has no example %s", name, example);
	if (!found)
		return;
	text_of(found, value, sizeof value);
	if (strcmp(in, "path") == 0)
		put_in_path(sent, name, value);
	else if (strcmp(in, "query") == 0)
		add_query(sent, name, value);
	else
		add_header(sent, name, value);
}

static void make_request(json_t *doc, const char *path, json_t *operation,
	const char *example, struct sent *sent)
{
	size_t index;
	json_t *parameter;
	const char *type;
	snprintf(sent->path, sizeof sent->path, "%s", path);
	json_array_foreach(json_object_get(operation, "parameters"), index, parameter)
		add_parameter(sent, dereference(doc, parameter), example);
	json_t *content = first_content(json_object_get(operation, "requestBody"), &type);
	json_t *body = example_in(content, example);
	if (!body)
		return;
	sent->body = json_is_string(body) ? strdup(json_string_value(body))
					  : json_dumps(body, JSON_COMPACT);
	add_header(sent, "Content-Type", type);
}

/* The response with an example of that name; else the one without a body. */
static json_t *response_for(
	json_t *doc, json_t *operation, const char *example, const char **ret_status)
{
	json_t *bare = NULL;
	const char *status;
	const char *type;
	json_t *response;
	json_object_foreach(json_object_get(operation, "responses"), status, response) {
		json_t *content = first_content(dereference(doc, response), &type);
		if (example_in(content, example)) {
			*ret_status = status;
			return response;
		}
		if (!content && !bare) {
			bare = response;
			*ret_status = status;
		}
	}
	return bare;
}

static void assert_answer(json_t *response, const char *example, const char *status,
	const struct http_response *res)
{
	const char *type;
	json_t *content = first_content(response, &type);
	json_t *expected = example_in(content, example);
	if (res->status != (unsigned)atoi(status))
		fail_msg("example %s: status %u instead of %s: %s", example, res->status,
			status, res->body ? res->body : "");
	if (!expected)
		return;
	json_t *answer = json_loads(res->body, JSON_DECODE_ANY, NULL);
	if (res->status == 201) /* the next id, whatever it is */
		json_object_set(answer, "id", json_object_get(expected, "id"));
	if (!is_like(expected, answer))
		fail_msg("example %s is answered with %s", example, res->body);
	assert_string_equal(http_header(res, "Content-Type"), type);
	json_decref(answer);
}

static void try_example(struct fixture *fixture, const char *path, const char *method,
	json_t *operation, const char *example)
{
	struct sent sent = { 0 };
	struct http_response res = { 0 };
	const char *status = NULL;
	char upper[16] = "";
	for (size_t i = 0; method[i] && i < 15; i++)
		upper[i] = (char)toupper((unsigned char)method[i]);
	json_t *response = response_for(fixture->doc, operation, example, &status);
	assert_non_null(response);
	make_request(fixture->doc, path, operation, example, &sent);
	const struct http_request req = { .method = upper,
		.path = sent.path,
		.headers = sent.headers,
		.body = sent.body };
	http_perform(fixture->port, &req, &res);
	assert_answer(response, example, status, &res);
	http_response_finish(&res);
	free(sent.body);
}

static void note_examples(json_t *names, json_t *holder)
{
	const char *name;
	json_t *example;
	json_object_foreach(json_object_get(holder, "examples"), name, example)
		json_object_set_new(names, name, json_true());
}

static json_t *examples_of(json_t *doc, json_t *operation)
{
	json_t *names = json_object();
	const char *status;
	const char *type;
	size_t index;
	json_t *child;
	note_examples(
		names, first_content(json_object_get(operation, "requestBody"), &type));
	json_array_foreach(json_object_get(operation, "parameters"), index, child)
		note_examples(names, dereference(doc, child));
	json_object_foreach(json_object_get(operation, "responses"), status, child)
		note_examples(names, first_content(dereference(doc, child), &type));
	return names;
}

static unsigned try_examples(
	struct fixture *fixture, const char *path, const char *method, json_t *operation)
{
	const char *name;
	json_t *unused;
	json_t *names = examples_of(fixture->doc, operation);
	unsigned count = (unsigned)json_object_size(names);
	json_object_foreach(names, name, unused)
		try_example(fixture, path, method, operation, name);
	json_decref(names);
	return count;
}

static void every_example_is_answered_as_it_says(void **state)
{
	struct fixture *fixture = *state;
	const char *path;
	const char *method;
	json_t *operations;
	json_t *operation;
	unsigned count = 0;
	json_object_foreach(json_object_get(fixture->doc, "paths"), path, operations)
		json_object_foreach(operations, method, operation)
			count += try_examples(fixture, path, method, operation);
	print_message("%u examples\n", count);
	assert_true(count > 0);
}

/* What other examples speak of is there: two of everything that an example makes. */
static void make_things(struct fixture *fixture, const char *path, json_t *post)
{
	const char *example;
	const char *type;
	json_t *unused;
	json_t *created = json_object_get(json_object_get(post, "responses"), "201");
	json_t *examples = json_object_get(first_content(created, &type), "examples");
	json_object_foreach(examples, example, unused) {
		try_example(fixture, path, "post", post, example);
		try_example(fixture, path, "post", post, example);
	}
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	struct config config;
	const char *path;
	json_t *operations;
	test_dir_make(fixture->dir);
	settings_default(&config_settings, &config);
	config.http.port = 0;
	config.admin.port = 0;
	snprintf(config.db.url, sizeof config.db.url, "sqlite:%s/test.db", fixture->dir);
	assert_int_equal(
		instance_create(&config, routes, routes_count, &fixture->instance),
		ERR_OK);
	fixture->port = server_port(fixture->instance->server);
	fixture->doc = get_document(fixture->port);
	json_object_foreach(json_object_get(fixture->doc, "paths"), path, operations)
		make_things(fixture, path, json_object_get(operations, "post"));
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	instance_destroy(fixture->instance);
	json_decref(fixture->doc);
	test_dir_remove(fixture->dir);
	free(fixture);
	return 0;
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	atomic_store(&log_threshold, LOG_LEVEL_WARN);
	const struct CMUnitTest tests[] = {
		TEST(every_route_is_in_the_document),
		TEST(every_operation_of_the_document_has_a_route),
		TEST(every_tag_is_described_once),
		TEST(every_reference_leads_somewhere),
		TEST(every_example_is_answered_as_it_says),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
