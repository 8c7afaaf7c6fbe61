/*
 * What an operator sees and does: the requests in flight, wherever they are, and their
 * end; the page of metrics; and all that while the service itself is full, or drains.
 */
#include <assert.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/instance.h"
#include "handlers/ops/admin.h"
#include "handlers/ops/admin_context.h"
#include "handlers/routes.h"
#include "service/core/log.h"
#include "tests/support/cmocka.h"
#include "tests/support/holding.h"
#include "tests/support/metrics_page.h"
#include "tests/support/shake.h"
#include "tests/support/stages.h"
#include "tests/support/test_list.h"
#include "tests/support/wait.h"

/*
 * The admin listener, on a free port, for a server that a test has made.
 */

struct operators {
	struct admin *admin;
	unsigned port;
};

static void admin_start(struct operators *operators, struct test_server *of)
{
	const struct admin_settings settings = { .addr = "127.0.0.1", .port = 0 };
	const struct admin_setup setup = { .settings = &settings,
		.watched_settings = &of->config,
		.watched = of->server,
		.db = of->db };
	assert_int_equal(admin_create(&setup, &operators->admin), ERR_OK);
	operators->port = admin_listener_port(operators->admin);
}

static void admin_stop(struct operators *operators)
{
	admin_destroy(operators->admin);
}

/* The caller gets a reference. */
static json_t *get_list(const struct operators *admin)
{
	struct http_response res;
	http_get(admin->port, "/requests", &res);
	assert_int_equal(res.status, 200);
	assert_string_equal(http_header(&res, "Content-Type"), "application/json");
	json_t *list = http_json(&res);
	http_response_finish(&res);
	return list;
}

static size_t count_listed(const struct operators *admin)
{
	json_t *list = get_list(admin);
	size_t count = json_array_size(json_object_get(list, "requests"));
	json_decref(list);
	return count;
}

/* The entry whose member has this text, or is null; the caller gets a reference. NULL
 * when there is none. */
static json_t *find_listed(
	const struct operators *admin, const char *member, const char *text)
{
	json_t *list = get_list(admin);
	json_t *found = NULL;
	size_t i;
	json_t *entry;
	json_array_foreach(json_object_get(list, "requests"), i, entry) {
		const char *value = json_string_value(json_object_get(entry, member));
		if ((!value && !text) || (value && text && strcmp(value, text) == 0))
			found = json_incref(entry);
	}
	json_decref(list);
	return found;
}

static unsigned cancel(
	const struct operators *admin, const char *id, struct http_response *ret)
{
	char path[512];
	snprintf(path, sizeof path, "/requests/%s", id);
	const struct http_request req = { .method = "DELETE", .path = path };
	http_perform(admin->port, &req, ret);
	return ret->status;
}

static void assert_cancels(const struct operators *admin, const char *id, unsigned count)
{
	struct http_response res;
	char body[64];
	snprintf(body, sizeof body, "{\"cancelled\":%u}", count);
	assert_int_equal(cancel(admin, id, &res), 202);
	assert_string_equal(res.body, body);
	http_response_finish(&res);
}

static void assert_does_not_run(const struct operators *admin, const char *id)
{
	struct http_response res;
	cancel(admin, id, &res);
	http_assert_problem(&res, 404, "/problems/not-found");
	http_response_finish(&res);
}

static char *get_metrics(const struct operators *admin)
{
	struct http_response res;
	http_get(admin->port, "/metrics", &res);
	assert_int_equal(res.status, 200);
	assert_string_equal(
		http_header(&res, "Content-Type"), "text/plain; version=0.0.4");
	char *text = strdup(res.body);
	http_response_finish(&res);
	metrics_page_check(text);
	return text;
}

static double get_metric(const struct operators *admin, const char *series)
{
	char *text = get_metrics(admin);
	double value = metrics_page_value(text, series);
	free(text);
	return value;
}

/*
 * Every stage: it is seen there, and it ends there.
 */

static const struct seen {
	const char *stage;
	const char *state;
	const char *waits_for;
	const char *route;
} seen[] = {
	{ "its headers arrive", "reading", NULL, NULL },
	{ "its body arrives", "reading", NULL, "/victim/body" },
	{ "it is queued", "queued", NULL, "/victim/queued" },
	{ "it waits for a connection", "running", "connection", "/victim/connection" },
	{ "it is about to step", "running", NULL, "/victim/first-step" },
	{ "it is between two rows", "running", NULL, "/victim/rows" },
	{ "it is inside of a step", "running", NULL, "/victim/step" },
	{ "its write waits for a lock", "running", "commit", "/victim/write" },
	{ "its long write waits for a lock", "running", "commit", "/victim/write-alone" },
	{ "its write waits for the writer", "running", "commit", "/victim/write" },
	{ "it writes beside others", "running", "commit", "/victim/write-slowly" },
	{ "it is inside of a long write's step", "running", "commit",
		"/victim/write-endlessly" },
	{ "its commit has begun", "running", "commit", "/victim/write" },
	{ "it streams its answer", "sending", "client", "/victim/stream" },
	{ "its body streams in", "running", "client", "/victim/upload" },
	{ "its answer is sent", "sending", NULL, "/victim/large" },
};

static const struct seen *seen_in(const struct stage *stage)
{
	for (size_t i = 0; i < sizeof seen / sizeof *seen; i++)
		if (strcmp(seen[i].stage, stage->name) == 0)
			return &seen[i];
	fail_msg("what is seen while %s?", stage->name);
	return NULL;
}

static bool is_text(const json_t *entry, const char *member, const char *text)
{
	const json_t *value = json_object_get(entry, member);
	if (!text)
		return json_is_null(value);
	return json_is_string(value) && strcmp(json_string_value(value), text) == 0;
}

static json_t *find_victim(const struct operators *admin, const struct stage_test *test)
{
	return find_listed(admin, "client", test->victim.address);
}

static bool is_seen(const struct operators *admin, const struct stage_test *test)
{
	const struct seen *as = seen_in(test->stage);
	json_t *entry = find_victim(admin, test);
	bool is = entry && is_text(entry, "state", as->state) &&
		is_text(entry, "waits_for", as->waits_for) &&
		is_text(entry, "route", as->route);
	json_decref(entry);
	return is;
}

static bool is_whole(const json_t *entry, const char *member)
{
	const json_t *value = json_object_get(entry, member);
	return json_is_integer(value) && json_integer_value(value) >= 0;
}

/* A streamed answer and a streamed body have no limit but that of their stalling. */
static void assert_described(const struct operators *admin, const struct stage_test *test)
{
	const struct stage *stage = test->stage;
	bool begun = stage->state != NULL;
	bool streams = strstr(stage->name, "stream") != NULL;
	json_t *entry = find_victim(admin, test);
	const char *lane = strcmp(stage->name, "it is queued") == 0 ? "long" : "short";
	assert_true(is_text(entry, "id", begun ? "victim" : NULL));
	assert_true(is_text(entry, "lane", begun ? lane : NULL));
	assert_true(is_text(entry, "path", seen_in(stage)->route));
	assert_true(is_text(entry, "method",
		!begun                                       ? NULL
			: strncmp(stage->request, "POST", 4) ? "GET"
							     : "POST"));
	assert_true(is_whole(entry, "age_ms"));
	assert_true(is_whole(entry, "rows"));
	assert_true(is_whole(entry, "bytes"));
	if (!begun || streams)
		assert_true(json_is_null(json_object_get(entry, "time_left_ms")));
	else
		assert_true(is_whole(entry, "time_left_ms"));
	assert_int_equal(json_object_size(entry), 12);
	json_decref(entry);
}

/* Past the point of no return it is not undone. */
static void assert_finished(struct stage_test *test)
{
	struct http_response res;
	gate_wait(&test->fired);
	gate_open(&test->sync);
	stage_read(test, &res);
	assert_int_equal(res.status, 200);
	http_response_finish(&res);
}

static void assert_client_is_told(struct stage_test *test)
{
	struct http_response res;
	stage_read(test, &res);
	if (test->stage->sends) { /* of which nothing need have left yet */
		assert_true(res.status == 200 || res.status == 0);
		assert_false(res.whole);
	} else {
		http_assert_problem(&res, 503, "/problems/cancelled");
		assert_string_equal(http_header(&res, "X-Request-Id"), "victim");
	}
	http_response_finish(&res);
	if (test->stage->arrives) /* it is over when the client has closed, too */
		raw_close(&test->victim);
}

static void expect_operator(struct stage_test *test)
{
	const struct stage *stage = test->stage;
	stage_expect_result(test, stage->state ? ERR_OPERATOR : ERR_CLIENT_GONE);
	if (!stage->state)
		return;
	if (stage->finishes) {
		stage_expect_log(test, "status", "200");
	} else {
		stage_expect_log(test, "cause", "operator");
		stage_expect_log(test, "cancelled_while", stage->state);
		stage_expect_log(test, "status", stage->sends ? "200" : "503");
	}
}

static void assert_counted(const struct operators *admin, const struct stage *stage)
{
	char series[128];
	snprintf(series, sizeof series,
		"hangup_requests_cancelled_total{cause=\"operator\",state=\"%s\"}",
		stage->state);
	assert_true(get_metric(admin, series) == !stage->finishes);
	assert_true(get_metric(admin,
			    "hangup_cancel_stop_seconds_count{cause=\"operator\"}") ==
		!stage->finishes);
}

static void end_victim(const struct operators *admin, struct stage_test *test)
{
	failure_page_event(&test->page, "an operator cancels it");
	assert_cancels(admin, "victim", 1);
	if (test->stage->finishes)
		assert_finished(test);
	else
		assert_client_is_told(test);
	stage_check_log(test);
	assert_counted(admin, test->stage);
	assert_does_not_run(admin, "victim");
}

/* It has no id yet. */
static void leave_victim(const struct operators *admin, struct stage_test *test)
{
	assert_does_not_run(admin, "victim");
	failure_page_event(&test->page, "the client leaves: FIN");
	raw_close(&test->victim);
	stage_check_log(test);
	assert_true(get_metric(admin, "hangup_requests_unbegun_total") == 1);
}

static void is_seen_and_ended(void **state)
{
	static struct stage_test test;
	static struct operators admin;
	const struct stage *stage = *state;
	stage_init(&test, stage);
	failure_page_tell(&test.page, "ended by", "%s",
		stage->state ? "an operator" : "its client");
	stage_start(&test);
	admin_start(&admin, &test.server);
	expect_operator(&test);

	assert_true(stage_enter(&test, "", NULL));
	WAIT_UNTIL(is_seen(&admin, &test));
	assert_described(&admin, &test);
	if (stage->state)
		end_victim(&admin, &test);
	else
		leave_victim(&admin, &test);
	stage_leave(&test);
	WAIT_UNTIL(count_listed(&admin) == 0);

	admin_stop(&admin);
	stage_finish(&test);
}

/*
 * A service with one thread a lane, and one place in the queue.
 */

enum { CROWD = 40 };

struct fixture {
	struct holding holding; /* the first: the handlers find it */
	struct test_server server;
	struct operators admin;
};

static enum err stream_some(struct request *req, struct response *res)
{
	static const char piece[8192];
	(void)req;
	enum err err = ERR_OK;
	for (int i = 0; i < 16 && err == ERR_OK; i++)
		err = response_write(res, (struct span){ piece, sizeof piece });
	return err;
}

static const struct route test_routes[] = {
	{ "GET", "/short/held", hold_lane, .lane = LANE_SHORT },
	{ "GET", "/long/held", hold_lane, .lane = LANE_LONG },
	{ "GET", "/long/endless", wait_until_cancelled, .lane = LANE_LONG },
	{ "GET", "/short/endless", wait_until_cancelled, .lane = LANE_SHORT },
	{ "GET", "/short/quick", answer_at_once, .lane = LANE_SHORT },
	{ "GET", "/inline/quick", answer_at_once, .lane = LANE_INLINE },
	{ "GET", "/short/write", write_nothing, .lane = LANE_SHORT },
	{ "GET", "/short/stream", stream_some, .lane = LANE_SHORT,
		.answer = ANSWER_STREAMED },
};

enum { TEST_ROUTES = sizeof test_routes / sizeof *test_routes };

static struct fixture *start_fixture(void **state, int64_t threads, int64_t queue)
{
	static struct fixture fixture;
	struct http_settings *config = &fixture.server.config;
	fixture = (struct fixture){ 0 };
	holding_init(&fixture.holding);
	test_server_init(&fixture.server);
	config->short_threads = config->short_running = threads;
	config->long_threads = config->long_running = threads;
	config->short_queue = config->long_queue = queue;
	test_server_open_db(&fixture.server);
	fixture.holding.db = fixture.server.db;
	test_server_start(&fixture.server, test_routes, TEST_ROUTES, &fixture);
	admin_start(&fixture.admin, &fixture.server);
	*state = &fixture;
	return &fixture;
}

static int set_up(void **state)
{
	start_fixture(state, 1, 1);
	return 0;
}

static int set_up_for_crowd(void **state)
{
	start_fixture(state, 1, CROWD);
	return 0;
}

static int set_up_for_storm(void **state)
{
	start_fixture(state, 8, CROWD);
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	gate_open(&fixture->holding.let_go);
	admin_stop(&fixture->admin);
	test_server_stop(&fixture->server);
	holding_finish(&fixture->holding);
	return 0;
}

static struct http_call *start(struct fixture *fixture, const char *path, const char *id)
{
	char header[160];
	const char *const headers[] = { header, NULL };
	snprintf(header, sizeof header, "X-Request-Id: %s", id);
	return http_start(fixture->server.port,
		&(struct http_request){ .path = path, .headers = headers });
}

static void assert_cancelled(struct http_call *call)
{
	struct http_response res;
	http_join(call, &res);
	http_assert_problem(&res, 503, "/problems/cancelled");
	assert_null(http_header(&res, "Retry-After"));
	http_response_finish(&res);
}

static bool is_in_state(struct fixture *fixture, const char *id, const char *state)
{
	json_t *entry = find_listed(&fixture->admin, "id", id);
	bool is = entry && is_text(entry, "state", state);
	json_decref(entry);
	return is;
}

static void it_answers_while_every_lane_is_full(void **state)
{
	struct fixture *fixture = *state;
	const struct operators *admin = &fixture->admin;
	struct http_call *calls[] = {
		start(fixture, "/short/endless", "short-1"),
		start(fixture, "/long/endless", "long-1"),
	};
	WAIT_UNTIL(is_in_state(fixture, "short-1", "running"));
	WAIT_UNTIL(is_in_state(fixture, "long-1", "running"));
	struct http_call *queued = start(fixture, "/short/endless", "short-2");
	WAIT_UNTIL(is_in_state(fixture, "short-2", "queued"));
	assert_int_equal(http_get_status(fixture->server.port, "/short/quick"), 503);
	WAIT_UNTIL(test_server_stats(&fixture->server).in_flight == 3);

	char *page = get_metrics(admin);
	assert_true(metrics_page_value(page, "hangup_lane_running{lane=\"short\"}") == 1);
	assert_true(metrics_page_value(page, "hangup_lane_running{lane=\"long\"}") == 1);
	assert_true(metrics_page_value(page, "hangup_lane_queued{lane=\"short\"}") == 1);
	assert_true(metrics_page_value(page, "hangup_lane_queued{lane=\"long\"}") == 0);
	assert_true(metrics_page_value(
			    page, "hangup_lane_refused_total{lane=\"short\"}") == 1);
	assert_true(metrics_page_value(page, "hangup_requests_in_flight") == 3);
	free(page);

	assert_cancels(admin, "short-2", 1);
	assert_cancelled(queued);
	assert_cancels(admin, "short-1", 1);
	assert_cancelled(calls[0]);
	assert_cancels(admin, "long-1", 1);
	assert_cancelled(calls[1]);
}

/* The oldest first. */
static void the_list_is_in_order_of_age(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *first = start(fixture, "/short/endless", "first");
	WAIT_UNTIL(is_in_state(fixture, "first", "running"));
	struct http_call *second = start(fixture, "/long/endless", "second");
	WAIT_UNTIL(is_in_state(fixture, "second", "running"));
	json_t *list = get_list(&fixture->admin);
	json_t *requests = json_object_get(list, "requests");
	assert_int_equal(json_array_size(requests), 2);
	assert_true(is_text(json_array_get(requests, 0), "id", "first"));
	assert_true(is_text(json_array_get(requests, 1), "id", "second"));
	json_decref(list);
	assert_cancels(&fixture->admin, "first", 1);
	assert_cancels(&fixture->admin, "second", 1);
	assert_cancelled(first);
	assert_cancelled(second);
}

static void it_answers_while_the_service_drains(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *call = start(fixture, "/short/endless", "last");
	WAIT_UNTIL(is_in_state(fixture, "last", "running"));
	assert_true(get_metric(&fixture->admin, "hangup_draining") == 0);
	server_drain(fixture->server.server);
	assert_true(get_metric(&fixture->admin, "hangup_draining") == 1);
	assert_int_equal(count_listed(&fixture->admin), 1);
	assert_cancels(&fixture->admin, "last", 1);
	assert_cancelled(call);
}

/* A handler may not hear of it: it is cancelled all the same, and once. */
static void what_is_cancelled_already_is_not_cancelled_again(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *call = start(fixture, "/short/held", "deaf");
	gate_wait(&fixture->holding.held);
	assert_cancels(&fixture->admin, "deaf", 1);
	assert_true(is_in_state(fixture, "deaf", "running"));
	assert_does_not_run(&fixture->admin, "deaf");
	gate_open(&fixture->holding.let_go);
	http_join_expecting(call, "\"held\"");
}

static void what_has_ended_or_never_was_is_not_found(void **state)
{
	struct fixture *fixture = *state;
	char long_id[256];
	memset(long_id, 'a', sizeof long_id - 1);
	long_id[sizeof long_id - 1] = '\0';
	http_join_expecting(start(fixture, "/short/quick", "ended"), "\"quick\"");
	json_decref(test_server_log_line(&fixture->server, "ended"));
	assert_does_not_run(&fixture->admin, "ended");
	assert_does_not_run(&fixture->admin, "never-was");
	assert_does_not_run(&fixture->admin, "%41%0a");
	assert_does_not_run(&fixture->admin, long_id);
}

/* Not what begins like it, either. */
static void an_id_is_the_whole_id(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *call = start(fixture, "/short/endless", "abc");
	WAIT_UNTIL(is_in_state(fixture, "abc", "running"));
	assert_does_not_run(&fixture->admin, "ab");
	assert_does_not_run(&fixture->admin, "abcd");
	assert_does_not_run(&fixture->admin, "ABC");
	assert_cancels(&fixture->admin, "abc", 1);
	assert_cancelled(call);
}

static void all_that_share_an_id_are_cancelled(void **state)
{
	struct fixture *fixture = *state;
	struct http_call *calls[CROWD];
	struct http_call *other = start(fixture, "/short/endless", "other");
	for (int i = 0; i < CROWD; i++)
		calls[i] = start(fixture, "/long/endless", "shared");
	WAIT_UNTIL(count_listed(&fixture->admin) == CROWD + 1);
	WAIT_UNTIL(test_server_lane(&fixture->server, LANE_LONG).queued == CROWD - 1);
	assert_cancels(&fixture->admin, "shared", CROWD);
	for (int i = 0; i < CROWD; i++)
		assert_cancelled(calls[i]);
	WAIT_UNTIL(count_listed(&fixture->admin) == 1);
	assert_true(is_in_state(fixture, "other", "running"));
	assert_cancels(&fixture->admin, "other", 1);
	assert_cancelled(other);
}

static void any_path_is_shown_as_json(void **state)
{
	struct fixture *fixture = *state;
	struct raw client;
	char long_path[600];
	memset(long_path, 'x', sizeof long_path - 1);
	long_path[sizeof long_path - 1] = '\0';
	raw_connect(&client, fixture->server.port);
	raw_sendf(&client,
		"POST /a%%ff%%22%%01b/%s HTTP/1.1\r\nHost: x\r\nX-Request-Id: odd\r\n"
		"Content-Length: 9\r\n\r\n",
		long_path);
	WAIT_UNTIL(is_in_state(fixture, "odd", "reading"));
	json_t *entry = find_listed(&fixture->admin, "id", "odd");
	const char *path = json_string_value(json_object_get(entry, "path"));
	assert_int_equal(strlen(path), 255);
	assert_memory_equal(path, "/a?\"\001b/xxx", 10);
	assert_true(is_text(entry, "route", NULL));
	assert_true(is_text(entry, "lane", NULL));
	json_decref(entry);
	raw_close(&client);
}

static void it_has_routes_of_its_own(void **state)
{
	struct fixture *fixture = *state;
	unsigned port = fixture->admin.port;
	struct http_response res;
	assert_int_equal(http_get_status(port, "/short/quick"), 404);
	assert_int_equal(http_get_status(fixture->server.port, "/requests"), 404);
	assert_int_equal(http_get_status(fixture->server.port, "/metrics"), 404);
	http_perform(port,
		&(struct http_request){ .method = "POST", .path = "/requests" }, &res);
	http_assert_problem(&res, 405, "/problems/method-not-allowed");
	http_response_finish(&res);
	http_get(port, "/requests/some", &res);
	http_assert_problem(&res, 405, "/problems/method-not-allowed");
	assert_string_equal(http_header(&res, "Allow"), "DELETE, OPTIONS");
	http_response_finish(&res);
}

/* A page's name can be made to mean 127.0.0.1, but the browser says that name. */
static void on_loopback_it_answers_to_its_own_names_only(void **state)
{
	static const char *const own[] = { "localhost", "LocalHost:8081", "127.0.0.1",
		"127.1.2.3:80", "[::1]", "[::1]:8081" };
	static const char *const foreign[] = { "page.example", "page.example:8081",
		"localhost.page.example", "127.0.0.1.page.example", "128.0.0.1", "[::2]",
		"0.0.0.0", "", "[::1", "127.0.0.1]", "::1" };
	struct fixture *fixture = *state;
	struct raw raw;
	struct http_response res;
	raw_connect(&raw, fixture->admin.port);
	for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
		raw_sendf(&raw, "GET /requests HTTP/1.1\r\nHost: %s\r\n\r\n", own[i]);
		raw_read(&raw, &res);
		if (res.status != 200)
			fail_msg("%u to Host: %s", res.status, own[i]);
		http_response_finish(&res);
	}
	for (size_t i = 0; i < sizeof foreign / sizeof *foreign; i++) {
		raw_sendf(&raw, "DELETE /requests/x HTTP/1.1\r\nHost: %s\r\n\r\n",
			foreign[i]);
		raw_read(&raw, &res);
		http_assert_problem(&res, 421, "/problems/misdirected");
		http_response_finish(&res);
	}
	raw_close(&raw);
	/* The public one answers to any: it has other guards. */
	http_join_expecting(start(fixture, "/short/quick", "any"), "\"quick\"");
}

/* Else a page of metrics every few seconds would be most of a quiet service's log. */
static void its_own_requests_are_not_logged(void **state)
{
	struct fixture *fixture = *state;
	const char *const headers[] = { "X-Request-Id: quiet", NULL };
	const struct http_request req = { .path = "/requests", .headers = headers };
	struct server_stats stats;
	struct http_response res;
	http_perform(fixture->admin.port, &req, &res);
	assert_int_equal(res.status, 200);
	http_response_finish(&res);
	WAIT_UNTIL((server_stats(fixture->admin.admin->listener, &stats),
		stats.in_flight == 0));
	http_join_expecting(start(fixture, "/short/quick", "loud"), "\"quick\"");
	json_decref(test_server_log_line(&fixture->server, "loud"));
	assert_null(log_reader_find(&fixture->server.log, "request", "id", "quiet"));
}

/*
 * Metrics.
 */

static void requests_are_on_the_page(void **state)
{
	struct fixture *fixture = *state;
	http_join_expecting(start(fixture, "/short/quick", "a"), "\"quick\"");
	http_join_expecting(start(fixture, "/short/quick", "b"), "\"quick\"");
	http_join_expecting(start(fixture, "/short/write", "c"), "\"written\"");
	assert_int_equal(http_get_status(fixture->server.port, "/nowhere"), 404);
	test_server_wait_at_rest(&fixture->server);
	char *page = get_metrics(&fixture->admin);
#define VALUE(series) metrics_page_value(page, "hangup_" series)
	assert_true(VALUE("requests_total{method=\"GET\",route=\"/short/quick\","
			  "status=\"200\"}") == 2);
	assert_true(VALUE("requests_total{method=\"\",route=\"\",status=\"404\"}") == 1);
	assert_true(VALUE("request_duration_seconds_count{method=\"GET\","
			  "route=\"/short/quick\",status=\"2xx\"}") == 2);
	double sum = VALUE("request_duration_seconds_sum{method=\"GET\","
			   "route=\"/short/quick\",status=\"2xx\"}");
	assert_true(sum > 0 && sum < 60);
	assert_true(VALUE("requests_in_flight") == 0);
	assert_true(VALUE("connections") == 0);
	assert_true(VALUE("db_writes_committed_total") == 1);
	assert_true(VALUE("db_commits_total") == 1);
	assert_true(VALUE("db_batch_max_writes") == 1);
	free(page);
}

static void the_page_says_how_the_rest_is(void **state)
{
	static const char *const series[] = {
		"hangup_db_readers",
		"hangup_db_readers_lent",
		"hangup_db_readers_waited_for",
		"hangup_db_writes_waiting",
		"hangup_db_writes_undone_total",
		"hangup_db_commit_seconds_total",
		"hangup_db_commit_max_seconds",
		"hangup_db_wal_bytes",
		"hangup_log_lines_dropped_total",
		"hangup_lane_waiting{lane=\"long\"}",
		"process_start_time_seconds",
	};
	struct fixture *fixture = *state;
	char *page = get_metrics(&fixture->admin);
	for (size_t i = 0; i < sizeof series / sizeof *series; i++)
		if (metrics_page_value(page, series[i]) < 0)
			fail_msg("no %s in\n%s", series[i], page);
	assert_true(metrics_page_value(page, "process_resident_memory_bytes") > 1 << 20);
	assert_non_null(strstr(page, "\nhangup_build_info{version=\""));
	free(page);
}

/* As Prometheus 2 asks; and as nobody is answered. */
static void the_page_is_what_prometheus_asks_for(void **state)
{
	struct fixture *fixture = *state;
	const char *const prometheus[] = {
		"Accept: application/openmetrics-text;version="
		"1.0.0;q=0.5,application/openmetrics-text;version=0.0.1;q=0.4,text/plain;"
		"version=0.0.4;q=0.3,*/*;q=0.2",
		NULL
	};
	const char *const json[] = { "Accept: application/json", NULL };
	struct http_response res;
	http_perform(fixture->admin.port,
		&(struct http_request){ .path = "/metrics", .headers = prometheus },
		&res);
	assert_int_equal(res.status, 200);
	http_response_finish(&res);
	http_perform(fixture->admin.port,
		&(struct http_request){ .path = "/metrics", .headers = json }, &res);
	assert_int_equal(res.status, 406);
	http_response_finish(&res);
}

/*
 * Storms: requests that end by themselves, and operators who end them in that moment.
 */

enum { CLIENTS = 4, OPERATORS = 2, REQUESTS = 150 };

struct storm {
	struct fixture *fixture;
	atomic_uint clients;
	atomic_uint operators;
	atomic_uint clients_left;
	atomic_uint told;      /* clients, that they were cancelled */
	atomic_uint cancelled; /* requests, as operators were told */
};

static const char *const storm_paths[] = { "/short/quick", "/short/stream",
	"/short/write", "/short/endless", "/inline/quick", "/nowhere" };

/* One that is cut off may have read a part of its answer, or nothing. */
static void ask_in_storm(struct storm *storm, unsigned who, unsigned nth)
{
	struct raw client;
	struct http_response res;
	const char *path = storm_paths[nth % (sizeof storm_paths / sizeof *storm_paths)];
	raw_connect(&client, storm->fixture->server.port);
	raw_sendf(&client, "GET %s HTTP/1.1\r\nHost: x\r\nX-Request-Id: storm-%u\r\n\r\n",
		path, who / 2);
	raw_read(&client, &res);
	assert(!res.whole || res.status == 200 || res.status == 404 || res.status == 503);
	if (strcmp(path, "/short/endless") == 0)
		assert(res.whole && res.status == 503);
	if (res.status == 503)
		atomic_fetch_add(&storm->told, 1);
	http_response_finish(&res);
	raw_close(&client);
}

static void *be_client(void *arg)
{
	struct storm *storm = arg;
	unsigned who = atomic_fetch_add(&storm->clients, 1);
	for (unsigned i = 0; i < REQUESTS; i++)
		ask_in_storm(storm, who, i + who);
	atomic_fetch_sub(&storm->clients_left, 1);
	return NULL;
}

static enum err look(void *arg, const struct request_view *view)
{
	(void)arg;
	assert(!view->begun || strncmp(view->id, "storm-", strlen("storm-")) == 0);
	assert(view->state && view->client[0]);
	return ERR_OK;
}

/* Without a network between: more often in the narrow moments. */
static void *be_operator(void *arg)
{
	struct storm *storm = arg;
	struct server *server = storm->fixture->server.server;
	unsigned seed = atomic_fetch_add(&storm->operators, 1);
	shake(seed + 1);
	for (unsigned i = 0; atomic_load(&storm->clients_left) > 0; i++) {
		unsigned count = server_cancel_request(
			server, i % 2 ? "storm-0" : "storm-1");
		atomic_fetch_add(&storm->cancelled, count);
		if (i % 4 == seed % 4)
			server_visit_requests(server, look, NULL);
		for (unsigned pause = (i * 7 + seed) % 16; pause > 0; pause--)
			sched_yield();
	}
	shake(0);
	return NULL;
}

static void *be_remote_operator(void *arg)
{
	struct storm *storm = arg;
	struct http_response res;
	while (atomic_load(&storm->clients_left) > 0) {
		json_decref(get_list(&storm->fixture->admin));
		if (cancel(&storm->fixture->admin, "storm-0", &res) == 202)
			atomic_fetch_add(&storm->cancelled,
				(unsigned)atoi(res.body + strlen("{\"cancelled\":")));
		http_response_finish(&res);
	}
	return NULL;
}

static void a_storm_of_ends_is_survived(void **state)
{
	static struct storm storm;
	pthread_t clients[CLIENTS];
	pthread_t operators[OPERATORS + 1];
	struct fixture *fixture = *state;
	storm = (struct storm){ .fixture = fixture, .clients_left = CLIENTS };
	for (int i = 0; i < CLIENTS; i++)
		pthread_create(&clients[i], NULL, be_client, &storm);
	for (int i = 0; i < OPERATORS; i++)
		pthread_create(&operators[i], NULL, be_operator, &storm);
	pthread_create(&operators[OPERATORS], NULL, be_remote_operator, &storm);
	for (int i = 0; i < CLIENTS; i++)
		pthread_join(clients[i], NULL);
	for (int i = 0; i <= OPERATORS; i++)
		pthread_join(operators[i], NULL);

	test_server_wait_at_rest(&fixture->server);
	struct server_stats stats = test_server_stats(&fixture->server);
	unsigned told = atomic_load(&storm.told);
	assert_int_equal(stats.requests, CLIENTS * REQUESTS);
	assert_int_equal(stats.cancelled[CANCEL_CLIENT_GONE], 0);
	assert_true(stats.cancelled[CANCEL_OPERATOR] >= told);
	assert_true(stats.cancelled[CANCEL_OPERATOR] <= atomic_load(&storm.cancelled));
	assert_true(told >= CLIENTS * REQUESTS / 6);
	assert_int_equal(count_listed(&fixture->admin), 0);
	assert_int_equal(http_get_status(fixture->server.port, "/short/write"), 200);
}

/*
 * The application starts it.
 */

struct app_test {
	char dir[TEST_DIR_SIZE];
	struct config config;
	struct instance *instance;
};

static int make_settings(void **state)
{
	static struct app_test test;
	test = (struct app_test){ 0 };
	test_dir_make(test.dir);
	settings_default(&config_settings, &test.config);
	test.config.http.port = 0;
	snprintf(test.config.db.url, sizeof test.config.db.url, "sqlite:%s/test.db",
		test.dir);
	*state = &test;
	return 0;
}

static int remove_all(void **state)
{
	struct app_test *test = *state;
	instance_destroy(test->instance);
	test_dir_remove(test->dir);
	return 0;
}

/* A port that was free a moment ago. */
static unsigned free_port(void)
{
	struct test_server server;
	test_server_init(&server);
	test_server_start(&server, test_routes, TEST_ROUTES, NULL);
	unsigned port = server.port;
	test_server_stop(&server);
	return port;
}

static void the_application_listens_for_operators(void **state)
{
	struct app_test *test = *state;
	test->config.admin.port = free_port();
	enum err err = instance_create(
		&test->config, routes, routes_count, &test->instance);
	assert_int_equal(err, ERR_OK);
	unsigned port = server_port(test->instance->server);
	unsigned admin_port = admin_listener_port(test->instance->admin);
	assert_int_equal(admin_port, test->config.admin.port);
	assert_int_equal(http_get_status(port, "/healthz"), 200);
	assert_int_equal(http_get_status(port, "/metrics"), 404);
	assert_int_equal(http_get_status(admin_port, "/metrics"), 200);
	assert_int_equal(http_get_status(admin_port, "/requests"), 200);
	assert_int_equal(http_get_status(admin_port, "/healthz"), 404);
}

static void without_a_port_it_does_not(void **state)
{
	struct app_test *test = *state;
	test->config.admin.port = 0;
	enum err err = instance_create(
		&test->config, routes, routes_count, &test->instance);
	assert_int_equal(err, ERR_OK);
	assert_null(test->instance->admin);
	unsigned port = server_port(test->instance->server);
	assert_int_equal(http_get_status(port, "/metrics"), 404);
}

static void a_port_that_is_taken_is_an_error(void **state)
{
	struct app_test *test = *state;
	struct test_server other;
	test_server_init(&other);
	test_server_start(&other, test_routes, TEST_ROUTES, NULL);
	test->config.admin.port = other.port;
	enum err err = instance_create(
		&test->config, routes, routes_count, &test->instance);
	assert_int_equal(err, ERR_IO);
	assert_null(test->instance);
	test_server_stop(&other);
}

/*
 * All of them.
 */

#define TEST(name)     cmocka_unit_test_setup_teardown(name, set_up, tear_down)
#define AS_CROWD(name) cmocka_unit_test_setup_teardown(name, set_up_for_crowd, tear_down)
#define STORM(name)    cmocka_unit_test_setup_teardown(name, set_up_for_storm, tear_down)
#define APP(name)      cmocka_unit_test_setup_teardown(name, make_settings, remove_all)

static int run_stages(int argc, char **argv)
{
	static struct test_list list;
	for (unsigned i = 0; i < stages_count; i++)
		test_list_add(&list, is_seen_and_ended, &stages[i], "%s", stages[i].name);
	return test_list_run(&list, "seen and ended while", argc, argv);
}

/* An argument chooses among the tests. */
int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		TEST(it_answers_while_every_lane_is_full),
		TEST(the_list_is_in_order_of_age),
		TEST(it_answers_while_the_service_drains),
		TEST(what_is_cancelled_already_is_not_cancelled_again),
		TEST(what_has_ended_or_never_was_is_not_found),
		TEST(an_id_is_the_whole_id),
		AS_CROWD(all_that_share_an_id_are_cancelled),
		TEST(any_path_is_shown_as_json),
		TEST(it_has_routes_of_its_own),
		TEST(on_loopback_it_answers_to_its_own_names_only),
		TEST(its_own_requests_are_not_logged),
		TEST(requests_are_on_the_page),
		TEST(the_page_says_how_the_rest_is),
		TEST(the_page_is_what_prometheus_asks_for),
		STORM(a_storm_of_ends_is_survived),
		APP(the_application_listens_for_operators),
		APP(without_a_port_it_does_not),
		APP(a_port_that_is_taken_is_an_error),
	};
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	return run_stages(argc, argv) + cmocka_run_group_tests(tests, NULL, NULL);
}
