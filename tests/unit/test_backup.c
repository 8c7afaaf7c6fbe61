/*
 * A backup is the database of one moment, whole or not there.
 */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "db/backup.h"
#include "db/sqlite/conn.h"
#include "db/stmt.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

enum { MANY_NOTES = 5000 }; /* some 10 MiB: many steps of a backup */

/* What the file system refuses, by errno; 0: nothing. These stand before the C library's. */
static int link_errno, folder_sync_errno, rename_errno;
static const char *taken_at_link; /* somebody makes this file just then */

int link(const char *from, const char *to)
{
	if (taken_at_link)
		fclose(fopen(taken_at_link, "w"));
	errno = link_errno;
	return link_errno ? -1
			  : (int)syscall(SYS_linkat, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int rename(const char *from, const char *to)
{
	errno = rename_errno;
	return rename_errno
		? -1
		: (int)syscall(SYS_renameat2, AT_FDCWD, from, AT_FDCWD, to, 0);
}

int fsync(int fd)
{
	struct stat status;
	if (folder_sync_errno && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
		errno = folder_sync_errno;
		return -1;
	}
	return (int)syscall(SYS_fsync, fd);
}

struct fixture {
	struct test_db test;
	char copy[128];
	struct backup_report report;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	test_db_init(&fixture->test);
	fixture->test.config.vfs = fault_vfs_use();
	test_db_open(&fixture->test);
	snprintf(fixture->copy, sizeof fixture->copy, "%s/copy.db", fixture->test.dir);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	fault_vfs_use();
	link_errno = folder_sync_errno = rename_errno = 0;
	taken_at_link = NULL;
	test_db_close(&fixture->test);
	unlink(fixture->copy);
	test_db_finish(&fixture->test);
	free(fixture);
	return 0;
}

static enum err back_up(struct fixture *fixture)
{
	return db_backup(&fixture->test.config, fixture->test.token, fixture->copy,
		&fixture->report);
}

static enum err add_many(struct conn *conn, void *arg)
{
	(void)arg;
	return stmt_exec(conn,
		"WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL"
		" SELECT i + 1 FROM n WHERE i < 5000)"
		" INSERT INTO note (text)"
		" SELECT hex(randomblob(500)) || i FROM n");
}

static void fill(struct fixture *fixture)
{
	assert_int_equal(
		db_write(fixture->test.db, fixture->test.token, add_many, NULL), ERR_OK);
}

/* How many files the test's directory holds whose names begin with prefix. */
static int files_like(const struct fixture *fixture, const char *prefix)
{
	int count = 0;
	DIR *dir = opendir(fixture->test.dir);
	assert_non_null(dir);
	for (struct dirent *entry; (entry = readdir(dir));)
		count += strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
	closedir(dir);
	return count;
}

static int64_t notes_in_copy(const struct fixture *fixture, const char *pattern)
{
	char sql[128];
	snprintf(sql, sizeof sql, "SELECT count(*) FROM note WHERE text LIKE '%s'",
		pattern);
	sqlite3 *copy = test_db_stranger(fixture->copy);
	int64_t count = stranger_int(copy, sql);
	sqlite3_close(copy);
	return count;
}

static void a_copy_holds_what_was_committed(void **state)
{
	struct fixture *fixture = *state;
	fill(fixture);
	assert_int_equal(back_up(fixture), ERR_OK);
	assert_true(test_db_is_sound(fixture->copy));
	assert_int_equal(notes_in_copy(fixture, "%"), MANY_NOTES);
	struct stat status;
	assert_int_equal(stat(fixture->copy, &status), 0);
	assert_int_equal(status.st_size, fixture->report.bytes);
	assert_int_equal(status.st_mode & 0777, 0600);
}

/*
 * Beside a writer.
 */

struct pairs {
	struct test_db *test;
	atomic_bool stop;
	atomic_int added;
};

static enum err add_pair(struct conn *conn, void *arg)
{
	char text[32];
	snprintf(text, sizeof text, "left %d", *(int *)arg);
	enum err err = add_note(conn, text);
	snprintf(text, sizeof text, "right %d", *(int *)arg);
	return err == ERR_OK ? add_note(conn, text) : err;
}

static void *add_pairs(void *arg)
{
	struct pairs *pairs = arg;
	for (int i = 0; !atomic_load(&pairs->stop); i++) {
		enum err err = db_write(
			pairs->test->db, pairs->test->token, add_pair, &i);
		assert_int_equal(err, ERR_OK);
		atomic_fetch_add(&pairs->added, 1);
	}
	return NULL;
}

static void a_copy_is_of_one_moment_though_others_write(void **state)
{
	struct fixture *fixture = *state;
	struct pairs pairs = { .test = &fixture->test };
	pthread_t writer;
	fill(fixture);
	pthread_create(&writer, NULL, add_pairs, &pairs);
	WAIT_UNTIL(atomic_load(&pairs.added) > 0);
	int before = atomic_load(&pairs.added);
	assert_int_equal(back_up(fixture), ERR_OK);
	int after = atomic_load(&pairs.added);
	atomic_store(&pairs.stop, true);
	pthread_join(writer, NULL);

	assert_true(after > before + 1); /* the writer was not held up */
	assert_true(test_db_is_sound(fixture->copy));
	int64_t left = notes_in_copy(fixture, "left %");
	assert_int_equal(left, notes_in_copy(fixture, "right %"));
	assert_true(left >= before);
	assert_true(left < after); /* of its beginning, not its end */
}

/*
 * What leaves nothing behind.
 */

static void what_is_there_is_not_overwritten(void **state)
{
	struct fixture *fixture = *state;
	FILE *file = fopen(fixture->copy, "w");
	fputs("precious", file);
	fclose(file);
	assert_int_equal(back_up(fixture), ERR_CONFLICT);
	assert_true(fixture->report.message[0] != '\0');
	struct stat status;
	assert_int_equal(stat(fixture->copy, &status), 0);
	assert_int_equal(status.st_size, strlen("precious"));
	assert_int_equal(files_like(fixture, "copy.db"), 1);
}

static void not_even_a_link_to_nowhere_is_overwritten(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(symlink("nowhere", fixture->copy), 0);
	assert_int_equal(back_up(fixture), ERR_CONFLICT);
	assert_int_equal(files_like(fixture, "nowhere"), 0);
}

static void a_cancelled_one_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	fill(fixture);
	cancel_fire(fixture->test.token, CANCEL_OPERATOR);
	assert_int_equal(back_up(fixture), ERR_OPERATOR);
	assert_int_equal(files_like(fixture, "copy.db"), 0);
}

static void one_that_fails_at_any_write_or_sync_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	static const enum fault faults[] = { FAULT_WRITE, FAULT_SYNC };
	for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) {
		int nth = 1;
		for (;; nth++) {
			fault_vfs_arm(faults[i], nth);
			enum err err = back_up(fixture);
			if (!fault_vfs_struck()) {
				assert_int_equal(err, ERR_OK);
				break;
			}
			/* A failed sync of a journal's directory does not matter. */
			if (err != ERR_OK)
				assert_int_equal(files_like(fixture, "copy.db"), 0);
			else
				assert_true(test_db_is_sound(fixture->copy));
			unlink(fixture->copy);
		}
		fault_vfs_arm(faults[i], 0);
		assert_true(nth > 1);
		unlink(fixture->copy);
	}
}

static void a_full_disk_is_told_as_such(void **state)
{
	struct fixture *fixture = *state;
	fault_vfs_set_full(true);
	assert_int_equal(back_up(fixture), ERR_DISK_FULL);
	assert_int_equal(files_like(fixture, "copy.db"), 0);
}

static void a_database_or_a_directory_that_is_missing_is_an_error(void **state)
{
	struct fixture *fixture = *state;
	struct db_config config = fixture->test.config;
	config.path = "/nowhere/at/all.db";
	assert_int_equal(
		db_backup(&config, NULL, fixture->copy, &fixture->report), ERR_IO);
	assert_int_equal(files_like(fixture, "copy.db"), 0);
	config = fixture->test.config;
	assert_int_equal(
		db_backup(&config, NULL, "/nowhere/at/all.db", &fixture->report), ERR_IO);
}

/*
 * File systems that cannot do all that ext4 can.
 */

static void a_copy_gets_its_name_where_there_are_no_links(void **state)
{
	static const int numbers[] = { EPERM, EOPNOTSUPP };
	struct fixture *fixture = *state;
	fill(fixture);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		link_errno = numbers[i];
		assert_int_equal(back_up(fixture), ERR_OK);
		assert_true(test_db_is_sound(fixture->copy));
		assert_int_equal(notes_in_copy(fixture, "%"), MANY_NOTES);
		assert_int_equal(files_like(fixture, "copy.db"), 1);
		unlink(fixture->copy);
	}
}

static void a_name_that_was_taken_meanwhile_is_not_overwritten(void **state)
{
	static const int numbers[] = { 0, EPERM };
	struct fixture *fixture = *state;
	taken_at_link = fixture->copy;
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct stat status;
		link_errno = numbers[i];
		assert_int_equal(back_up(fixture), ERR_CONFLICT);
		assert_int_equal(stat(fixture->copy, &status), 0);
		assert_int_equal(status.st_size, 0);
		assert_int_equal(files_like(fixture, "copy.db"), 1);
		unlink(fixture->copy);
	}
}

static void a_copy_without_a_name_leaves_nothing(void **state)
{
	struct fixture *fixture = *state;
	link_errno = EIO;
	assert_int_equal(back_up(fixture), ERR_IO);
	assert_int_equal(files_like(fixture, "copy.db"), 0);
	link_errno = EPERM;
	rename_errno = ENOSPC;
	assert_int_equal(back_up(fixture), ERR_DISK_FULL);
	assert_int_equal(files_like(fixture, "copy.db"), 0);
}

static void a_folder_that_cannot_be_synced_keeps_its_copy(void **state)
{
	struct fixture *fixture = *state;
	folder_sync_errno = EINVAL;
	assert_int_equal(back_up(fixture), ERR_OK);
	assert_true(test_db_is_sound(fixture->copy));
	unlink(fixture->copy);
	folder_sync_errno = EIO;
	assert_int_equal(back_up(fixture), ERR_IO);
	assert_int_equal(files_like(fixture, "copy.db"), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_copy_holds_what_was_committed, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_copy_is_of_one_moment_though_others_write, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			what_is_there_is_not_overwritten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			not_even_a_link_to_nowhere_is_overwritten, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_cancelled_one_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			one_that_fails_at_any_write_or_sync_leaves_nothing, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_full_disk_is_told_as_such, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_database_or_a_directory_that_is_missing_is_an_error, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_copy_gets_its_name_where_there_are_no_links, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_name_that_was_taken_meanwhile_is_not_overwritten, set_up,
			tear_down),
		cmocka_unit_test_setup_teardown(
			a_copy_without_a_name_leaves_nothing, set_up, tear_down),
		cmocka_unit_test_setup_teardown(
			a_folder_that_cannot_be_synced_keeps_its_copy, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
