/*
 * Sixty-four slow exports and sixty-four slow imports at once: those that do not fit are
 * refused at once, and point reads and writes go on as if nothing were.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/routes.h"
#include "handlers/seed.h"
#include "tests/support/app_server.h"
#include "tests/support/cmocka.h"
#include "tests/support/raw.h"
#include "tests/support/wait.h"

enum {
	SLOW = 64, /* of each kind */
	LONG_THREADS = 4,
	LONG_QUEUE = 16,
	POINT_REQUESTS = 200,
	ITEMS = 30000,
};

#define NUT "{\"name\":\"nut\",\"category\":\"m8\"}"

static int set_up(void **state)
{
	enum { PATIENT_MS = 600000 };
	int64_t added;
	struct app_server *test = app_server_create();
	test->server.config.long_threads = LONG_THREADS;
	/* So that all of them begin at once, and not only once the first ones wait for
	 * their clients: until then more would be refused. */
	test->server.config.long_running = LONG_THREADS;
	test->server.config.long_queue = LONG_QUEUE;
	test->server.config.stall_timeout_ms = PATIENT_MS;
	app_server_start(test, routes, routes_count);
	assert_int_equal(seed_items(test->server.db, ITEMS, &added), ERR_OK);
	*state = test;
	return 0;
}

static void start_export(struct app_server *test, struct raw *raw, int number)
{
	raw_connect_narrow(raw, test->server.port);
	raw_sendf(raw,
		"GET /v1/items/export HTTP/1.1\r\nHost: x\r\nX-Request-Id: export-%d\r\n\r\n",
		number);
}

static void start_import(struct app_server *test, struct raw *raw, int number)
{
	raw_connect(raw, test->server.port);
	raw_sendf(raw,
		"POST /v1/items/import HTTP/1.1\r\nHost: x\r\nX-Request-Id: import-%d\r\n"
		"Content-Type: application/x-ndjson\r\nContent-Length: 100000\r\n\r\n" NUT
		"\n",
		number);
}

/* As many as do not fit: each has its answer, while the others still run. */
static void assert_refusals(struct app_server *test)
{
	enum { FIT = LONG_THREADS + LONG_QUEUE };
	WAIT_UNTIL(test_server_lane(&test->server, LANE_LONG).refused == 2 * SLOW - FIT);
	WAIT_UNTIL(test_server_lane(&test->server, LANE_LONG).waiting ==
		LONG_THREADS); /* for their clients */
	assert_int_equal(test_server_lane(&test->server, LANE_LONG).queued, LONG_QUEUE);
}

static void assert_refused(struct raw *raw)
{
	struct http_response res;
	raw_read(raw, &res);
	http_assert_problem(&res, 503, "/problems/busy");
	assert_string_equal(http_header(&res, "Retry-After"), "1");
	http_response_finish(&res);
}

static void others_are_served(struct app_server *test)
{
	for (int i = 1; i <= POINT_REQUESTS; i++) {
		char path[32];
		snprintf(path, sizeof path, "/v1/items/%d", i);
		assert_int_equal(app_server_status(test, "GET", path, NULL, NULL), 200);
		assert_int_equal(app_server_status(test, "POST", "/v1/items",
					 HEADERS(JSON_BODY), NUT),
			201);
	}
	assert_int_equal(app_server_rows(test, "items"), ITEMS + POINT_REQUESTS);
}

static void slow_transfers_are_in_nobodys_way(void **state)
{
	struct app_server *test = *state;
	static struct raw exports[SLOW];
	static struct raw imports[SLOW];
	for (int i = 0; i < SLOW; i++) {
		start_export(test, &exports[i], i);
		start_import(test, &imports[i], i);
	}
	assert_refusals(test);
	assert_refused(&exports[SLOW - 1]); /* the last to come */
	assert_refused(&imports[SLOW - 1]);
	others_are_served(test);
	for (int i = 0; i < SLOW; i++) {
		raw_close(&exports[i]);
		raw_close(&imports[i]);
	}
	test_server_wait_at_rest(&test->server);
	assert_int_equal(app_server_rows(test, "items"), ITEMS + POINT_REQUESTS);
	assert_int_equal(http_get_status(test->server.port, "/v1/items/export"), 200);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			slow_transfers_are_in_nobodys_way, set_up, app_server_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
