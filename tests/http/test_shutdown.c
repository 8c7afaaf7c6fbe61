/*
 * The service ends: while a request is in each stage of its life. What can finish in
 * time does; what cannot is told so; and nothing is left behind.
 */
#include <poll.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka.h"
#include "tests/support/stages.h"
#include "tests/support/wait.h"

/* A test that fails leaves its server behind: the next ones would fail for that. */
static bool others_have_failed;

static bool is_idle(struct stage_test *test)
{
	struct pollfd idle = { .fd = server_idle_fd(test->server.server),
		.events = POLLIN };
	return poll(&idle, 1, 0) == 1;
}

static void enter(struct stage_test *test, const struct stage *stage)
{
	if (others_have_failed)
		skip();
	others_have_failed = true;
	stage_init(test, stage);
	stage_start(test);
	assert_true(stage_enter(test, "", NULL));
}

/*
 * The drain.
 */

static void assert_refuses_connections(struct stage_test *test)
{
	struct raw raw;
	assert_false(raw_try_connect(&raw, test->server.port));
}

static void assert_whole_answer(struct stage_test *test)
{
	struct http_response res;
	raw_read(&test->victim, &res);
	assert_int_equal(res.status, 200);
	assert_true(res.whole);
	if (!test->stage->sends) /* else the header was sent before */
		assert_string_equal(http_header(&res, "Connection"), "close");
	http_response_finish(&res);
}

static void a_drain_lets_it_finish(void **state)
{
	static struct stage_test test;
	enter(&test, *state);

	assert_false(is_idle(&test));
	server_drain(test.server.server);
	server_drain(test.server.server);
	assert_true(server_is_draining(test.server.server));
	assert_false(is_idle(&test));
	assert_refuses_connections(&test);
	stage_release(&test);
	assert_whole_answer(&test);
	WAIT_UNTIL(is_idle(&test));
	json_t *line = stage_log_line(&test);
	assert_int_equal(log_int(line, "status"), 200);
	assert_null(json_object_get(line, "cause"));
	json_decref(line);

	test_server_shut_down(&test.server);
	if (!test.stage->sends)
		assert_true(raw_is_closed(&test.victim));
	stage_leave_shut_down(&test, ERR_OK);
	stage_finish(&test);
	others_have_failed = false;
}

/*
 * The end of the drain.
 */

/* A commit that has begun is waited for. */
static void *finish_commit(void *arg)
{
	struct stage_test *test = arg;
	gate_wait(&test->fired);
	gate_open(&test->sync);
	return NULL;
}

static void shut_down(struct stage_test *test)
{
	pthread_t thread;
	if (!test->stage->finishes) {
		test_server_shut_down(&test->server);
		return;
	}
	assert_int_equal(pthread_create(&thread, NULL, finish_commit, test), 0);
	test_server_shut_down(&test->server);
	pthread_join(thread, NULL);
}

static void assert_told(struct stage_test *test)
{
	struct http_response res;
	const struct stage *stage = test->stage;
	raw_read(&test->victim, &res);
	if (!stage->state)
		assert_int_equal(res.status, 0); /* it was no request yet */
	else if (stage->finishes)
		assert_true(res.status == 200 && res.whole);
	else if (stage->sends)
		assert_true(res.status == 200 && !res.whole);
	else
		http_assert_problem(&res, 503, "/problems/shutdown");
	http_response_finish(&res);
	assert_true(stage->sends || raw_is_closed(&test->victim));
}

static void assert_logged(struct stage_test *test)
{
	json_t *line = stage_log_line(test);
	if (!line)
		return;
	if (test->stage->finishes) {
		assert_int_equal(log_int(line, "status"), 200);
		assert_true(json_is_true(json_object_get(line, "committed")));
	} else {
		assert_int_equal(log_int(line, "status"), test->stage->sends ? 200 : 503);
		assert_string_equal(log_text(line, "cause"), "shutdown");
		assert_string_equal(
			log_text(line, "cancelled_while"), test->stage->state);
	}
	json_decref(line);
}

static void end_in(struct stage_test *test, bool drain)
{
	if (drain)
		server_drain(test->server.server);
	shut_down(test);
	assert_logged(test);
	assert_told(test);
	stage_leave_shut_down(test, ERR_SHUTDOWN);
	stage_finish(test);
	others_have_failed = false;
}

static void the_end_of_the_drain_ends_it(void **state)
{
	static struct stage_test test;
	enter(&test, *state);
	end_in(&test, true);
}

static void a_shutdown_without_a_drain_ends_it(void **state)
{
	static struct stage_test test;
	enter(&test, *state);
	end_in(&test, false);
}

/*
 * Connections that are idle, and requests that come late.
 */

static void a_server_without_requests_is_idle_at_once(void **state)
{
	static struct stage_test test;
	(void)state;
	stage_init(&test, &stages[0]);
	stage_start(&test);
	assert_false(is_idle(&test));
	server_drain(test.server.server);
	assert_true(is_idle(&test));
	test_server_shut_down(&test.server);
	stage_finish(&test);
}

static void a_late_request_over_an_open_connection_is_answered_and_is_its_last(
	void **state)
{
	static struct stage_test test;
	struct http_response res;
	(void)state;
	stage_init(&test, &stages[0]);
	stage_start(&test);
	raw_connect(&test.victim, test.server.port);
	raw_send(&test.victim, "GET /kept HTTP/1.1\r\nHost: x\r\n\r\n");
	raw_read(&test.victim, &res);
	assert_null(http_header(&res, "Connection"));
	http_response_finish(&res);

	server_drain(test.server.server);
	raw_send(&test.victim, "GET /kept HTTP/1.1\r\nHost: x\r\n\r\n" STAGE_UNINVITED);
	raw_read(&test.victim, &res);
	assert_int_equal(res.status, 200);
	assert_string_equal(http_header(&res, "Connection"), "close");
	http_response_finish(&res);
	assert_true(raw_is_closed(&test.victim));
	assert_int_equal(atomic_load(&test.uninvited), 0);
	stage_finish(&test);
}

static void idle_connections_are_closed_at_the_end(void **state)
{
	enum { MANY = 50 };
	static struct stage_test test;
	struct raw raws[MANY];
	(void)state;
	stage_init(&test, &stages[0]);
	stage_start(&test);
	for (int i = 0; i < MANY; i++)
		raw_connect(&raws[i], test.server.port);
	WAIT_UNTIL(test_server_stats(&test.server).connections == MANY);
	server_drain(test.server.server);
	test_server_shut_down(&test.server);
	for (int i = 0; i < MANY; i++) {
		assert_true(raw_is_closed(&raws[i]));
		raw_close(&raws[i]);
	}
	stage_finish(&test);
}

/* Many at once, suspended and queued: MHD_stop_daemon() aborts the program if it finds
 * a single suspended connection. */
static void many_requests_are_ended_together(void **state)
{
	enum { MANY = 100 };
	static struct stage_test test;
	struct raw raws[MANY];
	(void)state;
	stage_init(&test, &stages[0]);
	test.server.config.short_queue = MANY;
	stage_start(&test);
	for (int i = 0; i < MANY; i++) {
		raw_connect(&raws[i], test.server.port);
		raw_send(&raws[i], "GET /victim/sleep HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	WAIT_UNTIL(test_server_stats(&test.server).in_flight == MANY);
	test_server_shut_down(&test.server);
	for (int i = 0; i < MANY; i++) {
		struct http_response res;
		raw_read(&raws[i], &res);
		http_assert_problem(&res, 503, "/problems/shutdown");
		assert_string_equal(http_header(&res, "Retry-After"), "1");
		http_response_finish(&res);
		raw_close(&raws[i]);
	}
	stage_finish(&test);
}

/*
 * All of them.
 */

struct list {
	struct CMUnitTest tests[256];
	size_t count;
	size_t with_names; /* that are to be freed: the first ones */
};

static void add(struct list *list, const char *what, CMUnitTestFunction test,
	const struct stage *stage)
{
	char *name = NULL;
	assert_true(asprintf(&name, "%s, while %s", what, stage->name) > 0);
	for (char *at = name; *at; at++)
		if (*at == ' ')
			*at = '_';
	list->tests[list->count++] = (struct CMUnitTest){ name, test, NULL, NULL,
		(void *)stage };
}

static void add_stages(struct list *list)
{
	for (const struct stage *stage = stages; stage < stages + stages_count; stage++) {
		if (stage->finite)
			add(list, "a drain lets it finish", a_drain_lets_it_finish,
				stage);
		add(list, "the end of the drain ends it", the_end_of_the_drain_ends_it,
			stage);
		add(list, "a shutdown without a drain ends it",
			a_shutdown_without_a_drain_ends_it, stage);
	}
	list->with_names = list->count;
}

/* An argument chooses among the tests. */
int main(int argc, char **argv)
{
	static struct list list;
	const struct CMUnitTest others[] = {
		cmocka_unit_test(a_server_without_requests_is_idle_at_once),
		cmocka_unit_test(
			a_late_request_over_an_open_connection_is_answered_and_is_its_last),
		cmocka_unit_test(idle_connections_are_closed_at_the_end),
		cmocka_unit_test(many_requests_are_ended_together),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	add_stages(&list);
	memcpy(list.tests + list.count, others, sizeof others);
	list.count += sizeof others / sizeof *others;
	int failed = _cmocka_run_group_tests(
		"shutdown", list.tests, list.count, NULL, NULL);
	for (size_t i = 0; i < list.with_names; i++)
		free((char *)list.tests[i].name);
	return failed;
}
