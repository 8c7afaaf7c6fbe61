/*
 * Signals as something to wait for. What the service does with them is in
 * tests/http/test_signals.c.
 */
#include <pthread.h>
#include <signal.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "service/core/clock.h"
#include "service/run/signals.h"
#include "tests/support/cmocka.h"
#include "tests/support/wait.h"

struct fixture {
	int signals;
	int idle;
};

static int set_up(void **state)
{
	static struct fixture fixture;
	signal(SIGHUP, SIG_DFL); /* these tests may run under nohup */
	fixture.signals = signals_take();
	fixture.idle = eventfd(0, EFD_CLOEXEC);
	assert_true(fixture.signals >= 0 && fixture.idle >= 0);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	close(fixture->signals);
	close(fixture->idle);
	return 0;
}

static void send_to_process(int signal)
{
	assert_int_equal(kill(getpid(), signal), 0);
}

static void a_signal_is_taken_in_its_turn(void **state)
{
	struct fixture *fixture = *state;
	send_to_process(SIGINT);
	assert_int_equal(signals_wait(fixture->signals), SIGINT);
	send_to_process(SIGTERM);
	assert_int_equal(signals_wait(fixture->signals), SIGTERM);
	send_to_process(SIGHUP);
	assert_int_equal(signals_wait(fixture->signals), SIGHUP);
	assert_string_equal(
		signals_wait_until_idle(fixture->signals, fixture->idle, 0), "timeout");
}

static void *send_sigterm(void *arg)
{
	send_to_process(SIGTERM);
	return arg;
}

static void one_that_another_thread_causes_ends_the_wait(void **state)
{
	struct fixture *fixture = *state;
	pthread_t thread;
	assert_int_equal(pthread_create(&thread, NULL, send_sigterm, NULL), 0);
	assert_int_equal(signals_wait(fixture->signals), SIGTERM);
	pthread_join(thread, NULL);
}

static void what_is_idle_ends_the_wait(void **state)
{
	struct fixture *fixture = *state;
	eventfd_write(fixture->idle, 1);
	assert_string_equal(
		signals_wait_until_idle(fixture->signals, fixture->idle, PATIENCE_MS),
		"idle");
	/* And is what counts, whatever else has happened. */
	send_to_process(SIGTERM);
	assert_string_equal(
		signals_wait_until_idle(fixture->signals, fixture->idle, PATIENCE_MS),
		"idle");
	signals_wait(fixture->signals);
}

static void a_second_signal_ends_it_and_stays(void **state)
{
	struct fixture *fixture = *state;
	send_to_process(SIGINT);
	assert_string_equal(
		signals_wait_until_idle(fixture->signals, fixture->idle, PATIENCE_MS),
		"second signal");
	assert_int_equal(signals_wait(fixture->signals), SIGINT);
}

static void the_time_ends_it(void **state)
{
	enum { SHORT_MS = 20, NS_PER_MS = 1000000 };
	struct fixture *fixture = *state;
	instant begun = instant_now();
	assert_string_equal(
		signals_wait_until_idle(fixture->signals, fixture->idle, SHORT_MS),
		"timeout");
	assert_true(instant_diff_ns(begun, instant_now()) >= SHORT_MS * NS_PER_MS);
}

/* Unblocked first, as it is in a program that has just begun. */
static void one_that_nohup_ignores_is_not_taken(void **state)
{
	struct fixture *fixture = *state;
	sigset_t hang_up;
	sigemptyset(&hang_up);
	sigaddset(&hang_up, SIGHUP);
	pthread_sigmask(SIG_UNBLOCK, &hang_up, NULL);
	signal(SIGHUP, SIG_IGN);
	int signals = signals_take();
	assert_true(signals >= 0);
	send_to_process(SIGHUP);
	assert_string_equal(
		signals_wait_until_idle(signals, fixture->idle, 0), "timeout");
	signal(SIGHUP, SIG_DFL);
	close(signals);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_signal_is_taken_in_its_turn),
		TEST(one_that_another_thread_causes_ends_the_wait),
		TEST(what_is_idle_ends_the_wait),
		TEST(a_second_signal_ends_it_and_stays),
		TEST(the_time_ends_it),
		TEST(one_that_nohup_ignores_is_not_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
