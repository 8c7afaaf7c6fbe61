#include "tests/support/test_list.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

#include "tests/support/failure_page.h"

void test_list_add(struct test_list *list, CMUnitTestFunction test, const void *arg,
	const char *format, ...)
{
	char *name = NULL;
	va_list args;
	va_start(args, format);
	int len = vasprintf(&name, format, args);
	va_end(args);
	assert(len > 0);
	assert(list->count < sizeof list->tests / sizeof *list->tests);
	for (char *at = name; *at; at++)
		if (*at == ' ')
			*at = '_';
	list->tests[list->count++] = (struct CMUnitTest){ name, test, NULL,
		failure_page_tear_down, (void *)arg };
}

int test_list_run(struct test_list *list, const char *group, int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	int failed = _cmocka_run_group_tests(group, list->tests, list->count, NULL, NULL);
	for (size_t i = 0; i < list->count; i++)
		free((char *)list->tests[i].name);
	list->count = 0;
	return failed;
}
