/*
 * Connections are open files: the service takes as many as its settings need, and says
 * so when it is not given them.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "tests/support/cmocka.h"
#include "tests/support/process.h"
#include "tests/support/test_dir.h"

enum { BESIDE_CONNECTIONS = 256 };

struct fixture {
	char dir[TEST_DIR_SIZE];
	char database[96];
	struct rlimit before;
	struct process process;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){ 0 };
	test_dir_make(fixture.dir);
	snprintf(fixture.database, sizeof fixture.database,
		"DATABASE_URL=sqlite:%s/test.db", fixture.dir);
	assert_int_equal(getrlimit(RLIMIT_NOFILE, &fixture.before), 0);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const the_database[] = { "test.db", NULL };
	struct fixture *fixture = *state;
	setrlimit(RLIMIT_NOFILE, &fixture->before);
	process_finish(&fixture->process);
	test_dir_remove_with(fixture->dir, the_database);
	return 0;
}

static void start(struct fixture *fixture, rlim_t connections)
{
	char max_connections[64];
	snprintf(max_connections, sizeof max_connections, "MAX_CONNECTIONS=%llu",
		(unsigned long long)connections);
	const char *const settings[] = { fixture->database, max_connections, NULL };
	process_start(&fixture->process, settings);
}

static void assert_allowed(struct fixture *fixture, rlim_t count)
{
	struct rlimit limit;
	assert_int_equal(prlimit(fixture->process.pid, RLIMIT_NOFILE, NULL, &limit), 0);
	assert_int_equal(limit.rlim_cur, count);
}

static const char warning[] = "fewer open files are allowed than MAX_CONNECTIONS needs";

static void a_low_limit_is_raised_to_what_is_needed(void **state)
{
	enum { LOW = 200, CONNECTIONS = 500, NEEDED = CONNECTIONS + BESIDE_CONNECTIONS };
	struct fixture *fixture = *state;
	struct rlimit low = { LOW, fixture->before.rlim_max };
	if (fixture->before.rlim_max < NEEDED)
		skip();
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
	start(fixture, CONNECTIONS);
	assert_allowed(fixture, NEEDED);
	assert_int_equal(process_end(&fixture->process, SIGTERM), 0);
	assert_null(log_reader_find(&fixture->process.log, warning, "level", "warn"));
}

static void a_limit_that_suffices_is_left_alone(void **state)
{
	struct fixture *fixture = *state;
	if (fixture->before.rlim_cur < 1 + BESIDE_CONNECTIONS)
		skip();
	start(fixture, 1);
	assert_allowed(fixture, fixture->before.rlim_cur);
	assert_int_equal(process_end(&fixture->process, SIGTERM), 0);
}

static void too_low_a_hard_limit_is_told(void **state)
{
	enum { MOST_CONNECTIONS = 1000000 }; /* that may be set */
	struct fixture *fixture = *state;
	rlim_t hard = fixture->before.rlim_max;
	if (hard > MOST_CONNECTIONS)
		skip();
	start(fixture, hard);
	json_t *line = log_reader_wait(&fixture->process.log, warning, "level", "warn");
	assert_int_equal(log_int(line, "allowed"), hard);
	assert_int_equal(log_int(line, "needed"), hard + BESIDE_CONNECTIONS);
	json_decref(line);
	assert_allowed(fixture, hard);
	assert_int_equal(process_end(&fixture->process, SIGTERM), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_low_limit_is_raised_to_what_is_needed),
		TEST(a_limit_that_suffices_is_left_alone),
		TEST(too_low_a_hard_limit_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
