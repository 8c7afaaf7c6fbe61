#include "tests/support/stage_victims.h"

#include <assert.h>
#include <stdatomic.h>
#include <string.h>

#include <sqlite3.h>

#include "db/sqlite/conn.h"
#include "db/stmt.h"
#include "service/core/stream.h"

/* Endless, unless it is interrupted: one step that never returns. */
#define ENDLESS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "

/*
 * What the handlers share.
 */

static void tell_that_it_fired(void *arg, enum cancel_cause cause)
{
	struct stage_test *test = arg;
	failure_page_event(
		&test->page, "the victim's token fires: %s", cancel_cause_name(cause));
	gate_open(&test->fired);
}

static void be_there_until_fired(struct stage_test *test)
{
	gate_open(&test->reached);
	gate_wait(&test->fired);
}

static enum err answer_done(struct response *res)
{
	return response_write(res, SPAN_LITERAL("\"done\""));
}

typedef enum err stage_fn(
	struct stage_test *test, struct request *req, struct response *res);

static stage_fn write_large; /* it writes its answer itself */

/* Around every victim's handler. Hooks run in reverse order: one that is made before the
 * token is bound to a connection opens its gate after the statement was interrupted. */
static enum err run_victim(struct request *req, struct response *res, stage_fn *fn)
{
	struct stage_test *test = req->app;
	struct cancel_hook hook = { 0 };
	atomic_fetch_add(&test->begun, 1);
	failure_page_event(&test->page, "the victim's handler begins");
	cancel_hook(req->cancel, &hook, tell_that_it_fired, test);
	enum err err = fn(test, req, res);
	cancel_unhook(req->cancel, &hook);
	atomic_store(&test->result, (int)err);
	failure_page_event(
		&test->page, "the victim's handler returns: %s", err_name(err));
	return err == ERR_OK && fn != write_large ? answer_done(res) : err;
}

/*
 * Victims that read.
 */

static enum err do_nothing(
	struct stage_test *test, struct request *req, struct response *res)
{
	(void)test;
	(void)req;
	(void)res;
	return ERR_OK;
}

static enum err read_one(
	struct stage_test *test, struct request *req, struct response *res)
{
	AUTO_CONN *conn = NULL;
	(void)res;
	enum err err = db_read(test->server.db, req->cancel, &conn);
	return err == ERR_OK ? stmt_exec(conn, "SELECT 1") : err;
}

static enum err step_after(
	struct stage_test *test, struct request *req, struct response *res)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *stmt = NULL;
	bool row;
	(void)res;
	enum err err = db_read(test->server.db, req->cancel, &conn);
	if (err == ERR_OK)
		err = stmt_prepare(conn, "SELECT 1", &stmt);
	if (err != ERR_OK)
		return err;
	be_there_until_fired(test);
	return stmt_step(stmt, &row);
}

static enum err step_between(
	struct stage_test *test, struct request *req, struct response *res)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *stmt = NULL;
	bool row;
	(void)res;
	enum err err = db_read(test->server.db, req->cancel, &conn);
	if (err == ERR_OK)
		err = stmt_prepare(conn, "VALUES (1), (2), (3)", &stmt);
	if (err == ERR_OK)
		err = stmt_step(stmt, &row);
	if (err != ERR_OK)
		return err;
	be_there_until_fired(test);
	return stmt_step(stmt, &row);
}

/* SQL's own way to the gate: reached(i) from inside of a step. */
static void reached_in_sql(sqlite3_context *context, int argc, sqlite3_value **argv)
{
	enum { FAR = 5000 };
	(void)argc;
	int64_t i = sqlite3_value_int64(argv[0]);
	if (i == FAR)
		gate_open(sqlite3_user_data(context));
	sqlite3_result_int64(context, i);
}

static void give_sql_the_gate(struct conn *conn, struct stage_test *test)
{
	sqlite3_create_function(conn->sqlite, "reached", 1, SQLITE_UTF8, &test->reached,
		reached_in_sql, NULL, NULL);
}

static enum err step_endlessly(
	struct stage_test *test, struct request *req, struct response *res)
{
	AUTO_CONN *conn = NULL;
	(void)res;
	enum err err = db_read(test->server.db, req->cancel, &conn);
	if (err != ERR_OK)
		return err;
	give_sql_the_gate(conn, test);
	return stmt_exec(conn, ENDLESS "SELECT count(reached(i)) FROM n");
}

/*
 * Victims that write.
 */

static enum err keep_one(struct conn *conn, void *arg)
{
	(void)arg;
	return stmt_exec(conn, "INSERT INTO kept VALUES (1)");
}

static enum err keep_one_slowly(struct conn *conn, void *arg)
{
	enum err err = keep_one(conn, arg);
	be_there_until_fired(arg);
	return err;
}

static enum err keep_endlessly(struct conn *conn, void *arg)
{
	give_sql_the_gate(conn, arg);
	return stmt_exec(conn, "INSERT INTO kept " ENDLESS "SELECT reached(i) FROM n");
}

static enum err write_one(
	struct stage_test *test, struct request *req, struct response *res)
{
	(void)res;
	return db_write(test->server.db, req->cancel, keep_one, test);
}

static enum err write_slowly(
	struct stage_test *test, struct request *req, struct response *res)
{
	(void)res;
	return db_write(test->server.db, req->cancel, keep_one_slowly, test);
}

static enum err write_alone(
	struct stage_test *test, struct request *req, struct response *res)
{
	(void)res;
	return db_write_long(
		test->server.db, req->cancel, STAGE_LONG_ENOUGH_MS, keep_one, test);
}

static enum err write_endlessly(
	struct stage_test *test, struct request *req, struct response *res)
{
	(void)res;
	return db_write_long(
		test->server.db, req->cancel, STAGE_LONG_ENOUGH_MS, keep_endlessly, test);
}

/*
 * Victims that send and receive.
 */

static enum err write_large(
	struct stage_test *test, struct request *req, struct response *res)
{
	static char piece[1 << 20];
	(void)req;
	memset(piece, 'x', sizeof piece);
	response_reserve(res, STAGE_LARGE);
	for (size_t sent = 0; sent < STAGE_LARGE; sent += sizeof piece) {
		enum err err = response_write(res, (struct span){ piece, sizeof piece });
		if (err != ERR_OK)
			return err;
	}
	gate_open(&test->reached);
	return ERR_OK;
}

static enum err receive_all(
	struct stage_test *test, struct request *req, struct response *res)
{
	char piece[1024];
	size_t len = 1;
	enum err err = ERR_OK;
	(void)res;
	while (err == ERR_OK && len > 0) {
		err = request_read(req, piece, sizeof piece, &len);
		gate_open(&test->reached);
	}
	return err;
}

/*
 * The rest.
 */

static enum err be_uninvited(struct request *req, struct response *res)
{
	struct stage_test *test = req->app;
	atomic_fetch_add(&test->uninvited, 1);
	return answer_done(res);
}

static enum err count_kept(struct request *req, struct response *res)
{
	struct stage_test *test = req->app;
	AUTO_CONN *conn = NULL;
	AUTO_STMT *stmt = NULL;
	bool row;
	enum err err = db_read(test->server.db, req->cancel, &conn);
	if (err == ERR_OK)
		err = stmt_prepare(conn, "SELECT count(*) || '' FROM kept", &stmt);
	if (err == ERR_OK)
		err = stmt_step(stmt, &row);
	return err == ERR_OK ? response_write(res, stmt_text(stmt, 0)) : err;
}

#define VICTIM(fn)                                                             \
	static enum err victim_##fn(struct request *req, struct response *res) \
	{                                                                      \
		return run_victim(req, res, fn);                               \
	}
VICTIM(do_nothing)
VICTIM(read_one)
VICTIM(step_after)
VICTIM(step_between)
VICTIM(step_endlessly)
VICTIM(write_one)
VICTIM(write_slowly)
VICTIM(write_alone)
VICTIM(write_endlessly)
VICTIM(write_large)
VICTIM(receive_all)

const struct route stage_routes[] = {
	{ "POST", "/victim/body", victim_do_nothing, .lane = LANE_SHORT,
		.body = BODY_BUFFERED },
	{ "GET", "/victim/queued", victim_do_nothing, .lane = LANE_LONG },
	{ "GET", "/victim/connection", victim_read_one, .lane = LANE_SHORT },
	{ "GET", "/victim/first-step", victim_step_after, .lane = LANE_SHORT },
	{ "GET", "/victim/rows", victim_step_between, .lane = LANE_SHORT },
	{ "GET", "/victim/step", victim_step_endlessly, .lane = LANE_SHORT },
	{ "GET", "/victim/write", victim_write_one, .lane = LANE_SHORT },
	{ "GET", "/victim/write-slowly", victim_write_slowly, .lane = LANE_SHORT },
	{ "GET", "/victim/write-alone", victim_write_alone, .lane = LANE_SHORT },
	{ "GET", "/victim/write-endlessly", victim_write_endlessly, .lane = LANE_SHORT },
	{ "GET", "/victim/large", victim_write_large, .lane = LANE_SHORT },
	{ "GET", "/victim/stream", victim_write_large, .lane = LANE_SHORT,
		.answer = ANSWER_STREAMED },
	{ "POST", "/victim/upload", victim_receive_all, .lane = LANE_SHORT,
		.body = BODY_STREAMED },
	{ "GET", "/hold/lane", hold_lane, .lane = LANE_LONG },
	{ "GET", "/hold/writer", hold_writer, .lane = LANE_SHORT },
	{ "GET", "/victim/sleep", wait_until_cancelled, .lane = LANE_SHORT },
	{ "GET", "/sleep", wait_until_cancelled, .lane = LANE_SHORT },
	{ "GET", "/uninvited", be_uninvited, .lane = LANE_INLINE },
	{ "GET", "/kept", count_kept, .lane = LANE_SHORT },
};

const size_t stage_routes_count = sizeof stage_routes / sizeof *stage_routes;
static_assert(sizeof stage_routes <= sizeof((struct stage_test *)0)->routes, "they fit");
