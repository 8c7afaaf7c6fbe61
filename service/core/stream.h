#ifndef HANGUP_SERVICE_CORE_STREAM_H
#define HANGUP_SERVICE_CORE_STREAM_H

/*
 * A stream is a bounded pipe of bytes between a worker, which blocks, and the
 * network thread, which must not: one of them writes, the other reads. It is how
 * bodies of any size pass through constant memory, in both directions.
 *
 * Back-pressure: a worker that finds it full (or empty) sleeps. The network
 * thread that does is told so, and suspends its connection; the worker calls wake
 * once there is enough room (or data) to be worth the trip.
 *
 * Every wait of the worker ends when the token fires. When the network side moves
 * too little for stall_ms, the worker fires the token itself, with
 * CANCEL_DEADLINE: a write or a read of its own must be done with in that time.
 *
 * Lock order: the stream's lock is a leaf, and is not held while wake is called.
 */
#include "service/core/error.h"
#include "service/core/span.h"

struct stream;

enum { STREAM_CAPACITY = 64 * 1024 };

/* wake(arg) is called in the worker's thread. The token is counted. NULL when out
 * of memory. */
struct stream *stream_create(
	struct cancel *token, int64_t stall_ms, void (*wake)(void *arg), void *arg);
void stream_destroy(struct stream *stream); /* neither side uses it; NULL is a no-op */

/*
 * The worker's calls. They block, and return the token's error when it fires, or
 * what the other side failed with.
 */

/* Writes all of data. */
enum err stream_write(struct stream *stream, struct span data);

/* Reads at least a byte, at most size; *ret_len is 0 at the end. */
enum err stream_read(struct stream *stream, char *buffer, size_t size, size_t *ret_len);

/*
 * The network thread's calls. They never block.
 */

/* Takes as much of data as there is room for, and returns how much. Less than all:
 * wake will be called when there is room. */
size_t stream_offer(struct stream *stream, struct span data);

/* Gives up to size bytes. 0: look at *ret_err and *ret_ended; when neither says
 * anything, wake will be called when there is more. */
size_t stream_take(struct stream *stream, char *buffer, size_t size, bool *ret_ended,
	enum err *ret_err);

/*
 * Whoever writes ends it; either may fail it. What was written before stays to be
 * read before the end, but not before a failure. The first call counts.
 */
void stream_end(struct stream *stream);
void stream_fail(struct stream *stream, enum err err);

/* Bytes that have gone in so far. Any thread. */
int64_t stream_bytes(struct stream *stream);

#endif
