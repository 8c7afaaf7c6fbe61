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
#include "tests/support/gate.h"
#include "tests/support/http.h"
#include "tests/support/test_server.h"
#include "tests/support/wait.h"

enum { READERS = 1 };

struct fixture {
	struct test_server server;
	struct gate on_lane; /* the long statement runs where it may */
	struct gate go_on;
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

static enum err change_nothing(struct conn *conn, void *arg)
{
	(void)conn;
	(void)arg;
	return ERR_OK;
}

static enum err write_durably(struct request *req, struct response *res)
{
	struct fixture *fixture = req->app;
	count_run(fixture);
	enum err err = db_write(fixture->server.db, req->cancel, change_nothing, NULL);
	return err == ERR_OK ? response_write(res, SPAN_LITERAL("\"written\"")) : err;
}

/* Keeps the only connection. */
static enum err hold_reader(struct request *req, struct response *res)
{
	struct fixture *fixture = req->app;
	AUTO_CONN *conn = NULL;
	enum err err = db_read(fixture->server.db, req->cancel, &conn);
	gate_open(&fixture->on_lane);
	gate_wait(&fixture->go_on);
	return err == ERR_OK ? response_write(res, SPAN_LITERAL("1")) : err;
}

static enum err answer_inline(struct request *req, struct response *res)
{
	(void)req;
	return response_write(res, SPAN_LITERAL("\"here\""));
}

static const struct route routes[] = {
	{ "GET", "/little", read_little, .lane = LANE_SHORT, .quick = true },
	{ "GET", "/much", read_much, .lane = LANE_SHORT, .quick = true },
	{ "GET", "/write", write_durably, .lane = LANE_SHORT, .quick = true },
	{ "GET", "/hold", hold_reader, .lane = LANE_LONG },
	{ "GET", "/inline", answer_inline, .lane = LANE_INLINE },
};

static int set_up(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){ 0 };
	gate_init(&fixture.on_lane);
	gate_init(&fixture.go_on);
	test_server_init(&fixture.server);
	fixture.server.db_config.readers = READERS;
	test_server_open_db(&fixture.server);
	test_server_start(
		&fixture.server, routes, sizeof routes / sizeof *routes, &fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	gate_open(&fixture->go_on);
	test_server_stop(&fixture->server);
	gate_finish(&fixture->on_lane);
	gate_finish(&fixture->go_on);
	return 0;
}

static void assert_answer(struct fixture *fixture, const char *path, const char *body)
{
	struct http_response res = { 0 };
	http_get(fixture->server.port, path, &res);
	assert_int_equal(res.status, 200);
	assert_string_equal(res.body, body);
	http_response_finish(&res);
}

static void a_short_read_is_answered_on_the_network_thread(void **state)
{
	struct fixture *fixture = *state;
	assert_answer(fixture, "/little", "1"); /* opens the connection, on the lane */
	atomic_store(&fixture->runs, 0);
	atomic_store(&fixture->lane_runs, 0);
	for (int i = 0; i < 200; i++)
		assert_answer(fixture, "/little", "1");
	assert_int_equal(atomic_load(&fixture->runs), 200);
	assert_int_equal(atomic_load(&fixture->lane_runs), 0);
}

static void a_read_that_takes_long_is_done_over_on_its_lane(void **state)
{
	struct fixture *fixture = *state;
	struct http_response res = { 0 };
	assert_answer(fixture, "/little", "1");
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
	struct http_call *holder = http_start(
		fixture->server.port, &(struct http_request){ .path = "/hold" });
	gate_wait(&fixture->on_lane);
	struct http_call *reader = http_start(
		fixture->server.port, &(struct http_request){ .path = "/little" });
	WAIT_UNTIL(test_db_stats(&fixture->server).readers_waited_for == 1);
	assert_answer(fixture, "/inline", "\"here\""); /* the network thread is free */
	gate_open(&fixture->go_on);
	struct http_response res = { 0 };
	http_join(holder, NULL);
	http_join(reader, &res);
	assert_int_equal(res.status, 200);
	assert_string_equal(res.body, "1");
	http_response_finish(&res);
	assert_int_equal(atomic_load(&fixture->runs), 2);
}

static void a_write_goes_to_its_lane(void **state)
{
	struct fixture *fixture = *state;
	assert_answer(fixture, "/write", "\"written\"");
	assert_int_equal(atomic_load(&fixture->runs), 2);
	assert_int_equal(atomic_load(&fixture->lane_runs), 1);
}

/* While the read waits on its lane its client leaves. */
static void a_hang_up_ends_one_that_was_done_over(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *holder = http_start(
		fixture->server.port, &(struct http_request){ .path = "/hold" });
	gate_wait(&fixture->on_lane);
	struct http_call *reader = http_start(
		fixture->server.port, &(struct http_request){ .path = "/little" });
	WAIT_UNTIL(test_db_stats(&fixture->server).readers_waited_for == 1);
	http_hang_up(reader);
	WAIT_UNTIL(test_db_stats(&fixture->server).readers_waited_for == 0);
	WAIT_UNTIL(
		test_server_stats(&fixture->server).cancelled[CANCEL_CLIENT_GONE] == 1);
	gate_open(&fixture->go_on);
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
