#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_BODY_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_BODY_H

/*
 * A request's body comes in: gathered, passed on to a handler that reads it, or dropped.
 * Private to the server; all of it is the network thread's.
 */
#include "service/http/exchange.h"

/* Takes a piece of the body, *ret_taken bytes of it; the rest comes again after the
 * suspension. */
enum exchange_next exchange_receive(
	struct exchange *exchange, struct span piece, size_t *ret_taken);

/* Whether a settled answer goes out before the body: libmicrohttpd closes the connection
 * after such a one, so that is for clients that wait before they send it, or have more
 * of it than is worth reading; and when nobody can tell where it ends. */
bool exchange_body_is_not_awaited(const struct exchange *exchange);

/* Makes the stream that a BODY_STREAMED route's handler reads from. ERR_NOMEM. */
enum err exchange_body_expect_stream(struct exchange *exchange);

/* A streamed body begins, now that its handler is on its lane. False when it has been
 * answered already: then the answer may go before the body comes. */
bool exchange_body_begins(struct exchange *exchange);

/* All of a streamed body has come. */
void exchange_body_ends(struct exchange *exchange);

#endif
