/*
 * A connection bound to a token: when it fires, whatever the connection does ends,
 * and whoever uses the connection next feels nothing of it.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "db/sqlite/transaction.h"
#include "db/stmt.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/test_db.h"

#define ENDLESS                                                                \
	"WITH RECURSIVE n(i) AS (SELECT mark() UNION ALL SELECT i + 1 FROM n)" \
	" SELECT count(*) FROM n"
#define THREE_ROWS "SELECT value FROM json_each('[1,2,3]')"

struct fixture {
	struct test_db test;
	struct conn *conn;
	struct gate marked; /* a statement has called mark() */
};

/*
 * An interrupt held at a gate: this program's sqlite3_interrupt() stands before the
 * library's, and waits when the gates are set.
 */
static _Atomic(struct gate *) interrupting;
static _Atomic(struct gate *) interrupt_now;

void sqlite3_interrupt(sqlite3 *sqlite)
{
	static void (*real)(sqlite3 *);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "sqlite3_interrupt");
	struct gate *go = atomic_exchange(&interrupt_now, NULL);
	if (go) {
		gate_open(atomic_load(&interrupting));
		gate_wait(go);
	}
	real(sqlite);
}

static void mark(sqlite3_context *context, int count, sqlite3_value **values)
{
	(void)count;
	(void)values;
	gate_open(sqlite3_user_data(context));
	sqlite3_result_int(context, 1);
}

static void open_as(struct fixture *fixture, enum conn_role role)
{
	struct test_db *test = &fixture->test;
	assert_int_equal(
		conn_open(&test->config, role, test->token, &fixture->conn), ERR_OK);
	sqlite3_create_function(fixture->conn->sqlite, "mark", 0, SQLITE_UTF8,
		&fixture->marked, mark, NULL, NULL);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	test_db_init(&fixture->test);
	gate_init(&fixture->marked);
	open_as(fixture, CONN_READER);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	conn_close(fixture->conn);
	gate_finish(&fixture->marked);
	test_db_finish(&fixture->test);
	free(fixture);
	return 0;
}

static void use_writer(struct fixture *fixture)
{
	conn_close(fixture->conn);
	open_as(fixture, CONN_WRITER);
}

static enum err sum_rows(struct conn *conn, int64_t *ret_sum)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn, THREE_ROWS, &stmt);
	bool row = false;
	while (err == ERR_OK && (err = stmt_step(stmt, &row)) == ERR_OK && row)
		*ret_sum += stmt_int(stmt, 0);
	return err;
}

/* Whether the connection, lent anew, gives a full and right answer. */
static bool next_user_is_unharmed(struct conn *conn)
{
	struct cancel *token = cancel_create(NULL);
	int64_t sum = 0;
	conn_unbind(conn);
	conn_bind(conn, token);
	enum err err = sum_rows(conn, &sum);
	conn_unbind(conn);
	cancel_unref(token);
	return err == ERR_OK && sum == 6;
}

static void a_token_fired_before_the_first_step_stops_the_statement(void **state)
{
	struct fixture *fixture = *state;
	struct stmt *stmt = NULL;
	bool row = true;
	assert_int_equal(stmt_prepare(fixture->conn, THREE_ROWS, &stmt), ERR_OK);
	cancel_fire(fixture->test.token, CANCEL_CLIENT_GONE);
	assert_int_equal(stmt_step(stmt, &row), ERR_CLIENT_GONE);
	assert_true(row); /* untouched */
	stmt_release(stmt);
	assert_true(next_user_is_unharmed(fixture->conn));
}

static void a_token_fired_before_it_is_bound_stops_everything(void **state)
{
	struct fixture *fixture = *state;
	conn_unbind(fixture->conn);
	cancel_fire(fixture->test.token, CANCEL_SHUTDOWN);
	conn_bind(fixture->conn, fixture->test.token);
	struct stmt *stmt = NULL;
	assert_int_equal(stmt_prepare(fixture->conn, THREE_ROWS, &stmt), ERR_SHUTDOWN);
	assert_null(stmt);
	assert_true(next_user_is_unharmed(fixture->conn));
}

static void a_token_fired_between_rows_stops_the_next_one(void **state)
{
	struct fixture *fixture = *state;
	struct stmt *stmt = NULL;
	bool row = false;
	assert_int_equal(stmt_prepare(fixture->conn, THREE_ROWS, &stmt), ERR_OK);
	assert_int_equal(stmt_step(stmt, &row), ERR_OK);
	assert_true(row);
	cancel_fire(fixture->test.token, CANCEL_DEADLINE);
	assert_int_equal(stmt_step(stmt, &row), ERR_DEADLINE);
	stmt_release(stmt);
	assert_true(next_user_is_unharmed(fixture->conn));
}

struct step {
	struct conn *conn;
	const char *sql;
	enum err err;
};

static void step(void *arg)
{
	struct step *step = arg;
	step->err = stmt_exec(step->conn, step->sql);
}

/*
 * SQLite's own allocations are places inside of its functions: the token fires at the
 * nth of them.
 */

static sqlite3_mem_methods memory;
static struct cancel *fired_in_memory;
static int allocations_left;

static void *allocate(int size)
{
	if (allocations_left > 0 && --allocations_left == 0)
		cancel_fire(fired_in_memory, CANCEL_CLIENT_GONE);
	return memory.xMalloc(size);
}

/* Before SQLite is used for the first time. */
static void watch_allocations(void)
{
	sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory);
	sqlite3_mem_methods watched = memory;
	watched.xMalloc = allocate;
	sqlite3_config(SQLITE_CONFIG_MALLOC, &watched);
}

/* Among them are those of json_each(): SQLite makes its table when a statement first
 * names it, by a parser inside of the parser; when that one hears the interrupt, all
 * that comes out is that a constructor failed. */
static void a_token_fired_anywhere_in_a_statement_is_told_as_what_it_is(void **state)
{
	struct fixture *fixture = *state;
	struct test_db *test = &fixture->test;
	int stopped = 0;
	for (int nth = 1; allocations_left == 0; nth++) {
		int64_t sum = 0;
		conn_close(fixture->conn);
		cancel_unref(test->token);
		test->token = cancel_create(NULL);
		open_as(fixture, CONN_READER);
		fired_in_memory = test->token;
		allocations_left = nth;
		enum err err = sum_rows(fixture->conn, &sum);
		if (err == ERR_OK)
			assert_int_equal(sum, 6);
		else
			assert_int_equal(err, ERR_CLIENT_GONE);
		stopped += err != ERR_OK;
	}
	allocations_left = 0;
	assert_true(stopped > 0);
	assert_true(next_user_is_unharmed(fixture->conn));
}

static void a_token_fired_inside_a_step_stops_it(void **state)
{
	struct fixture *fixture = *state;
	struct step endless = { .conn = fixture->conn, .sql = ENDLESS };
	struct actor actor;
	actor_start(&actor, step, &endless);
	gate_wait(&fixture->marked);
	cancel_fire(fixture->test.token, CANCEL_OPERATOR);
	actor_join(&actor);
	assert_int_equal(endless.err, ERR_OPERATOR);
	assert_true(next_user_is_unharmed(fixture->conn));
}

/* SQLite forgets an interrupt that comes just before a statement begins. Here the
 * hook has none to give, as if it had been forgotten. */
static void a_step_is_stopped_even_when_the_interrupt_is_lost(void **state)
{
	struct fixture *fixture = *state;
	struct step endless = { .conn = fixture->conn, .sql = ENDLESS };
	struct actor actor;
	cancel_unhook(fixture->test.token, &fixture->conn->hook);
	actor_start(&actor, step, &endless);
	gate_wait(&fixture->marked);
	cancel_fire(fixture->test.token, CANCEL_CLIENT_GONE);
	actor_join(&actor);
	assert_int_equal(endless.err, ERR_CLIENT_GONE);
	assert_true(next_user_is_unharmed(fixture->conn));
}

/* The progress handler is asked between opcodes only; this is what reaches inside. */
static void a_step_is_stopped_by_the_interrupt_alone(void **state)
{
	struct fixture *fixture = *state;
	struct step endless = { .conn = fixture->conn, .sql = ENDLESS };
	struct actor actor;
	sqlite3_progress_handler(fixture->conn->sqlite, 0, NULL, NULL);
	actor_start(&actor, step, &endless);
	gate_wait(&fixture->marked);
	cancel_fire(fixture->test.token, CANCEL_CLIENT_GONE);
	actor_join(&actor);
	assert_int_equal(endless.err, ERR_CLIENT_GONE);
	assert_true(next_user_is_unharmed(fixture->conn));
}

static void a_step_is_stopped_when_its_time_is_up(void **state)
{
	struct fixture *fixture = *state;
	fixture->conn->stop_at = instant_add_ms(instant_now(), 5);
	assert_int_equal(stmt_exec(fixture->conn, ENDLESS), ERR_BUSY);
	assert_true(next_user_is_unharmed(fixture->conn));
}

static void a_token_fired_while_it_waits_for_a_lock_ends_the_waiting(void **state)
{
	struct fixture *fixture = *state;
	use_writer(fixture);
	sqlite3 *stranger = test_db_stranger(fixture->test.path);
	stranger_exec(stranger, "BEGIN IMMEDIATE");
	struct step begin = { .conn = fixture->conn, .sql = "BEGIN IMMEDIATE" };
	struct actor actor;
	actor_start(&actor, step, &begin);
	assert_true(actor_blocks(&actor));
	cancel_fire(fixture->test.token, CANCEL_CLIENT_GONE);
	actor_join(&actor);
	assert_int_equal(begin.err, ERR_CLIENT_GONE);
	assert_false(conn_transaction_is_open(fixture->conn));
	stranger_exec(stranger, "ROLLBACK");
	assert_true(next_user_is_unharmed(fixture->conn));
	sqlite3_close(stranger);
}

static void a_lock_that_is_released_is_taken(void **state)
{
	struct fixture *fixture = *state;
	use_writer(fixture);
	sqlite3 *stranger = test_db_stranger(fixture->test.path);
	stranger_exec(stranger, "BEGIN IMMEDIATE");
	struct step begin = { .conn = fixture->conn, .sql = "BEGIN IMMEDIATE" };
	struct actor actor;
	actor_start(&actor, step, &begin);
	assert_true(actor_blocks(&actor));
	stranger_exec(stranger, "COMMIT");
	actor_join(&actor);
	assert_int_equal(begin.err, ERR_OK);
	transaction_rollback(fixture->conn);
	sqlite3_close(stranger);
}

static void waiting_for_a_lock_has_an_end(void **state)
{
	struct fixture *fixture = *state;
	fixture->test.config.busy_timeout_ms = 3;
	use_writer(fixture);
	sqlite3 *stranger = test_db_stranger(fixture->test.path);
	stranger_exec(stranger, "BEGIN IMMEDIATE");
	assert_int_equal(stmt_exec(fixture->conn, "BEGIN IMMEDIATE"), ERR_BUSY);
	sqlite3_close(stranger);
}

static void a_commit_does_not_hear_the_token(void **state)
{
	struct fixture *fixture = *state;
	use_writer(fixture);
	struct conn *conn = fixture->conn;
	assert_int_equal(transaction_begin(conn, "BEGIN IMMEDIATE"), ERR_OK);
	assert_int_equal(add_note(conn, "kept"), ERR_OK);
	cancel_fire(fixture->test.token, CANCEL_CLIENT_GONE);
	assert_int_equal(add_note(conn, "not even begun"), ERR_CLIENT_GONE);
	assert_int_equal(transaction_commit(conn), ERR_OK);
	assert_int_equal(test_db_notes(&fixture->test), 1);
}

static void a_rollback_does_not_hear_the_token(void **state)
{
	struct fixture *fixture = *state;
	use_writer(fixture);
	struct conn *conn = fixture->conn;
	assert_int_equal(transaction_begin(conn, "BEGIN IMMEDIATE"), ERR_OK);
	assert_int_equal(add_note(conn, "undone"), ERR_OK);
	cancel_fire(fixture->test.token, CANCEL_CLIENT_GONE);
	transaction_rollback(conn);
	assert_false(conn_transaction_is_open(conn));
	assert_int_equal(test_db_notes(&fixture->test), 0);
}

static void nothing_runs_outside_a_transaction_that_was_lost(void **state)
{
	struct fixture *fixture = *state;
	use_writer(fixture);
	struct conn *conn = fixture->conn;
	assert_int_equal(add_note(conn, "twice"), ERR_OK);
	assert_int_equal(transaction_begin(conn, "BEGIN IMMEDIATE"), ERR_OK);
	assert_int_equal(
		stmt_exec(conn, "INSERT OR ROLLBACK INTO note (text) VALUES ('twice')"),
		ERR_CONFLICT);
	assert_false(conn_transaction_is_open(conn));
	assert_int_equal(add_note(conn, "astray"), ERR_CONFLICT);
	assert_int_equal(transaction_commit(conn), ERR_CONFLICT);
	transaction_rollback(conn);
	assert_int_equal(add_note(conn, "afterwards"), ERR_OK);
	assert_int_equal(test_db_notes(&fixture->test), 2);
}

static void an_interrupted_change_loses_its_transaction(void **state)
{
	struct fixture *fixture = *state;
	use_writer(fixture);
	struct conn *conn = fixture->conn;
	struct step endless = { .conn = conn,
		.sql = "INSERT INTO note (text) WITH RECURSIVE n(i) AS"
		       " (SELECT mark() UNION ALL SELECT i + 1 FROM n) SELECT i FROM n" };
	struct actor actor;
	assert_int_equal(transaction_begin(conn, "BEGIN IMMEDIATE"), ERR_OK);
	actor_start(&actor, step, &endless);
	gate_wait(&fixture->marked);
	cancel_fire(fixture->test.token, CANCEL_CLIENT_GONE);
	actor_join(&actor);
	assert_int_equal(endless.err, ERR_CLIENT_GONE);
	assert_false(conn_transaction_is_open(conn));
	assert_int_equal(transaction_commit(conn), ERR_CLIENT_GONE);
	transaction_rollback(conn);
	assert_true(next_user_is_unharmed(conn));
	assert_int_equal(test_db_notes(&fixture->test), 0);
}

/* SQLite calls it an I/O error. */
static void a_file_that_may_not_grow_is_a_full_disk(void **state)
{
	enum { LIMIT = 256 * 1024 };
	struct fixture *fixture = *state;
	struct rlimit before;
	char text[4096];
	enum err err = ERR_OK;
	use_writer(fixture);
	signal(SIGXFSZ, SIG_IGN); /* as the program does */
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ LIMIT, before.rlim_max });
	assert_int_equal(transaction_begin(fixture->conn, "BEGIN IMMEDIATE"), ERR_OK);
	for (int i = 0; err == ERR_OK && i < LIMIT / 1024; i++) {
		snprintf(text, sizeof text, "%04000d", i);
		err = add_note(fixture->conn, text);
	}
	if (err == ERR_OK)
		err = transaction_commit(fixture->conn);
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(err, ERR_DISK_FULL);
	transaction_rollback(fixture->conn);
	assert_int_equal(test_db_notes(&fixture->test), 0);
}

static void readers_cannot_write(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(add_note(fixture->conn, "by a reader"), ERR_READ_ONLY);
	assert_int_equal(test_db_notes(&fixture->test), 0);
}

static void connections_are_set_up_for_their_role(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *reader = fixture->conn->sqlite;
	assert_int_equal(stranger_int(reader, "PRAGMA query_only"), 1);
	assert_int_equal(stranger_int(reader, "PRAGMA cache_size"), -2000);
	assert_int_equal(stranger_int(reader, "PRAGMA trusted_schema"), 0);
	assert_true(stranger_int(reader, "PRAGMA mmap_size") > 0);
	use_writer(fixture);
	sqlite3 *writer = fixture->conn->sqlite;
	assert_int_equal(stranger_int(writer, "PRAGMA query_only"), 0);
	assert_int_equal(stranger_int(writer, "PRAGMA synchronous"), 2);
	assert_int_equal(stranger_int(writer, "PRAGMA foreign_keys"), 1);
	assert_int_equal(stranger_int(writer,
				 "SELECT journal_mode = 'wal' FROM pragma_journal_mode"),
		1);
}

/* In a process of its own, which has no rights that the file's mode does not give. */
static enum err open_without_rights(const struct db_config *config, enum conn_role role)
{
	enum { NOBODY = 65534 };
	int status = 0;
	pid_t child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		struct conn *conn;
		if (getuid() == 0 && setuid(NOBODY) != 0)
			_exit(ERR_COUNT);
		_exit((int)conn_open(config, role, NULL, &conn));
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	return (enum err)WEXITSTATUS(status);
}

static void a_file_that_may_not_be_written_is_refused(void **state)
{
	struct fixture *fixture = *state;
	const struct test_db *test = &fixture->test;
	conn_close(fixture->conn);
	fixture->conn = NULL;
	chmod(test->dir, 0777);
	chmod(test->path, 0444);
	assert_int_equal(open_without_rights(&test->config, CONN_WRITER), ERR_READ_ONLY);
	assert_int_equal(
		open_without_rights(&test->config, CONN_MIGRATOR), ERR_READ_ONLY);
	chmod(test->path, 0666);
	assert_int_equal(open_without_rights(&test->config, CONN_WRITER), ERR_OK);
}

static void a_file_that_is_no_database_is_refused(void **state)
{
	struct fixture *fixture = *state;
	struct db_config config = fixture->test.config;
	char path[128];
	struct conn *conn = NULL;
	snprintf(path, sizeof path, "%s/other.db", fixture->test.dir);
	config.path = path;
	assert_int_equal(
		conn_open(&config, CONN_READER, fixture->test.token, &conn), ERR_IO);
	FILE *file = fopen(path, "we");
	assert_non_null(file);
	for (int line = 0; line < 100; line++)
		fputs("All work and no play makes a dull database.\n", file);
	fclose(file);
	assert_int_equal(
		conn_open(&config, CONN_WRITER, fixture->test.token, &conn), ERR_CORRUPT);
	assert_null(conn);
	unlink(path);
}

static void fire(void *arg)
{
	cancel_fire(arg, CANCEL_CLIENT_GONE);
}

static void unbind(void *arg)
{
	conn_unbind(arg);
}

static void unbinding_waits_out_an_interrupt_that_is_being_delivered(void **state)
{
	struct fixture *fixture = *state;
	struct conn *conn = fixture->conn;
	struct actor firing;
	struct actor unbinding;
	struct gate reached;
	struct gate go;
	gate_init(&reached);
	gate_init(&go);
	atomic_store(&interrupting, &reached);
	atomic_store(&interrupt_now, &go);
	actor_start(&firing, fire, fixture->test.token);
	gate_wait(&reached);
	actor_start(&unbinding, unbind, conn);
	assert_true(actor_blocks(&unbinding));
	gate_open(&go);
	actor_join(&unbinding);
	actor_join(&firing);
	gate_finish(&go);
	gate_finish(&reached);
	assert_true(next_user_is_unharmed(conn));
}

/*
 * The storm: one connection, borrowed over and over, while another thread fires the
 * borrower's token at any moment: before the first step, in between, after the last,
 * during the unbinding. Whoever was not fired at gets a full and right answer.
 */
struct storm {
	pthread_mutex_t lock;
	struct cancel *target; /* lock: counted; the token to fire at */
	atomic_bool over;
	atomic_int fired;
};

static void fire_at_will(void *arg)
{
	struct storm *storm = arg;
	while (!atomic_load(&storm->over)) {
		pthread_mutex_lock(&storm->lock);
		struct cancel *target = storm->target;
		storm->target = NULL;
		pthread_mutex_unlock(&storm->lock);
		if (!target) {
			sched_yield();
			continue;
		}
		atomic_fetch_add(&storm->fired, cancel_fire(target, CANCEL_CLIENT_GONE));
		cancel_unref(target);
	}
}

static void aim_at(struct storm *storm, struct cancel *token)
{
	pthread_mutex_lock(&storm->lock);
	cancel_unref(storm->target);
	storm->target = token ? cancel_ref(token) : NULL;
	pthread_mutex_unlock(&storm->lock);
}

static void an_interrupt_never_hits_the_next_borrower(void **state)
{
	/* At least: it goes on until it hits. */
	enum { ROUNDS = 20000 / HANGUP_SLOWDOWN };
	struct fixture *fixture = *state;
	struct conn *conn = fixture->conn;
	struct storm storm = { .lock = PTHREAD_MUTEX_INITIALIZER };
	struct actor actor;
	int stopped = 0;
	conn_unbind(conn);
	actor_start(&actor, fire_at_will, &storm);
	for (int round = 0; round < ROUNDS || stopped == 0; round++) {
		struct cancel *token = cancel_create(NULL);
		int64_t sum = 0;
		bool aimed = round % 2 == 0;
		conn_bind(conn, token);
		if (aimed)
			aim_at(&storm, token);
		enum err err = sum_rows(conn, &sum);
		conn_unbind(conn);
		if (err == ERR_OK)
			assert_int_equal(sum, 6);
		else
			assert_int_equal(err, ERR_CLIENT_GONE);
		if (err != ERR_OK)
			assert_true(aimed && cancel_cause(token) != CANCEL_NONE);
		stopped += err != ERR_OK;
		cancel_unref(token);
	}
	atomic_store(&storm.over, true);
	actor_join(&actor);
	aim_at(&storm, NULL);
	assert_true(atomic_load(&storm.fired) >= stopped);
	assert_true(next_user_is_unharmed(conn));
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_token_fired_before_the_first_step_stops_the_statement),
		TEST(a_token_fired_before_it_is_bound_stops_everything),
		TEST(a_token_fired_between_rows_stops_the_next_one),
		TEST(a_token_fired_anywhere_in_a_statement_is_told_as_what_it_is),
		TEST(a_token_fired_inside_a_step_stops_it),
		TEST(a_step_is_stopped_even_when_the_interrupt_is_lost),
		TEST(a_step_is_stopped_by_the_interrupt_alone),
		TEST(a_step_is_stopped_when_its_time_is_up),
		TEST(a_token_fired_while_it_waits_for_a_lock_ends_the_waiting),
		TEST(a_lock_that_is_released_is_taken),
		TEST(waiting_for_a_lock_has_an_end),
		TEST(a_commit_does_not_hear_the_token),
		TEST(a_rollback_does_not_hear_the_token),
		TEST(nothing_runs_outside_a_transaction_that_was_lost),
		TEST(an_interrupted_change_loses_its_transaction),
		TEST(a_file_that_may_not_grow_is_a_full_disk),
		TEST(readers_cannot_write),
		TEST(connections_are_set_up_for_their_role),
		TEST(a_file_that_may_not_be_written_is_refused),
		TEST(a_file_that_is_no_database_is_refused),
		TEST(unbinding_waits_out_an_interrupt_that_is_being_delivered),
		TEST(an_interrupt_never_hits_the_next_borrower),
	};
	watch_allocations();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
