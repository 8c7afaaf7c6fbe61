#ifndef HANGUP_SERVICE_CORE_ACTIVITY_H
#define HANGUP_SERVICE_CORE_ACTIVITY_H

/*
 * What a piece of work is doing: what it waits for, how long it has waited for
 * the database, how far it has come, whether its change is past the point of
 * no return. The thread that does the work writes it through the calls below;
 * any thread may read it (the log line, the list of requests in flight).
 *
 * The work is the calling thread's current one, so that the layers below a
 * handler need no argument for it. A thread without one writes to a scratch
 * activity of its own: the calls are always safe.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "service/core/clock.h"

struct activity {
	_Atomic(const char *)
		waits_for; /* a literal such as "connection"; NULL while running */
	_Atomic int64_t db_wait_ns;     /* summed over all waits for the database */
	_Atomic int64_t client_wait_ns; /* for the client to send or to read */
	_Atomic int64_t rows;           /* progress of imports, exports and reports */
	_Atomic int64_t bytes;
	atomic_bool committed; /* a change of this work is durable */
};

/* Makes activity the calling thread's current one; NULL for none. It must stay
 * valid until the thread sets another. */
void activity_enter(struct activity *activity);

/* The calling thread's current activity; never NULL. */
struct activity *activity_current(void);

/*
 * Around every wait for the database that can be long. Besides being shown, it lends the
 * worker's place in its lane to another job: a lane limits the work that runs,
 * not the work that waits. what is a literal. Calls do not nest.
 */
instant activity_wait_begin(const char *what);
void activity_wait_end(instant begun);

/* The same around waits for the client. */
instant activity_client_wait_begin(void);
void activity_client_wait_end(instant begun);

/* Work that is tried on the network thread must not wait: what would, returns
 * ERR_WOULD_WAIT instead, and the work is done over on its lane. For the calling
 * thread; true until said otherwise. */
void activity_let_wait(bool may_wait);
bool activity_may_wait(void);

#endif
