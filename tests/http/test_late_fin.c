/*
 * A client's last bytes and its FIN are there before the network thread looks, and what
 * libmicrohttpd makes of them is one event, of which it sees the bytes alone: client.c
 * has the remedy. Here the network thread is held until the remedy is being applied, and
 * runs in the middle of it.
 */
#include <sched.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "tests/support/cmocka.h"
#include "tests/support/holding.h"
#include "tests/support/raw.h"
#include "tests/support/test_server.h"
#include "tests/support/wait.h"

static struct {
	struct holding holding; /* of the network thread */
	atomic_bool armed;      /* the next question for unread bytes lets it go */
	atomic_uint asked;
} fixture;

static int ask_kernel(int fd, unsigned long request, void *arg)
{
	return (int)syscall(SYS_ioctl, fd, request, arg);
}

/* In place of the C library's: time passes before the answer, as it may, until the
 * network thread has read all there is. */
int ioctl(int fd, unsigned long request, ...)
{
	va_list args;
	va_start(args, request);
	void *arg = va_arg(args, void *);
	va_end(args);
	int unread = 0;
	if (request == FIONREAD && atomic_exchange(&fixture.armed, false)) {
		atomic_fetch_add(&fixture.asked, 1);
		gate_open(&fixture.holding.let_go);
		WAIT_UNTIL(ask_kernel(fd, FIONREAD, &unread) == 0 && unread == 0);
	}
	return ask_kernel(fd, request, arg);
}

static const struct route routes[] = {
	{ "GET", "/hold", hold_lane, .lane = LANE_INLINE },
	{ "GET", "/ok", answer_at_once, .lane = LANE_INLINE },
};

static void assert_answered(struct raw *raw)
{
	struct http_response res;
	raw_read(raw, &res);
	assert_int_equal(res.status, 200);
	http_response_finish(&res);
}

/* Has been accepted, and waits for nothing. */
static void connect_and_ask(struct raw *raw, unsigned port)
{
	raw_connect(raw, port);
	raw_send(raw, "GET /ok HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_answered(raw);
}

static void it_is_not_lost(const char *last)
{
	struct test_server server = { 0 };
	struct raw holder;
	struct raw victim;
	holding_init(&fixture.holding);
	atomic_store(&fixture.asked, 0);
	test_server_init(&server);
	test_server_start(&server, routes, sizeof routes / sizeof *routes, &fixture);
	connect_and_ask(&holder, server.port);
	connect_and_ask(&victim, server.port);

	raw_send(&holder, "GET /hold HTTP/1.1\r\nHost: x\r\n\r\n");
	gate_wait(&fixture.holding.held);
	atomic_store(&fixture.armed, true);
	raw_send_with_fin(&victim, last);
	raw_close(&victim);
	assert_answered(&holder);
	raw_close(&holder);
	test_server_wait_at_rest(&server);
	assert_int_equal(atomic_load(&fixture.asked), 1);

	test_server_stop(&server);
	holding_finish(&fixture.holding);
}

static void with_half_a_request_line(void **state)
{
	(void)state;
	it_is_not_lost("GET /o");
}

static void with_half_of_the_headers(void **state)
{
	(void)state;
	it_is_not_lost("GET /ok HTTP/1.1\r\nHost: x\r\n");
}

static void with_an_empty_line(void **state)
{
	(void)state;
	it_is_not_lost("\r\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(with_half_a_request_line),
		cmocka_unit_test(with_half_of_the_headers),
		cmocka_unit_test(with_an_empty_line),
	};
	return cmocka_run_group_tests_name(
		"a FIN that comes with the bytes before it", tests, NULL, NULL);
}
