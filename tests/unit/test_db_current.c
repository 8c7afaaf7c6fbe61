/*
 * Opening a database as a program does at its start, and what the settings say to it.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/db_current.h"
#include "db/db_settings.h"
#include "tests/support/cmocka.h"

struct fixture {
	char dir[64];
	struct db_settings settings;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){ .dir = "/tmp/test_db_current.XXXXXX" };
	assert_non_null(mkdtemp(fixture.dir));
	fixture.settings = (struct db_settings){ .readers = 2,
		.write_queue = 3,
		.write_batch = 4,
		.busy_timeout_ms = 5,
		.wal_max_bytes = 1 << 20 };
	snprintf(fixture.settings.url, sizeof fixture.settings.url, "sqlite:%s/a.db",
		fixture.dir);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	char command[128];
	snprintf(command, sizeof command, "rm -rf %s", fixture->dir);
	return system(command);
}

static void each_setting_goes_to_its_place(void **state)
{
	struct fixture *fixture = *state;
	struct db_config config = db_config_of(&fixture->settings, 7);
	assert_ptr_equal(config.path, db_settings_path(&fixture->settings));
	assert_null(config.vfs);
	assert_int_equal(config.readers, 2);
	assert_int_equal(config.long_readers, 7);
	assert_int_equal(config.write_queue_max, 3);
	assert_int_equal(config.write_batch_max, 4);
	assert_int_equal(config.busy_timeout_ms, 5);
	assert_int_equal(config.wal_max_bytes, 1 << 20);
}

static void a_new_database_is_made_and_an_old_one_opened(void **state)
{
	struct fixture *fixture = *state;
	struct db_config config = db_config_of(&fixture->settings, 1);
	struct db *db = NULL;
	for (int i = 0; i < 2; i++) {
		assert_int_equal(db_open_current(&config, &db), ERR_OK);
		db_close(db);
	}
	assert_int_equal(db_make_current(&config), ERR_OK);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	struct db *db = NULL;
	snprintf(fixture->settings.url, sizeof fixture->settings.url,
		"sqlite:%s/no/such/a.db", fixture->dir);
	struct db_config config = db_config_of(&fixture->settings, 1);
	assert_int_equal(db_open_current(&config, &db), ERR_IO);
	assert_null(db);
	assert_int_equal(db_make_current(&config), ERR_IO);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_setting_goes_to_its_place),
		TEST(a_new_database_is_made_and_an_old_one_opened),
		TEST(a_folder_that_is_not_there_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
