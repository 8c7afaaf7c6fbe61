#include "tests/support/stages.h"

#include <string.h>

#include <sqlite3.h>

#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"

static void start_holder(struct stage_test *test, const char *path)
{
	test->holder = http_start_get(test->server.port, path);
	gate_wait(&test->holding.held);
}

static void release_holder(struct stage_test *test)
{
	gate_open(&test->holding.let_go);
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
	return test_server_lane(&test->server, LANE_SHORT).waiting == 1;
}

static void prepare_queued(struct stage_test *test)
{
	start_holder(test, "/hold/lane");
}

static bool is_queued(struct stage_test *test)
{
	return test_server_lane(&test->server, LANE_LONG).queued == 1;
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
	return gate_is_open(&test->reached) &&
		test_server_lane(&test->server, LANE_SHORT).running == 0 &&
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

const struct stage *stage_named(const char *name)
{
	for (unsigned i = 0; i < stages_count; i++)
		if (strcmp(stages[i].name, name) == 0)
			return &stages[i];
	fail_msg("no stage is called \"%s\"", name);
	return NULL;
}
