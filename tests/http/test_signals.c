/*
 * The program is told to end: by SIGTERM, as an orchestrator does, or by Ctrl-C. What is
 * in flight gets the drain's time; a second signal cuts that short; the exit status is 0,
 * and under AddressSanitizer that also says that nothing leaked.
 */
#include <signal.h>
#include <stdio.h>
#include <string.h>

#include "tests/support/cmocka.h"
#include "tests/support/process.h"
#include "tests/support/raw.h"
#include "tests/support/test_dir.h"
#include "tests/support/wait.h"

#define ITEM "{\"name\":\"bolt\",\"category\":\"m8\"}"

struct fixture {
	char dir[TEST_DIR_SIZE];
	char database[96];
	char drain_timeout[64];
	struct process process;
	struct raw raw; /* whose request is in flight */
	struct raw probe;
};

/*
 * Fixture.
 */

static int set_up(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){ .raw.fd = -1, .probe.fd = -1 };
	test_dir_make(fixture.dir);
	snprintf(fixture.database, sizeof fixture.database,
		"DATABASE_URL=sqlite:%s/test.db", fixture.dir);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const the_database[] = { "test.db", NULL };
	struct fixture *fixture = *state;
	raw_close(&fixture->raw);
	raw_close(&fixture->probe);
	process_finish(&fixture->process);
	test_dir_remove_with(fixture->dir, the_database); /* no WAL was left */
	return 0;
}

static void start(struct fixture *fixture, const char *drain_timeout)
{
	const char *const settings[] = { fixture->database, drain_timeout, NULL };
	process_start(&fixture->process, settings);
}

static void send_signal(struct fixture *fixture, int signal)
{
	assert_int_equal(kill(fixture->process.pid, signal), 0);
}

/* Without another signal. */
static void assert_ends_well(struct fixture *fixture)
{
	assert_int_equal(process_end(&fixture->process, 0), 0);
}

static json_t *wait_for_line(struct fixture *fixture, const char *message)
{
	return log_reader_wait(&fixture->process.log, message, "level", "info");
}

static void assert_line(
	struct fixture *fixture, const char *message, const char *key, const char *text)
{
	json_t *line = wait_for_line(fixture, message);
	assert_string_equal(log_text(line, key), text);
	json_decref(line);
}

/* The answer to the headers says that the request has begun. */
static void begin_request(struct fixture *fixture)
{
	raw_connect(&fixture->raw, fixture->process.port);
	raw_sendf(&fixture->raw,
		"POST /v1/items HTTP/1.1\r\nHost: x\r\nX-Request-Id: held\r\n"
		"Content-Type: application/json\r\nContent-Length: %zu\r\n"
		"Expect: 100-continue\r\n\r\n",
		strlen(ITEM));
	assert_true(raw_expect(&fixture->raw, "HTTP/1.1 100 Continue\r\n\r\n"));
}

static void assert_told(struct fixture *fixture)
{
	struct http_response res;
	raw_read(&fixture->raw, &res);
	http_assert_problem(&res, 503, "/problems/shutdown");
	http_response_finish(&res);
	assert_true(raw_is_closed(&fixture->raw));
	raw_close(&fixture->raw);
}

static bool refuses_connections(struct fixture *fixture)
{
	struct raw raw;
	if (!raw_try_connect(&raw, fixture->process.port))
		return true;
	raw_close(&raw);
	return false;
}

/*
 * Tests.
 */

static void an_idle_service_ends_at_once(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, "DRAIN_TIMEOUT_MS=3600000");
	send_signal(fixture, SIGTERM);
	assert_ends_well(fixture);
	assert_line(fixture, "shutting down", "signal", "TERM");
	assert_line(fixture, "drained", "ended_by", "idle");
	json_decref(wait_for_line(fixture, "stopped"));
}

static void ctrl_c_ends_it_too(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, "DRAIN_TIMEOUT_MS=3600000");
	send_signal(fixture, SIGINT);
	assert_ends_well(fixture);
	assert_line(fixture, "shutting down", "signal", "INT");
}

static void a_closed_terminal_lets_what_is_in_flight_finish(void **state)
{
	struct fixture *fixture = *state;
	struct http_response res;
	signal(SIGHUP, SIG_DFL); /* these tests may run under nohup */
	start(fixture, "DRAIN_TIMEOUT_MS=3600000");
	begin_request(fixture);
	send_signal(fixture, SIGHUP);
	WAIT_UNTIL(refuses_connections(fixture));
	raw_send(&fixture->raw, ITEM);
	raw_read(&fixture->raw, &res);
	assert_int_equal(res.status, 201);
	http_response_finish(&res);
	raw_close(&fixture->raw);
	assert_ends_well(fixture);
	assert_line(fixture, "shutting down", "signal", "HUP");
}

static void what_is_in_flight_may_finish_and_nothing_new_comes_in(void **state)
{
	struct fixture *fixture = *state;
	struct http_response res;
	start(fixture, "DRAIN_TIMEOUT_MS=3600000");
	begin_request(fixture);
	send_signal(fixture, SIGTERM);
	WAIT_UNTIL(refuses_connections(fixture));
	raw_send(&fixture->raw, ITEM);
	raw_read(&fixture->raw, &res);
	assert_int_equal(res.status, 201);
	assert_string_equal(http_header(&res, "Connection"), "close");
	http_response_finish(&res);
	assert_true(raw_is_closed(&fixture->raw));
	assert_ends_well(fixture);
	assert_line(fixture, "drained", "ended_by", "idle");
}

static void a_draining_service_is_not_ready(void **state)
{
	struct fixture *fixture = *state;
	struct http_response res;
	start(fixture, "DRAIN_TIMEOUT_MS=3600000");
	begin_request(fixture);
	raw_connect(&fixture->probe, fixture->process.port);
	raw_send(&fixture->probe, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
	raw_read(&fixture->probe, &res);
	assert_int_equal(res.status, 200);
	http_response_finish(&res);

	send_signal(fixture, SIGTERM);
	WAIT_UNTIL(refuses_connections(fixture));
	raw_send(&fixture->probe, "GET /readyz HTTP/1.1\r\nHost: x\r\n\r\n");
	raw_read(&fixture->probe, &res);
	assert_int_equal(res.status, 503);
	http_response_finish(&res);
	raw_close(&fixture->probe);
	send_signal(fixture, SIGTERM);
	assert_told(fixture);
	assert_ends_well(fixture);
}

static void the_drain_ends_when_its_time_is_over(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, "DRAIN_TIMEOUT_MS=50");
	begin_request(fixture);
	send_signal(fixture, SIGTERM);
	assert_told(fixture);
	assert_ends_well(fixture);
	assert_line(fixture, "drained", "ended_by", "timeout");
	json_t *line = log_reader_wait(&fixture->process.log, "request", "id", "held");
	assert_int_equal(log_int(line, "status"), 503);
	assert_string_equal(log_text(line, "cause"), "shutdown");
	json_decref(line);
}

static void a_second_signal_skips_the_drain(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, "DRAIN_TIMEOUT_MS=3600000");
	begin_request(fixture);
	send_signal(fixture, SIGTERM);
	json_decref(wait_for_line(fixture, "shutting down"));
	send_signal(fixture, SIGTERM);
	assert_told(fixture);
	assert_ends_well(fixture);
	assert_line(fixture, "drained", "ended_by", "second signal");
}

/* Neither a reader that has gone away nor a file that may not be larger must take the
 * service with it. */
static void what_a_write_raises_ends_nothing(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, "DRAIN_TIMEOUT_MS=3600000");
	send_signal(fixture, SIGPIPE);
	send_signal(fixture, SIGXFSZ);
	assert_int_equal(http_get_status(fixture->process.port, "/healthz"), 200);
	send_signal(fixture, SIGTERM);
	assert_ends_well(fixture);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_idle_service_ends_at_once),
		TEST(ctrl_c_ends_it_too),
		TEST(a_closed_terminal_lets_what_is_in_flight_finish),
		TEST(what_is_in_flight_may_finish_and_nothing_new_comes_in),
		TEST(a_draining_service_is_not_ready),
		TEST(the_drain_ends_when_its_time_is_over),
		TEST(a_second_signal_skips_the_drain),
		TEST(what_a_write_raises_ends_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
