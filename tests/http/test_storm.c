/*
 * No wrong victim, no lost cancel: many clients at once, of which half leave at random
 * moments in random ways, while the others want their answers from the same threads and
 * the same connections to the database. Whoever stays gets a full, right answer;
 * whatever was asked by one who left is stopped; and in the end everything is as it was
 * in the beginning.
 *
 * STORM_SEED chooses another storm, STORM_REQUESTS a longer one.
 */
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/stmt.h"
#include "tests/support/cmocka.h"
#include "tests/support/http.h"
#include "tests/support/raw.h"
#include "tests/support/test_server.h"
#include "tests/support/wait.h"

enum {
	REQUESTS = HANGUP_SLOWDOWN > 1 ? 4000 : 50000,
	STAYERS = 4,
	LEAVERS = 4,
	LARGE = 400000, /* bytes */
	SUM_MAX = 2000,
	RSS_GROWTH_MAX = 24 << 20,
};

struct storm {
	struct test_server server;
	uint64_t seed;
	unsigned per_thread;
	atomic_uint_least64_t begun; /* handlers */
	atomic_uint_least64_t returned;
	atomic_uint_least64_t endless;  /* handlers that only a hang-up ends */
	atomic_uint_least64_t answered; /* stayers' requests, each checked */
	atomic_uint_least64_t left;     /* leavers' */
	atomic_uint_least64_t written;  /* rows that stayers were told of */

	/* The log's thread. */
	uint64_t lines;
	uint64_t endless_lines;
	uint64_t endless_not_cancelled;
	uint64_t wrongly_cancelled; /* a stayer's request with a cause */
};

/*
 * Handlers.
 */

static enum err read_number(struct storm *storm, struct request *req, const char *sql,
	int64_t bound, int64_t *ret)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *stmt = NULL;
	bool row = false;
	enum err err = db_read(storm->server.db, req->cancel, &conn);
	if (err == ERR_OK)
		err = stmt_prepare(conn, sql, &stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_int(stmt, 1, bound);
	err = stmt_step(stmt, &row);
	if (err == ERR_OK)
		*ret = stmt_int(stmt, 0);
	return err;
}

static enum err answer_number(struct response *res, int64_t number)
{
	char text[32];
	snprintf(text, sizeof text, "%lld", (long long)number);
	return response_write(res, span_of(text));
}

static enum err sum(struct storm *storm, struct request *req, struct response *res)
{
	static const char *const sql =
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n LIMIT ?) "
		"SELECT sum(i) FROM n";
	int64_t total = 0;
	int64_t count = strtoll(request_param(req, "n").data, NULL, 10);
	enum err err = read_number(storm, req, sql, count, &total);
	return err == ERR_OK ? answer_number(res, total) : err;
}

static enum err never_end(struct storm *storm, struct request *req, struct response *res)
{
	static const char *const sql =
		"WITH RECURSIVE n(i) AS (SELECT ? UNION ALL SELECT i + 1 FROM n) "
		"SELECT sum(i) FROM n";
	int64_t total = 0;
	(void)res;
	atomic_fetch_add(&storm->endless, 1);
	return read_number(storm, req, sql, 0, &total);
}

static enum err insert(struct conn *conn, void *arg)
{
	AUTO_STMT *stmt = NULL;
	struct span *id = arg;
	enum err err = stmt_prepare(conn, "INSERT INTO written VALUES (?)", &stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_text(stmt, 1, *id);
	return stmt_run(stmt);
}

static enum err write_body(struct storm *storm, struct request *req, struct response *res)
{
	struct span id = req->body;
	enum err err = db_write(storm->server.db, req->cancel, insert, &id);
	return err == ERR_OK ? response_write(res, req->body) : err;
}

static enum err send_large(struct storm *storm, struct request *req, struct response *res)
{
	char piece[1000];
	enum err err = ERR_OK;
	(void)storm;
	int letter = 'a' + (int)(strtoll(request_param(req, "n").data, NULL, 10) % 26);
	memset(piece, letter, sizeof piece);
	for (size_t sent = 0; err == ERR_OK && sent < LARGE; sent += sizeof piece)
		err = response_write(res, (struct span){ piece, sizeof piece });
	return err;
}

#define COUNTED(fn)                                                           \
	static enum err count_##fn(struct request *req, struct response *res) \
	{                                                                     \
		struct storm *storm = req->app;                               \
		atomic_fetch_add(&storm->begun, 1);                           \
		enum err err = fn(storm, req, res);                           \
		atomic_fetch_add(&storm->returned, 1);                        \
		return err;                                                   \
	}
COUNTED(sum)
COUNTED(never_end)
COUNTED(write_body)
COUNTED(send_large)

static const struct route routes[] = {
	{ "GET", "/sum/{n}", count_sum, .lane = LANE_SHORT },
	{ "GET", "/long-sum/{n}", count_sum, .lane = LANE_LONG },
	{ "GET", "/endless", count_never_end, .lane = LANE_SHORT, .timeout_ms = -1 },
	{ "GET", "/long-endless", count_never_end, .lane = LANE_LONG, .timeout_ms = -1 },
	{ "POST", "/written", count_write_body, .lane = LANE_SHORT,
		.body = BODY_BUFFERED },
	{ "GET", "/large/{n}", count_send_large, .lane = LANE_SHORT },
	{ "GET", "/streamed/{n}", count_send_large, .lane = LANE_SHORT,
		.answer = ANSWER_STREAMED },
};

/*
 * The log.
 */

static void take_line(void *arg, const char *line)
{
	struct storm *storm = arg;
	bool is_stayers = strstr(line, "\"id\":\"stays-") != NULL;
	bool is_cancelled = strstr(line, "\"cause\":") != NULL;
	storm->lines += strstr(line, "\"message\":\"request") != NULL;
	storm->wrongly_cancelled += is_stayers && is_cancelled;
	if (is_stayers && is_cancelled)
		fputs(line, stderr);
	if (!strstr(line, "endless\",\"path\""))
		return;
	bool is_stopped = strstr(line, "\"status\":499") &&
		strstr(line, "\"cause\":\"client_gone\"");
	storm->endless_lines++;
	storm->endless_not_cancelled += !is_stopped;
	if (!is_stopped)
		fputs(line, stderr);
}

/*
 * Chance.
 */

struct client {
	struct storm *storm;
	unsigned number;
	uint64_t state;
	pthread_t thread;
	struct raw raw;
	unsigned sent;
};

static uint64_t chance(struct client *client, uint64_t below)
{
	client->state ^= client->state << 13;
	client->state ^= client->state >> 7;
	client->state ^= client->state << 17;
	return client->state % below;
}

/* Some moment between now and a millisecond: in the midst of whatever it is. */
static void dawdle(struct client *client)
{
	enum { NS_MAX = 1000000 };
	int64_t ns = (int64_t)chance(client, NS_MAX);
	instant begun = instant_now();
	if (chance(client, 4) == 0)
		return;
	while (instant_diff_ns(begun, instant_now()) < ns)
		sched_yield();
}

/*
 * Those who stay.
 */

static void fail_storm(
	const struct client *client, const char *what, const struct http_response *res)
{
	fprintf(stderr,
		"seed %llu, stayer %u, request %u: %s: status %u, %zu bytes: %.200s\n",
		(unsigned long long)client->storm->seed, client->number, client->sent,
		what, res->status, res->body_len, res->body ? res->body : "");
	abort();
}

static void expect_text(struct client *client, const char *text)
{
	struct http_response res;
	raw_read(&client->raw, &res);
	if (res.status != 200 || !res.whole || strcmp(res.body, text) != 0)
		fail_storm(client, text, &res);
	http_response_finish(&res);
}

static void expect_large(struct client *client, int letter)
{
	struct http_response res;
	raw_read(&client->raw, &res);
	if (res.status != 200 || !res.whole || res.body_len != LARGE)
		fail_storm(client, "the large answer", &res);
	for (size_t i = 0; i < LARGE; i++)
		if (res.body[i] != letter)
			fail_storm(client, "another letter", &res);
	http_response_finish(&res);
}

static void ask(struct client *client, const char *request)
{
	raw_sendf(&client->raw,
		"%s HTTP/1.1\r\nHost: x\r\nX-Request-Id: stays-%u-%u\r\n\r\n", request,
		client->number, client->sent);
}

static void ask_for_sum(struct client *client, const char *where)
{
	char request[64];
	char total[32];
	long long n = 1 + (long long)chance(client, SUM_MAX);
	snprintf(request, sizeof request, "GET %s/%lld", where, n);
	snprintf(total, sizeof total, "%lld", n * (n + 1) / 2);
	ask(client, request);
	expect_text(client, total);
}

static void ask_to_write(struct client *client)
{
	char id[32];
	snprintf(id, sizeof id, "stays-%u-%u", client->number, client->sent);
	raw_sendf(&client->raw,
		"POST /written HTTP/1.1\r\nHost: x\r\nX-Request-Id: %s\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s",
		id, strlen(id), id);
	expect_text(client, id);
	atomic_fetch_add(&client->storm->written, 1);
}

static void ask_for_large(struct client *client, const char *where)
{
	char request[64];
	int n = (int)chance(client, 26);
	snprintf(request, sizeof request, "GET %s/%d", where, n);
	ask(client, request);
	expect_large(client, 'a' + n);
}

static void ask_something(struct client *client)
{
	uint64_t dice = chance(client, 64);
	if (dice < 1)
		ask_for_large(client, "/large");
	else if (dice < 2)
		ask_for_large(client, "/streamed");
	else if (dice < 10)
		ask_to_write(client);
	else if (dice < 20)
		ask_for_sum(client, "/long-sum");
	else
		ask_for_sum(client, "/sum");
}

static void *stay(void *arg)
{
	struct client *client = arg;
	struct storm *storm = client->storm;
	raw_connect(&client->raw, storm->server.port);
	for (; client->sent < storm->per_thread; client->sent++) {
		ask_something(client);
		atomic_fetch_add(&storm->answered, 1);
		if (chance(client, 100) == 0) { /* sometimes over another connection */
			raw_close(&client->raw);
			raw_connect(&client->raw, storm->server.port);
		}
	}
	raw_close(&client->raw);
	return NULL;
}

/*
 * Those who leave.
 */

#define REST " HTTP/1.1\r\nHost: x\r\n\r\n"
#define POST_WRITTEN \
	"POST /written HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"

/* The first two only a hang-up ends. */
static const char *const abandoned[] = {
	"GET /endless" REST,
	"GET /long-endless" REST,
	"GET /sum/2000" REST,
	"GET /long-sum/2000" REST,
	"GET /large/1" REST,
	"GET /streamed/1" REST,
	"GET /endless HTTP/1.1\r\nHost:",
	POST_WRITTEN "Content-Length: 100\r\n\r\nhalf",
	POST_WRITTEN "Content-Length: 6\r\n\r\nleaves",
	"GET /nothing" REST,
	"",
};

enum { ABANDONED = sizeof abandoned / sizeof *abandoned, ENDLESS = 2 };

static void abandon(struct client *client)
{
	static const char *const behind[] = { "", "GET /endless" REST, "GET /sum/9" REST,
		"\r\n" };
	const char *second = behind[chance(client, 4)];
	switch (chance(client, 6)) {
	case 0:
		raw_close(&client->raw);
		break;
	case 1:
		raw_reset(&client->raw);
		break;
	case 2:
		raw_half_close(&client->raw);
		raw_read_to_end(
			&client->raw); /* it is closed, with or without an answer */
		break;
	case 3:
		raw_send_with_fin(&client->raw, second);
		raw_close(&client->raw);
		break;
	case 4:
		raw_send(&client->raw, second);
		raw_close(&client->raw);
		break;
	default:
		raw_send(&client->raw, second);
		raw_reset(&client->raw);
		break;
	}
	raw_close(&client->raw);
}

static void *leave(void *arg)
{
	struct client *client = arg;
	struct storm *storm = client->storm;
	for (; client->sent < storm->per_thread; client->sent++) {
		const char *request = abandoned[chance(client, ABANDONED)];
		if (chance(client, 4) == 0)
			raw_connect_narrow(&client->raw, storm->server.port);
		else
			raw_connect(&client->raw, storm->server.port);
		if (chance(client, 8) == 0)
			raw_send_with_fin(&client->raw, request);
		else
			raw_send(&client->raw, request);
		dawdle(client);
		abandon(client);
		atomic_fetch_add(&storm->left, 1);
	}
	return NULL;
}

/*
 * The storm.
 */

static size_t resident_bytes(void)
{
	unsigned long total = 0;
	unsigned long resident = 0;
	FILE *file = fopen("/proc/self/statm", "r");
	assert_non_null(file);
	assert_int_equal(fscanf(file, "%lu %lu", &total, &resident), 2);
	fclose(file);
	return resident * (size_t)sysconf(_SC_PAGESIZE);
}

static uint64_t from_environment(const char *name, uint64_t otherwise)
{
	const char *text = getenv(name);
	return text ? strtoull(text, NULL, 10) : otherwise;
}

static void rage(struct storm *storm, unsigned requests)
{
	struct client clients[STAYERS + LEAVERS];
	storm->per_thread = requests / (STAYERS + LEAVERS);
	for (unsigned i = 0; i < STAYERS + LEAVERS; i++) {
		clients[i] = (struct client){ .storm = storm, .number = i };
		clients[i].state = (storm->seed + i) * 0x9e3779b97f4a7c15u + requests;
		int failed = pthread_create(&clients[i].thread, NULL,
			i < STAYERS ? stay : leave, &clients[i]);
		assert_int_equal(failed, 0);
	}
	for (unsigned i = 0; i < STAYERS + LEAVERS; i++)
		pthread_join(clients[i].thread, NULL);
	/* Nobody is there any more: a cancel that was lost is still in flight. */
	test_server_wait_at_rest(&storm->server);
}

static unsigned rows_of_stayers(struct storm *storm)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *stmt = NULL;
	struct cancel *token = cancel_create(NULL);
	bool row = false;
	assert_int_equal(db_read(storm->server.db, token, &conn), ERR_OK);
	enum err err = stmt_prepare(conn,
		"SELECT count(DISTINCT id) FROM written WHERE id LIKE 'stays-%'", &stmt);
	assert_int_equal(err, ERR_OK);
	assert_int_equal(stmt_step(stmt, &row), ERR_OK);
	unsigned count = (unsigned)stmt_int(stmt, 0);
	stmt_release(stmt);
	conn_release(conn);
	stmt = NULL;
	conn = NULL;
	cancel_unref(token);
	return count;
}

static void start(struct storm *storm)
{
	test_server_init(&storm->server);
	storm->server.log_sink = take_line;
	storm->server.log_sink_arg = storm;
	storm->server.config.short_threads = 16;
	storm->server.config.short_running = 4;
	/* Nobody is refused: those who leave may come again before the service has had
	 * the time to see that they left. */
	storm->server.config.long_queue = storm->server.config.short_queue;
	storm->server.db_config.readers = 4; /* so that they pass from hand to hand */
	test_server_open_db(&storm->server);
	test_server_sql(&storm->server, "CREATE TABLE written (id TEXT)");
	test_server_start(&storm->server, routes, sizeof routes / sizeof *routes, storm);
}

static void nobody_suffers_and_nothing_is_lost(void **state)
{
	static struct storm storm;
	unsigned requests = (unsigned)from_environment("STORM_REQUESTS", REQUESTS);
	(void)state;
	storm.seed = from_environment("STORM_SEED", (uint64_t)instant_now().ns);
	printf("STORM_SEED=%llu\n", (unsigned long long)storm.seed);
	start(&storm);

	rage(&storm, requests / 5);
	unsigned first_written = rows_of_stayers(&storm);
	assert_int_equal(first_written, atomic_load(&storm.written));
	test_server_sql(&storm.server, "DELETE FROM written");
	atomic_store(&storm.written, 0);
	size_t before = resident_bytes();

	rage(&storm, requests);
	size_t after = resident_bytes();
	assert_int_equal(rows_of_stayers(&storm), atomic_load(&storm.written));
	assert_int_equal(atomic_load(&storm.begun), atomic_load(&storm.returned));
	if (HANGUP_SLOWDOWN == 1 && after > before + RSS_GROWTH_MAX)
		fail_msg("resident: %zu KiB, then %zu KiB", before >> 10, after >> 10);

	uint64_t total = test_server_stats(&storm.server).requests;
	test_server_stop(&storm.server);
	printf("%llu requests, %llu of those who stayed, %llu clients left, %llu had to be "
	       "stopped; resident %zu KiB, then %zu KiB\n",
		(unsigned long long)total,
		(unsigned long long)atomic_load(&storm.answered),
		(unsigned long long)atomic_load(&storm.left),
		(unsigned long long)atomic_load(&storm.endless), before >> 10,
		after >> 10);
	assert_int_equal(storm.lines, total);
	assert_true(atomic_load(&storm.endless) > 0);
	assert_true(storm.endless_lines >= atomic_load(&storm.endless));
	assert_int_equal(storm.endless_not_cancelled, 0);
	assert_int_equal(storm.wrongly_cancelled, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nobody_suffers_and_nothing_is_lost),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
