#include "tests/support/shake.h"

#include <dlfcn.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stddef.h>

static _Thread_local unsigned random_state; /* 0: not shaken */

void shake(unsigned seed)
{
	random_state = seed;
}

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#ifdef __SANITIZE_THREAD__
#define SANITIZED 1
#endif

#ifndef SANITIZED

typedef int mutex_fn(pthread_mutex_t *lock);

/* The C library's own. Two threads may both look it up: they find the same. */
static mutex_fn *real(_Atomic(mutex_fn *) *known, const char *name)
{
	mutex_fn *fn = atomic_load_explicit(known, memory_order_relaxed);
	if (!fn) {
		*(void **)&fn = dlsym(RTLD_NEXT, name); /* as POSIX has it */
		atomic_store_explicit(known, fn, memory_order_relaxed);
	}
	return fn;
}

static void perhaps_yield(void)
{
	if (random_state == 0)
		return;
	random_state = random_state * 1664525u + 1013904223u;
	if (random_state == 0)
		random_state = 1;
	if (random_state >> 29 == 0)
		sched_yield();
}

int pthread_mutex_lock(pthread_mutex_t *lock)
{
	static _Atomic(mutex_fn *) known;
	perhaps_yield();
	return real(&known, "pthread_mutex_lock")(lock);
}

int pthread_mutex_unlock(pthread_mutex_t *lock)
{
	static _Atomic(mutex_fn *) known;
	int failed = real(&known, "pthread_mutex_unlock")(lock);
	perhaps_yield();
	return failed;
}

#endif
