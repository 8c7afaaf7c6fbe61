#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_STREAM_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_STREAM_H

/*
 * An answer that leaves while its handler writes it. Private to the server; whoever runs
 * the handler calls both.
 */
#include "service/http/exchange.h"

/* Lets the handler's response flow: what it writes is sent once there is a lot of it,
 * and from there on the status is what it is. */
void exchange_stream_offer(struct exchange *exchange);

/* The end of an answer that has begun to flow: STREAMING. One that fails is cut off: the
 * network thread closes without the chunk that would say it is whole. */
void exchange_stream_end(struct exchange *exchange, enum err err);

#endif
