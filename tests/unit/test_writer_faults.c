/*
 * A disk that fails under the writer: at the nth write, sync or truncate, for every n
 * until nothing is left to fail, or for want of space. What was acknowledged is there,
 * what was refused is not, and the writer works again when the disk does.
 */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "tests/support/caller.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"

enum { CALLERS = 7, FAULTS_MAX = 100000 };

struct fixture {
	struct test_db test;
	struct caller callers[CALLERS];
	int acknowledged;
};

static void open_sound(struct fixture *fixture)
{
	*fixture = (struct fixture){ 0 };
	test_db_init(&fixture->test);
	fixture->test.config.vfs = fault_vfs_use();
	test_db_open(&fixture->test);
}

/* A copy of the files as they are now is what a killed process leaves behind. */
static void copy_file(const struct fixture *fixture, const char *suffix)
{
	char path[160];
	snprintf(path, sizeof path, "%s%s", fixture->test.path, suffix);
	FILE *from = fopen(path, "re");
	snprintf(path, sizeof path, "%s/crashed%s", fixture->test.dir, suffix);
	FILE *to = fopen(path, "we");
	assert_non_null(from);
	assert_non_null(to);
	static char data[65536];
	size_t len;
	while ((len = fread(data, 1, sizeof data, from)) > 0)
		assert_int_equal(fwrite(data, 1, len, to), len);
	assert_int_equal(fclose(to), 0);
	assert_int_equal(fclose(from), 0);
}

static bool is_there(sqlite3 *stranger, const char *text)
{
	char *sql = sqlite3_mprintf("SELECT count(*) FROM note WHERE text = %Q", text);
	int64_t count = stranger_int(stranger, sql);
	sqlite3_free(sql);
	return count == 1;
}

static void assert_acknowledged_survive_a_crash(struct fixture *fixture)
{
	static const char *const suffixes[] = { "", "-wal", "-shm" };
	char path[160];
	copy_file(fixture, "");
	copy_file(fixture, "-wal");
	snprintf(path, sizeof path, "%s/crashed", fixture->test.dir);
	assert_true(test_db_is_sound(path));
	sqlite3 *stranger = test_db_stranger(path);
	for (int i = 0; i < CALLERS; i++)
		if (fixture->callers[i].err == ERR_OK)
			assert_true(is_there(stranger, fixture->callers[i].text));
	sqlite3_close(stranger);
	for (size_t i = 0; i < sizeof suffixes / sizeof *suffixes; i++) {
		snprintf(path, sizeof path, "%s/crashed%s", fixture->test.dir,
			suffixes[i]);
		unlink(path);
	}
}

static void assert_works_again(struct fixture *fixture)
{
	struct caller caller = { .test = &fixture->test, .text = "works again" };
	caller_start(&caller);
	assert_int_equal(caller_join(&caller), ERR_OK);
}

static void close_and_check(struct fixture *fixture, int expected)
{
	test_db_close(&fixture->test);
	assert_int_equal(test_db_notes(&fixture->test), expected);
	assert_true(test_db_is_sound(fixture->test.path));
	test_db_finish(&fixture->test);
}

static void join(struct fixture *fixture, int number)
{
	struct caller *caller = &fixture->callers[number];
	enum err err = caller_join(caller);
	fixture->acknowledged += err == ERR_OK;
	if (err != ERR_OK && err != ERR_IO && err != ERR_DISK_FULL)
		fail_msg("%s got %s", caller->text, err_name(err));
	assert_int_equal(caller->activity.committed, err == ERR_OK);
}

/* Two writes by themselves, four that share a transaction, and a long one. */
static void write_in_every_way(struct fixture *fixture)
{
	static const struct caller template[CALLERS] = {
		{ .text = "alone" },
		{ .text = "alone too" },
		{ .text = "holder", .gated = true },
		{ .text = "shares" },
		{ .text = "shares too" },
		{ .text = "shares a lot",
			.sql = "UPDATE note SET text = text || 'x' WHERE 0" },
		{ .text = "long", .max_ms = 60000 },
	};
	for (int i = 0; i < CALLERS; i++) {
		fixture->callers[i] = template[i];
		fixture->callers[i].test = &fixture->test;
	}
	struct caller *callers = fixture->callers;
	for (int i = 0; i < 2; i++) {
		caller_start(&callers[i]);
		join(fixture, i);
	}
	caller_start(&callers[2]);
	gate_wait(&callers[2].begun);
	for (int i = 3; i < 6; i++)
		caller_queue(&callers[i], (unsigned)i - 2);
	gate_open(&callers[2].go);
	for (int i = 2; i < 6; i++)
		join(fixture, i);
	caller_start(&callers[6]);
	join(fixture, 6);
}

/* True when the fault has struck. */
static bool write_with_fault(enum fault fault, int nth)
{
	struct fixture fixture;
	open_sound(&fixture);
	fault_vfs_arm(fault, nth);
	write_in_every_way(&fixture);
	bool struck = fault_vfs_struck();
	fault_vfs_arm(fault, 0);
	assert_int_equal(test_db_notes(&fixture.test), fixture.acknowledged);
	assert_acknowledged_survive_a_crash(&fixture);
	assert_works_again(&fixture);
	close_and_check(&fixture, fixture.acknowledged + 1);
	return struck;
}

static void no_acknowledged_write_is_lost_whichever_write_fails(void **state)
{
	(void)state;
	int nth = 1;
	while (write_with_fault(FAULT_WRITE, nth))
		assert_true(++nth < FAULTS_MAX);
	assert_true(nth > 10); /* a commit writes two frames */
}

static void no_acknowledged_write_is_lost_whichever_sync_fails(void **state)
{
	(void)state;
	int nth = 1;
	while (write_with_fault(FAULT_SYNC, nth))
		assert_true(++nth < FAULTS_MAX);
	assert_true(nth > 4); /* one for each commit, and the WAL's header */
}

/* One write of some 6 MB, which spills and calls for a checkpoint; small ones after. */
static bool write_much_with_fault(enum fault fault, int nth)
{
	struct fixture fixture;
	open_sound(&fixture);
	fixture.callers[0] = (struct caller){
		.test = &fixture.test,
		.text = "much",
		.max_ms = 60000,
		.sql = "WITH RECURSIVE n(i) AS"
		       " (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1500)"
		       " INSERT INTO note (text) SELECT i || hex(zeroblob(2000)) FROM n"
	};
	fixture.callers[1] = (struct caller){ .test = &fixture.test, .text = "after" };
	fixture.callers[2] = (struct caller){ .test = &fixture.test,
		.text = "after that" };
	fault_vfs_arm(fault, nth);
	for (int i = 0; i < 3; i++) {
		caller_start(&fixture.callers[i]);
		join(&fixture, i);
	}
	bool struck = fault_vfs_struck();
	fault_vfs_arm(fault, 0);
	for (int i = 3; i < CALLERS; i++)
		fixture.callers[i].err = ERR_IO; /* none */
	assert_acknowledged_survive_a_crash(&fixture);
	int expected = fixture.acknowledged +
		(fixture.callers[0].err == ERR_OK ? 1500 : 0);
	assert_works_again(&fixture);
	close_and_check(&fixture, expected + 1);
	return struck;
}

static void a_checkpoint_may_fail_at_any_sync(void **state)
{
	(void)state;
	int nth = 1;
	while (write_much_with_fault(FAULT_SYNC, nth))
		assert_true(++nth < FAULTS_MAX);
	assert_true(nth > 4);
}

static void a_large_write_and_its_checkpoint_may_fail_at_any_write(void **state)
{
	(void)state;
	int nth = 1;
	while (write_much_with_fault(FAULT_WRITE, nth))
		nth += 211 * HANGUP_SLOWDOWN; /* there are thousands */
	assert_true(nth > 2000);
}

/* Closing copies the WAL into the database. When that fails the WAL stays. */
static bool close_with_fault(enum fault fault, int nth)
{
	struct fixture fixture;
	open_sound(&fixture);
	write_in_every_way(&fixture);
	fault_vfs_arm(fault, nth);
	test_db_close(&fixture.test);
	bool struck = fault_vfs_struck();
	fault_vfs_arm(fault, 0);
	close_and_check(&fixture, CALLERS);
	return struck;
}

static void no_write_is_lost_whatever_fails_while_closing(void **state)
{
	(void)state;
	for (int fault = 0; fault < FAULT_COUNT; fault++) {
		int nth = 1;
		while (close_with_fault((enum fault)fault, nth))
			assert_true(++nth < FAULTS_MAX);
		assert_true(nth > 1);
	}
}

static void a_full_disk_is_told_and_recovered_from(void **state)
{
	(void)state;
	struct fixture fixture;
	open_sound(&fixture);
	write_in_every_way(&fixture);
	assert_int_equal(fixture.acknowledged, CALLERS);
	fault_vfs_set_full(true);
	for (int i = 0; i < CALLERS; i++) {
		struct caller caller = { .test = &fixture.test,
			.text = "no space",
			.max_ms = i % 2 ? 60000 : 0 };
		caller_start(&caller);
		assert_int_equal(caller_join(&caller), ERR_DISK_FULL);
	}
	assert_int_equal(test_db_notes(&fixture.test), CALLERS);
	assert_acknowledged_survive_a_crash(&fixture);
	fault_vfs_set_full(false);
	assert_works_again(&fixture);
	close_and_check(&fixture, CALLERS + 1);
}

static void each_of_those_who_share_is_told_of_a_full_disk(void **state)
{
	(void)state;
	struct fixture fixture;
	open_sound(&fixture);
	struct caller holder = { .test = &fixture.test, .text = "holder", .gated = true };
	struct caller shares = { .test = &fixture.test, .text = "shares" };
	caller_start(&holder);
	gate_wait(&holder.begun);
	caller_queue(&shares, 1);
	fault_vfs_set_full(true);
	gate_open(&holder.go);
	assert_int_equal(caller_join(&holder), ERR_DISK_FULL);
	assert_int_equal(caller_join(&shares), ERR_DISK_FULL);
	assert_int_equal(holder.runs, 2); /* together, then alone */
	fault_vfs_set_full(false);
	assert_works_again(&fixture);
	close_and_check(&fixture, 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_acknowledged_write_is_lost_whichever_write_fails),
		cmocka_unit_test(no_acknowledged_write_is_lost_whichever_sync_fails),
		cmocka_unit_test(a_checkpoint_may_fail_at_any_sync),
		cmocka_unit_test(a_large_write_and_its_checkpoint_may_fail_at_any_write),
		cmocka_unit_test(no_write_is_lost_whatever_fails_while_closing),
		cmocka_unit_test(a_full_disk_is_told_and_recovered_from),
		cmocka_unit_test(each_of_those_who_share_is_told_of_a_full_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
