#ifndef HANGUP_TESTS_SUPPORT_ACTOR_H
#define HANGUP_TESTS_SUPPORT_ACTOR_H

/*
 * An actor is a thread of a test that makes one call which may block, so that
 * the test can tell "it blocks" from "it has returned" without sleeping: it asks
 * the kernel whether the thread sleeps.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "tests/support/gate.h"

struct actor {
	void (*act)(void *arg);
	void *arg;
	pthread_t thread;
	struct gate begun;
	_Atomic int tid;
	atomic_bool returned;
};

void actor_start(struct actor *actor, void (*act)(void *arg), void *arg);

/* True once the actor sleeps inside its call, false when the call has returned.
 * Aborts after 5 s of neither. */
bool actor_blocks(struct actor *actor);

bool actor_has_returned(struct actor *actor);

/* Waits for the call to return. */
void actor_join(struct actor *actor);

#endif
