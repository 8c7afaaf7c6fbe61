/*
 * The service ends: while a request is in each stage of its life. What can finish in
 * time does; what cannot is told so; and nothing is left behind.
 */
#include <poll.h>
#include <pthread.h>

#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/stages.h"
#include "tests/support/test_list.h"
#include "tests/support/wait.h"

static bool is_idle(struct stage_test *test)
{
	struct pollfd idle = { .fd = server_idle_fd(test->server.server),
		.events = POLLIN };
	return poll(&idle, 1, 0) == 1;
}

static void start(struct stage_test *test, const struct stage *stage, const char *how)
{
	stage_init(test, stage);
	failure_page_tell(&test->page, "the service ends by", "%s", how);
	stage_start(test);
}

static void drain(struct stage_test *test)
{
	failure_page_event(&test->page, "the service is told to drain");
	server_drain(test->server.server);
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
	stage_read(test, &res);
	assert_int_equal(res.status, 200);
	assert_true(res.whole);
	if (!test->stage->sends) /* else the header was sent before */
		assert_string_equal(http_header(&res, "Connection"), "close");
	http_response_finish(&res);
}

static void a_drain_lets_it_finish(void **state)
{
	static struct stage_test test;
	start(&test, *state, "draining until it is idle");
	stage_expect_result(&test, ERR_OK);
	stage_expect_log(&test, "status", "200");
	stage_expect_log(&test, "cause", PAGE_NOTHING);
	assert_true(stage_enter(&test, "", NULL));

	assert_false(is_idle(&test));
	drain(&test);
	drain(&test);
	assert_true(server_is_draining(test.server.server));
	assert_false(is_idle(&test));
	assert_refuses_connections(&test);
	stage_release(&test);
	assert_whole_answer(&test);
	WAIT_UNTIL(is_idle(&test));
	stage_check_log(&test);

	test_server_shut_down(&test.server);
	if (!test.stage->sends)
		assert_true(raw_is_closed(&test.victim));
	stage_leave_shut_down(&test);
	stage_finish(&test);
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
	failure_page_event(&test->page, "the service is told to end");
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
	stage_read(test, &res);
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

static void expect_to_be_logged(struct stage_test *test)
{
	const struct stage *stage = test->stage;
	if (!stage->state)
		return;
	if (stage->finishes) {
		stage_expect_log(test, "status", "200");
		stage_expect_log(test, "committed", "true");
	} else {
		stage_expect_log(test, "status", stage->sends ? "200" : "503");
		stage_expect_log(test, "cause", "shutdown");
		stage_expect_log(test, "cancelled_while", stage->state);
	}
}

static void end_in(const struct stage *stage, bool drains)
{
	static struct stage_test test;
	start(&test, stage, drains ? "the end of its drain" : "no drain");
	stage_expect_result(&test, ERR_SHUTDOWN);
	expect_to_be_logged(&test);
	assert_true(stage_enter(&test, "", NULL));
	if (drains)
		drain(&test);
	shut_down(&test);
	stage_check_log(&test);
	assert_told(&test);
	stage_leave_shut_down(&test);
	stage_finish(&test);
}

static void the_end_of_the_drain_ends_it(void **state)
{
	end_in(*state, true);
}

static void a_shutdown_without_a_drain_ends_it(void **state)
{
	end_in(*state, false);
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
 * One who is no part of the server, as the database's writer is, fires a request's token,
 * and is slow about it: the server has gone when he gives his count of it back.
 */

struct slow_firing {
	struct cancel *token; /* counted */
	struct cancel_hook hook;
	struct actor actor;
	struct gate begun;
	struct gate go_on;
};

static void hold_firing(void *arg, enum cancel_cause cause)
{
	struct slow_firing *firing = arg;
	(void)cause;
	gate_open(&firing->begun);
	gate_wait(&firing->go_on);
}

static void fire_slowly(void *arg)
{
	struct slow_firing *firing = arg;
	cancel_fire(firing->token, CANCEL_DEADLINE);
	cancel_unref(firing->token);
}

static enum err be_fired_at(struct request *req, struct response *res)
{
	struct slow_firing *firing = req->app;
	(void)res;
	firing->token = cancel_ref(req->cancel);
	cancel_hook(firing->token, &firing->hook, hold_firing, firing);
	actor_start(&firing->actor, fire_slowly, firing);
	gate_wait(&firing->begun);
	return err_of_token(req->cancel);
}

static void a_token_that_is_being_fired_outlives_the_server(void **state)
{
	static const struct route routes[] = { { "GET", "/", be_fired_at,
		.lane = LANE_SHORT } };
	struct slow_firing firing = { 0 };
	struct test_server server = { 0 };
	struct http_response res;
	struct raw raw;
	(void)state;
	gate_init(&firing.begun);
	gate_init(&firing.go_on);
	test_server_init(&server);
	test_server_start(&server, routes, 1, &firing);
	raw_connect(&raw, server.port);
	raw_send(&raw, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
	raw_read(&raw, &res);
	http_assert_problem(&res, 504, "/problems/deadline");
	http_response_finish(&res);
	raw_close(&raw);

	test_server_shut_down(&server);
	gate_open(&firing.go_on);
	actor_join(&firing.actor);
	test_server_stop(&server);
	gate_finish(&firing.go_on);
	gate_finish(&firing.begun);
}

/*
 * All of them.
 */

static void add_stage(struct test_list *list, const struct stage *stage)
{
	if (stage->finite)
		test_list_add(list, a_drain_lets_it_finish, stage,
			"a drain lets it finish, while %s", stage->name);
	test_list_add(list, the_end_of_the_drain_ends_it, stage,
		"the end of the drain ends it, while %s", stage->name);
	test_list_add(list, a_shutdown_without_a_drain_ends_it, stage,
		"a shutdown without a drain ends it, while %s", stage->name);
}

#define ADD(test) test_list_add(&list, test, NULL, "%s", #test)

int main(int argc, char **argv)
{
	static struct test_list list;
	for (unsigned i = 0; i < stages_count; i++)
		add_stage(&list, &stages[i]);
	ADD(a_server_without_requests_is_idle_at_once);
	ADD(a_late_request_over_an_open_connection_is_answered_and_is_its_last);
	ADD(idle_connections_are_closed_at_the_end);
	ADD(many_requests_are_ended_together);
	ADD(a_token_that_is_being_fired_outlives_the_server);
	return test_list_run(&list, "shutdown", argc, argv);
}
