#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/stage_page.h"
#include "tests/support/stage_victims.h"
#include "tests/support/wait.h"

static void each_gate(struct stage_test *test, void (*fn)(struct gate *gate))
{
	struct gate *const gates[] = { &test->reached, &test->fired, &test->synced,
		&test->sync };
	for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
		fn(gates[i]);
}

/* A test that fails leaves its server behind. */
static bool one_has_failed;

void stage_init(struct stage_test *test, const struct stage *stage)
{
	struct http_settings *config = &test->server.config;
	if (one_has_failed)
		skip();
	one_has_failed = true; /* until stage_finish() has seen that it did not */
	*test = (struct stage_test){ .stage = stage, .result = -1 };
	failure_page_open(&test->page, stage_describe, test);
	failure_page_tell(&test->page, "while", "%s", stage->name);
	holding_init(&test->holding);
	test->holding.heeds_cancel = true;
	each_gate(test, gate_init);
	test->own = cancel_create(NULL);
	test_server_init(&test->server);
	config->long_threads = config->long_running = 1;
	config->short_threads = config->short_running = 4; /* they start sooner */
	test->server.db_config.readers = 1;
	test->server.db_config.busy_timeout_ms = STAGE_LONG_ENOUGH_MS;
	test->server.db_config.vfs = fault_vfs_use();
}

/* The victims' routes are told by their path. */
static void copy_routes(struct stage_test *test)
{
	memcpy(test->routes, stage_routes, stage_routes_count * sizeof *stage_routes);
	for (size_t i = 0; i < stage_routes_count; i++) {
		if (strncmp(stage_routes[i].path, "/victim/", strlen("/victim/")) != 0)
			continue;
		test->routes[i].hang_up = test->hang_up;
		test->routes[i].half_close_ok = test->half_close_ok;
		test->routes[i].timeout_ms = test->timeout_ms;
	}
}

static unsigned count_kept(struct stage_test *test)
{
	struct http_response res;
	http_get(test->server.port, "/kept", &res);
	assert_int_equal(res.status, 200);
	unsigned count = (unsigned)strtoul(res.body, NULL, 10);
	http_response_finish(&res);
	return count;
}

static void tell_options(struct stage_test *test)
{
	failure_page_tell(&test->page, "the route's options",
		"a hang-up %s, a half-close is %s, limit %lld ms (0: the service's)",
		test->hang_up == HANG_UP_DETACHES ? "detaches" : "cancels",
		test->half_close_ok ? "no hang-up" : "a hang-up",
		(long long)test->timeout_ms);
}

void stage_start(struct stage_test *test)
{
	tell_options(test);
	copy_routes(test);
	test_server_open_db(&test->server);
	test->holding.db = test->server.db;
	test_server_sql(&test->server, "CREATE TABLE kept (n INTEGER)");
	test_server_start(&test->server, test->routes, stage_routes_count, test);
	test->runs = true;
	assert_int_equal(count_kept(test), 0); /* opens the one connection for reading */
	test_server_wait_at_rest(&test->server);
}

/*
 * What is expected.
 */

#define HANDLERS  "victim's handlers begun"
#define RESULT    "victim's handler's result"
#define UNINVITED "uninvited requests"
#define KEPT      "rows kept"

static bool begins(const struct stage_test *test)
{
	return test->stage->begins || test->expected == ERR_OK;
}

static bool keeps(const struct stage_test *test)
{
	bool writes = strstr(test->stage->request, "/write") != NULL;
	return writes && (test->expected == ERR_OK || test->stage->finishes);
}

void stage_expect_result(struct stage_test *test, enum err result)
{
	const struct stage *stage = test->stage;
	bool succeeds = stage->finishes || stage->returned;
	test->expected = result;
	failure_page_expect(&test->page, HANDLERS, begins(test) ? "1" : "0");
	failure_page_expect(&test->page, UNINVITED, "0");
	if (begins(test))
		failure_page_expect(
			&test->page, RESULT, err_name(succeeds ? ERR_OK : result));
	failure_page_expect(&test->page, KEPT, keeps(test) ? "1" : "0");
}

/*
 * What happens.
 */

static void send_request(struct stage_test *test, const char *headers, const char *behind)
{
	const struct stage *stage = test->stage;
	bool headers_end = stage->state != NULL;
	failure_page_event(&test->page, "%s sends %.*s%s%s", test->victim.address,
		(int)strcspn(stage->request, "\r"), stage->request,
		headers_end ? "" : ", not all of its headers",
		behind && behind[0] ? ", and more behind it" : "");
	raw_sendf(&test->victim, "%sHost: x\r\nX-Request-Id: victim\r\n%s%s%s",
		stage->request, headers, headers_end ? "\r\n" : "", behind ? behind : "");
	if (!stage->body)
		return;
	raw_expect(&test->victim, "HTTP/1.1 100 Continue\r\n\r\n");
	raw_send(&test->victim, stage->body);
}

/* A change whose token fires before it is settled is undone, and answered after the
 * commit, which is not its own then. Had it not fired by now, it was settled. */
static bool may_be_undone(struct stage_test *test)
{
	return test->stage->finishes && gate_is_open(&test->fired);
}

bool stage_enter(struct stage_test *test, const char *headers, const char *behind)
{
	const struct stage *stage = test->stage;
	if (stage->prepare) {
		stage->prepare(test);
		failure_page_event(&test->page, "the place is held");
	}
	if (stage->sends)
		raw_connect_narrow(&test->victim, test->server.port);
	else
		raw_connect(&test->victim, test->server.port);
	send_request(test, headers, behind);
	WAIT_UNTIL(stage->is_reached(test) || stage_has_ended(test));
	bool is_there = !stage_has_ended(test) && !may_be_undone(test);
	failure_page_event(&test->page, "the victim %s",
		is_there ? "is in its stage" : "has ended before its stage");
	return is_there;
}

void stage_read(struct stage_test *test, struct http_response *ret)
{
	raw_read(&test->victim, ret);
	failure_page_event(&test->page, "the client has read: status %u, %zu bytes, %s",
		ret->status, ret->body_len, ret->whole ? "whole" : "not whole");
}

void stage_wait_for_deadline(struct stage_test *test, const char *headers)
{
	struct raw raw;
	struct http_response res;
	raw_connect(&raw, test->server.port);
	raw_sendf(&raw, "GET /victim/sleep HTTP/1.1\r\nHost: x\r\n%s\r\n", headers);
	raw_read(&raw, &res);
	assert_int_equal(res.status, 504);
	http_response_finish(&res);
	raw_close(&raw);
	failure_page_event(&test->page, "another's time has run out");
}

void stage_wait_for_watcher(struct stage_test *test)
{
	struct raw raw;
	raw_connect(&raw, test->server.port);
	raw_send(&raw, "GET /sleep HTTP/1.1\r\nHost: x\r\nX-Request-Id: later\r\n\r\n");
	raw_half_close(&raw);
	json_decref(test_server_log_line(&test->server, "later"));
	raw_close(&raw);
	failure_page_event(&test->page, "the watcher has seen who left later");
}

void stage_release(struct stage_test *test)
{
	if (test->released)
		return;
	test->released = true;
	if (test->stage->release)
		test->stage->release(test);
	failure_page_event(&test->page, "the place is let go");
	gate_open(&test->fired);
}

static void handler_returned(struct stage_test *test)
{
	int result = atomic_load(&test->result);
	struct failure_page *page = &test->page;
	failure_page_came(page, HANDLERS, "%u", atomic_load(&test->begun));
	failure_page_came(page, UNINVITED, "%u", atomic_load(&test->uninvited));
	if (begins(test))
		failure_page_came(page, RESULT, "%s",
			result < 0 ? "(not yet)" : err_name((enum err)result));
}

void stage_leave(struct stage_test *test)
{
	stage_release(test);
	raw_close(&test->victim);
	test_server_wait_at_rest(&test->server);
	failure_page_event(&test->page, "all is at rest");
	handler_returned(test);
	failure_page_came(&test->page, KEPT, "%u", count_kept(test));
	failure_page_check(&test->page);
}

static void count_rows(struct stage_test *test, int *ret_count)
{
	sqlite3 *sqlite = NULL;
	sqlite3_stmt *stmt = NULL;
	assert_int_equal(sqlite3_open(test->server.db_path, &sqlite), SQLITE_OK);
	sqlite3_prepare_v2(sqlite, "SELECT count(*) FROM kept", -1, &stmt, NULL);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	*ret_count = sqlite3_column_int(stmt, 0);
	sqlite3_finalize(stmt);
	sqlite3_close(sqlite);
}

void stage_leave_shut_down(struct stage_test *test)
{
	int count;
	stage_release(test);
	raw_close(&test->victim);
	handler_returned(test);
	count_rows(test, &count);
	failure_page_came(&test->page, KEPT, "%d", count);
	failure_page_check(&test->page);
}

void stage_finish(struct stage_test *test)
{
	raw_close(&test->victim);
	test_server_wait_at_rest(&test->server); /* while the page can tell of it */
	test->runs = false;
	test_server_stop(&test->server);
	cancel_unref(test->own);
	each_gate(test, gate_finish);
	holding_finish(&test->holding);
	failure_page_close(&test->page);
	one_has_failed = false;
}
