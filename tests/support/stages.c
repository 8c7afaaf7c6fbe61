#include "tests/support/stages.h"

#include <assert.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>
#include <cmocka.h>

#include "db/sqlite/conn.h"
#include "db/stmt.h"
#include "service/core/stream.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/wait.h"

/* Endless, unless it is interrupted: one step that never returns. */
#define ENDLESS "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) "

/*
 * What the handlers share.
 */

static void open_gate(void *arg, enum cancel_cause cause)
{
	(void)cause;
	gate_open(arg);
}

/* Hooks run in reverse order: one that is made before the token is bound to a
 * connection opens its gate after the statement has been interrupted. */
static void tell_when_fired(
	struct request *req, struct cancel_hook *hook, struct gate *gate)
{
	cancel_hook(req->cancel, hook, open_gate, gate);
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

/* Around every victim's handler. */
static enum err run_victim(struct request *req, struct response *res, stage_fn *fn)
{
	struct stage_test *test = req->app;
	struct cancel_hook hook = { 0 };
	atomic_fetch_add(&test->begun, 1);
	tell_when_fired(req, &hook, &test->fired);
	enum err err = fn(test, req, res);
	cancel_unhook(req->cancel, &hook);
	atomic_store(&test->result, (int)err);
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

enum { LONG_ENOUGH_MS = 60000 };

static enum err write_alone(
	struct stage_test *test, struct request *req, struct response *res)
{
	(void)res;
	return db_write_long(
		test->server.db, req->cancel, LONG_ENOUGH_MS, keep_one, test);
}

static enum err write_endlessly(
	struct stage_test *test, struct request *req, struct response *res)
{
	(void)res;
	return db_write_long(
		test->server.db, req->cancel, LONG_ENOUGH_MS, keep_endlessly, test);
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
 * Holders of a place, and the rest.
 */

static enum err hold_lane(struct request *req, struct response *res)
{
	struct stage_test *test = req->app;
	struct cancel_hook hook = { 0 };
	tell_when_fired(req, &hook, &test->let_go);
	gate_open(&test->held);
	gate_wait(&test->let_go);
	cancel_unhook(req->cancel, &hook);
	return answer_done(res);
}

static enum err hold_there(struct conn *conn, void *arg)
{
	struct stage_test *test = arg;
	(void)conn;
	gate_open(&test->held);
	gate_wait(&test->let_go);
	return ERR_OK;
}

static enum err hold_writer(struct request *req, struct response *res)
{
	struct stage_test *test = req->app;
	struct cancel_hook hook = { 0 };
	tell_when_fired(req, &hook, &test->let_go);
	enum err err = db_write(test->server.db, req->cancel, hold_there, test);
	cancel_unhook(req->cancel, &hook);
	return err == ERR_OK ? answer_done(res) : err;
}

static enum err sleep_on(struct request *req, struct response *res)
{
	(void)res;
	cancel_sleep(req->cancel, INSTANT_NEVER);
	return err_of_token(req->cancel);
}

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

static const struct route routes[] = {
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
	{ "GET", "/victim/sleep", sleep_on, .lane = LANE_SHORT },
	{ "GET", "/sleep", sleep_on, .lane = LANE_SHORT },
	{ "GET", "/uninvited", be_uninvited, .lane = LANE_INLINE },
	{ "GET", "/kept", count_kept, .lane = LANE_SHORT },
};

enum { ROUTES = sizeof routes / sizeof *routes };
static_assert(sizeof routes <= sizeof((struct stage_test *)0)->routes, "they fit");

/*
 * The places.
 */

static struct pool_stats lane_of(struct stage_test *test, enum lane lane)
{
	return test_server_stats(&test->server).lanes[lane];
}

static void start_holder(struct stage_test *test, const char *path)
{
	test->holder = http_start(
		test->server.port, &(struct http_request){ .path = path });
	gate_wait(&test->held);
}

static void release_holder(struct stage_test *test)
{
	gate_open(&test->let_go);
	http_join(test->holder, NULL);
}

static bool is_in_flight(struct stage_test *test)
{
	return test_server_stats(&test->server).in_flight == 1;
}

static bool is_gate_open(struct stage_test *test)
{
	return gate_is_open(&test->reached);
}

/* A worker that waits, for the database or for its client, is not running. */
static bool waits_on_lane(struct stage_test *test)
{
	return lane_of(test, LANE_SHORT).waiting == 1;
}

static void prepare_queued(struct stage_test *test)
{
	start_holder(test, "/hold/lane");
}

static bool is_queued(struct stage_test *test)
{
	return lane_of(test, LANE_LONG).queued == 1;
}

static void prepare_connection(struct stage_test *test)
{
	enum err err = db_read(test->server.db, test->own, &test->borrowed);
	assert_int_equal(err, ERR_OK);
}

static bool waits_for_connection(struct stage_test *test)
{
	return test_db_stats(&test->server).readers_waited_for == 1;
}

static void release_connection(struct stage_test *test)
{
	conn_release(test->borrowed);
}

static void prepare_lock(struct stage_test *test)
{
	int code = sqlite3_open(test->server.db_path, &test->locker);
	assert_int_equal(code, SQLITE_OK);
	code = sqlite3_exec(test->locker, "BEGIN IMMEDIATE", NULL, NULL, NULL);
	assert_int_equal(code, SQLITE_OK);
}

static bool waits_for_writer(struct stage_test *test)
{
	return test_db_stats(&test->server).writes_waiting == 1;
}

/* It has been queued, and is not any more: the writer has it, and waits for the lock. */
static bool waits_for_lock(struct stage_test *test)
{
	return waits_on_lane(test) && test_db_stats(&test->server).writes_waiting == 0;
}

static void release_lock(struct stage_test *test)
{
	sqlite3_exec(test->locker, "ROLLBACK", NULL, NULL, NULL);
	sqlite3_close(test->locker);
}

static void prepare_writer(struct stage_test *test)
{
	start_holder(test, "/hold/writer");
}

static void prepare_sync(struct stage_test *test)
{
	fault_vfs_gate_sync(&test->synced, &test->sync);
}

static bool is_syncing(struct stage_test *test)
{
	return gate_is_open(&test->synced);
}

static void release_sync(struct stage_test *test)
{
	gate_open(&test->sync);
}

static bool is_sending(struct stage_test *test)
{
	return gate_is_open(&test->reached) && lane_of(test, LANE_SHORT).running == 0 &&
		raw_has_data(&test->victim);
}

static bool is_streaming(struct stage_test *test)
{
	return waits_on_lane(test) && raw_has_data(&test->victim);
}

static bool waits_for_client(struct stage_test *test)
{
	return gate_is_open(&test->reached) && waits_on_lane(test);
}

#define GET(path) "GET /victim/" path " HTTP/1.1\r\n"
#define POST(path, type)                                        \
	"POST /victim/" path " HTTP/1.1\r\nContent-Type: " type \
	"\r\nContent-Length: 100\r\nExpect: 100-continue\r\n"

const struct stage stages[] = {
	{ "its headers arrive", GET("step"), .is_reached = is_in_flight,
		.arrives = true },
	{ "its body arrives", POST("body", "application/json"), "{\"half\":", "reading",
		.is_reached = is_in_flight, .arrives = true },
	{ "it is queued", GET("queued"), NULL, "queued", prepare_queued, is_queued,
		release_holder, .finite = true },
	{ "it waits for a connection", GET("connection"), NULL, "running",
		prepare_connection, waits_for_connection, release_connection,
		.begins = true, .finite = true },
	{ "it is about to step", GET("first-step"), NULL, "running",
		.is_reached = is_gate_open, .begins = true, .finite = true },
	{ "it is between two rows", GET("rows"), NULL, "running",
		.is_reached = is_gate_open, .begins = true, .finite = true },
	{ "it is inside of a step", GET("step"), NULL, "running",
		.is_reached = is_gate_open, .begins = true },
	{ "its write waits for a lock", GET("write"), NULL, "running", prepare_lock,
		waits_for_writer, release_lock, .begins = true, .finite = true },
	{ "its long write waits for a lock", GET("write-alone"), NULL, "running",
		prepare_lock, waits_for_lock, release_lock, .begins = true,
		.finite = true },
	{ "its write waits for the writer", GET("write"), NULL, "running", prepare_writer,
		waits_for_writer, release_holder, .begins = true, .finite = true },
	{ "it writes beside others", GET("write-slowly"), NULL, "running",
		.is_reached = is_gate_open, .begins = true, .finite = true },
	{ "it is inside of a long write's step", GET("write-endlessly"), NULL, "running",
		.is_reached = is_gate_open, .begins = true },
	{ "its commit has begun", GET("write"), NULL, "running", prepare_sync, is_syncing,
		release_sync, .begins = true, .finite = true, .finishes = true },
	{ "it streams its answer", GET("stream"), NULL, "sending",
		.is_reached = is_streaming, .begins = true, .sends = true,
		.finite = true },
	{ "its body streams in", POST("upload", "application/json"),
		"{\"half\":", "running", .is_reached = waits_for_client, .arrives = true,
		.begins = true },
	{ "its answer is sent", GET("large"), NULL, "sending", .returned = true,
		.is_reached = is_sending, .begins = true, .sends = true, .finite = true },
};

const unsigned stages_count = sizeof stages / sizeof *stages;

/*
 * The test.
 */

static void each_gate(struct stage_test *test, void (*fn)(struct gate *gate))
{
	struct gate *const gates[] = { &test->reached, &test->fired, &test->held,
		&test->let_go, &test->synced, &test->sync };
	for (size_t i = 0; i < sizeof gates / sizeof *gates; i++)
		fn(gates[i]);
}

void stage_init(struct stage_test *test, const struct stage *stage)
{
	struct config *config = &test->server.config;
	*test = (struct stage_test){ .stage = stage, .result = -1 };
	each_gate(test, gate_init);
	test->own = cancel_create(NULL);
	test_server_init(&test->server);
	config->long_threads = config->long_running = 1;
	config->short_threads = config->short_running = 4; /* they start sooner */
	test->server.db_config.readers = 1;
	test->server.db_config.busy_timeout_ms = LONG_ENOUGH_MS;
	test->server.db_config.vfs = fault_vfs_use();
}

/* The victims' routes are told by their path. */
static void copy_routes(struct stage_test *test)
{
	memcpy(test->routes, routes, sizeof routes);
	for (size_t i = 0; i < ROUTES; i++) {
		if (strncmp(routes[i].path, "/victim/", strlen("/victim/")) != 0)
			continue;
		test->routes[i].hang_up = test->hang_up;
		test->routes[i].half_close_ok = test->half_close_ok;
		test->routes[i].timeout_ms = test->timeout_ms;
	}
}

static void assert_kept(struct stage_test *test, unsigned count)
{
	struct http_response res;
	http_get(test->server.port, "/kept", &res);
	assert_int_equal(res.status, 200);
	assert_int_equal(strtoul(res.body, NULL, 10), count);
	http_response_finish(&res);
}

void stage_start(struct stage_test *test)
{
	copy_routes(test);
	test_server_open_db(&test->server);
	test_server_sql(&test->server, "CREATE TABLE kept (n INTEGER)");
	test_server_start(&test->server, test->routes, ROUTES, test);
	assert_kept(test, 0); /* opens the one connection for reading */
	test_server_wait_at_rest(&test->server);
}

static const char *line_key(const struct stage_test *test)
{
	return test->stage->state ? "id" : "client";
}

static const char *line_text(const struct stage_test *test)
{
	return test->stage->state ? "victim" : test->victim.address;
}

static const char *line_message(const struct stage_test *test)
{
	return test->stage->state ? "request" : "request not begun";
}

static bool has_ended(struct stage_test *test)
{
	json_t *line = log_reader_find(
		&test->server.log, line_message(test), line_key(test), line_text(test));
	json_decref(line);
	return line != NULL;
}

static void send_request(struct stage_test *test, const char *headers, const char *behind)
{
	const struct stage *stage = test->stage;
	bool headers_end = stage->state != NULL;
	raw_sendf(&test->victim, "%sHost: x\r\nX-Request-Id: victim\r\n%s%s%s",
		stage->request, headers, headers_end ? "\r\n" : "", behind ? behind : "");
	if (!stage->body)
		return;
	raw_expect(&test->victim, "HTTP/1.1 100 Continue\r\n\r\n");
	raw_send(&test->victim, stage->body);
}

bool stage_enter(struct stage_test *test, const char *headers, const char *behind)
{
	const struct stage *stage = test->stage;
	if (stage->prepare)
		stage->prepare(test);
	if (stage->sends)
		raw_connect_narrow(&test->victim, test->server.port);
	else
		raw_connect(&test->victim, test->server.port);
	send_request(test, headers, behind);
	WAIT_UNTIL(stage->is_reached(test) || has_ended(test));
	return !has_ended(test);
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
}

void stage_wait_for_watcher(struct stage_test *test)
{
	struct raw raw;
	raw_connect(&raw, test->server.port);
	raw_send(&raw, "GET /sleep HTTP/1.1\r\nHost: x\r\nX-Request-Id: later\r\n\r\n");
	raw_half_close(&raw);
	json_decref(test_server_log_line(&test->server, "later"));
	raw_close(&raw);
}

json_t *stage_log_line(struct stage_test *test)
{
	json_t *line = log_reader_wait(
		&test->server.log, line_message(test), line_key(test), line_text(test));
	if (test->stage->state)
		return line;
	json_decref(line);
	return NULL;
}

void stage_release(struct stage_test *test)
{
	if (test->released)
		return;
	test->released = true;
	if (test->stage->release)
		test->stage->release(test);
	gate_open(&test->fired);
}

static void assert_handler_returned(struct stage_test *test, enum err result)
{
	const struct stage *stage = test->stage;
	bool begins = stage->begins || result == ERR_OK;
	assert_int_equal(atomic_load(&test->begun), begins);
	if (begins)
		assert_int_equal(atomic_load(&test->result),
			stage->finishes || stage->returned ? ERR_OK : result);
	assert_int_equal(atomic_load(&test->uninvited), 0);
}

static unsigned expected_rows(const struct stage_test *test, enum err result)
{
	bool writes = strstr(test->stage->request, "/write") != NULL;
	return writes && (result == ERR_OK || test->stage->finishes);
}

void stage_leave(struct stage_test *test, enum err result)
{
	stage_release(test);
	raw_close(&test->victim);
	test_server_wait_at_rest(&test->server);
	assert_handler_returned(test, result);
	assert_kept(test, expected_rows(test, result));
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

void stage_leave_shut_down(struct stage_test *test, enum err result)
{
	int count;
	stage_release(test);
	raw_close(&test->victim);
	assert_handler_returned(test, result);
	count_rows(test, &count);
	assert_int_equal(count, expected_rows(test, result));
}

void stage_finish(struct stage_test *test)
{
	raw_close(&test->victim);
	test_server_stop(&test->server);
	cancel_unref(test->own);
	each_gate(test, gate_finish);
}
