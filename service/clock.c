#include "service/clock.h"

#include <errno.h>
#include <stdio.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000, MS_PER_S = 1000 };

instant instant_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (instant){ now.tv_sec * (int64_t)NS_PER_S + now.tv_nsec };
}

instant instant_add_ms(instant when, int64_t ms)
{
	int64_t ns;
	instant sum;
	if (__builtin_mul_overflow(ms, (int64_t)NS_PER_MS, &ns)
		|| __builtin_add_overflow(when.ns, ns, &sum.ns))
		return ms < 0 ? (instant){ 0 } : INSTANT_NEVER;
	return sum.ns < 0 ? (instant){ 0 } : sum;
}

int64_t instant_diff_ns(instant a, instant b)
{
	return b.ns - a.ns;
}

struct timespec instant_timespec(instant when)
{
	return (struct timespec){
		.tv_sec = when.ns / NS_PER_S,
		.tv_nsec = when.ns % NS_PER_S,
	};
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, instant when)
{
	struct timespec until = instant_timespec(when);
	return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}

int64_t wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * (int64_t)MS_PER_S + now.tv_nsec / NS_PER_MS;
}

void rfc3339_format(int64_t ms, char ret[static RFC3339_SIZE])
{
	int64_t fraction = (ms % MS_PER_S + MS_PER_S) % MS_PER_S; /* before 1970 too */
	time_t seconds = (ms - fraction) / MS_PER_S;
	struct tm utc;
	gmtime_r(&seconds, &utc);
	size_t len = strftime(ret, RFC3339_SIZE, "%Y-%m-%dT%H:%M:%S", &utc);
	snprintf(ret + len, RFC3339_SIZE - len, ".%03dZ", (int)fraction);
}
