/*
 * A request's time runs out: in every stage of its life, by its route's limit or by
 * what its client asked for. The client is told, and its connection goes on.
 */
#include <stdio.h>

#include "tests/support/cmocka.h"
#include "tests/support/stages.h"
#include "tests/support/test_list.h"

/*
 * Who sets it.
 */

struct headers {
	char text[128];
};

static void ask_in_seconds(struct stage_test *test, int64_t ms, struct headers *ret)
{
	(void)test;
	snprintf(ret->text, sizeof ret->text, "X-Request-Timeout: %.3f\r\n",
		(double)ms / 1000);
}

static void ask_as_envoy(struct stage_test *test, int64_t ms, struct headers *ret)
{
	(void)test;
	snprintf(ret->text, sizeof ret->text, "X-Envoy-Expected-Rq-Timeout-Ms: %d\r\n",
		(int)ms);
}

/* The earlier of several counts. */
static void ask_for_more_than_the_route_gives(
	struct stage_test *test, int64_t ms, struct headers *ret)
{
	test->timeout_ms = ms;
	snprintf(ret->text, sizeof ret->text, "X-Request-Timeout: 3600\r\n");
}

static void let_the_route_say(struct stage_test *test, int64_t ms, struct headers *ret)
{
	test->timeout_ms = ms;
	snprintf(ret->text, sizeof ret->text, "%s", "");
}

static const struct source {
	const char *name;
	void (*set)(struct stage_test *test, int64_t ms, struct headers *ret);
} sources[] = {
	{ "its route", let_the_route_say },
	{ "X-Request-Timeout", ask_in_seconds },
	{ "Envoy", ask_as_envoy },
	{ "its route, though the client gives more", ask_for_more_than_the_route_gives },
};

enum { SOURCES = sizeof sources / sizeof *sources };

struct combination {
	const struct stage *stage;
	const struct source *source;
};

/*
 * The answer.
 */

static void assert_told_in_time(struct stage_test *test)
{
	struct http_response res;
	stage_read(test, &res);
	http_assert_problem(&res, 504, "/problems/deadline");
	assert_string_equal(http_header(&res, "X-Request-Id"), "victim");
	http_response_finish(&res);
}

/* In the middle of a body there is no telling where the next request begins. */
static void assert_connection_goes_on(struct stage_test *test)
{
	struct http_response res;
	if (test->stage->arrives) {
		assert_true(raw_is_closed(&test->victim));
		raw_close(&test->victim);
		return;
	}
	raw_send(&test->victim, "GET /kept HTTP/1.1\r\nHost: x\r\n\r\n");
	stage_release(test); /* it may be the connection that it needs */
	stage_read(test, &res);
	assert_int_equal(res.status, 200);
	http_response_finish(&res);
}

/* What is decided is sent, late or not. */
static void assert_whole(struct stage_test *test)
{
	struct http_response res;
	stage_read(test, &res);
	assert_int_equal(res.status, 200);
	assert_true(res.whole);
	http_response_finish(&res);
}

/* What is begun cannot become a 504; and nobody can take it for the whole. */
static void assert_cut(struct stage_test *test)
{
	struct http_response res;
	stage_read(test, &res);
	assert_int_equal(res.status, 200);
	assert_false(res.whole);
	http_response_finish(&res);
}

static void assert_answer(struct stage_test *test)
{
	const struct stage *stage = test->stage;
	if (stage->finishes || stage->returned) {
		assert_whole(test);
	} else if (stage->sends) {
		assert_cut(test);
	} else {
		assert_told_in_time(test);
		assert_connection_goes_on(test);
	}
}

static void expect_deadline(struct stage_test *test)
{
	const struct stage *stage = test->stage;
	stage_expect_result(test, stage->returned ? ERR_OK : ERR_DEADLINE);
	if (stage->finishes || stage->returned) {
		stage_expect_log(test, "status", "200");
		stage_expect_log(test, "cause", PAGE_NOTHING);
	} else {
		stage_expect_log(test, "cause", "deadline");
		stage_expect_log(test, "error", "deadline");
		stage_expect_log(test, "cancelled_while", stage->state);
		stage_expect_log(test, "status", stage->sends ? "200" : "504");
	}
}

/* Whether it was in its stage when its time ran out. A time that is too short on a busy
 * machine runs out before, and then nothing was tried. */
static bool enter_in_time(struct stage_test *test, const struct combination *combination,
	int64_t ms, struct headers *headers)
{
	stage_init(test, combination->stage);
	combination->source->set(test, ms, headers);
	failure_page_tell(&test->page, "its limit is", "%lld ms, set by %s",
		(long long)ms, combination->source->name);
	stage_start(test);
	if (stage_enter(test, headers->text, NULL))
		return true;
	stage_release(test);
	stage_finish(test);
	return false;
}

static void ends_the_request(void **state)
{
	enum { AT_FIRST_MS = 50, AT_MOST_MS = 3000 };
	const struct combination *combination = *state;
	static struct stage_test test;
	const struct stage *stage = combination->stage;
	struct headers headers;
	int64_t ms = AT_FIRST_MS;
	while (!enter_in_time(&test, combination, ms, &headers))
		assert_true((ms *= 2) <= AT_MOST_MS);

	expect_deadline(&test);
	if (stage->finishes || stage->sends)
		stage_wait_for_deadline(&test, headers.text);
	if (stage->finishes)
		stage_release(&test);
	assert_answer(&test);
	stage_check_log(&test);
	stage_leave(&test);
	stage_finish(&test);
}

/*
 * Limits that are none.
 */

static const char *const bad_limits[] = {
	"X-Request-Timeout: 0",
	"X-Request-Timeout: 0.0",
	"X-Request-Timeout: -1",
	"X-Request-Timeout: ",
	"X-Request-Timeout: 1s",
	"X-Request-Timeout: 1e3",
	"X-Request-Timeout: 1.",
	"X-Request-Timeout: .5",
	"X-Request-Timeout: 1,5",
	"X-Request-Timeout: 1.2.3",
	"X-Request-Timeout: +1",
	"X-Request-Timeout: 0x10",
	"X-Request-Timeout: nan",
	"X-Request-Timeout: inf",
	"X-Request-Timeout: 1 2",
	"X-Request-Timeout: 1\r\nX-Request-Timeout: 1",
	"X-Envoy-Expected-Rq-Timeout-Ms: 0",
	"X-Envoy-Expected-Rq-Timeout-Ms: -5",
	"X-Envoy-Expected-Rq-Timeout-Ms: 1.5",
	"X-Envoy-Expected-Rq-Timeout-Ms: ",
	"X-Envoy-Expected-Rq-Timeout-Ms: soon",
	"X-Request-Timeout: 1\r\nX-Envoy-Expected-Rq-Timeout-Ms: 0",
};

static const char *const good_limits[] = {
	"X-Request-Timeout: 60",
	"X-Request-Timeout: 60.25",
	"X-Request-Timeout: 86400",
	"X-Request-Timeout: 86401", /* beyond the maximum is the maximum */
	"X-Request-Timeout: 99999999999999999999999999",
	"X-Request-Timeout:  60 ",
	"X-Envoy-Expected-Rq-Timeout-Ms: 86400001",
	"X-Request-Timeout: 00060",
	"x-request-timeout: 60.000000001",
	"X-Envoy-Expected-Rq-Timeout-Ms: 60000",
	"X-Envoy-Expected-Rq-Timeout-Ms: 86400000",
	"X-Request-Timeout: 60\r\nX-Envoy-Expected-Rq-Timeout-Ms: 60000",
};

static void ask_with(struct raw *raw, const char *headers, struct http_response *ret)
{
	raw_sendf(raw, "GET /kept HTTP/1.1\r\nHost: x\r\n%s\r\n\r\n", headers);
	raw_read(raw, ret);
}

static void a_limit_is_refused_if_it_is_none(void **state)
{
	static struct stage_test test;
	struct http_response res;
	(void)state;
	stage_init(&test, &stages[0]);
	stage_start(&test);
	raw_connect(&test.victim, test.server.port);
	for (size_t i = 0; i < sizeof bad_limits / sizeof *bad_limits; i++) {
		ask_with(&test.victim, bad_limits[i], &res);
		http_assert_problem(&res, 400, "/problems/bad-request");
		http_response_finish(&res);
	}
	for (size_t i = 0; i < sizeof good_limits / sizeof *good_limits; i++) {
		ask_with(&test.victim, good_limits[i], &res);
		assert_int_equal(res.status, 200);
		http_response_finish(&res);
	}
	stage_finish(&test);
}

/*
 * All of them.
 */

static struct test_list list;

static void add(const struct stage *stage, const struct source *source)
{
	static struct combination combinations[256];
	struct combination *combination = &combinations[list.count];
	assert_true(list.count < sizeof combinations / sizeof *combinations);
	*combination = (struct combination){ stage, source };
	test_list_add(&list, ends_the_request, combination,
		"the limit of %s ends the request, while %s", source->name, stage->name);
}

int main(int argc, char **argv)
{
	test_list_add(&list, a_limit_is_refused_if_it_is_none, NULL,
		"a limit is refused if it is none");
	for (unsigned i = 0; i < stages_count; i++)
		for (unsigned j = 0; j < SOURCES; j++)
			if (stages[i].state) /* a deadline begins to count with the headers */
				add(&stages[i], &sources[j]);
	return test_list_run(&list, "deadline", argc, argv);
}
