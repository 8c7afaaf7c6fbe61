/*
 * The health check against services that answer well, badly, too late and not
 * at all: each a socket that this test serves by hand.
 */
#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "handlers/commands.h"
#include "handlers/settings.h"
#include "service/core/address.h"
#include "service/core/clock.h"
#include "service/http/listener.h"
#include "service/run/healthcheck.h"
#include "tests/support/cmocka.h"

enum { SHORT_MS = 100, LONG_MS = 5000, SILENCE_MS = 60000 };

/* A service that answers one request with text, and keeps what it was asked. */
struct service {
	int fd;
	unsigned port;
	const char *answer; /* NULL: none, until the client has gone */
	char asked[512];
	pthread_t thread;
};

static void read_request(int fd, struct service *service)
{
	size_t len = 0;
	while (!strstr(service->asked, "\r\n\r\n")) {
		ssize_t got = read(
			fd, service->asked + len, sizeof service->asked - 1 - len);
		if (got <= 0)
			return;
		len += (size_t)got;
	}
}

static void *serve(void *arg)
{
	struct service *service = arg;
	char byte;
	int fd = accept(service->fd, NULL, NULL);
	assert_true(fd >= 0);
	read_request(fd, service);
	if (service->answer)
		assert_true(write(fd, service->answer, strlen(service->answer)) > 0);
	else
		assert_int_equal(read(fd, &byte, 1), 0);
	close(fd);
	return NULL;
}

static void start(struct service *service, const char *addr, const char *answer)
{
	*service = (struct service){ .answer = answer };
	assert_int_equal(listener_open(addr, 0, SILENCE_MS, &service->fd), ERR_OK);
	fcntl(service->fd, F_SETFL, 0); /* accept() waits */
	service->port = listener_port(service->fd);
	pthread_create(&service->thread, NULL, serve, service);
}

static void stop(struct service *service)
{
	pthread_join(service->thread, NULL);
	close(service->fd);
}

static enum err check(
	const char *listen, const char *addr, const char *answer, int64_t timeout_ms)
{
	struct service service;
	start(&service, listen, answer);
	enum err err = healthcheck(addr, service.port, timeout_ms);
	stop(&service);
	assert_non_null(strstr(service.asked, "GET /healthz HTTP/1.1\r\n"));
	return err;
}

static const char good[] = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";

static void a_service_that_answers_200_is_healthy(void **state)
{
	(void)state;
	assert_int_equal(check("127.0.0.1", "127.0.0.1", good, LONG_MS), ERR_OK);
}

static void one_that_listens_everywhere_is_asked_over_loopback(void **state)
{
	(void)state;
	assert_int_equal(check("127.0.0.1", "0.0.0.0", good, LONG_MS), ERR_OK);
}

static void every_address_of_ipv6_is_loopback_too(void **state)
{
	(void)state;
	union address address;
	socklen_t len;
	assert_true(address_parse("::", 1, &address, &len));
	address_make_reachable(&address);
	assert_true(IN6_IS_ADDR_LOOPBACK(&address.v6.sin6_addr));
	assert_int_equal(address_port(&address), 1);
}

static void an_address_of_its_own_is_asked_as_it_is(void **state)
{
	(void)state;
	assert_int_equal(check("127.0.0.2", "127.0.0.2", good, LONG_MS), ERR_OK);
}

static void any_other_answer_is_not_healthy(void **state)
{
	(void)state;
	static const char *const answers[] = {
		"HTTP/1.1 503 Service Unavailable\r\n\r\n",
		"HTTP/1.1 2000 ", /* as long, and starts alike */
		"HTTP/1.1 20",    /* cut off */
		"SSH-2.0-OpenSSH_9.2p1\r\n",
	};
	for (size_t i = 0; i < sizeof answers / sizeof *answers; i++)
		assert_int_equal(
			check("127.0.0.1", "127.0.0.1", answers[i], LONG_MS), ERR_BUSY);
}

static void silence_ends_with_the_time(void **state)
{
	(void)state;
	instant before = instant_now();
	assert_int_equal(check("127.0.0.1", "127.0.0.1", NULL, SHORT_MS), ERR_DEADLINE);
	int64_t ns = instant_diff_ns(before, instant_now());
	assert_true(ns >= (int64_t)SHORT_MS * 1000000);
}

static void nobody_there_is_not_healthy(void **state)
{
	(void)state;
	int fd;
	assert_int_equal(listener_open("127.0.0.1", 0, SILENCE_MS, &fd), ERR_OK);
	unsigned port = listener_port(fd);
	close(fd);
	assert_int_equal(healthcheck("127.0.0.1", port, LONG_MS), ERR_IO);
}

static void the_command_asks_where_the_settings_say(void **state)
{
	(void)state;
	struct config config;
	struct service service;
	settings_default(&config_settings, &config);
	start(&service, "127.0.0.1", good);
	config.http.port = service.port;
	assert_int_equal(command_healthcheck(&config, 0, NULL), 0);
	stop(&service);
	assert_int_equal(command_healthcheck(&config, 0, NULL), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_service_that_answers_200_is_healthy),
		cmocka_unit_test(one_that_listens_everywhere_is_asked_over_loopback),
		cmocka_unit_test(every_address_of_ipv6_is_loopback_too),
		cmocka_unit_test(an_address_of_its_own_is_asked_as_it_is),
		cmocka_unit_test(any_other_answer_is_not_healthy),
		cmocka_unit_test(silence_ends_with_the_time),
		cmocka_unit_test(nobody_there_is_not_healthy),
		cmocka_unit_test(the_command_asks_where_the_settings_say),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
