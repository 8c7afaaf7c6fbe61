/*
 * Whatever number --help allows for a setting, the program serves with it: at both ends of
 * each, the others at their defaults.
 */
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "handlers/settings.h"
#include "tests/support/cmocka.h"
#include "tests/support/process.h"
#include "tests/support/test_dir.h"

enum { LINE_SIZE = 96 };

/* Any free port will do; which are free, no test can say. */
static bool is_port(const struct setting *setting)
{
	return strcmp(setting->name, "PORT") == 0 ||
		strcmp(setting->name, "ADMIN_PORT") == 0;
}

/* What it must not be larger than. */
static const char *threads_for(const struct setting *setting)
{
	if (strcmp(setting->name, "SHORT_RUNNING") == 0)
		return "SHORT_THREADS";
	return strcmp(setting->name, "LONG_RUNNING") == 0 ? "LONG_THREADS" : NULL;
}

static void assert_serves(const char *dir, const struct setting *setting, int64_t value)
{
	struct process process = { 0 };
	char database[LINE_SIZE];
	char itself[LINE_SIZE];
	char threads[LINE_SIZE];
	const char *bound = threads_for(setting);
	print_message("%s=%" PRId64 "\n", setting->name, value);
	snprintf(database, sizeof database, "DATABASE_URL=sqlite:%s/test.db", dir);
	snprintf(itself, sizeof itself, "%s=%" PRId64, setting->name, value);
	snprintf(threads, sizeof threads, "%s=%" PRId64, bound ? bound : "", value);
	const char *const settings[] = { database, itself, bound ? threads : NULL, NULL };
	process_start(&process, settings);
	assert_int_equal(process_end(&process, SIGTERM), 0);
	process_finish(&process);
}

static void it_serves_at_both_ends_of_every_number(void **state)
{
	static const char *const the_database[] = { "test.db", NULL };
	char dir[TEST_DIR_SIZE];
	unsigned numbers = 0;
	(void)state;
	test_dir_make(dir);
	for (size_t i = 0; i < config_settings.parts_count; i++) {
		const struct setting *setting = config_settings.parts[i].table->settings;
		for (; setting->name; setting++) {
			if (setting->kind != &setting_number || is_port(setting))
				continue;
			assert_serves(dir, setting, setting->min);
			assert_serves(dir, setting, setting->max);
			numbers++;
		}
	}
	assert_true(numbers > 0);
	test_dir_remove_with(dir, the_database);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_serves_at_both_ends_of_every_number),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
