#include "tests/support/items_db.h"

#include <stdio.h>
#include <stdlib.h>

#include "db/items_transfer.h"
#include "db/migrate.h"
#include "tests/support/cmocka.h"

int items_db_setup(void **state)
{
	struct items_db *test = calloc(1, sizeof *test);
	assert_non_null(test);
	test_dir_make_in_memory(test->dir);
	snprintf(test->path, sizeof test->path, "%s/test.db", test->dir);
	struct db_config config = db_config_default();
	struct migrate_report report;
	config.path = test->path;
	assert_int_equal(db_migrate(&config, &report), ERR_OK);
	assert_int_equal(db_open(&config, &test->db), ERR_OK);
	test->token = cancel_create(NULL);
	assert_non_null(test->token);
	*state = test;
	return 0;
}

int items_db_teardown(void **state)
{
	struct items_db *test = *state;
	db_close(test->db);
	cancel_unref(test->token);
	test_dir_remove(test->dir);
	free(test);
	return 0;
}

struct additions {
	const struct item *items;
	size_t count;
	int64_t last_id;
};

static enum err add_all(struct conn *conn, void *arg)
{
	struct additions *additions = arg;
	enum err err = ERR_OK;
	for (size_t i = 0; err == ERR_OK && i < additions->count; i++)
		err = items_add(conn, &additions->items[i], 1577836800000);
	return err == ERR_OK ? items_last_id(conn, &additions->last_id) : err;
}

int64_t items_db_add(struct items_db *test, const struct item *items, size_t count)
{
	struct additions additions = { .items = items, .count = count };
	assert_int_equal(db_write(test->db, test->token, add_all, &additions), ERR_OK);
	return additions.last_id;
}

static enum err exec(struct conn *conn, void *arg)
{
	return stmt_exec(conn, arg);
}

void items_db_exec(struct items_db *test, const char *sql)
{
	assert_int_equal(db_write(test->db, test->token, exec, (void *)sql), ERR_OK);
}
