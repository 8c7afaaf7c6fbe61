#ifndef HANGUP_TESTS_SUPPORT_TEST_DIR_H
#define HANGUP_TESTS_SUPPORT_TEST_DIR_H

/*
 * A directory of a test's own, and its end.
 */
enum { TEST_DIR_SIZE = 64 };

/* Below /tmp; or, for a test that syncs thousands of times, below where the tests'
 * directories are in memory, if that can be had: not where there is little of it, as the
 * 64 MB of a container. */
void test_dir_make(char dir[TEST_DIR_SIZE]);
void test_dir_make_in_memory(char dir[TEST_DIR_SIZE]);

/* With all that is in it. */
void test_dir_remove(const char *dir);

/* Removes these files, whichever are there, and the directory, and fails the test if
 * there was anything beside them, such as a database's WAL. names ends with NULL. */
void test_dir_remove_with(const char *dir, const char *const *names);

#endif
