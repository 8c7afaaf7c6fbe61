/*
 * Exports: whole or visibly cut, of one moment, and never in anybody's way.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/items_json.h"
#include "handlers/routes.h"
#include "handlers/seed.h"
#include "tests/support/app_server.h"
#include "tests/support/cmocka.h"
#include "tests/support/raw.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

#define EXPORT "/v1/items/export"
#define LINES  "Accept: application/x-ndjson"
#define ARRAY  "Accept: application/json"
#define GET    "GET " EXPORT " HTTP/1.1\r\nHost: x\r\nX-Request-Id: victim\r\n\r\n"
#define NUT    "{\"name\":\"nut\",\"category\":\"m8\"}"

enum { MANY = 30000, ROUND_TRIP = 100000 / HANGUP_SLOWDOWN, WEIRD = 4 };

static int set_up_with(void **state, int64_t stall_ms)
{
	struct app_server *test = app_server_create();
	test->server.config.long_threads = 2;
	test->server.config.stall_timeout_ms = stall_ms;
	test->server.db_config.long_readers = 2;
	app_server_start(test, routes, routes_count);
	*state = test;
	return 0;
}

static int set_up(void **state)
{
	enum { PATIENT_MS = 60000 };
	return set_up_with(state, PATIENT_MS);
}

static int set_up_impatient(void **state)
{
	enum { IMPATIENT_MS = 200 };
	return set_up_with(state, IMPATIENT_MS);
}

static void seed(struct app_server *test, int64_t count)
{
	int64_t added;
	assert_int_equal(seed_items(test->server.db, count, &added), ERR_OK);
	assert_int_equal(added, count);
}

static void add_weird_items(struct app_server *test)
{
	test_server_sql(&test->server,
		"INSERT INTO items (name, category, quantity, price_cents, created_at,"
		" updated_at, version) VALUES"
		" ('a \"quoted\" \\ name', 'm8', 0, 0, 0, 0, 1),"
		" ('zwölf Ω 漢字 🙂', 'straße', 2147483647, 9007199254740991, 253402300799999,"
		"  253402300799999, 9223372036854775807),"
		" (char(9, 10, 31, 127), 'm8', 1, 2, 3, 4, 5),"
		" ('</script>', 'm10', 10, 100, 1000, 10000, 100000)");
}

static void export(struct app_server *test, const char *query, const char *accept,
	struct http_response *ret)
{
	char path[256];
	snprintf(path, sizeof path, EXPORT "%s", query);
	app_server_perform(test, "GET", path, HEADERS(accept), NULL, ret);
	assert_int_equal(ret->status, 200);
	assert_true(ret->whole);
}

/* Nobody keeps an old snapshot: all of the WAL can be copied and cut off. */
static bool wal_can_be_truncated(struct app_server *test)
{
	return app_server_int(test, "PRAGMA wal_checkpoint(TRUNCATE)") == 0;
}

/*
 * What comes out.
 */

/* The items of a list, which SQLite's own function wrote before, one by one. */
static void assert_lines_equal(const char *body, json_t *items)
{
	size_t i;
	json_t *item;
	json_array_foreach(items, i, item) {
		const char *end = strchr(body, '\n');
		assert_non_null(end);
		json_t *line = json_loadb(
			body, (size_t)(end - body), JSON_REJECT_DUPLICATES, NULL);
		assert_true(json_equal(line, item));
		json_decref(line);
		body = end + 1;
	}
	assert_string_equal(body, "");
}

static json_t *list_all(struct app_server *test)
{
	struct http_response res;
	app_server_perform(test, "GET", "/v1/items?limit=1000", NULL, NULL, &res);
	json_t *list = http_json(&res);
	json_t *items = json_incref(json_object_get(list, "items"));
	json_decref(list);
	http_response_finish(&res);
	return items;
}

static void lines_and_array_hold_what_the_list_holds(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	add_weird_items(test);
	seed(test, 500);
	json_t *items = list_all(test);
	assert_int_equal(json_array_size(items), WEIRD + 500);

	export(test, "", LINES, &res);
	assert_string_equal(http_header(&res, "Content-Type"), "application/x-ndjson");
	assert_string_equal(http_header(&res, "Vary"), "Accept");
	assert_lines_equal(res.body, items);
	http_response_finish(&res);

	export(test, "", ARRAY, &res);
	assert_string_equal(http_header(&res, "Content-Type"), "application/json");
	json_t *array = http_json(&res);
	assert_true(json_equal(array, items));
	json_decref(array);
	json_decref(items);
	http_response_finish(&res);
}

static void the_client_says_which_form_it_wants(void **state)
{
	static const struct {
		const char *accept;
		const char *type;
	} rows[] = {
		{ "X-None: ", "application/x-ndjson" },
		{ "Accept: */*", "application/x-ndjson" },
		{ "Accept: application/*", "application/x-ndjson" },
		{ "Accept: application/json;q=0.5, application/x-ndjson;q=0.5",
			"application/x-ndjson" },
		{ "Accept: application/json, */*;q=0.1", "application/json" },
	};
	struct app_server *test = *state;
	struct http_response res;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		export(test, "", rows[i].accept, &res);
		assert_string_equal(http_header(&res, "Content-Type"), rows[i].type);
		http_response_finish(&res);
	}
	app_server_perform(test, "GET", EXPORT, HEADERS("Accept: text/csv"), NULL, &res);
	http_assert_problem(&res, 406, "/problems/not-acceptable");
	http_response_finish(&res);
}

static void assert_export(
	struct app_server *test, const char *query, const char *accept, const char *body)
{
	struct http_response res;
	export(test, query, accept, &res);
	assert_string_equal(res.body ? res.body : "", body);
	http_response_finish(&res);
}

static void without_items_it_is_empty(void **state)
{
	assert_export(*state, "", LINES, "");
	assert_export(*state, "", ARRAY, "[]\n");
	assert_export(*state, "?category=none", ARRAY, "[]\n");
}

static int64_t count_lines(const char *body)
{
	int64_t count = 0;
	for (; *body; body++)
		count += *body == '\n';
	return count;
}

static void a_category_is_exported_alone(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	add_weird_items(test);
	seed(test, 20000);
	export(test, "?category=m8", LINES, &res);
	assert_int_equal(count_lines(res.body), 2);
	http_response_finish(&res);
	export(test, "?category=stra%C3%9Fe", LINES, &res);
	assert_int_equal(count_lines(res.body), 1);
	http_response_finish(&res);
	export(test, "?category=Steel%20bolts", LINES, &res);
	assert_int_equal(count_lines(res.body), 100);
	http_response_finish(&res);
}

static void a_bad_category_is_refused(void **state)
{
	static const char *const queries[] = { "?category=a&category=b", "?category=%00",
		"?category=%ff" };
	struct app_server *test = *state;
	for (size_t i = 0; i < sizeof queries / sizeof *queries; i++) {
		struct http_response res;
		char path[128];
		snprintf(path, sizeof path, EXPORT "%s", queries[i]);
		app_server_perform(test, "GET", path, NULL, NULL, &res);
		http_assert_problem(&res, 400, "/problems/bad-request");
		http_response_finish(&res);
		assert_int_equal(app_server_status(test, "HEAD", path, NULL, NULL), 400);
	}
}

/* However long it would be. */
static void head_answers_without_running_the_query(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	struct raw raw;
	seed(test, 1000);
	raw_connect(&raw, test->server.port);
	raw_send(&raw,
		"HEAD " EXPORT " HTTP/1.1\r\nHost: x\r\nX-Request-Id: head\r\n\r\n");
	raw_read_without_body(&raw, &res);
	assert_int_equal(res.status, 200);
	assert_string_equal(http_header(&res, "Content-Type"), "application/x-ndjson");
	http_response_finish(&res);
	raw_close(&raw);
	json_t *line = test_server_log_line(&test->server, "head");
	assert_int_equal(log_int(line, "rows"), -1);
	json_decref(line);
}

/*
 * Round trip.
 */

static char *importable(const char *lines)
{
	size_t left = strlen(lines);
	char *body = malloc(left + 1);
	char *out = body;
	const char *end;
	/* Not strchr(), which AddressSanitizer lets look at all that is left. */
	for (; (end = memchr(lines, '\n', left)); lines = end + 1) {
		left -= (size_t)(end + 1 - lines);
		json_t *item = item_to_json(
			(struct span){ lines, (size_t)(end - lines) });
		out += json_dumpb(item, out, (size_t)(end - lines), JSON_COMPACT);
		*out++ = '\n';
		json_decref(item);
	}
	*out = '\0';
	return body;
}

#define FIELDS "name, category, quantity, price_cents"

static void what_was_exported_can_be_imported_again(void **state)
{
	struct app_server *test = *state;
	struct http_response first;
	struct http_response second;
	struct http_response imported;
	add_weird_items(test);
	test_server_sql(
		&test->server, "DELETE FROM items WHERE name GLOB char(9) || '*'");
	seed(test, ROUND_TRIP);
	export(test, "", LINES, &first);
	export(test, "", LINES, &second);
	assert_int_equal(first.body_len, second.body_len);
	assert_memory_equal(first.body, second.body, first.body_len);

	char *body = importable(first.body);
	test_server_sql(&test->server,
		"CREATE TABLE was AS SELECT " FIELDS " FROM items; DELETE FROM items");
	app_server_perform(test, "POST", "/v1/items/import",
		HEADERS("Content-Type: application/x-ndjson"), body, &imported);
	assert_int_equal(imported.status, 200);
	assert_int_equal(app_server_rows(test, "items"), ROUND_TRIP + WEIRD - 1);
	assert_int_equal(app_server_int(test,
				 "SELECT count(*) FROM (SELECT " FIELDS
				 " FROM was EXCEPT SELECT " FIELDS " FROM items)"),
		0);
	assert_int_equal(app_server_int(test,
				 "SELECT count(*) FROM (SELECT " FIELDS
				 " FROM items EXCEPT SELECT " FIELDS " FROM was)"),
		0);
	free(body);
	http_response_finish(&imported);
	http_response_finish(&first);
	http_response_finish(&second);
}

/*
 * A client leaves, or does not read.
 */

/* A victim that reads nothing more than this. */
static void start_reading_slowly(struct app_server *test, struct raw *raw)
{
	raw_connect_narrow(raw, test->server.port);
	raw_send(raw, GET);
	assert_true(raw_expect(raw, "{\"id\":1,"));
}

static void wait_until_the_pipe_is_full(struct app_server *test)
{
	WAIT_UNTIL(test_server_lane(&test->server, LANE_LONG).waiting == 1);
}

static void assert_cancelled(struct app_server *test, const char *cause)
{
	json_t *line = test_server_log_line(&test->server, "victim");
	assert_string_equal(log_text(line, "cause"), cause);
	json_decref(line);
	test_server_wait_at_rest(&test->server);
	WAIT_UNTIL(wal_can_be_truncated(test)); /* the writer may be at a checkpoint */
}

static void write_one(struct app_server *test)
{
	assert_int_equal(
		app_server_status(test, "POST", "/v1/items", HEADERS(JSON_BODY), NUT),
		201);
}

static void a_client_that_leaves_before_the_first_byte_is_forgotten(void **state)
{
	struct app_server *test = *state;
	struct cancel *own = cancel_create(NULL);
	struct conn *conns[2];
	struct raw raw;
	seed(test, 1000);
	for (int i = 0; i < 2; i++)
		assert_int_equal(db_read_long(test->server.db, own, &conns[i]), ERR_OK);
	raw_connect(&raw, test->server.port);
	raw_send(&raw, GET);
	WAIT_UNTIL(test_db_stats(&test->server).readers_waited_for == 1);
	raw_close(&raw);
	json_t *line = test_server_log_line(&test->server, "victim");
	assert_int_equal(log_int(line, "status"), 499);
	json_decref(line);
	for (int i = 0; i < 2; i++)
		conn_release(conns[i]);
	cancel_unref(own);
	assert_cancelled(test, "client_gone");
}

/* The snapshot is held as long as the export runs, and no longer. */
static void a_client_that_leaves_with_a_full_pipe_frees_the_snapshot(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	seed(test, MANY);
	start_reading_slowly(test, &raw);
	wait_until_the_pipe_is_full(test);
	write_one(test);
	assert_false(wal_can_be_truncated(test));
	raw_close(&raw);
	assert_cancelled(test, "client_gone");
}

static void a_client_that_leaves_in_midstream_is_forgotten(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	seed(test, MANY);
	start_reading_slowly(test, &raw);
	assert_true(raw_expect(&raw, "\"id\":1000,"));
	raw_close(&raw);
	assert_cancelled(test, "client_gone");
}

/* It sees that something is missing: the last chunk never comes. */
static void a_client_that_stops_reading_is_cut_at_the_stall_timeout(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	seed(test, MANY);
	start_reading_slowly(test, &raw);
	assert_cancelled(test, "deadline");
	assert_false(raw_expect(&raw, "\r\n0\r\n"));
	raw_close(&raw);
}

static void what_changes_meanwhile_is_not_in_it(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	struct http_response res;
	seed(test, MANY);
	raw_connect_narrow(&raw, test->server.port);
	raw_send(&raw, GET);
	wait_until_the_pipe_is_full(test);
	test_server_sql(&test->server, "UPDATE items SET quantity = 123456, version = 2");
	write_one(test);
	raw_read(&raw, &res);
	assert_true(res.whole);
	assert_int_equal(count_lines(res.body), MANY);
	assert_null(strstr(res.body, ":123456,"));
	http_response_finish(&res);
	raw_close(&raw);
}

/* So that it cannot make the WAL grow without end: see read_begin(). */
static int set_up_small_wal(void **state)
{
	enum { WAL_MAX = 4 << 20, PATIENT_MS = 60000 };
	struct app_server *test = app_server_create();
	test->server.config.stall_timeout_ms = PATIENT_MS;
	test->server.db_config.wal_max_bytes = WAL_MAX;
	app_server_start(test, routes, routes_count);
	*state = test;
	return 0;
}

static void an_export_in_the_way_of_a_large_wal_is_cut(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	seed(test, MANY);
	start_reading_slowly(test, &raw);
	wait_until_the_pipe_is_full(test);
	seed(test, MANY);
	assert_cancelled(test, "deadline");
	raw_read_to_end(&raw);
	raw_close(&raw);
}

static void the_log_line_tells_how_much_it_was(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	seed(test, MANY);
	app_server_perform(
		test, "GET", EXPORT, HEADERS("X-Request-Id: whole"), NULL, &res);
	json_t *line = test_server_log_line(&test->server, "whole");
	assert_int_equal(log_int(line, "rows"), MANY);
	assert_int_equal(log_int(line, "bytes"), res.body_len);
	assert_string_equal(log_text(line, "cause"), "");
	json_decref(line);
	http_response_finish(&res);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, app_server_teardown)
#define TEST_SET_UP(name, by) \
	cmocka_unit_test_setup_teardown(name, by, app_server_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(lines_and_array_hold_what_the_list_holds),
		TEST(the_client_says_which_form_it_wants),
		TEST(without_items_it_is_empty),
		TEST(a_category_is_exported_alone),
		TEST(a_bad_category_is_refused),
		TEST(head_answers_without_running_the_query),
		TEST(what_was_exported_can_be_imported_again),
		TEST(a_client_that_leaves_before_the_first_byte_is_forgotten),
		TEST(a_client_that_leaves_with_a_full_pipe_frees_the_snapshot),
		TEST(a_client_that_leaves_in_midstream_is_forgotten),
		TEST_SET_UP(a_client_that_stops_reading_is_cut_at_the_stall_timeout,
			set_up_impatient),
		TEST(what_changes_meanwhile_is_not_in_it),
		TEST_SET_UP(an_export_in_the_way_of_a_large_wal_is_cut, set_up_small_wal),
		TEST(the_log_line_tells_how_much_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
