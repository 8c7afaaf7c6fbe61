#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_WORK_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_WORK_H

/*
 * Somebody runs the handler: a worker of the route's lane, or the network thread for
 * what neither waits nor takes long. Private to the server.
 */
#include "service/http/exchange.h"

/* The request is complete, READING: runs its handler here, or gives it to its lane.
 * Afterwards it may have its answer already. Network thread. */
void exchange_work_start(struct exchange *exchange);

/* Gives it to its lane, whatever the route says: for a body that is still to come.
 * Network thread. */
void exchange_work_start_on_lane(struct exchange *exchange);

/* The token has fired on a queued request: takes it out of the queue and ends it, if no
 * worker has just taken it. Any thread, without the lock; the exchange outlives the
 * call. */
void exchange_work_leave_queue(struct exchange *exchange, enum cancel_cause cause);

#endif
