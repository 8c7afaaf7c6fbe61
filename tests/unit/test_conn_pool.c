/*
 * The pool of reading connections, through db_read() and conn_release(): bounded,
 * fair, and nobody waits in it who is not wanted any more.
 */
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/sqlite/conn.h"
#include "db/stmt.h"
#include "service/core/activity.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

static int set_up(void **state)
{
	struct test_db *test = calloc(1, sizeof *test);
	test_db_init(test);
	test->config.readers = 2;
	test_db_open(test);
	*state = test;
	return 0;
}

static int tear_down(void **state)
{
	test_db_finish(*state);
	free(*state);
	return 0;
}

static struct conn *borrow(struct test_db *test)
{
	struct conn *conn = NULL;
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	return conn;
}

static struct db_stats stats(struct test_db *test)
{
	struct db_stats stats;
	db_stats(test->db, &stats);
	return stats;
}

static int64_t read_int(struct conn *conn, const char *sql)
{
	AUTO_STMT *stmt = NULL;
	bool row = false;
	assert_int_equal(stmt_prepare(conn, sql, &stmt), ERR_OK);
	assert_int_equal(stmt_step(stmt, &row), ERR_OK);
	assert_true(row);
	return stmt_int(stmt, 0);
}

/* Somebody who waits for a connection. */
struct reader {
	struct actor actor;
	struct test_db *test;
	struct cancel *token;
	struct activity activity;
	struct conn *conn;
	enum err err;
};

static void take(void *arg)
{
	struct reader *reader = arg;
	activity_enter(&reader->activity);
	reader->err = db_read(reader->test->db, reader->token, &reader->conn);
}

/* Returns when reader is in the queue, as the nth. */
static void start_waiting(struct reader *reader, struct test_db *test, unsigned nth)
{
	*reader = (struct reader){ .test = test, .token = cancel_create(NULL) };
	actor_start(&reader->actor, take, reader);
	WAIT_UNTIL(stats(test).readers_waited_for == nth);
}

static void finish(struct reader *reader)
{
	conn_release(reader->conn);
	cancel_unref(reader->token);
}

static void the_last_one_given_back_is_lent_first(void **state)
{
	struct conn *first = borrow(*state);
	struct conn *second = borrow(*state);
	assert_ptr_not_equal(first, second);
	assert_int_equal(stats(*state).readers_lent, 2);
	conn_release(second);
	conn_release(first);
	struct conn *again = borrow(*state);
	assert_ptr_equal(again, first);
	conn_release(again);
	assert_int_equal(stats(*state).readers_lent, 0);
}

static void connections_go_to_who_waits_in_order_of_arrival(void **state)
{
	struct conn *first = borrow(*state);
	struct conn *second = borrow(*state);
	struct reader readers[3];
	for (unsigned i = 0; i < 3; i++)
		start_waiting(&readers[i], *state, i + 1);
	struct conn *lent = first;
	for (unsigned i = 0; i < 3; i++) {
		conn_release(lent);
		actor_join(&readers[i].actor);
		assert_int_equal(readers[i].err, ERR_OK);
		assert_ptr_equal(readers[i].conn, lent);
		assert_int_equal(stats(*state).readers_waited_for, 2 - i);
		lent = readers[i].conn;
	}
	conn_release(lent);
	conn_release(second);
	for (unsigned i = 0; i < 3; i++)
		cancel_unref(readers[i].token);
}

static void a_reader_whose_token_fires_stops_waiting(void **state)
{
	struct conn *first = borrow(*state);
	struct conn *second = borrow(*state);
	struct reader readers[2];
	start_waiting(&readers[0], *state, 1);
	start_waiting(&readers[1], *state, 2);
	cancel_fire(readers[0].token, CANCEL_CLIENT_GONE);
	actor_join(&readers[0].actor);
	assert_int_equal(readers[0].err, ERR_CLIENT_GONE);
	assert_null(readers[0].conn);
	assert_int_equal(stats(*state).readers_waited_for, 1);
	conn_release(first);
	actor_join(&readers[1].actor);
	assert_int_equal(readers[1].err, ERR_OK);
	finish(&readers[0]);
	finish(&readers[1]);
	conn_release(second);
}

static void a_reader_whose_token_has_fired_gets_none(void **state)
{
	struct test_db *test = *state;
	struct conn *conn = NULL;
	cancel_fire(test->token, CANCEL_SHUTDOWN);
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_SHUTDOWN);
	assert_null(conn);
	assert_int_equal(stats(test).readers_lent, 0);
}

static void waiting_is_shown_and_timed(void **state)
{
	struct conn *first = borrow(*state);
	struct conn *second = borrow(*state);
	struct reader reader;
	start_waiting(&reader, *state, 1);
	WAIT_UNTIL(atomic_load(&reader.activity.waits_for));
	assert_string_equal(atomic_load(&reader.activity.waits_for), "connection");
	conn_release(first);
	actor_join(&reader.actor);
	assert_null(atomic_load(&reader.activity.waits_for));
	assert_true(atomic_load(&reader.activity.db_wait_ns) > 0);
	finish(&reader);
	conn_release(second);
}

static void a_failed_opening_passes_its_place_on(void **state)
{
	struct test_db *test = *state;
	struct conn *conn = NULL;
	struct conn *first = borrow(test);
	char elsewhere[128];
	strcpy(elsewhere, test->path);
	strcat(elsewhere, ".moved");
	assert_int_equal(rename(test->path, elsewhere), 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(db_read(test->db, test->token, &conn), ERR_IO);
	assert_null(conn);
	assert_int_equal(stats(test).readers_lent, 1);
	assert_int_equal(rename(elsewhere, test->path), 0);
	conn = borrow(test);
	conn_release(conn);
	conn_release(first);
}

static void what_a_borrower_left_open_is_closed(void **state)
{
	struct test_db *test = *state;
	struct conn *conn = borrow(test);
	assert_int_equal(read_begin(conn), ERR_OK);
	assert_int_equal(read_int(conn, "SELECT count(*) FROM note"), 0);
	conn_release(conn);
	sqlite3 *stranger = test_db_stranger(test->path);
	stranger_exec(stranger, "INSERT INTO note (text) VALUES ('new')");
	sqlite3_close(stranger);
	struct conn *again = borrow(test);
	assert_ptr_equal(again, conn);
	assert_int_equal(read_int(again, "SELECT count(*) FROM note"), 1);
	conn_release(again);
}

static void a_snapshot_sees_no_change_until_it_ends(void **state)
{
	struct test_db *test = *state;
	struct conn *conn = borrow(test);
	sqlite3 *stranger = test_db_stranger(test->path);
	assert_int_equal(read_begin(conn), ERR_OK);
	assert_int_equal(read_int(conn, "SELECT count(*) FROM note"), 0);
	stranger_exec(stranger, "INSERT INTO note (text) VALUES ('new')");
	assert_int_equal(read_int(conn, "SELECT count(*) FROM note"), 0);
	read_end(conn);
	assert_int_equal(read_int(conn, "SELECT count(*) FROM note"), 1);
	conn_release(conn);
	sqlite3_close(stranger);
}

static void ending_a_snapshot_keeps_the_token(void **state)
{
	struct test_db *test = *state;
	struct conn *conn = borrow(test);
	assert_int_equal(read_begin(conn), ERR_OK);
	read_end(conn);
	assert_ptr_equal(conn_token(conn), test->token);
	cancel_fire(test->token, CANCEL_CLIENT_GONE);
	assert_int_equal(stmt_exec(conn, "SELECT 1"), ERR_CLIENT_GONE);
	conn_release(conn);
}

/*
 * The storm: more borrowers than connections, half of them fired at while they wait
 * or read. Whoever was not fired at gets a full and right answer; nothing leaks.
 */
struct storm {
	struct test_db *test;
	struct actor actor;
	_Atomic(struct cancel *) target; /* counted; to be fired at */
	int wrong;
	atomic_int *stopped; /* of all storms together */
	int rounds;          /* at least: it goes on until somebody was stopped */
};

static bool read_is_right(struct storm *storm, struct cancel *token, bool aimed)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *stmt = NULL;
	int64_t sum = 0;
	bool row = false;
	enum err err = db_read(storm->test->db, token, &conn);
	if (err == ERR_OK)
		err = stmt_prepare(conn, "SELECT value FROM json_each('[1,2,3]')", &stmt);
	while (err == ERR_OK && (err = stmt_step(stmt, &row)) == ERR_OK && row)
		sum += stmt_int(stmt, 0);
	atomic_fetch_add(storm->stopped, err != ERR_OK);
	if (err == ERR_OK)
		return sum == 6;
	return aimed && err == ERR_CLIENT_GONE;
}

/* Takes turns with fire_at_will(): what it has not taken is taken back. */
static void read_all_the_time(void *arg)
{
	struct storm *storm = arg;
	for (int round = 0; round < storm->rounds || atomic_load(storm->stopped) == 0;
		round++) {
		struct cancel *token = cancel_create(NULL);
		bool aimed = round % 2 == 0;
		if (aimed)
			atomic_store(&storm->target, cancel_ref(token));
		storm->wrong += !read_is_right(storm, token, aimed);
		cancel_unref(atomic_exchange(&storm->target, NULL));
		cancel_unref(token);
	}
}

static void borrowers_never_disturb_each_other(void **state)
{
	enum { BORROWERS = 6, ROUNDS = 4000 / HANGUP_SLOWDOWN };
	struct storm storms[BORROWERS] = { 0 };
	atomic_int stopped = 0;
	for (int i = 0; i < BORROWERS; i++) {
		storms[i].test = *state;
		storms[i].stopped = &stopped;
		storms[i].rounds = ROUNDS;
		actor_start(&storms[i].actor, read_all_the_time, &storms[i]);
	}
	int left = BORROWERS;
	while (left > 0) {
		left = 0;
		for (int i = 0; i < BORROWERS; i++) {
			struct cancel *target = atomic_exchange(&storms[i].target, NULL);
			if (target)
				cancel_fire(target, CANCEL_CLIENT_GONE);
			cancel_unref(target);
			left += !actor_has_returned(&storms[i].actor);
		}
		sched_yield();
	}
	for (int i = 0; i < BORROWERS; i++) {
		actor_join(&storms[i].actor);
		assert_int_equal(storms[i].wrong, 0);
	}
	assert_int_equal(stats(*state).readers_lent, 0);
	assert_int_equal(stats(*state).readers_waited_for, 0);
}

static enum err add_long_note(struct conn *conn, void *arg)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn,
		"INSERT INTO note (text) VALUES (?1 || hex(zeroblob(100000)))", &stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_int(stmt, 1, *(int *)arg);
	return stmt_run(stmt);
}

/* Each change puts some 200 kB into the WAL. */
static void a_snapshot_in_the_way_of_a_bounded_wal_is_given_up(void **state)
{
	enum { CHANGES_MAX = 400, WAL_MAX = 8 << 20 };
	struct test_db *test = *state;
	struct cancel *token = cancel_create(NULL);
	struct conn *conn = NULL;
	test_db_close(test);
	test->config.wal_max_bytes = WAL_MAX;
	test_db_open(test);
	assert_int_equal(db_read_long(test->db, token, &conn), ERR_OK);
	assert_int_equal(read_begin(conn), ERR_OK);
	assert_int_equal(read_int(conn, "SELECT count(*) FROM note"), 0);

	int changes = 0;
	while (cancel_cause(token) == CANCEL_NONE && changes < CHANGES_MAX) {
		changes++;
		assert_int_equal(
			db_write(test->db, test->token, add_long_note, &changes), ERR_OK);
	}
	assert_int_equal(cancel_cause(token), CANCEL_DEADLINE);
	assert_true(stats(test).wal_bytes > WAL_MAX);
	conn_release(conn);
	cancel_unref(token);

	/* Nothing is in the way any more: the WAL is used again from its start. */
	int64_t size = stats(test).wal_bytes;
	for (int i = 1; i <= changes; i++) {
		int text = changes + i;
		assert_int_equal(
			db_write(test->db, test->token, add_long_note, &text), ERR_OK);
	}
	assert_true(stats(test).wal_bytes < size + WAL_MAX / 4 * 3);
}

static void long_reads_leave_short_ones_their_connections(void **state)
{
	enum { LONG_READERS = 4 };
	struct test_db *test = *state;
	struct conn *lent[LONG_READERS];
	for (int i = 0; i < LONG_READERS; i++)
		assert_int_equal(db_read_long(test->db, test->token, &lent[i]), ERR_OK);
	conn_release(borrow(test));
	for (int i = 0; i < LONG_READERS; i++)
		conn_release(lent[i]);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(the_last_one_given_back_is_lent_first),
		TEST(connections_go_to_who_waits_in_order_of_arrival),
		TEST(a_reader_whose_token_fires_stops_waiting),
		TEST(a_reader_whose_token_has_fired_gets_none),
		TEST(waiting_is_shown_and_timed),
		TEST(a_failed_opening_passes_its_place_on),
		TEST(what_a_borrower_left_open_is_closed),
		TEST(a_snapshot_sees_no_change_until_it_ends),
		TEST(ending_a_snapshot_keeps_the_token),
		TEST(a_snapshot_in_the_way_of_a_bounded_wal_is_given_up),
		TEST(long_reads_leave_short_ones_their_connections),
		TEST(borrowers_never_disturb_each_other),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
