/*
 * Records come out of a staging place as they were put in, and leave nothing behind.
 */
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "db/staging.h"
#include "tests/support/cmocka.h"
#include "tests/support/items_db.h"

/* A record's length and bytes follow from its number. */
static struct span make_record(int number, char *buffer)
{
	size_t len = (size_t)number * 7919 % 600;
	for (size_t i = 0; i < len; i++)
		buffer[i] = (char)(number + (int)i);
	return (struct span){ buffer, len };
}

static void add_records(struct staging *staging, int count)
{
	char buffer[STAGING_RECORD_MAX];
	for (int i = 0; i < count; i++)
		assert_int_equal(staging_add(staging, make_record(i, buffer)), ERR_OK);
	assert_int_equal(staging_count(staging), count);
}

static void assert_records(struct staging *staging, int count)
{
	char buffer[STAGING_RECORD_MAX];
	struct span record;
	assert_int_equal(staging_rewind(staging), ERR_OK);
	for (int i = 0; i < count; i++) {
		struct span expected = make_record(i, buffer);
		assert_int_equal(staging_next(staging, &record), ERR_OK);
		assert_non_null(record.data);
		assert_int_equal(record.len, expected.len);
		assert_memory_equal(record.data, expected.data, expected.len);
	}
	assert_int_equal(staging_next(staging, &record), ERR_OK);
	assert_null(record.data);
}

static void records_come_out_as_they_went_in_and_again(void **state)
{
	static const int counts[] = { 0, 1, 2, 100, 210, 220, 1000, 5000 };
	struct items_db *test = *state;
	for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
		struct staging *staging;
		assert_int_equal(staging_create(test->db, &staging), ERR_OK);
		add_records(staging, counts[i]);
		assert_records(staging, counts[i]);
		assert_records(staging, counts[i]); /* a change may run twice */
		staging_destroy(staging);
	}
}

static void the_largest_record_fits_at_every_place(void **state)
{
	enum { COUNT = 9 };
	static char large[STAGING_RECORD_MAX];
	struct items_db *test = *state;
	struct staging *staging;
	struct span record;
	memset(large, 'x', sizeof large);
	assert_int_equal(staging_create(test->db, &staging), ERR_OK);
	for (int i = 0; i < COUNT; i++)
		assert_int_equal(
			staging_add(staging,
				(struct span){ large, sizeof large - (size_t)i }),
			ERR_OK);
	assert_int_equal(staging_rewind(staging), ERR_OK);
	for (int i = 0; i < COUNT; i++) {
		assert_int_equal(staging_next(staging, &record), ERR_OK);
		assert_int_equal(record.len, sizeof large - (size_t)i);
		assert_memory_equal(record.data, large, record.len);
	}
	staging_destroy(staging);
}

static int entries(const char *path)
{
	DIR *dir = opendir(path);
	int count = 0;
	assert_non_null(dir);
	while (readdir(dir))
		count++;
	closedir(dir);
	return count;
}

/* Not even while it is in use: so nothing can be left of it after a crash. */
static void the_file_has_no_name(void **state)
{
	struct items_db *test = *state;
	struct staging *staging;
	int before = entries(test->dir);
	int open_before = entries("/proc/self/fd");
	assert_int_equal(staging_create(test->db, &staging), ERR_OK);
	add_records(staging, 5000);
	assert_int_equal(entries(test->dir), before);
	assert_int_equal(entries("/proc/self/fd"), open_before + 1);
	staging_destroy(staging);
	assert_int_equal(entries("/proc/self/fd"), open_before);
}

/* The limit on the size of files stands in for a disk without space. */
static void a_full_disk_is_told(void **state)
{
	enum { LIMIT = 256 * 1024, MANY = 100000 };
	struct items_db *test = *state;
	struct staging *staging;
	struct rlimit before;
	char buffer[STAGING_RECORD_MAX];
	enum err err = ERR_OK;
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	struct rlimit limit = { LIMIT, before.rlim_max };
	assert_int_equal(staging_create(test->db, &staging), ERR_OK);
	setrlimit(RLIMIT_FSIZE, &limit);
	for (int i = 0; err == ERR_OK && i < MANY; i++)
		err = staging_add(staging, make_record(i, buffer));
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(err, ERR_DISK_FULL);
	staging_destroy(staging);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, items_db_setup, items_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(records_come_out_as_they_went_in_and_again),
		TEST(the_largest_record_fits_at_every_place),
		TEST(the_file_has_no_name),
		TEST(a_full_disk_is_told),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
