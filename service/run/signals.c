#include "service/run/signals.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "service/core/clock.h"

/* As nohup(1) has it; a blocked signal reaches a signalfd even if it is ignored. */
static bool is_ignored(int signal)
{
	struct sigaction action;
	return sigaction(signal, NULL, &action) == 0 && action.sa_handler == SIG_IGN;
}

int signals_take(void)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	if (!is_ignored(SIGHUP))
		sigaddset(&signals, SIGHUP);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

int signals_wait(int signals)
{
	struct signalfd_siginfo signal;
	while (read(signals, &signal, sizeof signal) != sizeof signal)
		;
	return (int)signal.ssi_signo;
}

const char *signals_wait_until_idle(int signals, int idle, int64_t timeout_ms)
{
	struct pollfd fds[] = { { .fd = idle, .events = POLLIN },
		{ .fd = signals, .events = POLLIN } };
	instant end = instant_add_ms(instant_now(), timeout_ms);
	struct timespec left;
	int ready;
	do {
		int64_t left_ns = instant_diff_ns(instant_now(), end);
		left = instant_timespec((instant){ left_ns > 0 ? left_ns : 0 });
		ready = ppoll(fds, 2, &left, NULL);
	} while (ready < 0 && errno == EINTR);
	if (fds[0].revents)
		return "idle";
	return ready > 0 ? "second signal" : "timeout";
}
