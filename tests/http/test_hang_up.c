/*
 * A client leaves: in every stage of its request, in every way there is. Each time the
 * request ends there and then, the log says so, everything it held comes back, and
 * nothing of what it may have sent behind it is ever started.
 */
#include "tests/support/cmocka.h"
#include "tests/support/stages.h"
#include "tests/support/test_list.h"
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

static void expect_to_be_told_as_client_gone(struct stage_test *test)
{
	stage_expect_log(test, "status", "499");
	stage_expect_log(test, "cause", "client_gone");
	stage_expect_log(test, "cancelled_while", test->stage->state);
	stage_expect_log(test, "stopped_after_ms", PAGE_NUMBER);
	stage_expect_log(test, "committed", PAGE_NOTHING);
}

/* Nothing was ended: the answer was sent, and the kernel takes it after a FIN. */
static void expect_to_be_told_as_committed(struct stage_test *test)
{
	stage_expect_log(test, "status", "200 or 499");
	stage_expect_log(test, "committed", "true");
}

static void expect_client_gone(struct stage_test *test)
{
	stage_expect_result(test, ERR_CLIENT_GONE);
	if (test->stage->finishes)
		expect_to_be_told_as_committed(test);
	else if (test->stage->state)
		expect_to_be_told_as_client_gone(test);
}

static void leave(struct stage_test *test, const struct way *way)
{
	failure_page_event(&test->page, "the client leaves: %s", way->name);
	way->leave(&test->victim);
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

static void ends_the_request(void **state)
{
	const struct combination *combination = *state;
	const struct stage *stage = combination->stage;
	const struct way *way = combination->way;
	static struct stage_test test;
	stage_init(&test, stage);
	test.half_close_ok = way->half_close_ok;
	failure_page_tell(&test.page, "its client leaves by", "%s", way->name);
	stage_start(&test);

	expect_client_gone(&test);
	assert_true(stage_enter(&test, "", way->behind));
	leave(&test, way);
	if (stage->finishes) {
		gate_wait(&test.fired);
		gate_open(&test.sync);
	}
	stage_check_log(&test);
	if (way->still_reads && !stage->finishes)
		assert_cut(&test.victim, stage);
	/* A request is counted after it is logged. */
	WAIT_UNTIL(!stage->state || stage->finishes || one_is_counted(&test));
	stage_leave(&test);
	stage_finish(&test);
}

/*
 * Where a half-close is no hang-up: the client has only finished sending.
 */

static void assert_whole_answer(struct stage_test *test)
{
	struct http_response res;
	stage_read(test, &res);
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
	stage_init(&test, combination->stage);
	test.half_close_ok = true;
	failure_page_tell(&test.page, "its client", "only half-closes");
	stage_start(&test);

	stage_expect_result(&test, ERR_OK);
	stage_expect_log(&test, "status", "200");
	stage_expect_log(&test, "cause", PAGE_NOTHING);
	assert_true(stage_enter(&test, "", ""));
	leave(&test, combination->way);
	stage_wait_for_watcher(&test);
	stage_release(&test);
	assert_whole_answer(&test);
	stage_check_log(&test);
	stage_leave(&test);
	stage_finish(&test);
}

/*
 * Where a hang-up detaches: the handler goes on to its end.
 */

static void lets_the_handler_finish(void **state)
{
	const struct combination *combination = *state;
	static struct stage_test test;
	stage_init(&test, combination->stage);
	test.hang_up = HANG_UP_DETACHES;
	failure_page_tell(
		&test.page, "its client leaves by", "%s", combination->way->name);
	stage_start(&test);

	stage_expect_result(&test, ERR_OK);
	stage_expect_log(&test, "error", PAGE_NOTHING);
	assert_true(stage_enter(&test, "", combination->way->behind));
	leave(&test, combination->way);
	stage_wait_for_watcher(&test);
	stage_release(&test);
	stage_check_log(&test);
	stage_leave(&test);
	stage_finish(&test);
}

/*
 * A client vanishes: nobody says goodbye. On this machine the next probe is answered with
 * an RST, where a network would let all of them go unanswered; that there is one is
 * keep-alive's doing.
 */

static void a_client_that_vanishes_is_missed(void **state)
{
	enum { SILENCE_MS = 1000 };
	static struct stage_test test;
	(void)state;
	stage_init(&test, stage_named("it is inside of a step"));
	test.server.config.stall_timeout_ms = SILENCE_MS;
	failure_page_tell(&test.page, "its client leaves by", "vanishing");
	stage_start(&test);
	expect_client_gone(&test);
	assert_true(stage_enter(&test, "", NULL));
	bool vanished = raw_vanish(&test.victim);
	if (!vanished)
		raw_close(&test.victim);
	stage_check_log(&test);
	stage_leave(&test);
	stage_finish(&test);
	if (!vanished)
		skip();
}

/*
 * All of them.
 */

static struct test_list list;

static void add(CMUnitTestFunction test, const char *what, const struct stage *stage,
	const struct way *way)
{
	static struct combination combinations[1024];
	struct combination *combination = &combinations[list.count];
	assert_true(list.count < sizeof combinations / sizeof *combinations);
	*combination = (struct combination){ stage, way };
	test_list_add(&list, test, combination, "%s %s, while %s", way->name, what,
		stage->name);
}

static void add_stage(const struct stage *stage)
{
	static const struct way half_close = { .name = "half-close",
		.leave = raw_half_close };
	for (unsigned i = 0; i < WAYS; i++)
		if (!stage->arrives || !(ways[i].behind || ways[i].pipelines))
			add(ends_the_request, "ends the request", stage, &ways[i]);
	if (!stage->finite)
		return;
	add(is_no_hang_up, "is no hang-up if the route says so", stage, &half_close);
	for (unsigned i = 0; i < WAYS; i++)
		if (!stage->sends && !ways[i].half_close_ok)
			add(lets_the_handler_finish, "lets a detached handler finish",
				stage, &ways[i]);
}

int main(int argc, char **argv)
{
	test_list_add(&list, a_client_that_vanishes_is_missed, NULL,
		"a client that vanishes is missed");
	for (unsigned i = 0; i < stages_count; i++)
		add_stage(&stages[i]);
	return test_list_run(&list, "hang_up", argc, argv);
}
