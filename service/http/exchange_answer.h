#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_ANSWER_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_ANSWER_H

/*
 * From what a handler wrote to what goes out: libmicrohttpd's response, or bytes
 * past it. Private to the server.
 */
#include <stdint.h>
#include <sys/types.h>

#include "service/core/error.h"

struct exchange;
struct MHD_Response;

/* The handler's answer is decided: puts it where the network thread finds it, and calls
 * that. In the middle of a streamed body there is no way to the client but past
 * libmicrohttpd. Whoever runs the handler; takes the lock. */
void exchange_hand_over(struct exchange *exchange);

/* The same with an answer that was settled before, unless it was cut short meanwhile.
 * Network thread; takes the lock. */
void exchange_hand_over_settled(struct exchange *exchange);

/* Ends a request that is still arriving: with an answer when somebody is there to
 * read it. What else arrives is dropped. Lock held, READING or SETTLED. */
void exchange_cut_short(struct exchange *exchange, enum err err);

/* MHD_ContentReaderCallback */
typedef ssize_t answer_reader(
	void *exchange, uint64_t position, char *buffer, size_t size);

/* An answer whose body reader brings, piece by piece. NULL when out of memory. */
struct MHD_Response *answer_make_streamed(
	struct exchange *exchange, answer_reader *reader);

void answer_destroy(struct MHD_Response *answer); /* NULL is a no-op */

#endif
