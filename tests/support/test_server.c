#include "tests/support/test_server.h"

#include <assert.h>
#include <dirent.h>
#include <signal.h>
#include <stdio.h>

#include <sqlite3.h>

#include "db/migrate.h"
#include "handlers/settings.h"
#include "service/core/log.h"
#include "tests/support/cmocka.h"
#include "tests/support/wait.h"

static unsigned entries_in(const char *path)
{
	DIR *dir = opendir(path);
	unsigned count = 0;
	assert(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

static unsigned count_fds(void)
{
	return entries_in("/proc/self/fd");
}

static unsigned count_threads(void)
{
	return entries_in("/proc/self/task");
}

static void *return_at_once(void *arg)
{
	return arg;
}

/* ThreadSanitizer has a thread of its own, which it starts with the first one. */
static void start_first_thread(void)
{
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, return_at_once, NULL), 0);
	pthread_join(thread, NULL);
}

void test_server_init(struct test_server *test)
{
	struct config defaults;
	*test = (struct test_server){ 0 };
	signal(SIGPIPE, SIG_IGN); /* as the program does */
	start_first_thread();
	test->fds_before = count_fds();
	test->threads_before = count_threads();
	test_dir_make(test->dir);
	snprintf(test->db_path, sizeof test->db_path, "%s/test.db", test->dir);
	settings_default(&config_settings, &defaults);
	test->config = defaults.http;
	test->config.port = 0;
	test->db_config = db_config_default();
	test->db_config.path = test->db_path;
}

void test_server_open_db(struct test_server *test)
{
	struct migrate_report report;
	if (db_migrate(&test->db_config, &report) != ERR_OK)
		fail_msg("%s", report.message);
	assert_int_equal(db_open(&test->db_config, &test->db), ERR_OK);
}

void test_server_start(struct test_server *test, const struct route *routes,
	size_t routes_count, void *app)
{
	struct server_setup setup = { .settings = &test->config,
		.routes = routes,
		.routes_count = routes_count,
		.app = app,
		.ready = test->ready };
	log_reader_start(&test->log, test->log_sink, test->log_sink_arg);
	enum err err = log_start(LOG_LEVEL_INFO, LOG_FORMAT_JSON, test->log.write_fd);
	assert_int_equal(err, ERR_OK);
	assert_int_equal(server_create(&setup, &test->server), ERR_OK);
	test->port = server_port(test->server);
}

struct server_stats test_server_stats(struct test_server *test)
{
	struct server_stats stats;
	server_stats(test->server, &stats);
	return stats;
}

struct pool_stats test_server_lane(struct test_server *test, enum lane lane)
{
	return test_server_stats(test).lanes[lane];
}

struct db_stats test_db_stats(struct test_server *test)
{
	struct db_stats stats;
	db_stats(test->db, &stats);
	return stats;
}

static bool server_is_at_rest(struct test_server *test)
{
	struct server_stats stats = test_server_stats(test);
	bool rests = stats.in_flight == 0 && stats.connections == 0;
	for (int i = 0; i < LANE_COUNT; i++)
		rests &= stats.lanes[i].queued + stats.lanes[i].running +
				stats.lanes[i].waiting ==
			0;
	return rests;
}

static bool db_is_at_rest(struct test_server *test)
{
	struct db_stats stats = test_db_stats(test);
	return stats.readers_lent == 0 && stats.readers_waited_for == 0 &&
		stats.writes_waiting == 0;
}

void test_server_wait_at_rest(struct test_server *test)
{
	WAIT_UNTIL(!test->server || server_is_at_rest(test));
	WAIT_UNTIL(!test->db || db_is_at_rest(test));
}

void test_server_shut_down(struct test_server *test)
{
	server_destroy(test->server);
	test->server = NULL;
}

void test_server_stop(struct test_server *test)
{
	uint64_t dropped = log_dropped();
	test_server_wait_at_rest(test);
	test_server_shut_down(test);
	db_close(test->db);
	log_stop();
	log_reader_stop(&test->log);
	test_dir_remove(test->dir);
	assert_int_equal(log_dropped(), dropped);
	assert_int_equal(count_fds(), test->fds_before);
	/* A joined thread leaves the list a moment later: now, and perhaps one of an
	 * earlier test when they were counted before. */
	WAIT_UNTIL(count_threads() <= test->threads_before);
}

void test_server_sql(struct test_server *test, const char *sql)
{
	sqlite3 *sqlite = NULL;
	char *message = NULL;
	assert_int_equal(sqlite3_open(test->db_path, &sqlite), SQLITE_OK);
	sqlite3_busy_timeout(sqlite, PATIENCE_MS);
	if (sqlite3_exec(sqlite, sql, NULL, NULL, &message) != SQLITE_OK)
		fail_msg("%s: %s", sql, message);
	sqlite3_close(sqlite);
}

json_t *test_server_log_line(struct test_server *test, const char *request_id)
{
	return log_reader_wait(&test->log, "request", "id", request_id);
}
