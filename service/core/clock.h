#ifndef HANGUP_SERVICE_CORE_CLOCK_H
#define HANGUP_SERVICE_CORE_CLOCK_H

/*
 * Instants are a type of their own, so that they cannot be mixed up with
 * durations, which are plain integers that wear their unit in their name.
 * Everything here may be called by any thread and never blocks.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <time.h>

typedef struct {
	int64_t ns; /* CLOCK_MONOTONIC; never negative */
} instant;

#define INSTANT_NEVER ((instant){ INT64_MAX })

instant instant_now(void);

/* when + ms, saturating at INSTANT_NEVER and at 0, which is long past. */
instant instant_add_ms(instant when, int64_t ms);

/* Nanoseconds from a to b: negative when b is earlier. */
int64_t instant_diff_ns(instant a, instant b);

static inline bool instant_before(instant a, instant b)
{
	return a.ns < b.ns;
}

static inline instant instant_min(instant a, instant b)
{
	return a.ns < b.ns ? a : b;
}

/* The same instant for the system's calls. INSTANT_NEVER is 292 years away. */
struct timespec instant_timespec(instant when);

/* A condition variable whose timed waits take instants: waits with
 * pthread_cond_timedwait() are measured by CLOCK_MONOTONIC. */
void clock_cond_init(pthread_cond_t *cond);

/* Waits for cond until when; false when that has passed. Returns early for a
 * spurious wake-up, as every condition variable does. */
bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, instant when);

/* Milliseconds since 1970 UTC, for what people and databases read. */
int64_t wall_ms(void);

#define RFC3339_SIZE sizeof "2026-11-23T06:07:08.123Z"

/* Writes ms as RFC 3339 with milliseconds, UTC, NUL-terminated. For the years
 * 0 to 9999, which is what the format can say. */
void rfc3339_format(int64_t ms, char ret[static RFC3339_SIZE]);

#endif
