#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/ops/health.h"
#include "handlers/rest/app.h"
#include "handlers/routes.h"
#include "handlers/seed.h"
#include "service/http/problem.h"
#include "tests/support/cmocka.h"
#include "tests/support/items_db.h"

/*
 * The handlers, called through the table as the server calls them, without a network.
 */

struct call {
	struct app app;
	struct request req;
	struct response res;
	enum err err;
};

static int hex(char digit)
{
	return digit <= '9' ? digit - '0' : (digit | 32) - 'a' + 10;
}

static struct span decode(char *text)
{
	char *end = text;
	for (const char *at = text; *at; at++) {
		bool encoded = *at == '%';
		*end++ = encoded ? (char)(hex(at[1]) * 16 + hex(at[2])) : *at;
		at += encoded ? 2 : 0;
	}
	*end = '\0';
	return (struct span){ text, (size_t)(end - text) };
}

static void add_query(struct request *req, char *query)
{
	char *rest = query;
	for (char *name; (name = strsep(&rest, "&"));) {
		char *value = strchr(name, '=');
		assert_non_null(value);
		*value++ = '\0';
		request_add_field(req, REQUEST_QUERY, span_of(name), decode(value));
	}
}

/* Answers METHOD target, with an If-None-Match unless it is NULL. */
static struct call *call(struct items_db *test, const char *method, const char *target,
	const char *if_none_match, const char *body)
{
	struct call *call = calloc(1, sizeof *call);
	char path[8192];
	snprintf(path, sizeof path, "%s", target);
	char *query = strchr(path, '?');
	if (query)
		*query++ = '\0';
	call->app.db = test->db;
	call->req = (struct request){ .cancel = test->token,
		.app = &call->app,
		.ready = app_ready,
		.body = span_of(body) };
	response_init(&call->res);
	assert_int_equal(request_reserve(&call->req, 20, sizeof path + 200), ERR_OK);
	call->req.path = request_keep(&call->req, span_of(path));
	if (query)
		add_query(&call->req, query);
	if (if_none_match)
		request_add_field(&call->req, REQUEST_HEADER,
			SPAN_LITERAL("If-None-Match"), span_of(if_none_match));
	call->err = route_find(
		routes, routes_count, method, call->req.path, &call->req.match);
	call->req.route = call->req.match.route;
	if (call->err == ERR_OK)
		call->err = call->req.route->handle(&call->req, &call->res);
	return call;
}

static struct call *get(struct items_db *test, const char *target)
{
	return call(test, "GET", target, NULL, NULL);
}

static void hang_up(struct call *call)
{
	request_finish(&call->req);
	response_finish(&call->res);
	free(call);
}

static const char *header(const struct call *call, const char *name)
{
	return response_find_header(&call->res, name);
}

static json_t *body_of(const struct call *call)
{
	json_t *json = json_loadb(call->res.body.data, call->res.body.len, 0, NULL);
	assert_non_null(json);
	return json;
}

static void assert_error(
	struct items_db *test, const char *target, enum err err, const char *word)
{
	struct call *it = get(test, target);
	assert_int_equal(it->err, err);
	assert_true(!word || strncmp(it->res.detail, word, strlen(word)) == 0);
	hang_up(it);
}

/*
 * One item.
 */

static void a_created_item_can_be_read_where_it_is_said_to_be(void **state)
{
	struct call *made = call(
		*state, "POST", "/v1/items", NULL, "{\"name\":\"n\",\"category\":\"c\"}");
	assert_int_equal(made->err, ERR_OK);
	assert_int_equal(made->res.status, 201);
	assert_string_equal(header(made, "Location"), "/v1/items/1");
	assert_string_equal(header(made, "ETag"), "\"1\"");
	struct call *read = get(*state, "/v1/items/1");
	assert_int_equal(read->res.status, 200);
	assert_string_equal(header(read, "ETag"), "\"1\"");
	assert_int_equal(read->res.body.len, made->res.body.len);
	assert_memory_equal(read->res.body.data, made->res.body.data, made->res.body.len);
	hang_up(made);
	hang_up(read);
}

static void what_breaks_the_rules_is_not_created(void **state)
{
	struct call *made = call(*state, "POST", "/v1/items", NULL, "{\"name\":\"n\"}");
	assert_int_equal(made->err, ERR_INVALID);
	hang_up(made);
	made = call(*state, "POST", "/v1/items", NULL, "{");
	assert_int_equal(made->err, ERR_NOT_JSON);
	hang_up(made);
	assert_error(*state, "/v1/items/1", ERR_NOT_FOUND, NULL);
}

static void a_client_that_has_it_gets_it_not_again(void **state)
{
	const struct item item = ITEM("n", "c", 0, 0);
	items_db_add(*state, &item, 1);
	struct call *read = call(*state, "GET", "/v1/items/1", "\"7\", W/\"1\"", NULL);
	assert_int_equal(read->err, ERR_OK);
	assert_int_equal(read->res.status, 304);
	assert_string_equal(header(read, "ETag"), "\"1\"");
	hang_up(read);
	read = call(*state, "GET", "/v1/items/1", "\"2\"", NULL);
	assert_int_equal(read->res.status, 200);
	hang_up(read);
	read = call(*state, "GET", "/v1/items/2", "*", NULL);
	assert_int_equal(read->err, ERR_NOT_FOUND);
	hang_up(read);
}

static void what_cannot_be_an_id_is_not_found(void **state)
{
	static const char *const targets[] = { "/v1/items/0", "/v1/items/-1",
		"/v1/items/1.0", "/v1/items/x", "/v1/items/+1",
		"/v1/items/9223372036854775808", "/v1/items/1 " };
	const struct item item = ITEM("n", "c", 0, 0);
	items_db_add(*state, &item, 1);
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
		assert_error(*state, targets[i], ERR_NOT_FOUND, NULL);
}

/*
 * Lists.
 */

static void a_bad_parameter_is_named(void **state)
{
	static const struct {
		const char *query;
		const char *name;
	} cases[] = {
		{ "limit=0", "limit" },
		{ "limit=1001", "limit" },
		{ "limit=", "limit" },
		{ "limit=-1", "limit" },
		{ "limit=1.0", "limit" },
		{ "limit=1&limit=1", "limit" },
		{ "sort=", "sort" },
		{ "sort=-", "sort" },
		{ "sort=--id", "sort" },
		{ "sort=version", "sort" },
		{ "sort=ID", "sort" },
		{ "sort=id,name", "sort" },
		{ "category=%FF", "category" },
		{ "category=%00", "category" },
		{ "category=a&category=a", "category" },
		{ "category=12345678901234567890123456789012345678901234567890123456789012345",
			"category" },
		{ "q=%C3", "q" },
		{ "q=a%00", "q" },
		{ "cursor=", "cursor" },
		{ "cursor=x", "cursor" },
		{ "cursor=AAAA", "cursor" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		char target[256];
		snprintf(target, sizeof target, "/v1/items?%s", cases[i].query);
		assert_error(*state, target, ERR_BAD_REQUEST, cases[i].name);
	}
}

/* The number of items; *link becomes the next page's target, or empty. */
static size_t read_page(struct items_db *test, char *link, size_t size)
{
	struct call *page = get(test, link);
	assert_int_equal(page->err, ERR_OK);
	json_t *body = body_of(page);
	size_t count = json_array_size(json_object_get(body, "items"));
	const char *next = json_string_value(json_object_get(body, "next_cursor"));
	const char *header_link = header(page, "Link");
	link[0] = '\0';
	assert_true(!next == !header_link);
	if (header_link) {
		size_t len = strcspn(header_link, ">");
		assert_non_null(strstr(header_link, next));
		assert_string_equal(header_link + len, ">; rel=\"next\"");
		snprintf(link, size, "%.*s", (int)len - 1, header_link + 1);
	}
	json_decref(body);
	hang_up(page);
	return count;
}

static void links_lead_through_the_whole_list(void **state)
{
	char link[8192] =
		"/v1/items?limit=7&q=No.%201&category=Aluminium%20bolts&sort=-price_cents";
	struct items_db *test = *state;
	int64_t added;
	size_t pages = 0, items = 0;
	seed_items(test->db, 300, &added);
	for (; link[0]; pages++)
		items += read_page(test, link, sizeof link);
	assert_int_equal(items, 11); /* 1, 10 to 19 */
	assert_int_equal(pages, 2);
}

static void a_page_that_is_just_full_is_the_last(void **state)
{
	char link[1024] = "/v1/items?limit=20";
	struct items_db *test = *state;
	int64_t added;
	seed_items(test->db, 20, &added);
	assert_int_equal(read_page(test, link, sizeof link), 20);
	assert_string_equal(link, "");
}

static void fifty_is_a_page_unless_told_otherwise(void **state)
{
	char link[1024] = "/v1/items";
	struct items_db *test = *state;
	int64_t added;
	assert_int_equal(read_page(test, link, sizeof link), 0);
	assert_string_equal(link, "");
	seed_items(test->db, 60, &added);
	snprintf(link, sizeof link, "/v1/items?q=");
	assert_int_equal(read_page(test, link, sizeof link), 50);
	assert_int_equal(read_page(test, link, sizeof link), 10);
	assert_string_equal(link, "");
}

static void the_longest_texts_fit_a_link(void **state)
{
	static char name[801];
	static char link[8192];
	struct items_db *test = *state;
	for (size_t i = 0; i < 200; i++)
		memcpy(name + 4 * i, "\xf0\x9f\x94\xa9", 4);
	struct item items[] = { ITEM("", "", 0, 0), ITEM("", "", 0, 0) };
	items[0].name = items[1].name = span_of(name);
	items[0].category = items[1].category = (struct span){ name, 256 };
	items_db_add(test, items, 2);
	strcpy(link, "/v1/items?sort=name&limit=1&category=");
	for (size_t i = 0; i < 64; i++)
		strcat(link, "%F0%9F%94%A9");
	strcat(link, "&q=");
	for (size_t i = 0; i < 200; i++)
		strcat(link, "%F0%9F%94%A9");
	assert_int_equal(read_page(test, link, sizeof link), 1);
	assert_int_equal(read_page(test, link, sizeof link), 1);
	assert_string_equal(link, "");
}

/*
 * The rest.
 */

static void the_report_is_json(void **state)
{
	const struct item items[] = { ITEM("a", "x", 2, 3), ITEM("b", "x", 0, 4),
		ITEM("c", "\"y\"", 1, 5),
		ITEM("d", "z", ITEM_QUANTITY_MAX, ITEM_PRICE_MAX) };
	static const char expected[] =
		"{\"groups\":[{\"category\":\"\\\"y\\\"\",\"count\":1,\"total_quantity\":1,"
		"\"total_value_cents\":5,\"median_price_cents\":5},"
		"{\"category\":\"x\",\"count\":2,\"total_quantity\":2,\"total_value_cents\":6,"
		"\"median_price_cents\":3.5},"
		"{\"category\":\"z\",\"count\":1,\"total_quantity\":2147483647,"
		"\"total_value_cents\":19342813104826865393074177,"
		"\"median_price_cents\":9007199254740991}]}";
	struct call *empty = get(*state, "/v1/reports/inventory");
	assert_int_equal(empty->res.body.len, strlen("{\"groups\":[]}"));
	hang_up(empty);
	items_db_add(*state, items, 4);
	struct call *report = get(*state, "/v1/reports/inventory");
	assert_int_equal(report->err, ERR_OK);
	assert_int_equal(report->res.body.len, sizeof expected - 1);
	assert_memory_equal(report->res.body.data, expected, sizeof expected - 1);
	hang_up(report);
}

static void nobody_is_kept_from_leaving(void **state)
{
	static const char *const targets[] = { "/v1/items", "/v1/items/1",
		"/v1/reports/inventory", "/readyz" };
	struct items_db *test = *state;
	cancel_fire(test->token, CANCEL_CLIENT_GONE);
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++)
		assert_error(test, targets[i], ERR_CLIENT_GONE, NULL);
}

static void a_database_that_is_current_is_ready(void **state)
{
	struct call *ready = get(*state, "/readyz");
	assert_int_equal(ready->err, ERR_OK);
	hang_up(ready);
	items_db_exec(*state, "DELETE FROM schema_history");
	assert_error(*state, "/readyz", ERR_BUSY,
		"Not ready: the database has another schema");
}

static void a_database_that_answers_too_late_is_not_ready(void **state)
{
	struct items_db *test = *state;
	cancel_fire(test->token, CANCEL_DEADLINE);
	assert_error(
		test, "/readyz", ERR_BUSY, "Not ready: the database does not answer.");
}

static void a_server_that_has_nothing_to_ask_is_ready(void **state)
{
	struct items_db *test = *state;
	struct request req = { .cancel = test->token };
	struct response res;
	items_db_exec(test, "DELETE FROM schema_history");
	response_init(&res);
	assert_int_equal(ops_handle_readiness(&req, &res), ERR_OK);
	req.draining = true;
	assert_int_equal(ops_handle_readiness(&req, &res), ERR_SHUTDOWN);
	response_finish(&res);
}

static void a_draining_service_is_not_ready(void **state)
{
	struct items_db *test = *state;
	struct app app = { .db = test->db };
	struct request req = {
		.cancel = test->token, .app = &app, .ready = app_ready, .draining = true
	};
	struct response res;
	response_init(&res);
	assert_int_equal(ops_handle_readiness(&req, &res), ERR_SHUTDOWN);
	assert_string_equal(res.detail, "Not ready: the service is shutting down.");
	items_db_exec(test, "DELETE FROM schema_history");
	assert_int_equal(ops_handle_readiness(&req, &res), ERR_SHUTDOWN);
	assert_non_null(strstr(res.detail, "down, and the database has another schema"));
	response_finish(&res);
}

static void health_asks_nobody(void **state)
{
	struct items_db *test = *state;
	cancel_fire(test->token, CANCEL_CLIENT_GONE);
	struct call *health = get(test, "/healthz");
	assert_int_equal(health->err, ERR_OK);
	assert_int_equal(health->req.route->lane, LANE_INLINE);
	hang_up(health);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, items_db_setup, items_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_created_item_can_be_read_where_it_is_said_to_be),
		TEST(what_breaks_the_rules_is_not_created),
		TEST(a_client_that_has_it_gets_it_not_again),
		TEST(what_cannot_be_an_id_is_not_found),
		TEST(a_bad_parameter_is_named),
		TEST(links_lead_through_the_whole_list),
		TEST(a_page_that_is_just_full_is_the_last),
		TEST(fifty_is_a_page_unless_told_otherwise),
		TEST(the_longest_texts_fit_a_link),
		TEST(the_report_is_json),
		TEST(nobody_is_kept_from_leaving),
		TEST(a_database_that_is_current_is_ready),
		TEST(a_database_that_answers_too_late_is_not_ready),
		TEST(a_server_that_has_nothing_to_ask_is_ready),
		TEST(a_draining_service_is_not_ready),
		TEST(health_asks_nobody),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
