/*
 * The page of a test that fails: what is on it, and when it is printed. Tests that fail
 * run in a program of their own, which is this one with an argument.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/failure_page.h"
#include "tests/support/own_program.h"
#include "tests/support/test_list.h"
#include "tests/support/wait.h"

static struct failure_page page;

static void say_how_it_stands(void *arg, FILE *to)
{
	fprintf(to, "all is %s\n", (const char *)arg);
}

static void open_page(void)
{
	failure_page_open(&page, say_how_it_stands, (void *)"lost");
}

/* The caller frees it. */
static char *print_page(void)
{
	char *text = NULL;
	size_t len = 0;
	FILE *file = open_memstream(&text, &len);
	assert_non_null(file);
	failure_page_print(&page, file);
	fclose(file);
	return text;
}

/* Each is there, behind the one before it. */
static void assert_in_order(const char *text, const char *const *parts)
{
	const char *at = text;
	for (; *parts; parts++) {
		const char *found = strstr(at, *parts);
		if (!found)
			fail_msg("no \"%s\" behind what comes before it in: %s", *parts,
				text);
		at = found + strlen(*parts);
	}
}

#define IN_ORDER(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* Closing it wants all that is expected to have come. */
static void close_page(const char *name, const char *came)
{
	failure_page_came(&page, name, "%s", came);
	failure_page_close(&page);
}

/*
 * What is on it.
 */

static void *note_from_another_thread(void *arg)
{
	pthread_setname_np(pthread_self(), "another");
	failure_page_event(&page, "it %s", (const char *)arg);
	return NULL;
}

static void it_tells_what_was_tried_expected_and_seen_in_order(void **state)
{
	pthread_t thread;
	(void)state;
	open_page();
	failure_page_tell(&page, "leaves by", "way %d", 7);
	failure_page_expect(&page, "status", "499");
	failure_page_expect(&page, "cause", "client_gone");
	failure_page_expect(&page, "rows", "0");
	failure_page_event(&page, "it begins");
	pthread_create(&thread, NULL, note_from_another_thread, (void *)"goes on");
	pthread_join(thread, NULL);
	failure_page_event(&page, "it ends");
	failure_page_came(&page, "status", "%d", 200);
	failure_page_came(&page, "cause", "client_gone");
	char *text = print_page();
	assert_in_order(text,
		IN_ORDER("a failed test", "leaves by", "way 7\n", "expected", "came\n",
			"!!  status ", "499 ", "200\n", "    cause ", "client_gone ",
			"client_gone\n", "    rows ", "0 ", "(not looked at yet)\n",
			"events", " the test ", "it begins\n", " another ",
			"it goes on\n", " the test ", "it ends\n",
			"how things stand\nall is lost\n"));
	free(text);
	close_page("rows", "0");
}

static bool is_wrong(const char *expected, const char *came)
{
	open_page();
	failure_page_expect(&page, "it", expected);
	failure_page_came(&page, "it", "%s", came);
	char *text = print_page();
	bool wrong = strstr(text, "!!") != NULL;
	free(text);
	failure_page_close(&page);
	return wrong;
}

static void it_knows_what_is_as_expected(void **state)
{
	(void)state;
	assert_false(is_wrong("499", "499"));
	assert_true(is_wrong("499", "49"));
	assert_true(is_wrong("49", "499"));
	assert_true(is_wrong("499", ""));
	assert_false(is_wrong("200 or 499", "200"));
	assert_false(is_wrong("200 or 499", "499"));
	assert_true(is_wrong("200 or 499", "200 or 4"));
	assert_true(is_wrong("200 or 499", "504"));
	assert_false(is_wrong(PAGE_NOTHING, PAGE_NOTHING));
	assert_true(is_wrong(PAGE_NOTHING, "true"));
	assert_false(is_wrong(PAGE_NUMBER, "0.25"));
	assert_true(is_wrong(PAGE_NUMBER, "-1"));
	assert_true(is_wrong(PAGE_NUMBER, PAGE_NOTHING));
}

static void events_without_room_are_counted(void **state)
{
	(void)state;
	open_page();
	for (int i = 0; i < PAGE_EVENTS_MAX + 3; i++)
		failure_page_event(&page, "event %d.", i);
	char *text = print_page();
	assert_non_null(strstr(text, "event 63."));
	assert_null(strstr(text, "event 64."));
	assert_non_null(strstr(text, "and 3 more"));
	free(text);
	failure_page_close(&page);
}

/*
 * When it is printed.
 */

static void goes_well(void **state)
{
	(void)state;
	open_page();
	failure_page_expect(&page, "it", "right");
	failure_page_came(&page, "it", "right");
	failure_page_check(&page);
	failure_page_close(&page);
}

static void gets_what_it_does_not_expect(void **state)
{
	(void)state;
	open_page();
	failure_page_expect(&page, "this", "right");
	failure_page_expect(&page, "that", "right");
	failure_page_came(&page, "this", "wrong");
	failure_page_came(&page, "that", "wrong, too");
	failure_page_check(&page);
}

static void fails_in_an_assertion(void **state)
{
	(void)state;
	open_page();
	assert_int_equal(1, 2);
}

static void looks_at_nothing(void **state)
{
	(void)state;
	open_page();
	failure_page_expect(&page, "it", "right");
	failure_page_close(&page);
}

static void *wait_in_vain(void *arg)
{
	struct patience patience = patience_begin("what never comes", __FILE__, __LINE__);
	patience.until = instant_now(); /* it has waited for long */
	patience_spend(&patience);
	return arg;
}

static void loses_its_patience_in_another_thread(void **state)
{
	pthread_t thread;
	(void)state;
	open_page();
	pthread_create(&thread, NULL, wait_in_vain, NULL);
	pthread_join(thread, NULL);
}

static const struct failing {
	const char *name;
	CMUnitTestFunction test;
	const char *says[4]; /* beside its page; ends with NULL */
} failing[] = {
	{ "wrong", gets_what_it_does_not_expect,
		{ "this: wrong, not right", "that: wrong, too, not right" } },
	{ "assertion", fails_in_an_assertion, { "0x1 != 0x2" } },
	{ "unseen", looks_at_nothing, { "nobody looked at what came as \"it\"" } },
	{ "patience", loses_its_patience_in_another_thread,
		{ "never: what never comes" } },
};

enum { FAILING = sizeof failing / sizeof *failing };

static void assert_one_page(const char *text)
{
	const char *first = strstr(text, "a failed test");
	if (!first || strstr(first + 1, "a failed test"))
		fail_msg("none, or more than one, in: %s", text);
	assert_in_order(first, IN_ORDER("expected", "events", "all is lost"));
}

static void a_test_that_fails_prints_it_once(void **state)
{
	(void)state;
	for (unsigned i = 0; i < FAILING; i++) {
		int status;
		char *text = own_program_run(failing[i].name, &status);
		assert_int_not_equal(status, 0);
		assert_one_page(text);
		for (const char *const *says = failing[i].says; *says; says++)
			assert_in_order(text, IN_ORDER(*says));
		free(text);
	}
}

static void a_test_that_goes_well_prints_none(void **state)
{
	int status;
	(void)state;
	char *text = own_program_run("well", &status);
	assert_int_equal(status, 0);
	assert_null(strstr(text, "a failed test"));
	assert_null(strstr(text, "events"));
	free(text);
}

static int run_alone(const char *name)
{
	static struct test_list list;
	CMUnitTestFunction test = goes_well;
	for (unsigned i = 0; i < FAILING; i++)
		if (strcmp(failing[i].name, name) == 0)
			test = failing[i].test;
	test_list_add(&list, test, NULL, "%s", name);
	return test_list_run(&list, "alone", 0, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(it_tells_what_was_tried_expected_and_seen_in_order),
		cmocka_unit_test(it_knows_what_is_as_expected),
		cmocka_unit_test(events_without_room_are_counted),
		cmocka_unit_test(a_test_that_fails_prints_it_once),
		cmocka_unit_test(a_test_that_goes_well_prints_none),
	};
	if (argc > 1)
		return run_alone(argv[1]);
	return cmocka_run_group_tests_name("failure_page", tests, NULL, NULL);
}
