#include "tests/support/test_db.h"

#include <sched.h>
#include <stdio.h>

#include "db/migrate.h"
#include "db/stmt.h"
#include "tests/support/cmocka.h"

static const struct migration history[] = {
	{ 1, "note",
		"CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE,"
		" about INTEGER REFERENCES note DEFERRABLE INITIALLY DEFERRED) STRICT" },
};

void test_db_init(struct test_db *test)
{
	*test = (struct test_db){ 0 };
	test_dir_make_in_memory(test->dir);
	snprintf(test->path, sizeof test->path, "%s/test.db", test->dir);
	test->config = db_config_default();
	test->config.path = test->path;
	test->token = cancel_create(NULL);
	struct migrate_report report;
	assert_int_equal(db_migrate_with(&test->config, history, 1, &report), ERR_OK);
}

void test_db_open(struct test_db *test)
{
	assert_int_equal(db_open(&test->config, &test->db), ERR_OK);
}

void test_db_close(struct test_db *test)
{
	db_close(test->db);
	test->db = NULL;
}

void test_db_finish(struct test_db *test)
{
	test_db_close(test);
	cancel_unref(test->token);
	test_dir_remove(test->dir);
}

sqlite3 *test_db_stranger(const char *path)
{
	sqlite3 *stranger = NULL;
	assert_int_equal(sqlite3_open(path, &stranger), SQLITE_OK);
	return stranger;
}

void stranger_exec(sqlite3 *stranger, const char *sql)
{
	assert_int_equal(sqlite3_exec(stranger, sql, NULL, NULL, NULL), SQLITE_OK);
}

int64_t stranger_int(sqlite3 *stranger, const char *sql)
{
	sqlite3_stmt *stmt = NULL;
	assert_int_equal(sqlite3_prepare_v2(stranger, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	int64_t value = sqlite3_column_int64(stmt, 0);
	sqlite3_finalize(stmt);
	return value;
}

int64_t test_db_notes_like(const struct test_db *test, const char *pattern)
{
	sqlite3 *stranger = test_db_stranger(test->path);
	char *sql = sqlite3_mprintf(
		"SELECT count(*) FROM note WHERE text LIKE %Q", pattern);
	int64_t count = stranger_int(stranger, sql);
	sqlite3_free(sql);
	sqlite3_close(stranger);
	return count;
}

int64_t test_db_notes(const struct test_db *test)
{
	return test_db_notes_like(test, "%");
}

bool test_db_is_sound(const char *path)
{
	sqlite3 *stranger = test_db_stranger(path);
	bool sound = stranger_int(stranger,
			     "SELECT count(*) = 1 AND max(integrity_check)"
			     " = 'ok' FROM pragma_integrity_check") == 1;
	sqlite3_close(stranger);
	return sound;
}

enum err add_note(struct conn *conn, const char *text)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn, "INSERT INTO note (text) VALUES (?)", &stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_text(stmt, 1, span_of(text));
	return stmt_run(stmt);
}
