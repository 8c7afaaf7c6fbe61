/*
 * No memory, at every allocation that SQLite makes below a read or a write, once or
 * from then on: each call says so or succeeds, nothing half-done is kept, and all is
 * well when there is memory again.
 */
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "db/stmt.h"
#include "tests/support/caller.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_alloc.h"

enum { FAULTS_MAX = 10000, SHARING = 3 };

static sqlite3_mem_methods memory; /* SQLite's own */
static struct {
	atomic_int left; /* until the one that fails; 0: none will */
	atomic_bool for_ever;
	atomic_bool struck;
} shortage;

static bool strikes(void)
{
	int left = atomic_load(&shortage.left);
	while (left > 1)
		if (atomic_compare_exchange_weak(&shortage.left, &left, left - 1))
			return false;
	if (left == 0)
		return false;
	if (!atomic_load(&shortage.for_ever))
		atomic_store(&shortage.left, 0);
	atomic_store(&shortage.struck, true);
	return true;
}

static void *scarce_malloc(int size)
{
	return strikes() ? NULL : memory.xMalloc(size);
}

static void *scarce_realloc(void *old, int size)
{
	return strikes() ? NULL : memory.xRealloc(old, size);
}

static void make_memory_scarce(void)
{
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_GETMALLOC, &memory), SQLITE_OK);
	sqlite3_mem_methods scarce = memory;
	scarce.xMalloc = scarce_malloc;
	scarce.xRealloc = scarce_realloc;
	assert_int_equal(sqlite3_config(SQLITE_CONFIG_MALLOC, &scarce), SQLITE_OK);
}

static void arm(int nth, bool for_ever)
{
	atomic_store(&shortage.for_ever, for_ever);
	atomic_store(&shortage.struck, false);
	atomic_store(&shortage.left, nth);
}

/* True when it has struck. */
static bool disarm(void)
{
	atomic_store(&shortage.left, 0);
	return atomic_load(&shortage.struck);
}

static void assert_ok_or_no_memory(enum err err)
{
	if (err != ERR_OK && err != ERR_NOMEM)
		fail_msg("got %s", err_name(err));
}

/* With COMMIT prepared already, and ROLLBACK not yet. */
static void assert_writes(struct test_db *test, const char *text)
{
	struct caller caller = { .test = test, .text = text };
	caller_start(&caller);
	assert_int_equal(caller_join(&caller), ERR_OK);
}

/* One that is to be undone, however little memory there is. */
static void refuse(struct test_db *test, int nth, bool for_ever)
{
	struct caller refused = {
		.test = test, .text = "refused", .result = ERR_PRECONDITION, .gated = true
	};
	caller_start(&refused);
	gate_wait(&refused.begun);
	arm(nth, for_ever);
	gate_open(&refused.go);
	enum err err = caller_join(&refused);
	if (err != ERR_PRECONDITION)
		assert_int_equal(err, ERR_NOMEM);
}

static bool refuse_with_shortage(int nth, bool for_ever)
{
	struct test_db test;
	test_db_init(&test);
	test_db_open(&test);
	assert_writes(&test, "before");
	refuse(&test, nth, for_ever);
	bool struck = disarm();
	assert_int_equal(test_db_notes(&test), 1);
	assert_writes(&test, "works again");
	assert_int_equal(test_db_notes(&test), 2);
	test_db_finish(&test);
	return struck;
}

static void what_is_refused_is_undone_in_any_shortage(void **state)
{
	(void)state;
	for (int for_ever = 0; for_ever < 2; for_ever++) {
		int nth = 1;
		while (refuse_with_shortage(nth, for_ever))
			assert_true(++nth < FAULTS_MAX);
		assert_true(nth > 10);
	}
}

/* A holder and those who share its transaction; returns how many were kept. */
static int write_together(struct test_db *test, int nth, bool for_ever)
{
	static const char *const texts[SHARING] = { "one", "two", "three" };
	struct caller holder = { .test = test, .text = "holder", .gated = true };
	struct caller callers[SHARING];
	caller_start(&holder);
	gate_wait(&holder.begun);
	for (int i = 0; i < SHARING; i++) {
		callers[i] = (struct caller){ .test = test, .text = texts[i] };
		caller_queue(&callers[i], (unsigned)i + 1);
	}
	arm(nth, for_ever);
	gate_open(&holder.go);
	assert_ok_or_no_memory(caller_join(&holder));
	int kept = holder.err == ERR_OK;
	for (int i = 0; i < SHARING; i++) {
		assert_ok_or_no_memory(caller_join(&callers[i]));
		kept += callers[i].err == ERR_OK;
	}
	return kept;
}

static bool write_with_shortage(int nth, bool for_ever)
{
	struct test_db test;
	test_db_init(&test);
	test_db_open(&test);
	int kept = write_together(&test, nth, for_ever);
	struct caller alone = { .test = &test, .text = "long", .max_ms = 60000 };
	caller_start(&alone);
	assert_ok_or_no_memory(caller_join(&alone));
	kept += alone.err == ERR_OK;
	bool struck = disarm();
	assert_int_equal(test_db_notes(&test), kept);
	assert_writes(&test, "works again");
	test_db_close(&test);
	assert_int_equal(test_db_notes(&test), kept + 1);
	assert_true(test_db_is_sound(test.path));
	test_db_finish(&test);
	return struck;
}

static void writes_survive_a_shortage_at_any_moment(void **state)
{
	(void)state;
	int nth = 1;
	while (write_with_shortage(nth, false))
		assert_true(++nth < FAULTS_MAX);
	assert_true(nth > 50);
}

static void writes_survive_a_shortage_that_stays(void **state)
{
	(void)state;
	int nth = 1;
	while (write_with_shortage(nth, true))
		assert_true(++nth < FAULTS_MAX);
	assert_true(nth > 50);
}

static enum err count_notes(struct test_db *test, int64_t *ret_count)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *stmt = NULL;
	bool row = false;
	enum err err = db_read(test->db, test->token, &conn);
	if (err == ERR_OK)
		err = read_begin(conn);
	if (err == ERR_OK)
		err = stmt_prepare(conn, "SELECT count(*), max(text) FROM note", &stmt);
	if (err == ERR_OK)
		err = stmt_step(stmt, &row);
	if (err == ERR_OK)
		*ret_count = stmt_int(stmt, 0);
	return err;
}

/* *ret_struck is written even if the opening failed. */
static void read_with_shortage(int nth, bool for_ever, bool *ret_struck)
{
	struct test_db test;
	int64_t count = -1;
	test_db_init(&test);
	test_db_open(&test);
	arm(nth, for_ever);
	enum err err = count_notes(&test, &count);
	*ret_struck = disarm();
	assert_ok_or_no_memory(err);
	assert_int_equal(count, err == ERR_OK ? 0 : -1);
	sqlite3 *stranger = test_db_stranger(test.path);
	stranger_exec(stranger, "INSERT INTO note (text) VALUES ('new')");
	sqlite3_close(stranger);
	assert_int_equal(count_notes(&test, &count), ERR_OK);
	assert_int_equal(count, 1); /* in no old snapshot */
	test_db_finish(&test);
}

static void reads_survive_a_shortage_at_any_moment(void **state)
{
	(void)state;
	for (int for_ever = 0; for_ever < 2; for_ever++) {
		bool struck = true;
		int nth = 0;
		while (struck)
			read_with_shortage(++nth, for_ever, &struck);
		assert_true(nth > 20);
	}
}

/* The allocations that are ours, not SQLite's. */
static void reads_survive_a_shortage_of_our_own(void **state)
{
	(void)state;
	if (!fault_alloc_works())
		skip();
	bool struck = true;
	int nth = 0;
	while (struck) {
		struct test_db test;
		int64_t count = -1;
		test_db_init(&test);
		test_db_open(&test);
		fault_alloc_arm(++nth);
		enum err err = count_notes(&test, &count);
		struck = fault_alloc_arm(0);
		assert_ok_or_no_memory(err); /* SQLite can do without some */
		assert_int_equal(count_notes(&test, &count), ERR_OK);
		test_db_finish(&test);
	}
	assert_true(nth > 2); /* a connection and a statement */
}

static void opening_survives_a_shortage_at_any_moment(void **state)
{
	(void)state;
	struct test_db test;
	test_db_init(&test);
	bool struck = true;
	int nth = 0;
	while (struck) {
		arm(++nth, false);
		enum err err = db_open(&test.config, &test.db);
		struck = disarm();
		assert_ok_or_no_memory(err);
		test_db_close(&test);
	}
	assert_true(nth > 50);
	test_db_finish(&test);
}

int main(void)
{
	make_memory_scarce();
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_survive_a_shortage_at_any_moment),
		cmocka_unit_test(writes_survive_a_shortage_that_stays),
		cmocka_unit_test(what_is_refused_is_undone_in_any_shortage),
		cmocka_unit_test(reads_survive_a_shortage_at_any_moment),
		cmocka_unit_test(reads_survive_a_shortage_of_our_own),
		cmocka_unit_test(opening_survives_a_shortage_at_any_moment),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
