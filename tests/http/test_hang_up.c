/*
 * A client leaves: in every stage of its request, in every way there is. Each time the
 * request ends there and then, the log says so, everything it held comes back, and
 * nothing of what it may have sent behind it is ever started.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka.h"
#include "tests/support/stages.h"
#include "tests/support/wait.h"

/*
 * Ways to leave.
 */

static void leave_with_more_behind(struct raw *raw)
{
	raw_send(raw, STAGE_UNINVITED);
	raw_close(raw);
}

/* The last bytes and the FIN are one segment. */
static void leave_with_the_last_bytes(struct raw *raw)
{
	raw_send_with_fin(raw, STAGE_UNINVITED);
	raw_close(raw);
}

static void reset_with_more_behind(struct raw *raw)
{
	raw_send(raw, STAGE_UNINVITED);
	raw_reset(raw);
}

struct way {
	const char *name;
	void (*leave)(struct raw *raw);
	const char *behind; /* sent with the request; may be NULL */
	bool pipelines;     /* leaving sends a request */
	bool still_reads;
	bool half_close_ok; /* the route's */
};

#define IN_ONE_WRITE   ", a second request in the same write"
#define SENT_LATER     ", a second request sent later"
#define IN_ONE_SEGMENT ", in one segment with a second request"

static const struct way ways[] = {
	{ .name = "FIN", .leave = raw_close },
	{ .name = "RST", .leave = raw_reset },
	{ .name = "half-close", .leave = raw_half_close, .still_reads = true },
	{ .name = "FIN" IN_ONE_WRITE, .leave = raw_close, .behind = STAGE_UNINVITED },
	{ .name = "FIN" SENT_LATER, .leave = leave_with_more_behind, .pipelines = true },
	{ .name = "FIN" IN_ONE_SEGMENT,
		.leave = leave_with_the_last_bytes,
		.pipelines = true },
	{ .name = "RST" IN_ONE_WRITE, .leave = raw_reset, .behind = STAGE_UNINVITED },
	{ .name = "RST" SENT_LATER, .leave = reset_with_more_behind, .pipelines = true },
	{ .name = "half-close" IN_ONE_WRITE,
		.leave = raw_half_close,
		.behind = STAGE_UNINVITED,
		.still_reads = true },
	{ .name = "RST where a half-close is no hang-up",
		.leave = raw_reset,
		.half_close_ok = true },
};

enum { WAYS = sizeof ways / sizeof *ways };

/*
 * Every stage, every way.
 */

struct combination {
	const struct stage *stage;
	const struct way *way;
};

static void assert_told_as_client_gone(json_t *line, const struct stage *stage)
{
	assert_int_equal(log_int(line, "status"), 499);
	assert_string_equal(log_text(line, "cause"), "client_gone");
	assert_string_equal(log_text(line, "cancelled_while"), stage->state);
	assert_true(log_ms(line, "stopped_after_ms") >= 0);
	assert_null(json_object_get(line, "committed"));
}

/* Nothing was ended: the answer was sent, and the kernel takes it after a FIN. */
static void assert_told_as_committed(json_t *line)
{
	int64_t status = log_int(line, "status");
	assert_true(status == 200 || status == 499);
	assert_true(json_is_true(json_object_get(line, "committed")));
}

static void assert_told(struct stage_test *test)
{
	json_t *line = stage_log_line(test);
	if (test->stage->finishes)
		assert_told_as_committed(line);
	else if (test->stage->state)
		assert_told_as_client_gone(line, test->stage);
	json_decref(line);
}

static bool one_is_counted(struct stage_test *test)
{
	return test_server_stats(&test->server).cancelled[CANCEL_CLIENT_GONE] == 1;
}

/* A client that only half-closed learns that it gets no answer, or no whole one. */
static void assert_cut(struct raw *victim, const struct stage *stage)
{
	if (stage->sends)
		raw_read_to_end(victim);
	else
		assert_true(raw_is_closed(victim));
}

/* A test that fails leaves its server behind: the next ones would fail for that. */
static bool others_have_failed;

static void ends_the_request(void **state)
{
	const struct combination *combination = *state;
	const struct stage *stage = combination->stage;
	const struct way *way = combination->way;
	static struct stage_test test;
	if (others_have_failed)
		skip();
	others_have_failed = true;
	stage_init(&test, stage);
	test.half_close_ok = way->half_close_ok;
	stage_start(&test);

	assert_true(stage_enter(&test, "", way->behind));
	way->leave(&test.victim);
	if (stage->finishes) {
		gate_wait(&test.fired);
		gate_open(&test.sync);
	}
	assert_told(&test);
	if (way->still_reads && !stage->finishes)
		assert_cut(&test.victim, stage);
	/* A request is counted after it is logged. */
	WAIT_UNTIL(!stage->state || stage->finishes || one_is_counted(&test));
	stage_leave(&test, ERR_CLIENT_GONE);
	stage_finish(&test);
	others_have_failed = false;
}

/*
 * Where a half-close is no hang-up: the client has only finished sending.
 */

static void assert_whole_answer(struct stage_test *test)
{
	struct http_response res;
	raw_read(&test->victim, &res);
	assert_int_equal(res.status, 200);
	assert_true(res.whole);
	if (test->stage->sends)
		assert_int_equal(res.body_len, STAGE_LARGE);
	else
		assert_string_equal(res.body, "\"done\"");
	if (!test->stage->sends) /* else the header was sent before the FIN came */
		assert_string_equal(http_header(&res, "Connection"), "close");
	http_response_finish(&res);
	assert_true(raw_is_closed(&test->victim));
}

static void is_no_hang_up(void **state)
{
	const struct combination *combination = *state;
	static struct stage_test test;
	if (others_have_failed)
		skip();
	others_have_failed = true;
	stage_init(&test, combination->stage);
	test.half_close_ok = true;
	stage_start(&test);

	assert_true(stage_enter(&test, "", ""));
	raw_half_close(&test.victim);
	stage_wait_for_watcher(&test);
	stage_release(&test);
	assert_whole_answer(&test);
	json_t *line = stage_log_line(&test);
	assert_int_equal(log_int(line, "status"), 200);
	assert_null(json_object_get(line, "cause"));
	json_decref(line);
	stage_leave(&test, ERR_OK);
	stage_finish(&test);
	others_have_failed = false;
}

/*
 * Where a hang-up detaches: the handler goes on to its end.
 */

static void lets_the_handler_finish(void **state)
{
	const struct combination *combination = *state;
	static struct stage_test test;
	if (others_have_failed)
		skip();
	others_have_failed = true;
	stage_init(&test, combination->stage);
	test.hang_up = HANG_UP_DETACHES;
	stage_start(&test);

	assert_true(stage_enter(&test, "", combination->way->behind));
	combination->way->leave(&test.victim);
	stage_wait_for_watcher(&test);
	stage_release(&test);
	json_t *line = stage_log_line(&test);
	assert_string_equal(log_text(line, "error"), "");
	json_decref(line);
	stage_leave(&test, ERR_OK);
	stage_finish(&test);
	others_have_failed = false;
}

/*
 * A client vanishes: nobody says goodbye. On this machine the next probe is answered with
 * an RST, where a network would let all of them go unanswered; that there is one is
 * keep-alive's doing.
 */

static const struct stage *stage_named(const char *name)
{
	for (unsigned i = 0; i < stages_count; i++)
		if (strcmp(stages[i].name, name) == 0)
			return &stages[i];
	fail_msg("no stage is called \"%s\"", name);
	return NULL;
}

static void a_client_that_vanishes_is_missed(void **state)
{
	enum { SILENCE_MS = 1000 };
	static struct stage_test test;
	(void)state;
	if (others_have_failed)
		skip();
	others_have_failed = true;
	stage_init(&test, stage_named("it is inside of a step"));
	test.server.config.stall_timeout_ms = SILENCE_MS;
	stage_start(&test);
	assert_true(stage_enter(&test, "", NULL));
	bool vanished = raw_vanish(&test.victim);
	if (!vanished)
		raw_close(&test.victim);
	assert_told(&test);
	stage_leave(&test, ERR_CLIENT_GONE);
	stage_finish(&test);
	others_have_failed = false;
	if (!vanished)
		skip();
}

/*
 * All of them.
 */

struct list {
	struct combination combinations[1024];
	struct CMUnitTest tests[1024];
	size_t count;
};

static void add(struct list *list, const char *format, CMUnitTestFunction test,
	const struct stage *stage, const struct way *way)
{
	char *name = NULL;
	struct combination *combination = &list->combinations[list->count];
	assert_true(list->count < sizeof list->tests / sizeof *list->tests);
	assert_true(
		asprintf(&name, "%s %s, while %s", way->name, format, stage->name) > 0);
	for (char *at = name; *at; at++)
		if (*at == ' ')
			*at = '_';
	*combination = (struct combination){ stage, way };
	list->tests[list->count++] = (struct CMUnitTest){ name, test, NULL, NULL,
		combination };
}

static void add_stage(struct list *list, const struct stage *stage)
{
	static const struct way half_close = { .name = "half-close" };
	for (unsigned i = 0; i < WAYS; i++)
		if (!stage->arrives || !(ways[i].behind || ways[i].pipelines))
			add(list, "ends the request", ends_the_request, stage, &ways[i]);
	if (!stage->finite)
		return;
	add(list, "is no hang-up if the route says so", is_no_hang_up, stage,
		&half_close);
	for (unsigned i = 0; i < WAYS; i++)
		if (!stage->sends && !ways[i].half_close_ok)
			add(list, "lets a detached handler finish",
				lets_the_handler_finish, stage, &ways[i]);
}

/* An argument chooses among the tests: '*RST*streams*'. */
int main(int argc, char **argv)
{
	static struct list list = { .tests = { cmocka_unit_test(
					    a_client_that_vanishes_is_missed) },
		.count = 1 };
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	for (unsigned i = 0; i < stages_count; i++)
		add_stage(&list, &stages[i]);
	int failed = _cmocka_run_group_tests(
		"hang_up", list.tests, list.count, NULL, NULL);
	for (size_t i = 1; i < list.count; i++)
		free((char *)list.tests[i].name);
	return failed;
}
