/*
 * Lanes are bulkheads: when one has as much as it takes, it says so at once, and the
 * others go on as if nothing were.
 */
#include <stdatomic.h>
#include <string.h>

#include "tests/support/cmocka.h"
#include "tests/support/holding.h"
#include "tests/support/http.h"
#include "tests/support/raw.h"
#include "tests/support/test_server.h"
#include "tests/support/wait.h"

struct fixture {
	struct holding holding; /* the first: the handlers find it */
	struct test_server server;
};

static const struct route routes[] = {
	{ "GET", "/long/held", hold_lane, .lane = LANE_LONG },
	{ "GET", "/long/quick", answer_at_once, .lane = LANE_LONG },
	{ "GET", "/short/held", hold_lane, .lane = LANE_SHORT },
	{ "GET", "/short/quick", answer_at_once, .lane = LANE_SHORT },
	{ "GET", "/inline/quick", answer_at_once, .lane = LANE_INLINE },
	{ "GET", "/write/slowly", hold_writer, .lane = LANE_SHORT },
	{ "GET", "/write/quickly", write_nothing, .lane = LANE_SHORT },
};

/*
 * Fixture: a lane for one long request and one that waits.
 */

static int set_up(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){ 0 };
	holding_init(&fixture.holding);
	test_server_init(&fixture.server);
	fixture.server.config.long_threads = 1;
	fixture.server.config.long_running = 1;
	fixture.server.config.long_queue = 1;
	fixture.server.db_config.write_queue_max = 1;
	test_server_open_db(&fixture.server);
	fixture.holding.db = fixture.server.db;
	test_server_start(
		&fixture.server, routes, sizeof routes / sizeof *routes, &fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	gate_open(&fixture->holding.let_go);
	test_server_stop(&fixture->server);
	holding_finish(&fixture->holding);
	return 0;
}

static struct http_call *start(struct fixture *fixture, const char *path)
{
	return http_start_get(fixture->server.port, path);
}

static struct pool_stats long_lane(struct fixture *fixture)
{
	return test_server_lane(&fixture->server, LANE_LONG);
}

static void assert_refused(struct fixture *fixture, const char *path)
{
	struct http_response res;
	http_get(fixture->server.port, path, &res);
	http_assert_problem(&res, 503, "/problems/busy");
	assert_string_equal(http_header(&res, "Retry-After"), "1");
	http_response_finish(&res);
}

static void assert_status(struct fixture *fixture, const char *path, unsigned status)
{
	assert_int_equal(http_get_status(fixture->server.port, path), status);
}

/*
 * Tests.
 */

static void a_full_lane_refuses_at_once_and_the_others_go_on(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *running = start(fixture, "/long/held");
	gate_wait(&fixture->holding.held);
	struct http_call *queued = start(fixture, "/long/held");
	WAIT_UNTIL(long_lane(fixture).queued == 1);

	assert_refused(fixture, "/long/quick");
	assert_status(fixture, "/short/quick", 200);
	assert_status(fixture, "/inline/quick", 200);
	assert_refused(fixture, "/long/held");
	assert_int_equal(long_lane(fixture).refused, 2);

	gate_open(&fixture->holding.let_go);
	http_join_expecting(running, "\"held\"");
	http_join_expecting(queued, "\"held\"");
	assert_status(fixture, "/long/quick", 200);
	assert_int_equal(atomic_load(&fixture->holding.held_count), 2);
	assert_int_equal(long_lane(fixture).refused, 2);
}

static void a_refused_request_is_logged_as_busy(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *running = start(fixture, "/long/held");
	gate_wait(&fixture->holding.held);
	struct http_call *queued = start(fixture, "/long/held");
	WAIT_UNTIL(long_lane(fixture).queued == 1);

	struct http_response res;
	const char *const headers[] = { "X-Request-Id: refused", NULL };
	http_perform(fixture->server.port,
		&(struct http_request){ .path = "/long/quick", .headers = headers },
		&res);
	assert_int_equal(res.status, 503);
	http_response_finish(&res);
	json_t *line = test_server_log_line(&fixture->server, "refused");
	assert_int_equal(log_int(line, "status"), 503);
	assert_string_equal(log_text(line, "error"), "busy");
	assert_string_equal(log_text(line, "cause"), "");
	json_decref(line);

	gate_open(&fixture->holding.let_go);
	http_join_expecting(running, "\"held\"");
	http_join_expecting(queued, "\"held\"");
}

static void a_client_that_leaves_the_queue_makes_room(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *running = start(fixture, "/long/held");
	gate_wait(&fixture->holding.held);
	struct http_call *leaving = start(fixture, "/long/held");
	WAIT_UNTIL(long_lane(fixture).queued == 1);
	http_hang_up(leaving);
	WAIT_UNTIL(long_lane(fixture).queued == 0);

	struct http_call *queued = start(fixture, "/long/quick");
	WAIT_UNTIL(long_lane(fixture).queued == 1);
	assert_refused(fixture, "/long/quick");
	gate_open(&fixture->holding.let_go);
	http_join_expecting(running, "\"held\"");
	http_join_expecting(queued, "\"quick\"");
	assert_int_equal(atomic_load(&fixture->holding.held_count), 1);
}

/* A full short lane does not hold up long requests either. */
static void the_bulkhead_holds_both_ways(void **state)
{
	enum { MANY = 64 };
	struct fixture *fixture = *state;
	struct http_call *held[MANY];
	unsigned places = (unsigned)fixture->server.config.short_running;
	assert_true(places <= MANY);
	for (unsigned i = 0; i < places; i++)
		held[i] = start(fixture, "/short/held");
	WAIT_UNTIL(atomic_load(&fixture->holding.held_count) == places);
	assert_status(fixture, "/long/quick", 200);
	gate_open(&fixture->holding.let_go);
	for (unsigned i = 0; i < places; i++)
		http_join_expecting(held[i], "\"held\"");
}

static void a_full_queue_of_writes_refuses_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *writing = start(fixture, "/write/slowly");
	gate_wait(&fixture->holding.held);
	struct http_call *waiting = start(fixture, "/write/quickly");
	WAIT_UNTIL(test_db_stats(&fixture->server).writes_waiting == 1);
	assert_refused(fixture, "/write/quickly");
	assert_status(fixture, "/short/quick", 200);
	gate_open(&fixture->holding.let_go);
	http_join_expecting(writing, "\"written\"");
	http_join_expecting(waiting, "\"written\"");
}

/* A request that waits for the writer lends its place in the lane to the next. */
static void waiting_requests_do_not_use_up_the_lane(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *writing = start(fixture, "/write/slowly");
	gate_wait(&fixture->holding.held);
	struct http_call *waiting = start(fixture, "/write/quickly");
	WAIT_UNTIL(test_db_stats(&fixture->server).writes_waiting == 1);
	WAIT_UNTIL(test_server_lane(&fixture->server, LANE_SHORT).waiting == 2);
	assert_int_equal(test_server_lane(&fixture->server, LANE_SHORT).running, 0);
	gate_open(&fixture->holding.let_go);
	http_join_expecting(writing, "\"written\"");
	http_join_expecting(waiting, "\"written\"");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_full_lane_refuses_at_once_and_the_others_go_on),
		TEST(a_refused_request_is_logged_as_busy),
		TEST(a_client_that_leaves_the_queue_makes_room),
		TEST(the_bulkhead_holds_both_ways),
		TEST(a_full_queue_of_writes_refuses_at_once),
		TEST(waiting_requests_do_not_use_up_the_lane),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
