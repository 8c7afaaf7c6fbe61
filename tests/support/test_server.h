#ifndef HANGUP_TESTS_SUPPORT_TEST_SERVER_H
#define HANGUP_TESTS_SUPPORT_TEST_SERVER_H

/*
 * The real service inside the test program: on a port of its own, with a
 * directory and a database of its own, and with whatever routes the test brings.
 *
 *	struct test_server server;
 *	test_server_init(&server);
 *	server.config.long_threads = 1;           what the test wants otherwise
 *	test_server_open_db(&server);             unless it needs none
 *	test_server_start(&server, routes, ROUTES, app);
 *	...
 *	test_server_stop(&server);                and everything must be back
 */
#include "db/db.h"
#include "service/http/server.h"
#include "tests/support/log_reader.h"
#include "tests/support/test_dir.h"

struct test_server {
	char dir[TEST_DIR_SIZE]; /* removed at the end, with what is in it */
	char db_path[96];
	struct http_settings config; /* the defaults, PORT=0 */
	struct db_config db_config;  /* the defaults, and db_path */
	readiness_fn *ready;         /* server_setup::ready */
	log_sink_fn *log_sink;       /* see log_reader.h */
	void *log_sink_arg;

	struct db *db;         /* NULL without one */
	struct server *server; /* NULL when it has been shut down */
	unsigned port;
	struct log_reader log;

	unsigned fds_before;
	unsigned threads_before;
};

void test_server_init(struct test_server *test);

/* Migrates and opens the database. */
void test_server_open_db(struct test_server *test);

/* app becomes request::app. */
void test_server_start(struct test_server *test, const struct route *routes,
	size_t routes_count, void *app);

/* Waits until nothing is in flight, connected, queued, running or lent, and aborts
 * when that does not come to pass. All clients must have closed. */
void test_server_wait_at_rest(struct test_server *test);

/* server_destroy(), for tests about it; test_server_stop() must follow. */
void test_server_shut_down(struct test_server *test);

/* Waits until it is at rest, shuts down, and fails the test when a file descriptor or
 * a thread is left over, or a log line was dropped. */
void test_server_stop(struct test_server *test);

/* server_stats() and db_stats(), as values. */
struct server_stats test_server_stats(struct test_server *test);
struct pool_stats test_server_lane(struct test_server *test, enum lane lane);
struct db_stats test_db_stats(struct test_server *test);

/* Runs sql on a connection of its own. */
void test_server_sql(struct test_server *test, const char *sql);

/* The log line of a request; the caller gets a reference. Waits for it. */
json_t *test_server_log_line(struct test_server *test, const char *request_id);

#endif
