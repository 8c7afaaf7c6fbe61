/*
 * Imports: what each body is answered, and what is kept of one whose client leaves, at
 * every stage: nothing before the point of no return, everything after it.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/routes.h"
#include "tests/support/app_server.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/holding.h"
#include "tests/support/raw.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

#define LINES "Content-Type: application/x-ndjson"
#define KEY   "Idempotency-Key: 5f1d"
#define HEAD  "POST /v1/items/import HTTP/1.1\r\nHost: x\r\nX-Request-Id: victim\r\n"
#define BOLT  "{\"name\":\"bolt\",\"category\":\"m8\",\"quantity\":3,\"price_cents\":12}"
#define NUT   "{\"name\":\"nut\",\"category\":\"m8\"}"
#define BAD   "{\"name\":\"\",\"category\":\"m8\",\"quantity\":-1}"
#define MARK  "\xef\xbb\xbf"

enum { LINE_MAX_BYTES = 1000, IMPORT_MAX_BYTES = 20000000, LONG_THREADS = 2 };

struct fixture {
	struct app_server *test;
	struct gate fired;      /* the victim's token has fired */
	struct holding holding; /* of the writer, or of the disk below it */
};

static struct fixture fixture;

/*
 * Fixture: the service's own handler, and a gate that opens when its token fires.
 */

static void open_gate(void *arg, enum cancel_cause cause)
{
	(void)cause;
	gate_open(arg);
}

static enum err import(struct request *req, struct response *res)
{
	struct cancel_hook hook = { 0 };
	cancel_hook(req->cancel, &hook, open_gate, &fixture.fired);
	enum err err = items_handle_import(req, res);
	cancel_unhook(req->cancel, &hook);
	return err;
}

static const struct route test_routes[] = {
	{ "POST", "/v1/items", items_handle_post, .lane = LANE_SHORT,
		.body = BODY_BUFFERED },
	{ "POST", "/v1/items/import", import, .lane = LANE_LONG, .body = BODY_STREAMED,
		.consumes = "application/x-ndjson, application/json" },
	{ "GET", "/v1/items/{id}", items_handle_get, .lane = LANE_SHORT },
};

static void start_with(struct app_server *test)
{
	fixture = (struct fixture){ .test = test };
	gate_init(&fixture.fired);
	holding_init(&fixture.holding);
	test->server.config.max_body_bytes = LINE_MAX_BYTES;
	test->server.config.max_import_bytes = IMPORT_MAX_BYTES;
	test->server.config.long_threads = LONG_THREADS;
	app_server_start(test, test_routes, sizeof test_routes / sizeof *test_routes);
	fixture.holding.db = test->server.db;
}

static int set_up(void **state)
{
	struct app_server *test = app_server_create();
	start_with(test);
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	gate_open(&fixture.holding.let_go);
	int status = app_server_teardown(state);
	gate_finish(&fixture.fired);
	holding_finish(&fixture.holding);
	return status;
}

static void post(struct app_server *test, const char *const *headers, const char *body,
	struct http_response *ret)
{
	app_server_perform(test, "POST", "/v1/items/import", headers, body, ret);
}

static void assert_imported(struct http_response *res, int64_t count)
{
	char expected[64];
	snprintf(expected, sizeof expected, "{\"imported\":%d}", (int)count);
	if (res->status != 200)
		fail_msg("%u %s", res->status, res->body);
	assert_string_equal(res->body, expected);
	http_response_finish(res);
}

/* count lines, in memory of its own. */
static char *make_lines(int count)
{
	char *body = malloc((size_t)count * 100 + 1);
	char *end = body;
	*end = '\0';
	for (int i = 0; i < count; i++)
		end += sprintf(end,
			"{\"name\":\"part no. %d\",\"category\":\"c%d\",\"quantity\":%d}\n",
			i * 7919 % count, i % 10, i);
	return body;
}

/*
 * What each body is answered.
 */

static const struct {
	const char *type;
	const char *body;
	int imported;
} good[] = {
	{ LINES, "", 0 },
	{ LINES, "\r\n\n  \n", 0 },
	{ LINES, BOLT "\n" NUT "\n", 2 },
	{ LINES, BOLT "\n" NUT, 2 },
	{ LINES, BOLT "\r\n\r\n" NUT "\r\n", 2 },
	{ LINES, MARK BOLT "\n", 1 },
	{ "Content-Type: Application/X-NDJSON; charset=utf-8", BOLT, 1 },
	{ JSON_BODY, "[]", 0 },
	{ JSON_BODY, MARK " [\n" BOLT " ,\r\n" NUT "]\n", 2 },
};

static void every_good_body_is_imported(void **state)
{
	struct app_server *test = *state;
	int64_t rows = 0;
	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		struct http_response res;
		post(test, HEADERS(good[i].type), good[i].body, &res);
		assert_imported(&res, good[i].imported);
		rows += good[i].imported;
		assert_int_equal(app_server_rows(test, "items"), rows);
	}
	assert_int_equal(
		app_server_int(test,
			"SELECT count(*) FROM items WHERE name = 'bolt' AND category = 'm8'"
			" AND quantity = 3 AND price_cents = 12 AND version = 1"
			" AND created_at = updated_at"),
		6);
	assert_int_equal(
		app_server_int(test,
			"SELECT count(*) FROM items WHERE name = 'nut' AND quantity = 0"
			" AND price_cents = 0"),
		4);
}

static const struct {
	const char *type;
	const char *body;
	unsigned status;
	const char *problem;
	const char *detail;
} bad[] = {
	{ "Content-Type: text/csv", "a,b", 415, "/problems/unsupported-media-type",
		"The Content-Type must be application/x-ndjson, application/json." },
	{ LINES, BOLT "\n\n{\n", 400, "/problems/not-json",
		"Line 3, column 1: string or '}' expected near end of file." },
	{ LINES, BOLT "\n" NUT " " NUT "\n", 400, "/problems/not-json",
		"Line 2, column 32: something follows the value; there can be only one." },
	{ LINES, BOLT "\n{\"name\":\"a\\u0000\"}\n", 422, "/problems/validation",
		"Line 2, column 17: \\u0000 is not taken." },
	{ LINES, "\xff\n", 400, "/problems/not-json",
		"Line 1, column 0: unable to decode byte 0xff." },
	{ LINES, BOLT "\n" BAD "\n", 422, "/problems/validation",
		"Line 2 breaks the rules of an item." },
	{ LINES, "[" BOLT "]\n", 422, "/problems/validation",
		"Line 1 breaks the rules of an item." },
	{ JSON_BODY, "", 400, "/problems/not-json", "The body must be one array." },
	{ JSON_BODY, BOLT, 422, "/problems/validation", "The body must be one array." },
	{ JSON_BODY, "[" BOLT "," BAD "]", 422, "/problems/validation",
		"Item 1 of the array breaks the rules of an item." },
	{ JSON_BODY, "[" BOLT ",", 400, "/problems/not-json",
		"Item 1 of the array: unexpected token near end of file." },
	{ JSON_BODY, "[" BOLT "] 1", 400, "/problems/not-json",
		"Something follows the array." },
};

static void every_bad_body_is_refused_with_its_place_and_nothing_is_kept(void **state)
{
	struct app_server *test = *state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct http_response res;
		post(test, HEADERS(bad[i].type), bad[i].body, &res);
		json_t *problem = http_problem(&res, bad[i].status, bad[i].problem);
		assert_string_equal(json_string_value(json_object_get(problem, "detail")),
			bad[i].detail);
		json_decref(problem);
		http_response_finish(&res);
		assert_int_equal(app_server_rows(test, "items"), 0);
	}
}

static void assert_pointers(struct app_server *test, const char *type, const char *body,
	const char *first, const char *second)
{
	struct http_response res;
	post(test, HEADERS(type), body, &res);
	json_t *problem = http_problem(&res, 422, "/problems/validation");
	json_t *errors = json_object_get(problem, "errors");
	assert_int_equal(json_array_size(errors), 2);
	assert_string_equal(first,
		json_string_value(json_object_get(json_array_get(errors, 0), "pointer")));
	assert_string_equal(second,
		json_string_value(json_object_get(json_array_get(errors, 1), "pointer")));
	json_decref(problem);
	http_response_finish(&res);
}

/* Into the line, or into the array. */
static void every_broken_rule_of_an_item_is_told_with_a_pointer(void **state)
{
	assert_pointers(*state, LINES, BOLT "\n" BAD "\n", "/name", "/quantity");
	assert_pointers(
		*state, JSON_BODY, "[" BOLT "," BAD "]", "/1/name", "/1/quantity");
}

static void a_line_over_the_limit_is_refused(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	char body[2 * LINE_MAX_BYTES];
	snprintf(body, sizeof body, BOLT "\n%*s\n", LINE_MAX_BYTES + 1, NUT);
	post(test, HEADERS(LINES), body, &res);
	json_t *problem = http_problem(&res, 413, "/problems/too-large");
	assert_string_equal(json_string_value(json_object_get(problem, "detail")),
		"Line 2 is longer than 1000 bytes.");
	json_decref(problem);
	http_response_finish(&res);
	snprintf(body, sizeof body, BOLT "\n%*s\n", LINE_MAX_BYTES, NUT);
	post(test, HEADERS(LINES), body, &res);
	assert_imported(&res, 2);
}

/*
 * Limits, and bodies that are not read to their end.
 */

static void assert_refused_and_closed(struct raw *raw, unsigned status, const char *type)
{
	struct http_response res;
	raw_read(raw, &res);
	http_assert_problem(&res, status, type);
	http_response_finish(&res);
	raw_read_to_end(raw);
	raw_close(raw);
}

static void a_body_that_says_it_is_too_large_is_refused_before_it_is_sent(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	raw_connect(&raw, test->server.port);
	raw_sendf(&raw,
		HEAD LINES "\r\nExpect: 100-continue\r\nContent-Length: %d\r\n\r\n",
		IMPORT_MAX_BYTES + 1);
	assert_refused_and_closed(&raw, 413, "/problems/too-large");
}

static void a_client_that_waits_for_100_gets_it(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	struct http_response res;
	raw_connect(&raw, test->server.port);
	raw_sendf(&raw,
		HEAD LINES "\r\nExpect: 100-continue\r\nContent-Length: %zu\r\n\r\n",
		strlen(NUT));
	assert_true(raw_expect(&raw, "100 Continue\r\n\r\n"));
	raw_send(&raw, NUT);
	raw_read(&raw, &res);
	assert_imported(&res, 1);
	raw_close(&raw);
}

static void send_chunk(struct raw *raw, const char *data, size_t len)
{
	raw_sendf(raw, "%zx\r\n", len);
	raw_send_bytes(raw, data, len);
	raw_send(raw, "\r\n");
}

/* It does not say how long it is. */
static void a_chunked_body_over_the_limit_is_refused_and_cut(void **state)
{
	struct app_server *test = *state;
	char *lines = make_lines(10000);
	struct raw raw;
	raw_connect(&raw, test->server.port);
	raw_send(&raw, HEAD LINES "\r\nTransfer-Encoding: chunked\r\n\r\n");
	for (size_t sent = 0; sent <= IMPORT_MAX_BYTES; sent += strlen(lines))
		send_chunk(&raw, lines, strlen(lines));
	assert_refused_and_closed(&raw, 413, "/problems/too-large");
	assert_int_equal(app_server_rows(test, "items"), 0);
	free(lines);
}

/* The rest of the body is not waited for: the answer comes at once, and then the end. */
static void a_bad_line_is_answered_while_the_body_arrives(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	raw_connect(&raw, test->server.port);
	raw_send(&raw,
		HEAD LINES "\r\nContent-Length: 1000000\r\n\r\n" BOLT "\n" BAD "\n");
	assert_refused_and_closed(&raw, 422, "/problems/validation");
	assert_int_equal(app_server_rows(test, "items"), 0);
}

static void a_client_that_sends_on_regardless_is_cut(void **state)
{
	struct app_server *test = *state;
	char *lines = make_lines(10000);
	struct raw raw;
	raw_connect(&raw, test->server.port);
	raw_send(&raw, HEAD LINES "\r\nTransfer-Encoding: chunked\r\n\r\n");
	send_chunk(&raw, BAD "\n", strlen(BAD) + 1);
	for (int i = 0; i < 100; i++) /* many MB, if the server took them all */
		send_chunk(&raw, lines, strlen(lines));
	raw_read_to_end(&raw);
	raw_close(&raw);
	json_t *line = test_server_log_line(&test->server, "victim");
	assert_int_equal(log_int(line, "status"), 422);
	json_decref(line);
	free(lines);
}

/*
 * Idempotency keys.
 */

static void a_repeated_import_is_answered_as_the_first(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	post(test, HEADERS(LINES, KEY), BOLT "\n" NUT "\n", &res);
	assert_null(http_header(&res, "Idempotency-Replayed"));
	assert_imported(&res, 2);
	post(test, HEADERS(LINES, KEY), BOLT "\n" NUT "\n", &res);
	assert_string_equal(http_header(&res, "Idempotency-Replayed"), "true");
	assert_imported(&res, 2);
	post(test, HEADERS(LINES, KEY), BOLT "\n" NUT, &res); /* not the same bytes */
	http_assert_problem(&res, 422, "/problems/idempotency-key-reused");
	http_response_finish(&res);
	assert_int_equal(app_server_rows(test, "items"), 2);
}

static void a_refused_import_leaves_its_key_free(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	post(test, HEADERS(LINES, KEY), BOLT "\n" BAD "\n", &res);
	assert_int_equal(res.status, 422);
	http_response_finish(&res);
	post(test, HEADERS(LINES, KEY), BOLT "\n" NUT "\n", &res);
	assert_imported(&res, 2);
}

/*
 * A client leaves.
 */

/* Everything of the victim is gone but, if kept, its rows. */
static void assert_left(struct app_server *test, const char *cause, int64_t kept)
{
	json_t *line = test_server_log_line(&test->server, "victim");
	assert_string_equal(log_text(line, "cause"), cause);
	assert_int_equal(json_is_true(json_object_get(line, "committed")), kept > 0);
	json_decref(line);
	test_server_wait_at_rest(&test->server);
	assert_int_equal(app_server_rows(test, "items"), kept);
	assert_int_equal(
		app_server_status(test, "POST", "/v1/items", HEADERS(JSON_BODY), NUT),
		201);
}

static void assert_status_499(struct app_server *test)
{
	json_t *line = test_server_log_line(&test->server, "victim");
	assert_int_equal(log_int(line, "status"), 499);
	json_decref(line);
}

/* Sends that, and leaves once the handler waits for more. */
static void leave_after(struct app_server *test, const char *sent)
{
	struct raw raw;
	raw_connect(&raw, test->server.port);
	raw_send(&raw, HEAD LINES "\r\nContent-Length: 1000000\r\n\r\n");
	raw_send(&raw, sent);
	WAIT_UNTIL(test_server_lane(&test->server, LANE_LONG).waiting == 1);
	raw_close(&raw);
	gate_wait(&fixture.fired);
	assert_status_499(test);
	assert_left(test, "client_gone", 0);
}

static void nothing_is_kept_when_the_client_leaves_after_the_headers(void **state)
{
	leave_after(*state, "");
}

static void nothing_is_kept_when_the_client_leaves_in_the_middle_of_a_line(void **state)
{
	leave_after(*state, BOLT "\n{\"name\":\"nu");
}

static void nothing_is_kept_when_the_client_leaves_between_two_lines(void **state)
{
	leave_after(*state, BOLT "\n" NUT "\n");
}

/* So much that it is staged in the file. */
static void nothing_is_kept_when_the_client_leaves_in_the_middle_of_many(void **state)
{
	char *lines = make_lines(5000);
	leave_after(*state, lines);
	free(lines);
}

/* Sends all of an import; the writer is about to be held. */
static void send_all(struct app_server *test, struct raw *raw, const char *lines)
{
	raw_connect(raw, test->server.port);
	raw_sendf(raw, HEAD LINES "\r\n" KEY "\r\nContent-Length: %zu\r\n\r\n",
		strlen(lines));
	raw_send(raw, lines);
}

static void nothing_is_kept_when_the_client_leaves_while_all_is_staged(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	holding_take_writer(&fixture.holding, 0);
	send_all(test, &raw, BOLT "\n" NUT "\n");
	WAIT_UNTIL(test_db_stats(&test->server).writes_waiting == 1);
	raw_close(&raw);
	gate_wait(&fixture.fired);
	assert_status_499(test); /* while the writer is still held */
	holding_give_writer(&fixture.holding);
	assert_left(test, "client_gone", 0);
}

enum { MANY = 15000 }; /* do not fit into the writer's cache */

static void nothing_is_kept_when_the_client_leaves_during_the_move(void **state)
{
	struct app_server *test = *state;
	char *lines = make_lines(MANY);
	struct raw raw;
	fault_vfs_gate_write(&fixture.holding.held, &fixture.holding.let_go);
	send_all(test, &raw, lines);
	gate_wait(&fixture.holding.held);
	raw_close(&raw);
	gate_wait(&fixture.fired);
	gate_open(&fixture.holding.let_go);
	assert_status_499(test);
	assert_left(test, "client_gone", 0);
	free(lines);
}

static void all_is_kept_when_the_client_leaves_during_the_commit(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	struct raw raw;
	fault_vfs_gate_sync(&fixture.holding.held, &fixture.holding.let_go);
	send_all(test, &raw, BOLT "\n" NUT "\n");
	gate_wait(&fixture.holding.held);
	raw_close(&raw);
	gate_wait(&fixture.fired);
	gate_open(&fixture.holding.let_go);
	assert_status_499(test);
	assert_left(test, "client_gone", 2);
	post(test, HEADERS(LINES, KEY), BOLT "\n" NUT "\n", &res);
	assert_string_equal(http_header(&res, "Idempotency-Replayed"), "true");
	assert_imported(&res, 2);
}

/*
 * Time, space, progress.
 */

static int set_up_impatient(void **state)
{
	struct app_server *test = app_server_create();
	test->server.config.stall_timeout_ms = 100;
	start_with(test);
	*state = test;
	return 0;
}

static void a_client_that_stops_sending_is_answered_at_the_stall_timeout(void **state)
{
	struct app_server *test = *state;
	struct raw raw;
	raw_connect(&raw, test->server.port);
	raw_send(&raw, HEAD LINES "\r\nContent-Length: 1000\r\n\r\n" BOLT "\n{");
	assert_refused_and_closed(&raw, 504, "/problems/deadline");
	assert_left(test, "deadline", 0);
}

static int set_up_hurried(void **state)
{
	struct app_server *test = app_server_create();
	test->config.import_max_ms = 1;
	start_with(test);
	*state = test;
	return 0;
}

static void an_import_that_keeps_others_waiting_for_too_long_is_undone(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	char *lines = make_lines(MANY);
	post(test, HEADERS(LINES), lines, &res);
	http_assert_problem(&res, 503, "/problems/busy");
	assert_string_equal(http_header(&res, "Retry-After"), "1");
	http_response_finish(&res);
	assert_int_equal(app_server_rows(test, "items"), 0);
	free(lines);
}

static void a_full_disk_is_told_and_the_next_import_is_taken(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	fault_vfs_set_full(true);
	post(test, HEADERS(LINES), BOLT, &res);
	fault_vfs_set_full(false);
	http_assert_problem(&res, 507, "/problems/disk-full");
	http_response_finish(&res);
	post(test, HEADERS(LINES), BOLT, &res);
	assert_imported(&res, 1);
}

static void the_log_line_tells_how_far_it_came(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	char *lines = make_lines(1000);
	post(test, HEADERS(LINES, "X-Request-Id: whole"), lines, &res);
	assert_imported(&res, 1000);
	json_t *line = test_server_log_line(&test->server, "whole");
	assert_int_equal(log_int(line, "rows"), 1000);
	assert_int_equal(log_int(line, "received"), strlen(lines));
	assert_true(json_is_true(json_object_get(line, "committed")));
	json_decref(line);
	free(lines);
}

/* Its own deadline passes while the import has the writer. */
static void a_write_that_waits_for_an_import_is_told_to_try_again(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	struct raw raw;
	fault_vfs_gate_sync(&fixture.holding.held, &fixture.holding.let_go);
	send_all(test, &raw, BOLT "\n" NUT "\n");
	gate_wait(&fixture.holding.held);
	app_server_post_behind_a_write(test, "/v1/items", NUT, &res);
	http_assert_problem(&res, 503, "/problems/busy");
	assert_string_equal(http_header(&res, "Retry-After"), "1");
	http_response_finish(&res);
	gate_open(&fixture.holding.let_go);
	raw_read(&raw, &res);
	assert_imported(&res, 2);
	raw_close(&raw);
	assert_int_equal(app_server_rows(test, "items"), 2);
}

#define TEST(name)            cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define TEST_SET_UP(name, by) cmocka_unit_test_setup_teardown(name, by, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_good_body_is_imported),
		TEST(every_bad_body_is_refused_with_its_place_and_nothing_is_kept),
		TEST(every_broken_rule_of_an_item_is_told_with_a_pointer),
		TEST(a_line_over_the_limit_is_refused),
		TEST(a_body_that_says_it_is_too_large_is_refused_before_it_is_sent),
		TEST(a_client_that_waits_for_100_gets_it),
		TEST(a_chunked_body_over_the_limit_is_refused_and_cut),
		TEST(a_bad_line_is_answered_while_the_body_arrives),
		TEST(a_client_that_sends_on_regardless_is_cut),
		TEST(a_repeated_import_is_answered_as_the_first),
		TEST(a_refused_import_leaves_its_key_free),
		TEST(nothing_is_kept_when_the_client_leaves_after_the_headers),
		TEST(nothing_is_kept_when_the_client_leaves_in_the_middle_of_a_line),
		TEST(nothing_is_kept_when_the_client_leaves_between_two_lines),
		TEST(nothing_is_kept_when_the_client_leaves_in_the_middle_of_many),
		TEST(nothing_is_kept_when_the_client_leaves_while_all_is_staged),
		TEST(nothing_is_kept_when_the_client_leaves_during_the_move),
		TEST(all_is_kept_when_the_client_leaves_during_the_commit),
		TEST_SET_UP(a_client_that_stops_sending_is_answered_at_the_stall_timeout,
			set_up_impatient),
		TEST_SET_UP(an_import_that_keeps_others_waiting_for_too_long_is_undone,
			set_up_hurried),
		TEST(a_full_disk_is_told_and_the_next_import_is_taken),
		TEST(the_log_line_tells_how_far_it_came),
		TEST(a_write_that_waits_for_an_import_is_told_to_try_again),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
