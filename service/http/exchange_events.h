#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_EVENTS_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_EVENTS_H

/*
 * What happens to an exchange, in the order in which it can: server.c translates
 * libmicrohttpd's callbacks into these calls and that of exchange_body.h. The token's
 * firing is heard inside. Private to the server; all of it is the network thread's.
 */
#include "service/http/exchange.h"

/* Makes the exchange of a request whose first line has arrived, the network's
 * side its owner. NULL when out of memory. */
struct exchange *exchange_create(const struct exchange_env *env, struct client *client,
	struct MHD_Connection *connection);

/* The headers are complete and in req: looks at them, sets the deadline, and lets
 * hang-ups count. */
enum exchange_next exchange_begin(struct exchange *exchange, bool is_http_1_1);

/* The request is complete, or the connection was resumed: runs, submits, waits or
 * sends. */
enum exchange_next exchange_proceed(struct exchange *exchange);

/* The network's side is gone: after all of the answer has left (CANCEL_NONE), or
 * before, and then for which cause, unless the token has one already. May free the
 * exchange. */
void exchange_closed(struct exchange *exchange, enum cancel_cause cause);

#endif
