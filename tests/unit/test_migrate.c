/*
 * Migrations: a schema comes from nothing, is extended, and is never guessed at. A
 * history that is not ours is refused; one that fails leaves what was there before.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/migrate.h"
#include "db/sqlite/conn.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

static const struct migration history[] = {
	{ 1, "parents", "CREATE TABLE parent (id INTEGER PRIMARY KEY) STRICT;" },
	{ 2, "children",
		"CREATE TABLE child (id INTEGER PRIMARY KEY,"
		" parent INTEGER NOT NULL REFERENCES parent) STRICT;"
		"CREATE INDEX child_parent ON child (parent);" },
	{ 3, "first_rows",
		"INSERT INTO parent VALUES (1);"
		"INSERT INTO child VALUES (10, 1);" },
};

struct fixture {
	char dir[TEST_DIR_SIZE];
	char path[96];
	struct db_config config;
	struct migrate_report report;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	test_dir_make(fixture->dir);
	snprintf(fixture->path, sizeof fixture->path, "%s/test.db", fixture->dir);
	fixture->config = db_config_default();
	fixture->config.path = fixture->path;
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const the_database[] = { "test.db", NULL };
	struct fixture *fixture = *state;
	test_dir_remove_with(fixture->dir, the_database); /* no WAL was left */
	free(fixture);
	return 0;
}

static enum err migrate(
	struct fixture *fixture, const struct migration *with, size_t count)
{
	return db_migrate_with(&fixture->config, with, count, &fixture->report);
}

static int64_t ask(struct fixture *fixture, const char *sql)
{
	sqlite3 *stranger = test_db_stranger(fixture->path);
	int64_t value = stranger_int(stranger, sql);
	sqlite3_close(stranger);
	return value;
}

static void assert_message(struct fixture *fixture, const char *part)
{
	if (!strstr(fixture->report.message, part))
		fail_msg("\"%s\" is not in \"%s\"", part, fixture->report.message);
}

static void a_new_database_gets_the_whole_schema(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
	assert_int_equal(fixture->report.from, 0);
	assert_int_equal(fixture->report.to, 3);
	assert_string_equal(fixture->report.message, "");
	assert_int_equal(ask(fixture, "SELECT id FROM child"), 10);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM schema_history"), 3);
}

static void migrating_again_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
	int64_t changes = ask(
		fixture, "SELECT schema_version FROM pragma_schema_version");
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
	assert_int_equal(fixture->report.from, 3);
	assert_int_equal(fixture->report.to, 3);
	assert_int_equal(ask(fixture, "SELECT schema_version FROM pragma_schema_version"),
		changes);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM child"), 1);
}

static void an_older_database_is_brought_up_to_date(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(migrate(fixture, history, 1), ERR_OK);
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
	assert_int_equal(fixture->report.from, 1);
	assert_int_equal(fixture->report.to, 3);
	assert_int_equal(ask(fixture, "SELECT id FROM child"), 10);
}

static void a_current_database_is_not_locked(void **state)
{
	struct fixture *fixture = *state;
	fixture->config.busy_timeout_ms = 1;
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
	sqlite3 *stranger = test_db_stranger(fixture->path);
	stranger_exec(stranger, "BEGIN IMMEDIATE");
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
	sqlite3_close(stranger);
}

static void a_newer_database_is_refused(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
	assert_int_equal(migrate(fixture, history, 2), ERR_INVALID);
	assert_message(fixture, "has schema 3, this program knows 2");
	assert_int_equal(ask(fixture, "SELECT count(*) FROM schema_history"), 3);
}

static void a_changed_history_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct migration changed[3];
	memcpy(changed, history, sizeof changed);
	changed[0].sql =
		"CREATE TABLE parent (id INTEGER PRIMARY KEY, name TEXT) STRICT;";
	assert_int_equal(migrate(fixture, history, 2), ERR_OK);
	assert_int_equal(migrate(fixture, changed, 3), ERR_INVALID);
	assert_message(fixture, "0001_parents was changed");
	assert_int_equal(ask(fixture, "SELECT max(version) FROM schema_history"), 2);
}

/* What the given third migration ends in; the first two are applied before. */
static enum err migrate_with_third(struct fixture *fixture, const char *sql)
{
	struct migration with[3];
	memcpy(with, history, sizeof with);
	with[2].sql = sql;
	return migrate(fixture, with, 3);
}

static void assert_second_version(struct fixture *fixture)
{
	assert_int_equal(fixture->report.to, 2);
	assert_int_equal(ask(fixture, "SELECT max(version) FROM schema_history"), 2);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM parent"), 0);
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
}

static void a_failing_migration_leaves_the_version_before(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(
		migrate_with_third(fixture,
			"INSERT INTO parent VALUES (1); INSERT INTO nowhere VALUES (1);"),
		ERR_INTERNAL);
	assert_message(fixture, "0003_first_rows: no such table: nowhere");
	assert_second_version(fixture);
}

static void a_migration_must_leave_foreign_keys_whole(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(
		migrate_with_third(fixture, "INSERT INTO child VALUES (10, 99);"),
		ERR_CONFLICT);
	assert_message(fixture, "0003_first_rows leaves a row");
	assert_second_version(fixture);
}

static void a_migration_may_rebuild_a_table_that_others_refer_to(void **state)
{
	struct fixture *fixture = *state;
	struct migration with[4];
	memcpy(with, history, sizeof history);
	with[3] = (struct migration){ 4, "rebuild",
		"CREATE TABLE renewed (id INTEGER PRIMARY KEY, name TEXT) STRICT;"
		"INSERT INTO renewed (id) SELECT id FROM parent;"
		"DROP TABLE parent;"
		"ALTER TABLE renewed RENAME TO parent;" };
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
	assert_int_equal(migrate(fixture, with, 4), ERR_OK);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM child"), 1);
}

static void a_migration_may_not_end_its_transaction(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(migrate_with_third(fixture, "COMMIT;"), ERR_INVALID);
	assert_message(fixture, "0003_first_rows ends the transaction");
	assert_second_version(fixture);
}

static void assert_waited_for_only_so_long(struct fixture *fixture, const char *lock)
{
	fixture->config.busy_timeout_ms = 1;
	sqlite3 *stranger = test_db_stranger(fixture->path);
	stranger_exec(stranger, lock);
	assert_int_equal(migrate(fixture, history, 3), ERR_BUSY);
	assert_message(fixture, "busy");
	sqlite3_close(stranger);
	assert_int_equal(migrate(fixture, history, 3), ERR_OK);
}

static void a_locked_database_is_waited_for_only_so_long(void **state)
{
	assert_int_equal(migrate(*state, history, 1), ERR_OK);
	assert_waited_for_only_so_long(*state, "BEGIN IMMEDIATE");
}

/* Whose mode is not WAL yet. */
#define MAKE_AND_LOCK "CREATE TABLE made (id); BEGIN IMMEDIATE"

static void a_locked_new_database_is_waited_for_only_so_long(void **state)
{
	assert_waited_for_only_so_long(*state, MAKE_AND_LOCK);
}

static void a_place_without_a_directory_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	char path[160];
	snprintf(path, sizeof path, "%s/missing/test.db", fixture->dir);
	fixture->config.path = path;
	assert_int_equal(migrate(fixture, history, 3), ERR_IO);
	assert_message(fixture, path);
}

struct starter {
	struct actor actor;
	struct fixture fixture;
	struct gate *go;
	enum err err;
};

static void start(void *arg)
{
	struct starter *starter = arg;
	gate_wait(starter->go);
	starter->err = migrate(&starter->fixture, history, 3);
}

static void threads_that_start_at_once_share_the_work(void **state)
{
	struct fixture *fixture = *state;
	struct starter starters[4];
	struct gate go;
	gate_init(&go);
	for (int i = 0; i < 4; i++) {
		starters[i] = (struct starter){ .fixture = *fixture, .go = &go };
		starters[i].fixture.config.path = starters[i].fixture.path;
		actor_start(&starters[i].actor, start, &starters[i]);
	}
	gate_open(&go);
	for (int i = 0; i < 4; i++) {
		actor_join(&starters[i].actor);
		assert_int_equal(starters[i].err, ERR_OK);
		assert_int_equal(starters[i].fixture.report.to, 3);
	}
	gate_finish(&go);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM child"), 1);
}

/* Another program is making the same new database: its mode is not WAL yet, and the lock
 * that changing the mode needs is taken. */
static void a_database_that_another_program_makes_is_waited_for(void **state)
{
	struct fixture *fixture = *state;
	struct starter starter = { .fixture = *fixture };
	struct gate go;
	gate_init(&go);
	gate_open(&go);
	starter.go = &go;
	starter.fixture.config.path = starter.fixture.path;
	starter.fixture.config.vfs = fault_vfs_use();
	sqlite3 *stranger = test_db_stranger(fixture->path);
	stranger_exec(stranger, MAKE_AND_LOCK);
	unsigned refusals = fault_vfs_refusals();
	actor_start(&starter.actor, start, &starter);
	WAIT_UNTIL(fault_vfs_refusals() > refusals);
	stranger_exec(stranger, "ROLLBACK");
	actor_join(&starter.actor);
	assert_int_equal(starter.err, ERR_OK);
	sqlite3_close(stranger);
	gate_finish(&go);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM made"), 0);
	assert_int_equal(ask(fixture, "SELECT count(*) FROM child"), 1);
}

struct opening {
	struct actor actor;
	struct db_config config;
	struct cancel *token;
	enum err err;
};

static void open_new(void *arg)
{
	struct opening *opening = arg;
	struct conn *conn = NULL;
	opening->err = conn_open(&opening->config, CONN_MIGRATOR, opening->token, &conn);
	conn_close(conn);
}

static void a_token_ends_the_wait_for_another_program(void **state)
{
	struct fixture *fixture = *state;
	struct opening opening = { .config = fixture->config,
		.token = cancel_create(NULL) };
	opening.config.vfs = fault_vfs_use();
	opening.config.busy_timeout_ms = PATIENCE_MS;
	sqlite3 *stranger = test_db_stranger(fixture->path);
	stranger_exec(stranger, MAKE_AND_LOCK);
	unsigned refusals = fault_vfs_refusals();
	actor_start(&opening.actor, open_new, &opening);
	WAIT_UNTIL(fault_vfs_refusals() > refusals);
	cancel_fire(opening.token, CANCEL_CLIENT_GONE);
	actor_join(&opening.actor);
	assert_int_equal(opening.err, ERR_CLIENT_GONE);
	sqlite3_close(stranger);
	cancel_unref(opening.token);
}

static void processes_that_start_at_once_share_the_work(void **state)
{
	struct fixture *fixture = *state;
	enum { PROCESSES = 4 };
	int go[2];
	pid_t children[PROCESSES];
	assert_int_equal(pipe(go), 0);
	for (int i = 0; i < PROCESSES; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] > 0)
			continue;
		char end;
		close(go[1]);
		_exit(read(go[0], &end, 1) == 0 ? (int)migrate(fixture, history, 3) : 99);
	}
	close(go[0]);
	close(go[1]); /* all of them go */
	int status[PROCESSES];
	for (int i = 0; i < PROCESSES; i++)
		assert_int_equal(waitpid(children[i], &status[i], 0), children[i]);
	for (int i = 0; i < PROCESSES; i++) {
		assert_true(WIFEXITED(status[i]));
		assert_int_equal(WEXITSTATUS(status[i]), ERR_OK);
	}
	assert_int_equal(ask(fixture, "SELECT count(*) FROM child"), 1);
}

static void the_history_of_this_program_applies(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(db_migrate(&fixture->config, &fixture->report), ERR_OK);
	assert_int_equal(fixture->report.to, migrations_count);
	for (size_t i = 0; i < migrations_count; i++)
		assert_int_equal(migrations[i].version, i + 1);
}

static void a_database_is_fit_only_with_the_schema_of_this_program(void **state)
{
	struct fixture *fixture = *state;
	struct cancel *token = cancel_create(NULL);
	const char *reason = NULL;
	struct db *db = NULL;
	assert_int_equal(db_migrate(&fixture->config, &fixture->report), ERR_OK);
	assert_int_equal(db_open(&fixture->config, &db), ERR_OK);
	assert_int_equal(db_check(db, token, &reason), ERR_OK);
	assert_null(reason);
	sqlite3 *stranger = test_db_stranger(fixture->path);
	stranger_exec(
		stranger, "INSERT INTO schema_history VALUES (9999, 'later', '', 0)");
	sqlite3_close(stranger);
	assert_int_equal(db_check(db, token, &reason), ERR_INVALID);
	assert_string_equal(reason, "the database has another schema than this program");
	cancel_fire(token, CANCEL_CLIENT_GONE);
	assert_int_equal(db_check(db, token, &reason), ERR_CLIENT_GONE);
	assert_string_equal(reason, "the database does not answer");
	db_close(db);
	cancel_unref(token);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(processes_that_start_at_once_share_the_work), /* forks: before any thread */
		TEST(threads_that_start_at_once_share_the_work),
		TEST(a_database_that_another_program_makes_is_waited_for),
		TEST(a_token_ends_the_wait_for_another_program),
		TEST(a_new_database_gets_the_whole_schema),
		TEST(migrating_again_changes_nothing),
		TEST(an_older_database_is_brought_up_to_date),
		TEST(a_current_database_is_not_locked),
		TEST(a_newer_database_is_refused),
		TEST(a_changed_history_is_refused),
		TEST(a_failing_migration_leaves_the_version_before),
		TEST(a_migration_must_leave_foreign_keys_whole),
		TEST(a_migration_may_rebuild_a_table_that_others_refer_to),
		TEST(a_migration_may_not_end_its_transaction),
		TEST(a_locked_database_is_waited_for_only_so_long),
		TEST(a_locked_new_database_is_waited_for_only_so_long),
		TEST(a_place_without_a_directory_is_an_error),
		TEST(the_history_of_this_program_applies),
		TEST(a_database_is_fit_only_with_the_schema_of_this_program),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
