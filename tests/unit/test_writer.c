/*
 * The writer: changes share a commit, and each is answered for itself, whenever its
 * token fires, whichever of its neighbours fails, whatever becomes of the whole.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/caller.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"

#define ENDLESS                                          \
	"INSERT INTO note (text) WITH RECURSIVE n(i) AS" \
	" (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT 'row ' || i FROM n"
#define LONG_ENOUGH_MS 60000

struct fixture {
	struct test_db test;
	struct caller holder; /* keeps the writer inside a transaction */
	struct gate syncing;  /* a commit is at its sync */
	struct gate synced;   /* it may go on */
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	test_db_init(&fixture->test);
	fixture->test.config.vfs = fault_vfs_use();
	test_db_open(&fixture->test);
	gate_init(&fixture->syncing);
	gate_init(&fixture->synced);
	fixture->holder = (struct caller){
		.test = &fixture->test, .text = "holder", .gated = true
	};
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	test_db_close(&fixture->test);
	assert_true(test_db_is_sound(fixture->test.path));
	test_db_finish(&fixture->test);
	gate_finish(&fixture->synced);
	gate_finish(&fixture->syncing);
	free(fixture);
	return 0;
}

static void reopen(struct fixture *fixture)
{
	test_db_close(&fixture->test);
	test_db_open(&fixture->test);
}

/* When this returns, the writer is inside the holder's change. */
static void hold_writer(struct fixture *fixture)
{
	caller_start(&fixture->holder);
	gate_wait(&fixture->holder.begun);
}

static void let_writer_go(struct fixture *fixture)
{
	gate_open(&fixture->holder.go);
}

static struct db_stats stats(struct fixture *fixture)
{
	struct db_stats stats;
	db_stats(fixture->test.db, &stats);
	return stats;
}

static int64_t notes(struct fixture *fixture, const char *text)
{
	return test_db_notes_like(&fixture->test, text);
}

/* One that the writer must answer well. */
static void assert_writes(struct fixture *fixture, const char *text)
{
	struct caller caller = { .test = &fixture->test, .text = text };
	caller_start(&caller);
	assert_int_equal(caller_join(&caller), ERR_OK);
	assert_int_equal(notes(fixture, text), 1);
}

/*
 * Sharing.
 */

static void a_write_is_there_when_the_call_returns(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = { .test = &fixture->test, .text = "alone" };
	caller_start(&caller);
	assert_int_equal(caller_join(&caller), ERR_OK);
	assert_int_equal(notes(fixture, "alone"), 1);
	assert_int_equal(caller.runs, 1);
	assert_true(caller.activity.committed);
	assert_null(caller.activity.waits_for);
	assert_true(caller.activity.db_wait_ns > 0);
	assert_int_equal(stats(fixture).commits, 1);
	assert_true(stats(fixture).commit_ns_max > 0);
	assert_true(stats(fixture).wal_bytes > 0);
}

static void writes_that_wait_share_one_commit(void **state)
{
	struct fixture *fixture = *state;
	struct caller callers[3] = {
		{ .test = &fixture->test, .text = "one" },
		{ .test = &fixture->test, .text = "two" },
		{ .test = &fixture->test, .text = "three" },
	};
	hold_writer(fixture);
	for (unsigned i = 0; i < 3; i++)
		caller_queue(&callers[i], i + 1);
	let_writer_go(fixture);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(caller_join(&callers[i]), ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(test_db_notes(&fixture->test), 4);
	assert_int_equal(stats(fixture).commits, 1);
	assert_int_equal(stats(fixture).writes_committed, 4);
	assert_int_equal(stats(fixture).batch_size_max, 4);
}

static void a_transaction_takes_only_so_many(void **state)
{
	struct fixture *fixture = *state;
	struct caller callers[3] = {
		{ .test = &fixture->test, .text = "one" },
		{ .test = &fixture->test, .text = "two" },
		{ .test = &fixture->test, .text = "three" },
	};
	fixture->test.config.write_batch_max = 2;
	reopen(fixture);
	hold_writer(fixture);
	for (unsigned i = 0; i < 3; i++)
		caller_queue(&callers[i], i + 1);
	let_writer_go(fixture);
	for (unsigned i = 0; i < 3; i++)
		assert_int_equal(caller_join(&callers[i]), ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(stats(fixture).commits, 2);
	assert_int_equal(stats(fixture).batch_size_max, 2);
}

static void one_too_many_is_refused_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct caller waits = { .test = &fixture->test, .text = "waits" };
	struct caller refused = { .test = &fixture->test, .text = "refused" };
	fixture->test.config.write_queue_max = 1;
	reopen(fixture);
	hold_writer(fixture);
	caller_queue(&waits, 1);
	caller_start(&refused);
	assert_int_equal(caller_join(&refused), ERR_BUSY); /* while the writer is held */
	assert_int_equal(refused.runs, 0);
	let_writer_go(fixture);
	assert_int_equal(caller_join(&waits), ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(test_db_notes(&fixture->test), 2);
}

static void nobody_is_answered_before_the_commit(void **state)
{
	struct fixture *fixture = *state;
	struct caller good = { .test = &fixture->test, .text = "good" };
	struct caller bad = { .test = &fixture->test, .text = "good" }; /* a second one */
	fault_vfs_gate_sync(&fixture->syncing, &fixture->synced);
	hold_writer(fixture);
	caller_queue(&good, 1);
	caller_queue(&bad, 2);
	let_writer_go(fixture);
	gate_wait(&fixture->syncing);
	assert_int_equal(bad.made, ERR_CONFLICT); /* known, but not yet told */
	assert_true(actor_blocks(&good.actor));
	assert_true(actor_blocks(&bad.actor));
	assert_true(actor_blocks(&fixture->holder.actor));
	assert_false(good.activity.committed);
	assert_string_equal(good.activity.waits_for, "commit");
	gate_open(&fixture->synced);
	assert_int_equal(caller_join(&good), ERR_OK);
	assert_int_equal(caller_join(&bad), ERR_CONFLICT);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_true(good.activity.committed);
	assert_false(bad.activity.committed);
}

/*
 * Failing alone.
 */

/* The failing one is the nth of three; the holder comes before them. */
static void fail_nth_of_three(struct fixture *fixture, int nth, struct caller failing)
{
	struct caller callers[3] = {
		{ .test = &fixture->test, .text = "one" },
		{ .test = &fixture->test, .text = "two" },
		{ .test = &fixture->test, .text = "three" },
	};
	enum err expected = failing.sql ? ERR_CONFLICT : failing.result;
	callers[nth] = failing;
	hold_writer(fixture);
	for (unsigned i = 0; i < 3; i++)
		caller_queue(&callers[i], i + 1);
	let_writer_go(fixture);
	for (int i = 0; i < 3; i++)
		assert_int_equal(caller_join(&callers[i]), i == nth ? expected : ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(notes(fixture, failing.text), 0);
	assert_int_equal(test_db_notes(&fixture->test), 3);
}

static void one_that_returns_an_error_is_undone_alone(struct fixture *fixture, int nth)
{
	struct caller failing = {
		.test = &fixture->test, .text = "failing", .result = ERR_PRECONDITION
	};
	fail_nth_of_three(fixture, nth, failing);
	assert_int_equal(stats(fixture).commits, 1);
	assert_int_equal(stats(fixture).writes_undone, 1);
}

static void the_first_failing_is_undone_alone(void **state)
{
	one_that_returns_an_error_is_undone_alone(*state, 0);
}

static void one_failing_in_the_middle_is_undone_alone(void **state)
{
	one_that_returns_an_error_is_undone_alone(*state, 1);
}

static void the_last_failing_is_undone_alone(void **state)
{
	one_that_returns_an_error_is_undone_alone(*state, 2);
}

static void the_very_first_of_all_failing_is_undone_alone(void **state)
{
	struct fixture *fixture = *state;
	struct caller other = { .test = &fixture->test, .text = "other" };
	fixture->holder.result = ERR_INVALID;
	hold_writer(fixture);
	caller_queue(&other, 1);
	let_writer_go(fixture);
	assert_int_equal(caller_join(&fixture->holder), ERR_INVALID);
	assert_int_equal(caller_join(&other), ERR_OK);
	assert_int_equal(notes(fixture, "holder"), 0);
}

static void a_broken_constraint_is_undone_alone(void **state)
{
	struct fixture *fixture = *state;
	struct caller failing = { .test = &fixture->test,
		.text = "failing",
		.sql = "INSERT INTO note (text) VALUES ('holder')" };
	fail_nth_of_three(fixture, 1, failing);
}

/*
 * Losing the whole transaction.
 */

/* All but the guilty one are made again, each alone, in the old order. */
static void lose_transaction(struct fixture *fixture, struct caller guilty)
{
	struct caller before = { .test = &fixture->test, .text = "before" };
	struct caller after = { .test = &fixture->test, .text = "after" };
	assert_writes(fixture, "there already");
	hold_writer(fixture);
	caller_queue(&before, 1);
	caller_queue(&guilty, 2);
	caller_queue(&after, 3);
	let_writer_go(fixture);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(caller_join(&before), ERR_OK);
	assert_int_equal(caller_join(&after), ERR_OK);
	assert_int_equal(caller_join(&guilty), ERR_CONFLICT);
	assert_int_equal(before.runs, 2);
	assert_int_equal(fixture->holder.runs, 2);
	assert_int_equal(notes(fixture, "holder"), 1);
	assert_int_equal(notes(fixture, "before"), 1);
	assert_int_equal(notes(fixture, "after"), 1);
	assert_int_equal(test_db_notes(&fixture->test), 4);
}

static void neighbours_of_one_who_loses_the_transaction_are_made_again(void **state)
{
	struct fixture *fixture = *state;
	lose_transaction(fixture,
		(struct caller){ .test = &fixture->test,
			.text = "guilty",
			.sql = "INSERT OR ROLLBACK INTO note (text)"
			       " VALUES ('there already')" });
}

static void nothing_that_ignores_the_loss_gets_into_the_database(void **state)
{
	struct fixture *fixture = *state;
	lose_transaction(fixture,
		(struct caller){ .test = &fixture->test,
			.text = "guilty",
			.stubborn = true,
			.sql = "INSERT OR ROLLBACK INTO note (text)"
			       " VALUES ('there already')" });
	assert_int_equal(notes(fixture, "stubborn"), 0);
}

static void neighbours_of_one_who_makes_the_commit_fail_are_made_again(void **state)
{
	struct fixture *fixture = *state;
	lose_transaction(fixture,
		(struct caller){ .test = &fixture->test,
			.text = "guilty",
			.sql = "INSERT INTO note (text, about) VALUES ('of none', 999)" });
	assert_int_equal(notes(fixture, "of none"), 0);
}

static void one_whose_token_fires_before_it_is_made_again_is_not(void **state)
{
	struct fixture *fixture = *state;
	struct caller gone = { .test = &fixture->test, .text = "gone" };
	struct caller guilty = { .test = &fixture->test,
		.text = "guilty",
		.gated = true,
		.sql = "INSERT OR ROLLBACK INTO note (text) VALUES ('gone')" };
	caller_start(&gone);
	assert_int_equal(caller_join(&gone), ERR_OK);
	struct caller again = { .test = &fixture->test, .text = "again" };
	hold_writer(fixture);
	caller_queue(&again, 1);
	caller_queue(&guilty, 2);
	let_writer_go(fixture);
	gate_wait(&guilty.begun); /* again is settled, in the transaction */
	cancel_fire(again.token, CANCEL_CLIENT_GONE);
	gate_open(&guilty.go);
	assert_int_equal(caller_join(&again), ERR_CLIENT_GONE);
	assert_int_equal(caller_join(&guilty), ERR_CONFLICT);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(again.runs, 1);
	assert_int_equal(notes(fixture, "again"), 0);
}

/*
 * Tokens that fire, in order of the moment.
 */

static void a_token_fired_before_the_call_ends_it_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = { .test = &fixture->test, .text = "late" };
	struct cancel *token = fixture->test.token;
	cancel_fire(token, CANCEL_DEADLINE);
	assert_int_equal(db_write(fixture->test.db, token, NULL, &caller), ERR_DEADLINE);
	assert_int_equal(db_write_long(fixture->test.db, token, 1000, NULL, &caller),
		ERR_DEADLINE);
	assert_int_equal(stats(fixture).commits, 0);
}

static void a_token_fired_in_the_queue_ends_the_call_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct caller first = { .test = &fixture->test, .text = "first" };
	struct caller leaves = { .test = &fixture->test, .text = "leaves" };
	struct caller last = { .test = &fixture->test, .text = "last" };
	hold_writer(fixture); /* the transaction that they would share is open */
	caller_queue(&first, 1);
	caller_queue(&leaves, 2);
	caller_queue(&last, 3);
	cancel_fire(leaves.token, CANCEL_CLIENT_GONE);
	assert_int_equal(caller_join(&leaves), ERR_CLIENT_GONE); /* the writer is held */
	assert_int_equal(stats(fixture).writes_waiting, 2);
	let_writer_go(fixture);
	assert_int_equal(caller_join(&first), ERR_OK);
	assert_int_equal(caller_join(&last), ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(leaves.runs, 0);
	assert_int_equal(notes(fixture, "leaves"), 0);
	assert_int_equal(test_db_notes(&fixture->test), 3);
}

static void a_token_fired_during_a_change_lets_it_finish_and_undoes_it_alone(void **state)
{
	struct fixture *fixture = *state;
	struct caller before = { .test = &fixture->test, .text = "before" };
	struct caller leaves = {
		.test = &fixture->test, .text = "leaves", .gated = true
	};
	struct caller after = { .test = &fixture->test, .text = "after" };
	hold_writer(fixture);
	caller_queue(&before, 1);
	caller_queue(&leaves, 2);
	caller_queue(&after, 3);
	let_writer_go(fixture);
	gate_wait(&leaves.begun);
	cancel_fire(leaves.token, CANCEL_CLIENT_GONE);
	assert_true(actor_blocks(&leaves.actor));
	gate_open(&leaves.go);
	assert_int_equal(caller_join(&leaves), ERR_CLIENT_GONE);
	assert_int_equal(leaves.made, ERR_OK); /* not interrupted */
	assert_int_equal(caller_join(&before), ERR_OK);
	assert_int_equal(caller_join(&after), ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(before.runs, 1);
	assert_int_equal(notes(fixture, "leaves"), 0);
	assert_int_equal(test_db_notes(&fixture->test), 3);
	assert_int_equal(stats(fixture).commits, 1);
	assert_false(leaves.activity.committed);
}

static void a_token_fired_between_its_savepoint_and_the_commit_is_too_late(void **state)
{
	struct fixture *fixture = *state;
	struct caller next = { .test = &fixture->test, .text = "next", .gated = true };
	hold_writer(fixture);
	caller_queue(&next, 1);
	let_writer_go(fixture);
	gate_wait(&next.begun); /* the holder's change is settled */
	cancel_fire(fixture->holder.token, CANCEL_CLIENT_GONE);
	gate_open(&next.go);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_true(fixture->holder.activity.committed);
	assert_int_equal(caller_join(&next), ERR_OK);
	assert_int_equal(notes(fixture, "holder"), 1);
}

static void a_token_fired_during_the_commit_is_too_late(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = { .test = &fixture->test, .text = "late" };
	fault_vfs_gate_sync(&fixture->syncing, &fixture->synced);
	caller_start(&caller);
	gate_wait(&fixture->syncing);
	cancel_fire(caller.token, CANCEL_CLIENT_GONE);
	assert_true(actor_blocks(&caller.actor));
	gate_open(&fixture->synced);
	assert_int_equal(caller_join(&caller), ERR_OK);
	assert_true(caller.activity.committed);
	assert_int_equal(notes(fixture, "late"), 1);
}

static void a_token_fired_after_the_commit_changes_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = { .test = &fixture->test, .text = "done" };
	caller_start(&caller);
	WAIT_UNTIL(actor_has_returned(&caller.actor));
	cancel_fire(caller.token, CANCEL_CLIENT_GONE);
	assert_int_equal(caller_join(&caller), ERR_OK);
	assert_int_equal(notes(fixture, "done"), 1);
	assert_writes(fixture, "next");
}

/*
 * Another process's lock.
 */

static void a_token_fired_while_the_writer_waits_for_a_lock_ends_the_call(void **state)
{
	struct fixture *fixture = *state;
	struct caller leaves = { .test = &fixture->test, .text = "leaves" };
	struct caller stays = { .test = &fixture->test, .text = "stays" };
	sqlite3 *stranger = test_db_stranger(fixture->test.path);
	stranger_exec(stranger, "BEGIN IMMEDIATE");
	caller_queue(&leaves, 1);
	caller_queue(&stays, 2);
	cancel_fire(leaves.token, CANCEL_CLIENT_GONE);
	assert_int_equal(caller_join(&leaves), ERR_CLIENT_GONE); /* it is locked still */
	stranger_exec(stranger, "ROLLBACK");
	assert_int_equal(caller_join(&stays), ERR_OK);
	assert_int_equal(test_db_notes(&fixture->test), 1);
	sqlite3_close(stranger);
}

static void all_who_wait_for_a_lock_too_long_are_told(void **state)
{
	struct fixture *fixture = *state;
	struct caller callers[2] = {
		{ .test = &fixture->test, .text = "one" },
		{ .test = &fixture->test, .text = "two" },
	};
	fixture->test.config.busy_timeout_ms = 5;
	reopen(fixture);
	sqlite3 *stranger = test_db_stranger(fixture->test.path);
	stranger_exec(stranger, "BEGIN IMMEDIATE");
	caller_start(&callers[0]);
	caller_start(&callers[1]);
	assert_int_equal(caller_join(&callers[0]), ERR_BUSY);
	assert_int_equal(caller_join(&callers[1]), ERR_BUSY);
	stranger_exec(stranger, "ROLLBACK");
	sqlite3_close(stranger);
	assert_writes(fixture, "afterwards");
}

/*
 * Long writes.
 */

static struct caller long_caller(struct fixture *fixture, const char *sql)
{
	return (struct caller){ .test = &fixture->test,
		.text = "long",
		.sql = sql,
		.max_ms = LONG_ENOUGH_MS };
}

static void a_long_write_is_durable_when_the_call_returns(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, NULL);
	caller_start(&caller);
	assert_int_equal(caller_join(&caller), ERR_OK);
	assert_true(caller.activity.committed);
	assert_int_equal(notes(fixture, "long"), 1);
}

static void a_long_write_shares_with_nobody(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, NULL);
	struct caller after = { .test = &fixture->test, .text = "after" };
	hold_writer(fixture);
	caller_queue(&caller, 1);
	caller_queue(&after, 2);
	let_writer_go(fixture);
	assert_int_equal(caller_join(&caller), ERR_OK);
	assert_int_equal(caller_join(&after), ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(stats(fixture).commits, 3);
	assert_int_equal(stats(fixture).batch_size_max, 1);
}

static void a_failing_long_write_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, NULL);
	caller.result = ERR_INVALID;
	caller_start(&caller);
	assert_int_equal(caller_join(&caller), ERR_INVALID);
	assert_int_equal(test_db_notes(&fixture->test), 0);
	assert_writes(fixture, "next");
}

static void a_long_write_in_the_queue_ends_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, NULL);
	hold_writer(fixture);
	caller_queue(&caller, 1);
	cancel_fire(caller.token, CANCEL_CLIENT_GONE);
	assert_int_equal(caller_join(&caller), ERR_CLIENT_GONE);
	let_writer_go(fixture);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(caller.runs, 0);
}

static void a_long_write_that_waits_for_a_lock_ends_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, NULL);
	sqlite3 *stranger = test_db_stranger(fixture->test.path);
	stranger_exec(stranger, "BEGIN IMMEDIATE");
	caller_start(&caller);
	WAIT_UNTIL(stats(fixture).writes_waiting == 0 &&
		atomic_load(&caller.activity.waits_for));
	cancel_fire(caller.token, CANCEL_CLIENT_GONE);
	assert_int_equal(caller_join(&caller), ERR_CLIENT_GONE);
	assert_int_equal(caller.runs, 0);
	stranger_exec(stranger, "ROLLBACK");
	sqlite3_close(stranger);
	assert_writes(fixture, "next");
}

static void a_long_write_is_interrupted_before_its_next_statement(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, NULL);
	caller.gated = true;
	caller_start(&caller);
	gate_wait(&caller.begun);
	cancel_fire(caller.token, CANCEL_CLIENT_GONE);
	gate_open(&caller.go);
	assert_int_equal(caller_join(&caller), ERR_CLIENT_GONE);
	assert_int_equal(caller.made, ERR_CLIENT_GONE);
	assert_int_equal(test_db_notes(&fixture->test), 0);
	assert_writes(fixture, "next");
}

static void a_long_write_is_interrupted_inside_its_statement(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, ENDLESS);
	struct caller waits = { .test = &fixture->test, .text = "waits" };
	caller.gated = true;
	caller_start(&caller);
	gate_wait(&caller.begun);
	caller_queue(&waits, 1);
	gate_open(&caller.go);
	/* Its cache is full when it writes to the WAL: the statement is under way. */
	WAIT_UNTIL(stats(fixture).wal_bytes > 100000);
	cancel_fire(caller.token, CANCEL_OPERATOR);
	assert_int_equal(caller_join(&caller), ERR_OPERATOR);
	assert_int_equal(caller_join(&waits), ERR_OK);
	assert_int_equal(test_db_notes(&fixture->test), 1);
	assert_int_equal(stats(fixture).writes_undone, 1);
}

static void a_long_write_cancelled_during_its_commit_is_kept(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, NULL);
	fault_vfs_gate_sync(&fixture->syncing, &fixture->synced);
	caller_start(&caller);
	gate_wait(&fixture->syncing);
	cancel_fire(caller.token, CANCEL_CLIENT_GONE);
	gate_open(&fixture->synced);
	assert_int_equal(caller_join(&caller), ERR_OK);
	assert_true(caller.activity.committed);
	assert_int_equal(notes(fixture, "long"), 1);
}

static void a_long_write_has_only_so_much_time(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, ENDLESS);
	caller.max_ms = 20;
	caller_start(&caller);
	assert_int_equal(caller_join(&caller), ERR_BUSY);
	assert_int_equal(test_db_notes(&fixture->test), 0);
	assert_writes(fixture, "next");
}

/* A long write that runs on until its token fires. */
static void start_endless(struct fixture *fixture, struct caller *caller)
{
	*caller = long_caller(fixture, ENDLESS);
	caller->gated = true;
	caller_start(caller);
	gate_wait(&caller->begun);
	gate_open(&caller->go);
}

static void end_endless(struct fixture *fixture, struct caller *caller)
{
	cancel_fire(caller->token, CANCEL_CLIENT_GONE);
	assert_int_equal(caller_join(caller), ERR_CLIENT_GONE);
	assert_int_equal(test_db_notes(&fixture->test), 0);
}

/* What a write gets whose token fires while it waits behind a long one. */
static enum err err_behind_a_long_write(struct fixture *fixture, enum cancel_cause cause)
{
	struct caller endless;
	struct caller waits = { .test = &fixture->test, .text = "waits" };
	start_endless(fixture, &endless);
	caller_queue(&waits, 1);
	cancel_fire(waits.token, cause);
	enum err err = caller_join(&waits); /* the long one runs on */
	assert_int_equal(waits.runs, 0);
	end_endless(fixture, &endless);
	return err;
}

static void a_write_behind_a_long_one_is_told_to_try_again_at_its_deadline(void **state)
{
	assert_int_equal(err_behind_a_long_write(*state, CANCEL_DEADLINE), ERR_BUSY);
}

static void a_write_behind_a_long_one_stops_waiting_for_any_cause(void **state)
{
	assert_int_equal(
		err_behind_a_long_write(*state, CANCEL_CLIENT_GONE), ERR_CLIENT_GONE);
	assert_int_equal(err_behind_a_long_write(*state, CANCEL_SHUTDOWN), ERR_SHUTDOWN);
}

/* The long one has not begun yet. */
static void a_write_behind_a_long_one_in_the_queue_is_told_the_same(void **state)
{
	struct fixture *fixture = *state;
	struct caller lasts = long_caller(fixture, NULL);
	struct caller waits = { .test = &fixture->test, .text = "waits" };
	hold_writer(fixture);
	caller_queue(&lasts, 1);
	caller_queue(&waits, 2);
	cancel_fire(waits.token, CANCEL_DEADLINE);
	assert_int_equal(caller_join(&waits), ERR_BUSY);
	let_writer_go(fixture);
	assert_int_equal(caller_join(&lasts), ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
}

static void a_write_behind_short_ones_alone_has_run_out_of_time(void **state)
{
	struct fixture *fixture = *state;
	struct caller past = long_caller(
		fixture, NULL); /* is forgotten once it is made */
	struct caller waits = { .test = &fixture->test, .text = "waits" };
	struct caller later = long_caller(fixture, NULL); /* keeps nobody before it */
	later.text = "later";
	caller_start(&past);
	assert_int_equal(caller_join(&past), ERR_OK);
	hold_writer(fixture);
	caller_queue(&waits, 1);
	caller_queue(&later, 2);
	cancel_fire(waits.token, CANCEL_DEADLINE);
	assert_int_equal(caller_join(&waits), ERR_DEADLINE);
	let_writer_go(fixture);
	assert_int_equal(caller_join(&later), ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
}

/*
 * The end, and all at once.
 */

static void close_db(void *arg)
{
	test_db_close(arg);
}

static void closing_makes_what_was_accepted(void **state)
{
	struct fixture *fixture = *state;
	struct caller waits = { .test = &fixture->test, .text = "waits" };
	struct actor closing;
	hold_writer(fixture);
	caller_queue(&waits, 1);
	actor_start(&closing, close_db, &fixture->test);
	assert_true(actor_blocks(&closing));
	let_writer_go(fixture);
	actor_join(&closing);
	assert_int_equal(caller_join(&waits), ERR_OK);
	assert_int_equal(caller_join(&fixture->holder), ERR_OK);
	assert_int_equal(test_db_notes(&fixture->test), 2);
}

static void closing_waits_for_no_stranger(void **state)
{
	struct fixture *fixture = *state;
	assert_writes(fixture, "before");
	sqlite3 *stranger = test_db_stranger(fixture->test.path);
	stranger_exec(stranger, "BEGIN; SELECT * FROM note");
	assert_writes(fixture, "after");
	test_db_close(
		&fixture->test); /* the stranger's snapshot holds up the checkpoint */
	assert_int_equal(stranger_int(stranger, "SELECT count(*) FROM note"), 1);
	stranger_exec(stranger, "COMMIT");
	assert_int_equal(stranger_int(stranger, "SELECT count(*) FROM note"), 2);
	sqlite3_close(stranger);
}

/* The lock would be waited for much longer than the test runs. */
static sqlite3 *lock_for_long(struct fixture *fixture)
{
	fixture->test.config.busy_timeout_ms = LONG_ENOUGH_MS;
	reopen(fixture);
	sqlite3 *stranger = test_db_stranger(fixture->test.path);
	stranger_exec(stranger, "BEGIN IMMEDIATE");
	return stranger;
}

static void let_lock_go(sqlite3 *stranger)
{
	stranger_exec(stranger, "ROLLBACK");
	sqlite3_close(stranger);
}

static void closing_refuses_what_waits_for_a_lock(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *stranger = lock_for_long(fixture);
	struct caller callers[2] = {
		{ .test = &fixture->test, .text = "one" },
		{ .test = &fixture->test, .text = "two" },
	};
	caller_queue(&callers[0], 1);
	caller_queue(&callers[1], 2);
	test_db_close(&fixture->test); /* it is locked still */
	assert_int_equal(caller_join(&callers[0]), ERR_SHUTDOWN);
	assert_int_equal(caller_join(&callers[1]), ERR_SHUTDOWN);
	let_lock_go(stranger);
}

static void closing_does_not_wait_for_a_lock_that_nobody_wants(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *stranger = lock_for_long(fixture);
	struct caller leaves = { .test = &fixture->test, .text = "leaves" };
	caller_queue(&leaves, 1);
	cancel_fire(leaves.token, CANCEL_SHUTDOWN);
	assert_int_equal(caller_join(&leaves), ERR_SHUTDOWN);
	test_db_close(&fixture->test);
	let_lock_go(stranger);
}

/* His wait is his own: it neither ends with theirs nor began with it. */
static void one_who_comes_after_all_have_left_waits_for_the_lock(void **state)
{
	struct fixture *fixture = *state;
	sqlite3 *stranger = lock_for_long(fixture);
	for (int i = 0; i < 20; i++) {
		char text[32];
		snprintf(text, sizeof text, "comes %d", i);
		struct caller leaves = { .test = &fixture->test, .text = "leaves" };
		struct caller comes = { .test = &fixture->test, .text = text };
		caller_queue(&leaves, 1);
		cancel_fire(leaves.token, CANCEL_CLIENT_GONE);
		assert_int_equal(caller_join(&leaves), ERR_CLIENT_GONE);
		caller_queue(&comes, 1);
		stranger_exec(stranger, "ROLLBACK");
		assert_int_equal(caller_join(&comes), ERR_OK);
		stranger_exec(stranger, "BEGIN IMMEDIATE");
	}
	assert_int_equal(stranger_int(stranger, "SELECT count(*) FROM note"), 20);
	let_lock_go(stranger);
}

static void closing_lets_a_commit_finish(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = { .test = &fixture->test, .text = "kept" };
	struct actor closing;
	fault_vfs_gate_sync(&fixture->syncing, &fixture->synced);
	caller_start(&caller);
	gate_wait(&fixture->syncing);
	actor_start(&closing, close_db, &fixture->test);
	assert_true(actor_blocks(&closing));
	gate_open(&fixture->synced);
	actor_join(&closing);
	assert_int_equal(caller_join(&caller), ERR_OK);
	assert_int_equal(notes(fixture, "kept"), 1);
}

static void a_wal_that_has_grown_is_checkpointed(void **state)
{
	struct fixture *fixture = *state;
	struct caller caller = long_caller(fixture, /* some 8 MB */
		"INSERT INTO note (text) WITH RECURSIVE n(i) AS"
		" (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000)"
		" SELECT i || hex(zeroblob(2000)) FROM n");
	caller_start(&caller);
	assert_int_equal(caller_join(&caller), ERR_OK);
	int64_t grown = stats(fixture).wal_bytes;
	assert_true(grown > 4000000);
	for (int i = 0; i < 10; i++) {
		char text[32];
		snprintf(text, sizeof text, "more %d", i);
		assert_writes(fixture, text);
	}
	assert_true(stats(fixture).wal_bytes <= grown); /* it began anew, at its head */
}

struct scribe {
	struct fixture *fixture;
	struct actor actor;
	_Atomic(struct cancel *) target; /* counted; to be fired at */
	int number;
	int rounds;
	int kept;
	int wrong;
};

static enum err add(struct conn *conn, void *arg)
{
	return add_note(conn, arg);
}

static void write_all_the_time(void *arg)
{
	struct scribe *scribe = arg;
	struct activity activity = { .waits_for = NULL };
	activity_enter(&activity);
	for (int round = 0; round < scribe->rounds; round++) {
		struct cancel *token = cancel_create(NULL);
		bool aimed = round % 2 == 0;
		char text[32];
		snprintf(text, sizeof text, "%d of %d", round, scribe->number);
		atomic_store(&activity.committed, false);
		if (aimed)
			atomic_store(&scribe->target, cancel_ref(token));
		enum err err = db_write(scribe->fixture->test.db, token, add, text);
		cancel_unref(atomic_exchange(&scribe->target, NULL));
		scribe->kept += err == ERR_OK;
		scribe->wrong += err != ERR_OK && !(aimed && err == ERR_CLIENT_GONE);
		scribe->wrong += atomic_load(&activity.committed) != (err == ERR_OK);
		cancel_unref(token);
	}
	activity_enter(NULL);
}

static int fire_at_all(struct scribe *scribes, int count)
{
	int left = 0;
	for (int i = 0; i < count; i++) {
		struct cancel *target = atomic_exchange(&scribes[i].target, NULL);
		if (target)
			cancel_fire(target, CANCEL_CLIENT_GONE);
		cancel_unref(target);
		left += !actor_has_returned(&scribes[i].actor);
	}
	return left;
}

static void what_is_there_is_what_was_acknowledged(void **state)
{
	enum { SCRIBES = 8, ROUNDS = 1000 / HANGUP_SLOWDOWN };
	struct fixture *fixture = *state;
	struct scribe scribes[SCRIBES] = { 0 };
	for (int i = 0; i < SCRIBES; i++) {
		scribes[i] = (struct scribe){
			.fixture = fixture, .number = i, .rounds = ROUNDS
		};
		actor_start(&scribes[i].actor, write_all_the_time, &scribes[i]);
	}
	while (fire_at_all(scribes, SCRIBES) > 0)
		sched_yield();
	int kept = 0;
	for (int i = 0; i < SCRIBES; i++) {
		actor_join(&scribes[i].actor);
		assert_int_equal(scribes[i].wrong, 0);
		kept += scribes[i].kept;
	}
	assert_true(kept >= SCRIBES * ROUNDS / 2 && kept < SCRIBES * ROUNDS);
	assert_int_equal(test_db_notes(&fixture->test), kept);
	assert_int_equal(stats(fixture).writes_committed, kept);
	assert_int_equal(stats(fixture).writes_waiting, 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_write_is_there_when_the_call_returns),
		TEST(writes_that_wait_share_one_commit),
		TEST(a_transaction_takes_only_so_many),
		TEST(one_too_many_is_refused_at_once),
		TEST(nobody_is_answered_before_the_commit),
		TEST(the_first_failing_is_undone_alone),
		TEST(one_failing_in_the_middle_is_undone_alone),
		TEST(the_last_failing_is_undone_alone),
		TEST(the_very_first_of_all_failing_is_undone_alone),
		TEST(a_broken_constraint_is_undone_alone),
		TEST(neighbours_of_one_who_loses_the_transaction_are_made_again),
		TEST(nothing_that_ignores_the_loss_gets_into_the_database),
		TEST(neighbours_of_one_who_makes_the_commit_fail_are_made_again),
		TEST(one_whose_token_fires_before_it_is_made_again_is_not),
		TEST(a_token_fired_before_the_call_ends_it_at_once),
		TEST(a_token_fired_in_the_queue_ends_the_call_at_once),
		TEST(a_token_fired_during_a_change_lets_it_finish_and_undoes_it_alone),
		TEST(a_token_fired_between_its_savepoint_and_the_commit_is_too_late),
		TEST(a_token_fired_during_the_commit_is_too_late),
		TEST(a_token_fired_after_the_commit_changes_nothing),
		TEST(a_token_fired_while_the_writer_waits_for_a_lock_ends_the_call),
		TEST(all_who_wait_for_a_lock_too_long_are_told),
		TEST(a_long_write_is_durable_when_the_call_returns),
		TEST(a_long_write_shares_with_nobody),
		TEST(a_failing_long_write_leaves_nothing),
		TEST(a_long_write_in_the_queue_ends_at_once),
		TEST(a_long_write_that_waits_for_a_lock_ends_at_once),
		TEST(a_long_write_is_interrupted_before_its_next_statement),
		TEST(a_long_write_is_interrupted_inside_its_statement),
		TEST(a_long_write_cancelled_during_its_commit_is_kept),
		TEST(a_long_write_has_only_so_much_time),
		TEST(a_write_behind_a_long_one_is_told_to_try_again_at_its_deadline),
		TEST(a_write_behind_a_long_one_stops_waiting_for_any_cause),
		TEST(a_write_behind_a_long_one_in_the_queue_is_told_the_same),
		TEST(a_write_behind_short_ones_alone_has_run_out_of_time),
		TEST(closing_makes_what_was_accepted),
		TEST(closing_waits_for_no_stranger),
		TEST(closing_refuses_what_waits_for_a_lock),
		TEST(closing_does_not_wait_for_a_lock_that_nobody_wants),
		TEST(one_who_comes_after_all_have_left_waits_for_the_lock),
		TEST(closing_lets_a_commit_finish),
		TEST(a_wal_that_has_grown_is_checkpointed),
		TEST(what_is_there_is_what_was_acknowledged),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
