/*
 * A quick route is tried on the network thread, and done over on its lane when it would
 * wait there: whatever happens, the network thread goes on to serve others, and the
 * answer is the whole one, written once.
 */
#include <stdatomic.h>
#include <string.h>

#include "db/stmt.h"
#include "service/core/activity.h"
#include "tests/support/cmocka.h"
#include "tests/support/holding.h"
#include "tests/support/http.h"
#include "tests/support/test_server.h"
#include "tests/support/wait.h"

enum { READERS = 1 };

struct fixture {
	struct holding holding; /* the first: its handlers find it */
	struct test_server server;
	atomic_uint runs;      /* of the handler under test */
	atomic_uint lane_runs; /* of which not on the network thread */
};

static void count_run(struct fixture *fixture)
{
	atomic_fetch_add(&fixture->runs, 1);
	atomic_fetch_add(&fixture->lane_runs, activity_may_wait());
}

static enum err read_number(struct fixture *fixture, struct cancel *token,
	const char *sql, struct response *res)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *stmt = NULL;
	bool row = false;
	enum err err = db_read(fixture->server.db, token, &conn);
	if (err == ERR_OK)
		err = stmt_prepare(conn, sql, &stmt);
	if (err == ERR_OK)
		err = stmt_step(stmt, &row);
	return err == ERR_OK ? response_write(res, stmt_text(stmt, 0)) : err;
}

static enum err read_little(struct request *req, struct response *res)
{
	struct fixture *fixture = req->app;
	count_run(fixture);
	return read_number(fixture, req->cancel, "SELECT 1", res);
}

/* Writes before it knows that it will have to start over. */
static enum err read_much(struct request *req, struct response *res)
{
	struct fixture *fixture = req->app;
	count_run(fixture);
	response_header(res, "X-Run", activity_may_wait() ? "lane" : "network");
	enum err err = response_write(res, SPAN_LITERAL("["));
	if (err == ERR_OK)
		err = read_number(fixture, req->cancel,
			"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000)"
			" SELECT count(*) FROM n",
			res);
	return err == ERR_OK ? response_write(res, SPAN_LITERAL("]")) : err;
}

static enum err write_durably(struct request *req, struct response *res)
{
	struct fixture *fixture = req->app;
	count_run(fixture);
	return write_nothing(req, res);
}

static const struct route routes[] = {
	{ "GET", "/little", read_little, .lane = LANE_SHORT, .quick = true },
	{ "GET", "/much", read_much, .lane = LANE_SHORT, .quick = true },
	{ "GET", "/write", write_durably, .lane = LANE_SHORT, .quick = true },
	{ "GET", "/hold", hold_reader, .lane = LANE_LONG },
	{ "GET", "/inline", answer_at_once, .lane = LANE_INLINE },
};

static int set_up(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){ 0 };
	holding_init(&fixture.holding);
	test_server_init(&fixture.server);
	fixture.server.db_config.readers = READERS;
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

static void a_short_read_is_answered_on_the_network_thread(void **state)
{
	struct fixture *fixture = *state;
	/* Opens the connection, on the lane. */
	http_get_expecting(fixture->server.port, "/little", "1");
	atomic_store(&fixture->runs, 0);
	atomic_store(&fixture->lane_runs, 0);
	for (int i = 0; i < 200; i++)
		http_get_expecting(fixture->server.port, "/little", "1");
	assert_int_equal(atomic_load(&fixture->runs), 200);
	assert_int_equal(atomic_load(&fixture->lane_runs), 0);
}

static void a_read_that_takes_long_is_done_over_on_its_lane(void **state)
{
	struct fixture *fixture = *state;
	struct http_response res = { 0 };
	http_get_expecting(fixture->server.port, "/little", "1");
	atomic_store(&fixture->runs, 0);
	http_get(fixture->server.port, "/much", &res);
	assert_int_equal(res.status, 200);
	assert_string_equal(res.body, "[20000]");
	assert_string_equal(http_header(&res, "X-Run"), "lane");
	http_response_finish(&res);
	assert_int_equal(atomic_load(&fixture->runs), 2);
	assert_int_equal(
		atomic_load(&fixture->lane_runs), 2); /* with the first little one */
}

static void a_read_that_would_wait_for_a_connection_waits_on_its_lane(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *holder = http_start_get(fixture->server.port, "/hold");
	gate_wait(&fixture->holding.held);
	struct http_call *reader = http_start_get(fixture->server.port, "/little");
	WAIT_UNTIL(test_db_stats(&fixture->server).readers_waited_for == 1);
	/* The network thread is free. */
	http_get_expecting(fixture->server.port, "/inline", "\"quick\"");
	gate_open(&fixture->holding.let_go);
	http_join(holder, NULL);
	http_join_expecting(reader, "1");
	assert_int_equal(atomic_load(&fixture->runs), 2);
}

static void a_write_goes_to_its_lane(void **state)
{
	struct fixture *fixture = *state;
	http_get_expecting(fixture->server.port, "/write", "\"written\"");
	assert_int_equal(atomic_load(&fixture->runs), 2);
	assert_int_equal(atomic_load(&fixture->lane_runs), 1);
}

/* While the read waits on its lane its client leaves. */
static void a_hang_up_ends_one_that_was_done_over(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *holder = http_start_get(fixture->server.port, "/hold");
	gate_wait(&fixture->holding.held);
	struct http_call *reader = http_start_get(fixture->server.port, "/little");
	WAIT_UNTIL(test_db_stats(&fixture->server).readers_waited_for == 1);
	http_hang_up(reader);
	WAIT_UNTIL(test_db_stats(&fixture->server).readers_waited_for == 0);
	WAIT_UNTIL(
		test_server_stats(&fixture->server).cancelled[CANCEL_CLIENT_GONE] == 1);
	gate_open(&fixture->holding.let_go);
	http_join(holder, NULL);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_short_read_is_answered_on_the_network_thread),
		TEST(a_read_that_takes_long_is_done_over_on_its_lane),
		TEST(a_read_that_would_wait_for_a_connection_waits_on_its_lane),
		TEST(a_write_goes_to_its_lane),
		TEST(a_hang_up_ends_one_that_was_done_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
