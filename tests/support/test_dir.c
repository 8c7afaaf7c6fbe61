#include "tests/support/test_dir.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "tests/support/cmocka.h"

static void make_below(const char *base, char *dir)
{
	snprintf(dir, TEST_DIR_SIZE, "%s/hangup-test-XXXXXX", base);
	assert_non_null(mkdtemp(dir));
}

void test_dir_make(char dir[TEST_DIR_SIZE])
{
	make_below("/tmp", dir);
}

static const char *base_in_memory(void)
{
	enum { ENOUGH_MIB = 1024 };
	struct statvfs room;
	if (access("/dev/shm", W_OK) != 0 || statvfs("/dev/shm", &room) != 0)
		return "/tmp";
	return room.f_bavail * room.f_frsize >> 20 >= ENOUGH_MIB ? "/dev/shm" : "/tmp";
}

void test_dir_make_in_memory(char dir[TEST_DIR_SIZE])
{
	make_below(base_in_memory(), dir);
}

static int remove_entry(
	const char *path, const struct stat *stat, int type, struct FTW *ftw)
{
	(void)stat;
	(void)type;
	(void)ftw;
	return remove(path);
}

void test_dir_remove(const char *dir)
{
	enum { DEPTH = 8 };
	nftw(dir, remove_entry, DEPTH, FTW_DEPTH | FTW_PHYS);
}

void test_dir_remove_with(const char *dir, const char *const *names)
{
	for (; *names; names++) {
		char path[TEST_DIR_SIZE + 64];
		snprintf(path, sizeof path, "%s/%s", dir, *names);
		unlink(path);
	}
	assert_int_equal(rmdir(dir), 0);
}
