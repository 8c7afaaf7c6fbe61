/*
 * Changing items over HTTP: what each change leaves behind, whom a precondition keeps
 * from what, and what is said when there is nothing to change or no way to.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/app_server.h"
#include "tests/support/cmocka.h"
#include "tests/support/holding.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

#define BOLT    "{\"name\":\"bolt\",\"category\":\"m8\",\"quantity\":5,\"price_cents\":9}"
#define NUT     "{\"name\":\"nut\",\"category\":\"m8\"}"
#define THE_ONE "/v1/items/1" /* what the first POST makes */

static void add_bolt(struct app_server *test)
{
	unsigned status = app_server_status(
		test, "POST", "/v1/items", HEADERS(JSON_BODY), BOLT);
	assert_int_equal(status, 201);
}

static json_t *read_item(struct app_server *test, const char *path)
{
	struct http_response res;
	http_get(test->server.port, path, &res);
	assert_int_equal(res.status, 200);
	json_t *item = http_json(&res);
	http_response_finish(&res);
	return item;
}

static int64_t number(const json_t *item, const char *name)
{
	json_t *value = json_object_get(item, name);
	assert_true(json_is_integer(value));
	return json_integer_value(value);
}

static const char *text(const json_t *item, const char *name)
{
	return json_string_value(json_object_get(item, name));
}

static void assert_item(const json_t *item, const char *name, const char *category,
	int64_t quantity, int64_t price_cents, int64_t version)
{
	assert_int_equal(json_object_size(item), 8);
	assert_string_equal(text(item, "name"), name);
	assert_string_equal(text(item, "category"), category);
	assert_int_equal(number(item, "quantity"), quantity);
	assert_int_equal(number(item, "price_cents"), price_cents);
	assert_int_equal(number(item, "version"), version);
}

/* The bolt is as it was made. */
static void assert_unchanged(struct app_server *test)
{
	json_t *item = read_item(test, THE_ONE);
	assert_item(item, "bolt", "m8", 5, 9, 1);
	assert_string_equal(text(item, "created_at"), text(item, "updated_at"));
	json_decref(item);
}

/* A change that succeeds: its answer is the item, as a GET then shows it. */
static json_t *change(struct app_server *test, const char *method,
	const char *const *headers, const char *body, unsigned status)
{
	struct http_response res;
	struct http_response read;
	char etag[32];
	app_server_perform(test, method, strcmp(method, "POST") ? THE_ONE : "/v1/items",
		headers, body, &res);
	assert_int_equal(res.status, status);
	json_t *item = http_json(&res);
	snprintf(etag, sizeof etag, "\"%d\"", (int)number(item, "version"));
	assert_string_equal(http_header(&res, "ETag"), etag);
	assert_string_equal(http_header(&res, "Content-Type"), "application/json");
	assert_null(http_header(&res, "Idempotency-Replayed"));
	http_get(test->server.port, THE_ONE, &read);
	assert_string_equal(read.body, res.body);
	assert_string_equal(http_header(&read, "ETag"), etag);
	http_response_finish(&read);
	http_response_finish(&res);
	return item;
}

/*
 * POST
 */

static void a_post_makes_an_item_and_says_where_it_is(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	app_server_perform(test, "POST", "/v1/items", HEADERS(JSON_BODY), BOLT, &res);
	assert_int_equal(res.status, 201);
	assert_string_equal(http_header(&res, "Location"), THE_ONE);
	assert_string_equal(http_header(&res, "ETag"), "\"1\"");
	assert_string_equal(http_header(&res, "Cache-Control"), "no-store");
	json_t *item = http_json(&res);
	assert_item(item, "bolt", "m8", 5, 9, 1);
	assert_int_equal(number(item, "id"), 1);
	json_decref(item);
	http_response_finish(&res);
	assert_unchanged(test);
}

static void what_is_left_out_is_zero(void **state)
{
	json_t *item = change(*state, "POST", HEADERS(JSON_BODY), NUT, 201);
	assert_item(item, "nut", "m8", 0, 0, 1);
	json_decref(item);
}

static void assert_error_at(
	const json_t *problem, size_t index, const char *pointer, const char *detail)
{
	json_t *error = json_array_get(json_object_get(problem, "errors"), index);
	assert_string_equal(text(error, "pointer"), pointer);
	assert_string_equal(text(error, "detail"), detail);
}

static void everything_that_is_wrong_is_told_at_once(void **state)
{
	static const char body[] =
		"{\"name\":\"\",\"quantity\":1.0,\"price_cents\":-1,\"id\":7,\"colour\":\"red\"}";
	struct app_server *test = *state;
	struct http_response res;
	app_server_perform(test, "POST", "/v1/items", HEADERS(JSON_BODY), body, &res);
	json_t *problem = http_problem(&res, 422, "/problems/validation");
	assert_int_equal(json_array_size(json_object_get(problem, "errors")), 6);
	assert_error_at(problem, 0, "/name",
		"must be a string of 1 to 200 characters without control characters");
	assert_error_at(problem, 1, "/category", "is required");
	assert_error_at(problem, 2, "/quantity",
		"must be an integer from 0 to 2147483647, without fraction or exponent");
	assert_error_at(problem, 3, "/price_cents",
		"must be an integer from 0 to 9007199254740991, without fraction or exponent");
	assert_error_at(problem, 4, "/id", "is set by the server; leave it out");
	assert_error_at(problem, 5, "/colour", "is not a field of an item");
	assert_null(http_header(&res, "ETag"));
	assert_null(http_header(&res, "Location"));
	json_decref(problem);
	http_response_finish(&res);
	assert_int_equal(app_server_rows(test, "items"), 0);
}

/*
 * PUT
 */

static void a_put_replaces_all_of_it(void **state)
{
	struct app_server *test = *state;
	json_t *before = change(test, "POST", HEADERS(JSON_BODY), BOLT, 201);
	json_t *after = change(test, "PUT", HEADERS(JSON_BODY), NUT, 200);
	assert_item(after, "nut", "m8", 0, 0, 2);
	assert_int_equal(number(after, "id"), number(before, "id"));
	assert_string_equal(text(after, "created_at"), text(before, "created_at"));
	assert_true(strcmp(text(after, "updated_at"), text(before, "updated_at")) >= 0);
	json_decref(before);
	json_decref(after);
	assert_int_equal(app_server_rows(test, "items"), 1);
}

static void each_change_makes_the_next_version(void **state)
{
	static const char *const methods[] = { "PUT", "PATCH", "PUT", "PATCH" };
	struct app_server *test = *state;
	add_bolt(test);
	for (int64_t i = 0; i < 4; i++) {
		char if_match[32];
		snprintf(if_match, sizeof if_match, "If-Match: \"%d\"", (int)i + 1);
		json_t *item = change(
			test, methods[i], HEADERS(JSON_BODY, if_match), BOLT, 200);
		assert_item(item, "bolt", "m8", 5, 9, i + 2);
		json_decref(item);
	}
}

/*
 * DELETE
 */

static void a_deleted_item_is_gone_and_its_id_is_not_given_again(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	add_bolt(test);
	app_server_perform(test, "DELETE", THE_ONE, NULL, NULL, &res);
	assert_int_equal(res.status, 204);
	assert_int_equal(res.body_len, 0);
	assert_null(http_header(&res, "Content-Type"));
	assert_non_null(http_header(&res, "X-Request-Id"));
	http_response_finish(&res);
	app_server_perform(test, "GET", THE_ONE, NULL, NULL, &res);
	http_assert_problem(&res, 404, "/problems/not-found");
	http_response_finish(&res);
	app_server_perform(test, "POST", "/v1/items", HEADERS(JSON_BODY), NUT, &res);
	assert_string_equal(http_header(&res, "Location"), "/v1/items/2");
	http_response_finish(&res);
}

/*
 * What is not there.
 */

static void what_is_not_there_cannot_be_changed(void **state)
{
	static const char *const paths[] = { "/v1/items/2", "/v1/items/0", "/v1/items/-1",
		"/v1/items/x", "/v1/items/1.0", "/v1/items/9223372036854775808" };
	static const char *const methods[] = { "PUT", "PATCH", "DELETE" };
	struct app_server *test = *state;
	add_bolt(test);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		for (size_t j = 0; j < 3; j++) {
			struct http_response res;
			app_server_perform(test, methods[j], paths[i],
				HEADERS(JSON_BODY, "If-Match: *"), BOLT, &res);
			http_assert_problem(&res, 404, "/problems/not-found");
			http_response_finish(&res);
		}
	assert_unchanged(test);
	assert_int_equal(app_server_rows(test, "items"), 1);
}

/*
 * Preconditions.
 */

struct condition {
	const char *header;
	bool holds; /* for version 1 */
};

static const struct condition conditions[] = {
	{ "If-Match: \"1\"", true }, { "If-Match: *", true },
	{ "If-Match: \"7\", \"1\"", true }, { "If-Match: \"7\",,\t\"1\" ,\"9\"", true },
	{ "If-Match: W/\"1\", \"1\"", true }, { "If-Match: \"2\"", false },
	{ "If-Match: \"7\", \"9\"", false },
	{ "If-Match: W/\"1\"", false }, /* weak is never enough for a change */
	{ "If-Match: 1", false }, { "If-Match: \"1", false },
	{ "If-Match: \"01\"", false }, { "If-Match: \"*\"", false },
	{ "If-Match;", false }, /* there, and empty */
	{ "If-None-Match: \"2\"", true }, { "If-None-Match: \"1\"", false },
	{ "If-None-Match: W/\"1\"", false },
	{ "If-None-Match: *", false }, /* only if there is none: but there is */
};

/* One change of a fresh bolt, on a condition. */
static void change_on_condition(struct app_server *test, const char *method,
	const char *body, const struct condition *condition)
{
	struct http_response res;
	stranger_exec(test->stranger, "DELETE FROM items");
	stranger_exec(test->stranger, "DELETE FROM sqlite_sequence");
	add_bolt(test);
	app_server_perform(
		test, method, THE_ONE, HEADERS(JSON_BODY, condition->header), body, &res);
	if (condition->holds && res.status / 100 != 2)
		fail_msg("%s %s: %u", method, condition->header, res.status);
	if (!condition->holds) {
		if (res.status != 412)
			fail_msg("%s %s: %u", method, condition->header, res.status);
		http_assert_problem(&res, 412, "/problems/precondition-failed");
		assert_unchanged(test);
	}
	http_response_finish(&res);
}

static void changes_honour_preconditions(
	const char *method, const char *body, void *state)
{
	for (size_t i = 0; i < sizeof conditions / sizeof *conditions; i++)
		change_on_condition(state, method, body, &conditions[i]);
}

static void a_put_honours_preconditions(void **state)
{
	changes_honour_preconditions("PUT", NUT, *state);
}

static void a_patch_honours_preconditions(void **state)
{
	changes_honour_preconditions("PATCH", "{\"quantity\":6}", *state);
}

static void a_delete_honours_preconditions(void **state)
{
	changes_honour_preconditions("DELETE", NULL, *state);
}

static void a_version_that_has_passed_is_refused(void **state)
{
	struct app_server *test = *state;
	const char *const *headers = HEADERS(JSON_BODY, "If-Match: \"1\"");
	add_bolt(test);
	assert_int_equal(app_server_status(test, "PUT", THE_ONE, headers, NUT), 200);
	assert_int_equal(app_server_status(test, "PUT", THE_ONE, headers, BOLT), 412);
	assert_int_equal(app_server_status(test, "DELETE", THE_ONE, headers, NULL), 412);
	json_t *item = read_item(test, THE_ONE);
	assert_item(item, "nut", "m8", 0, 0, 2);
	json_decref(item);
}

static void a_client_that_has_the_version_is_not_sent_it_again(void **state)
{
	static const struct condition known[] = {
		{ "If-None-Match: \"1\"", true },
		{ "If-None-Match: W/\"1\"", true },
		{ "If-None-Match: \"7\", \"1\"", true },
		{ "If-None-Match: *", true },
		{ "If-None-Match: \"2\"", false },
		{ "If-None-Match: 1", false },
	};
	struct app_server *test = *state;
	struct http_response res;
	char length[24];
	add_bolt(test);
	app_server_perform(test, "GET", THE_ONE, NULL, NULL, &res);
	snprintf(length, sizeof length, "%zu", res.body_len);
	http_response_finish(&res);
	for (size_t i = 0; i < 2 * sizeof known / sizeof *known; i++) {
		app_server_perform(test, i % 2 ? "HEAD" : "GET", THE_ONE,
			HEADERS(known[i / 2].header), NULL, &res);
		assert_int_equal(res.status, known[i / 2].holds ? 304 : 200);
		assert_string_equal(http_header(&res, "ETag"), "\"1\"");
		assert_true((res.body_len > 0) == (i % 2 == 0 && res.status == 200));
		assert_string_equal(http_header(&res, "Content-Length"), length);
		assert_true((http_header(&res, "Content-Type") != NULL) ==
			(res.status == 200));
		http_response_finish(&res);
	}
}

/*
 * Rows that another program has put in, with texts that no client could.
 */

/* What http_json() reads is UTF-8, or fails. */
static void assert_answers(struct app_server *test, const char *path)
{
	json_t *json = read_item(test, path);
	assert_non_null(json);
	json_decref(json);
}

static void strange_rows(struct app_server *test)
{
	stranger_exec(test->stranger,
		"INSERT INTO items VALUES (1, CAST(x'636166e9' AS TEXT), 'x', 1, 0, 0, 0, 1),"
		" (2, CAST(x'610062' AS TEXT), 'x', 1, 0, 0, 0, 1),"
		" (3, 'n', CAST(x'636166e9' AS TEXT), 1, 0, 0, 0, 1),"
		" (4, CAST(x'636166e8' AS TEXT), CAST(x'610062' AS TEXT), 1, 0, 0, 0, 1)");
}

static void a_text_that_is_not_utf_8_is_answered_as_utf_8(void **state)
{
	static const char *const paths[] = { "/v1/items/1", "/v1/items/2", "/v1/items/3",
		"/v1/items/4", "/v1/items", "/v1/items?sort=name" };
	struct app_server *test = *state;
	strange_rows(test);
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		assert_answers(test, paths[i]);
	json_t *item = read_item(test, "/v1/items/1");
	assert_string_equal(text(item, "name"), "caf\xef\xbf\xbd");
	json_decref(item);
}

static void keys_that_are_not_utf_8_are_paged_by_as_they_are(void **state)
{
	static const int64_t sorted[] = { 2, 4, 1, 3 };
	struct app_server *test = *state;
	char path[2048] = "/v1/items?sort=name&limit=1";
	strange_rows(test);
	for (size_t i = 0; i < sizeof sorted / sizeof *sorted; i++) {
		json_t *page = read_item(test, path);
		json_t *items = json_object_get(page, "items");
		assert_int_equal(json_array_size(items), 1);
		assert_int_equal(number(json_array_get(items, 0), "id"), sorted[i]);
		if (i + 1 == sizeof sorted / sizeof *sorted)
			assert_null(text(page, "next_cursor"));
		else
			snprintf(path, sizeof path,
				"/v1/items?sort=name&limit=1&cursor=%s",
				text(page, "next_cursor"));
		json_decref(page);
	}
}

/* U+FFFD is a character like others, and what the client was shown; a NUL is refused. */
static void a_patch_keeps_what_it_was_shown_or_says_what_is_wrong(void **state)
{
	static const char patch[] = "{\"quantity\":2}";
	static const char mend[] = "{\"name\":\"ok\"}";
	struct app_server *test = *state;
	const char *const *headers = HEADERS(MERGE_BODY);
	struct http_response res;
	strange_rows(test);
	assert_int_equal(
		app_server_status(test, "PATCH", "/v1/items/1", headers, patch), 200);
	assert_int_equal(app_server_int(test,
				 "SELECT name = 'caf' || char(65533) AND quantity = 2"
				 " FROM items WHERE id = 1"),
		1);
	app_server_perform(test, "PATCH", "/v1/items/2", headers, patch, &res);
	assert_int_equal(res.status, 422);
	json_t *problem = http_json(&res);
	json_t *error = json_array_get(json_object_get(problem, "errors"), 0);
	assert_string_equal(text(error, "pointer"), "/name");
	json_decref(problem);
	http_response_finish(&res);
	assert_int_equal(
		app_server_status(test, "PATCH", "/v1/items/2", headers, mend), 200);
	assert_int_equal(
		app_server_status(test, "PUT", "/v1/items/4", HEADERS(JSON_BODY), NUT),
		200);
}

/*
 * PATCH
 */

struct patch {
	const char *patch;
	const char *name;
	const char *category;
	int64_t quantity;
	int64_t price_cents;
};

static void a_patch_changes_what_it_names(void **state)
{
	static const struct patch patches[] = {
		{ "{}", "bolt", "m8", 5, 9 },
		{ "{\"name\":\"screw\"}", "screw", "m8", 5, 9 },
		{ "{\"quantity\":6,\"price_cents\":10}", "screw", "m8", 6, 10 },
		{ "{\"quantity\":null}", "screw", "m8", 0, 10 },
		{ "{\"price_cents\":null,\"category\":\"m9\"}", "screw", "m9", 0, 0 },
		{ "{\"colour\":null}", "screw", "m9", 0, 0 }, /* it has none already */
		{ BOLT, "bolt", "m8", 5, 9 },
	};
	struct app_server *test = *state;
	add_bolt(test);
	for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
		const struct patch *it = &patches[i];
		json_t *item = change(test, "PATCH",
			HEADERS(i % 2 ? JSON_BODY : MERGE_BODY), it->patch, 200);
		assert_item(item, it->name, it->category, it->quantity, it->price_cents,
			(int64_t)i + 2);
		json_decref(item);
	}
}

struct bad_patch {
	const char *patch;
	const char *pointer;
	const char *detail;
};

static void a_patch_that_breaks_a_rule_changes_nothing(void **state)
{
	static const char text_rule[] =
		"must be a string of 1 to 200 characters without control characters";
	static const char integer_rule[] =
		"must be an integer from 0 to 2147483647, without fraction or exponent";
	static const struct bad_patch patches[] = {
		{ "{\"name\":null}", "/name", "is required" },
		{ "{\"category\":null,\"quantity\":6}", "/category", "is required" },
		{ "{\"name\":{\"first\":\"b\"}}", "/name", text_rule },
		{ "{\"name\":{\"first\":null}}", "/name", text_rule },
		{ "{\"name\":[\"b\"]}", "/name", text_rule },
		{ "{\"quantity\":{\"left\":null}}", "/quantity", integer_rule },
		{ "{\"quantity\":6.0}", "/quantity", integer_rule },
		{ "{\"colour\":\"red\"}", "/colour", "is not a field of an item" },
		{ "{\"id\":2}", "/id", "is set by the server; leave it out" },
		{ "{\"version\":1}", "/version", "is set by the server; leave it out" },
		{ "[]", "", "must be an object" },
		{ "[{\"quantity\":6}]", "", "must be an object" },
		{ "null", "", "must be an object" },
		{ "\"quantity\"", "", "must be an object" },
		{ "7", "", "must be an object" },
	};
	struct app_server *test = *state;
	add_bolt(test);
	for (size_t i = 0; i < sizeof patches / sizeof *patches; i++) {
		struct http_response res;
		app_server_perform(test, "PATCH", THE_ONE, HEADERS(MERGE_BODY),
			patches[i].patch, &res);
		json_t *problem = http_problem(&res, 422, "/problems/validation");
		assert_int_equal(json_array_size(json_object_get(problem, "errors")), 1);
		assert_error_at(problem, 0, patches[i].pointer, patches[i].detail);
		json_decref(problem);
		http_response_finish(&res);
	}
	assert_unchanged(test);
}

/*
 * Bodies that no change can be read from.
 */

struct refusal {
	const char *method;
	const char *path;
	const char *type_header;
	const char *body;
	unsigned status;
	const char *type;
};

static void what_cannot_be_read_is_refused(void **state)
{
	static const struct refusal refusals[] = {
		{ "POST", "/v1/items", JSON_BODY, "{\"name\":", 400,
			"/problems/not-json" },
		{ "PUT", THE_ONE, JSON_BODY, "{\"name\":", 400, "/problems/not-json" },
		{ "PATCH", THE_ONE, JSON_BODY, "{\"name\":", 400, "/problems/not-json" },
		{ "PATCH", THE_ONE, JSON_BODY, "{\"quantity\":1,\"quantity\":1}", 422,
			"/problems/validation" },
		{ "PUT", THE_ONE, JSON_BODY, "[" BOLT "]", 422, "/problems/validation" },
		{ "PUT", THE_ONE, JSON_BODY, "{}", 422, "/problems/validation" },
		{ "POST", "/v1/items", "Content-Type: text/plain", BOLT, 415,
			"/problems/unsupported-media-type" },
		{ "POST", "/v1/items", MERGE_BODY, BOLT, 415,
			"/problems/unsupported-media-type" },
		{ "PUT", THE_ONE, MERGE_BODY, BOLT, 415,
			"/problems/unsupported-media-type" },
		{ "PATCH", THE_ONE, "Content-Type: application/json-patch+json", "[]",
			415, "/problems/unsupported-media-type" },
		{ "PATCH", THE_ONE, "Content-Type: text/plain", BOLT, 415,
			"/problems/unsupported-media-type" },
		{ "PATCH", "/v1/items", MERGE_BODY, "{}", 405,
			"/problems/method-not-allowed" },
	};
	struct app_server *test = *state;
	add_bolt(test);
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		const struct refusal *it = &refusals[i];
		struct http_response res;
		app_server_perform(test, it->method, it->path, HEADERS(it->type_header),
			it->body, &res);
		http_assert_problem(&res, it->status, it->type);
		http_response_finish(&res);
	}
	assert_unchanged(test);
	assert_int_equal(app_server_rows(test, "items"), 1);
}

static void a_parameter_of_the_media_type_changes_nothing(void **state)
{
	struct app_server *test = *state;
	add_bolt(test);
	assert_int_equal(app_server_status(test, "PATCH", THE_ONE,
				 HEADERS(MERGE_BODY "; charset=utf-8"), "{}"),
		200);
}

static void a_body_over_the_limit_is_refused(void **state)
{
	static char body[(1 << 20) + 2];
	static const char *const methods[] = { "PUT", "PATCH" };
	struct app_server *test = *state;
	memset(body, ' ', sizeof body - 1);
	memcpy(body, BOLT, sizeof BOLT - 1);
	add_bolt(test);
	for (size_t i = 0; i < 2; i++) {
		struct http_response res;
		app_server_perform(
			test, methods[i], THE_ONE, HEADERS(JSON_BODY), body, &res);
		http_assert_problem(&res, 413, "/problems/too-large");
		http_response_finish(&res);
	}
	assert_unchanged(test);
	body[1 << 20] = '\0';
	assert_int_equal(
		app_server_status(test, "PUT", THE_ONE, HEADERS(JSON_BODY), body), 200);
}

/*
 * Others at the same time.
 */

/* Starts count PUTs of the version that is there, all in the queue of the writer. */
static void start_puts(struct app_server *test, struct http_call **calls, unsigned count)
{
	const struct http_request req = { .method = "PUT",
		.path = THE_ONE,
		.headers = HEADERS(JSON_BODY, "If-Match: \"1\""),
		.body = NUT };
	for (unsigned i = 0; i < count; i++)
		calls[i] = http_start(test->server.port, &req);
	WAIT_UNTIL(test_db_stats(&test->server).writes_waiting == count);
}

static void of_those_who_change_the_same_version_one_succeeds(void **state)
{
	enum { COUNT = 16 };
	struct app_server *test = *state;
	struct http_call *calls[COUNT];
	unsigned succeeded = 0;
	add_bolt(test);
	uint64_t commits = test_db_stats(&test->server).commits;
	app_server_lock(test);
	start_puts(test, calls, COUNT);
	app_server_unlock(test);
	for (unsigned i = 0; i < COUNT; i++) {
		struct http_response res;
		http_join(calls[i], &res);
		succeeded += res.status == 200;
		if (res.status != 200)
			http_assert_problem(&res, 412, "/problems/precondition-failed");
		http_response_finish(&res);
	}
	assert_int_equal(succeeded, 1);
	assert_int_equal(test_db_stats(&test->server).commits, commits + 1); /* shared */
	json_t *item = read_item(test, THE_ONE);
	assert_item(item, "nut", "m8", 0, 0, 2);
	json_decref(item);
}

static void a_client_that_leaves_before_its_turn_has_changed_nothing(void **state)
{
	struct app_server *test = *state;
	struct http_call *calls[2];
	add_bolt(test);
	app_server_lock(test);
	start_puts(test, calls, 2);
	http_hang_up(calls[0]);
	http_hang_up(calls[1]);
	test_server_wait_at_rest(&test->server); /* while it is locked still */
	app_server_unlock(test);
	assert_unchanged(test);
}

/*
 * Behind other writers.
 */

static void a_write_behind_a_long_one_is_told_to_come_back(void **state)
{
	enum { LONG_ENOUGH_MS = 60000 };
	struct app_server *test = *state;
	struct holding other;
	struct http_response res;
	holding_init(&other);
	other.db = test->server.db;
	holding_take_writer(&other, LONG_ENOUGH_MS);
	app_server_post_behind_a_write(test, "/v1/items", BOLT, &res);
	http_assert_problem(&res, 503, "/problems/busy");
	assert_string_equal(http_header(&res, "Retry-After"), "1");
	http_response_finish(&res);
	holding_give_writer(&other);
	holding_finish(&other);
	assert_int_equal(app_server_rows(test, "items"), 0);
	add_bolt(test);
}

static void a_write_that_waits_for_a_lock_runs_out_of_time(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	app_server_lock(test);
	app_server_perform(test, "POST", "/v1/items",
		HEADERS(JSON_BODY, "X-Request-Timeout: 0.05"), BOLT, &res);
	http_assert_problem(&res, 504, "/problems/deadline");
	http_response_finish(&res);
	app_server_unlock(test);
	add_bolt(test);
	assert_int_equal(app_server_rows(test, "items"), 1);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, app_server_setup, app_server_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_post_makes_an_item_and_says_where_it_is),
		TEST(what_is_left_out_is_zero),
		TEST(everything_that_is_wrong_is_told_at_once),
		TEST(a_put_replaces_all_of_it),
		TEST(each_change_makes_the_next_version),
		TEST(a_deleted_item_is_gone_and_its_id_is_not_given_again),
		TEST(what_is_not_there_cannot_be_changed),
		TEST(a_put_honours_preconditions),
		TEST(a_patch_honours_preconditions),
		TEST(a_delete_honours_preconditions),
		TEST(a_version_that_has_passed_is_refused),
		TEST(a_client_that_has_the_version_is_not_sent_it_again),
		TEST(a_text_that_is_not_utf_8_is_answered_as_utf_8),
		TEST(keys_that_are_not_utf_8_are_paged_by_as_they_are),
		TEST(a_patch_keeps_what_it_was_shown_or_says_what_is_wrong),
		TEST(a_patch_changes_what_it_names),
		TEST(a_patch_that_breaks_a_rule_changes_nothing),
		TEST(what_cannot_be_read_is_refused),
		TEST(a_parameter_of_the_media_type_changes_nothing),
		TEST(a_body_over_the_limit_is_refused),
		TEST(of_those_who_change_the_same_version_one_succeeds),
		TEST(a_client_that_leaves_before_its_turn_has_changed_nothing),
		TEST(a_write_behind_a_long_one_is_told_to_come_back),
		TEST(a_write_that_waits_for_a_lock_runs_out_of_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
