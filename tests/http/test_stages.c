/*
 * What a test of stages.h says when it fails: on one page, all that one wants to know of
 * the combination that failed. The tests that fail here do so in a program of their own,
 * which is this one with an argument.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/own_program.h"
#include "tests/support/stages.h"
#include "tests/support/test_list.h"
#include "tests/support/wait.h"

/*
 * Tests that fail.
 */

/* A queued request whose client leaves. It is said to run out of time. */
static void expects_another_end(void **state)
{
	static struct stage_test test;
	(void)state;
	stage_init(&test, stage_named("it is queued"));
	test.half_close_ok = true;
	failure_page_tell(&test.page, "its client leaves by", "an RST");
	stage_start(&test);

	stage_expect_result(&test, ERR_CLIENT_GONE);
	stage_expect_log(&test, "status", "504");
	stage_expect_log(&test, "cause", "deadline");
	stage_expect_log(&test, "cancelled_while", "queued");
	assert_true(stage_enter(&test, "", NULL));
	failure_page_event(&test.page, "the client leaves");
	raw_reset(&test.victim);
	/* A request is counted after it is logged. */
	WAIT_UNTIL(test_server_stats(&test.server).cancelled[CANCEL_CLIENT_GONE] == 1);
	stage_check_log(&test);
	stage_leave(&test);
	stage_finish(&test);
}

/* A client that never leaves is waited for. */
static void waits_in_vain(void **state)
{
	static struct stage_test test;
	(void)state;
	stage_init(&test, stage_named("it is inside of a step"));
	stage_start(&test);
	stage_expect_result(&test, ERR_CLIENT_GONE);
	stage_expect_log(&test, "status", "499");
	assert_true(stage_enter(&test, "", NULL));
	struct patience patience = patience_begin(
		"the client leaves", __FILE__, __LINE__);
	patience.until = instant_now(); /* it has waited for long */
	patience_spend(&patience);
}

/* After one that has failed. */
static void is_skipped(void **state)
{
	static struct stage_test test;
	(void)state;
	stage_init(&test, stage_named("it is queued"));
	printf("it was not skipped\n");
}

/*
 * What they say.
 */

static void assert_says(const char *page, const char *const *parts)
{
	for (; *parts; parts++)
		if (!strstr(page, *parts))
			fail_msg("no \"%s\" in: %s", *parts, page);
}

#define PARTS(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* The one page in text, from its first line to its last. */
static char *page_of(char *text)
{
	char *page = strstr(text, "======== a failed test");
	char *end = page ? strstr(page, "======== its end") : NULL;
	if (!end || strstr(end, "======== a failed test"))
		fail_msg("not one page in: %s", text);
	*end = '\0';
	return page;
}

static char *line_with(const char *page, const char *name)
{
	const char *at = strstr(page, name);
	if (!at)
		fail_msg("no \"%s\" in: %s", name, page);
	return strndup(at, strcspn(at, "\n"));
}

static void assert_on_one_line(
	const char *page, const char *name, const char *expected, const char *came)
{
	char *line = line_with(page, name);
	const char *first = strstr(line, expected);
	if (!first || !strstr(first + strlen(expected), came))
		fail_msg("\"%s\" is not what has \"%s\", then \"%s\"", line, expected,
			came);
	free(line);
}

static void assert_in_order(const char *page, const char *const *events)
{
	const char *at = strstr(page, "\nevents");
	assert_non_null(at);
	for (; *events; events++) {
		at = strstr(at, *events);
		if (!at)
			fail_msg("no \"%s\" in order in: %s", *events, page);
	}
}

static void a_combination_that_fails_is_a_page(void **state)
{
	int status;
	(void)state;
	char *text = own_program_run("another-end", &status);
	assert_int_not_equal(status, 0);
	assert_null(strstr(text, "it was not skipped"));
	char *page = page_of(text);
	/* Which stage, which way of leaving, on what terms. */
	assert_on_one_line(page, "while ", "it is queued", "");
	assert_on_one_line(page, "its client leaves by", "an RST", "");
	assert_on_one_line(page, "the route's options", "cancels", "no hang-up");
	/* What was expected, and what came. */
	assert_on_one_line(page, "!!  log line's status", "504", "499");
	assert_on_one_line(page, "!!  log line's cause", "deadline", "client_gone");
	assert_on_one_line(page, "    log line's cancelled_while", "queued", "queued");
	assert_on_one_line(
		page, "    victim's handlers begun", "0", "(not looked at yet)");
	assert_on_one_line(page, "    rows kept", "0", "(not looked at yet)");
	/* In which order. */
	assert_in_order(page,
		PARTS("the place is held", "sends GET /victim/queued HTTP/1.1",
			"is in its stage", "the client leaves", "the log line is there"));
	/* And how things stand: the holder is there still. */
	assert_on_one_line(
		page, "the victim's log line", "{\"", "\"cause\":\"client_gone\"");
	assert_on_one_line(page, "handlers  ", "0 begun", "not returned");
	assert_on_one_line(page, "the server  ", "1 in flight", "begun");
	assert_on_one_line(page, "cancelled  ", "1 client_gone", "0 operator");
	assert_on_one_line(page, "the long lane", "0 queued", "1 running");
	assert_on_one_line(page, "in flight  ", "/hold/lane", "running");
	free(text);
}

static void a_wait_in_vain_is_a_page(void **state)
{
	int status;
	(void)state;
	char *text = own_program_run("in-vain", &status);
	assert_int_not_equal(status, 0);
	assert_non_null(strstr(text, "never: the client leaves"));
	const char *page = page_of(text);
	assert_on_one_line(page, "while ", "it is inside of a step", "");
	assert_says(page, PARTS("log line's status", "victim's handler's result"));
	assert_in_order(page, PARTS("the victim's handler begins", "is in its stage"));
	assert_on_one_line(page, "the victim's log line", "(none yet)", "");
	assert_on_one_line(page, "in flight  ", "victim /victim/step", "running");
	assert_on_one_line(page, "the database", "1 readers lent", "0 writes waiting");
	free(text);
}

static int fail_so(const char *how)
{
	static struct test_list list;
	if (strcmp(how, "in-vain") == 0)
		test_list_add(&list, waits_in_vain, NULL, "waits in vain");
	else
		test_list_add(&list, expects_another_end, NULL, "expects another end");
	test_list_add(&list, is_skipped, NULL, "is skipped");
	return test_list_run(&list, how, 0, NULL);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_combination_that_fails_is_a_page),
		cmocka_unit_test(a_wait_in_vain_is_a_page),
	};
	if (argc > 1)
		return fail_so(argv[1]);
	return cmocka_run_group_tests_name("stages", tests, NULL, NULL);
}
