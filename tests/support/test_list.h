#ifndef HANGUP_TESTS_SUPPORT_TEST_LIST_H
#define HANGUP_TESTS_SUPPORT_TEST_LIST_H

/*
 * Tests that are made at run time: one for each combination of this and that, whose name
 * says which. Each prints its page if it fails (failure_page.h).
 */
#include "tests/support/cmocka.h"

struct test_list {
	struct CMUnitTest tests[1024];
	size_t count;
};

/* Its name is formatted, with '_' for ' '. arg is the test's initial *state. */
void test_list_add(struct test_list *list, CMUnitTestFunction test, const void *arg,
	const char *name, ...) __attribute__((format(printf, 4, 5)));

/* Runs them as a group and forgets them. Returns how many failed. An argument of the
 * program chooses among them: '*RST*streams*'. */
int test_list_run(struct test_list *list, const char *group, int argc, char **argv);

#endif
