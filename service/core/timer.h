#ifndef HANGUP_SERVICE_CORE_TIMER_H
#define HANGUP_SERVICE_CORE_TIMER_H

/*
 * A set of timers that one thread drives. It has no thread of its own: whoever
 * owns an event loop sleeps until timers_next() and then calls timers_run().
 * The watcher is that owner in this service.
 *
 * A timer is embedded in what it times. Adding and removing allocate nothing
 * and cost O(1) and O(log n) amortised: the set is a pairing heap.
 *
 * Lock order: the set's lock is a leaf, and no lock is held while a timer's
 * function runs.
 */
#include "service/core/clock.h"

struct timers;

typedef void timer_fn(void *arg);

/* One timer. The owner provides the memory, zeroed before its first use, and
 * keeps it until timer_remove() has returned or the function has begun; the
 * function may free it when no other thread can be removing it. */
struct timer {
	instant when; /* set while it is in a set */
	timer_fn *fn; /* runs in the driving thread, once; must not block */
	void *arg;
	bool queued;         /* timers::lock */
	struct timer *child; /* timers::lock: the heap's links */
	struct timer *next;  /* next sibling */
	struct timer *prev;  /* previous sibling, or the parent of a first child */
};

/* wake(arg) is called, by the thread that adds and without a lock, when the
 * driving thread must wake earlier than the last timers_next() told it.
 * NULL when out of memory. */
struct timers *timers_create(void (*wake)(void *arg), void *arg);
void timers_destroy(struct timers *timers); /* must be empty; NULL is a no-op */

/* Starts timer, which must not be in a set. Any thread; never blocks. A function
 * may add its own timer again. */
void timer_add(struct timers *timers, struct timer *timer, instant when, timer_fn *fn,
	void *arg);

/* Takes timer out. When this returns, its function is not running and never
 * will, except when the function itself is the caller. True when a run that was
 * still to come has been prevented. Any thread; blocks only while the function runs. */
bool timer_remove(struct timers *timers, struct timer *timer);

/* Runs what is due at now, in order. Driving thread only. */
void timers_run(struct timers *timers, instant now);

/* When the driving thread must call timers_run() next; INSTANT_NEVER when there
 * is nothing to wait for. The set remembers the answer, and wakes the thread
 * only for a timer that is due before it. Driving thread only. */
instant timers_next(struct timers *timers);

#endif
