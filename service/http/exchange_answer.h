#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_ANSWER_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_ANSWER_H

/*
 * From what a handler wrote to what goes out: libmicrohttpd's response, or bytes
 * past it. Private to the server.
 */
#include <stdint.h>
#include <sys/types.h>

struct exchange;
struct MHD_Response;

/* The answer that exchange->res holds, whose body it takes; res keeps the length.
 * NULL when out of memory. */
struct MHD_Response *answer_make(struct exchange *exchange);

/* MHD_ContentReaderCallback */
typedef ssize_t answer_reader(
	void *exchange, uint64_t position, char *buffer, size_t size);

/* An answer whose body reader brings, piece by piece. NULL when out of memory. */
struct MHD_Response *answer_make_streamed(
	struct exchange *exchange, answer_reader *reader);

/* Writes the answer past libmicrohttpd, which in the middle of a request can only be
 * told to close: its request handler may queue a response when the headers are
 * complete and when the body is, not between (MHD_queue_response, measured with
 * 0.9.75). exchange::lock is held, and the network's side still there. */
void answer_send_past(struct exchange *exchange);

#endif
