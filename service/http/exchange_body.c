#include "service/http/exchange_body.h"

#include "service/core/stream.h"
#include "service/http/exchange_answer.h"
#include "service/http/problem.h"

enum {
	/* How much of a body that nobody wants is read all the same. Less would cut
	 * off clients that send before they listen: a close with unread bytes makes
	 * the kernel send a reset, which can overtake the answer. */
	DISCARD_MAX = 4 * 1024 * 1024,
};

bool exchange_body_is_not_awaited(const struct exchange *exchange)
{
	const struct expectation *expected = &exchange->expected;
	return expected->unframed || expected->wants_continue ||
		expected->body_len > DISCARD_MAX;
}

/*
 * Dropped.
 */

/* A body that goes on for too long is not read to its end: the answer goes out now;
 * then the client may send as much again until it reads it, and then the connection is
 * closed. */
static enum exchange_next discard(struct exchange *exchange, size_t len)
{
	exchange->discarded += len;
	if (exchange->discarded <= DISCARD_MAX)
		return EXCHANGE_CONTINUE;
	exchange->discarded = 0;
	pthread_mutex_lock(&exchange->lock);
	enum exchange_state state = exchange->state;
	if (state == EXCHANGE_READING || state == EXCHANGE_SETTLED)
		exchange_cut_short(
			exchange, exchange->result ? exchange->result : ERR_TOO_LARGE);
	pthread_mutex_unlock(&exchange->lock);
	return exchange_phase_of(state) == PHASE_SENDING ? EXCHANGE_CLOSE
							 : EXCHANGE_CONTINUE;
}

/*
 * Gathered.
 */

static enum err append_body(struct exchange *exchange, struct span piece)
{
	const struct expectation *expected = &exchange->expected;
	size_t len = exchange->body.len + piece.len;
	if (len > expected->body_max)
		return problem(&exchange->res, ERR_TOO_LARGE,
			"The body must be at most %zu bytes.", expected->body_max);
	/* A length that was told is all that comes: the first piece makes room for it. */
	enum err err = buffer_reserve(&exchange->body,
		exchange->body.size == 0 && expected->body_len > piece.len
			? expected->body_len
			: piece.len);
	return err == ERR_OK ? buffer_append(&exchange->body, piece) : err;
}

/* Under the lock, because a refusal is written to the same response as the end of a
 * request whose token fires. It may have fired since the state was looked at. */
static void gather(struct exchange *exchange, struct span piece)
{
	pthread_mutex_lock(&exchange->lock);
	enum err err = ERR_OK;
	if (exchange->state == EXCHANGE_READING)
		err = append_body(exchange, piece);
	if (err != ERR_OK)
		exchange_settle(exchange, err);
	pthread_mutex_unlock(&exchange->lock);
}

/*
 * Streamed. The worker may have its answer at any moment, which makes the state PAST:
 *
 * - before the look at the state: the rest of the body is dropped.
 * - after that, before the offer: the offer goes into a stream that nobody reads any
 *   more, which is there until the last owner lets go.
 * - after an offer that was not taken whole: it has called the network thread, so the
 *   suspension fails, or the connection is resumed, and the state is looked at again.
 */

enum err exchange_body_expect_stream(struct exchange *exchange)
{
	exchange->incoming = stream_create(exchange->req.cancel,
		exchange->env->stall_timeout_ms, exchange_call, exchange);
	exchange->req.incoming = exchange->incoming;
	return exchange->incoming ? ERR_OK : ERR_NOMEM;
}

bool exchange_body_begins(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	bool begins = exchange->state == EXCHANGE_QUEUED ||
		exchange->state == EXCHANGE_RUNNING;
	if (begins)
		exchange_become(exchange,
			exchange->state == EXCHANGE_QUEUED ? EXCHANGE_QUEUED_MID_BODY
							   : EXCHANGE_RUNNING_MID_BODY);
	pthread_mutex_unlock(&exchange->lock);
	return begins;
}

void exchange_body_ends(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	if (exchange_is_mid_body(exchange->state))
		exchange_become(exchange,
			exchange->state == EXCHANGE_QUEUED_MID_BODY ? EXCHANGE_QUEUED
								    : EXCHANGE_RUNNING);
	pthread_mutex_unlock(&exchange->lock);
	stream_end(exchange->incoming);
}

/* Passes a piece on to the worker, as far as it goes; suspends when that is not far
 * enough, until the worker has made room or has its answer. */
static enum exchange_next pass_on(
	struct exchange *exchange, struct span piece, size_t *ret_taken)
{
	*ret_taken = 0;
	for (;;) {
		*ret_taken += stream_offer(exchange->incoming,
			(struct span){ piece.data + *ret_taken, piece.len - *ret_taken });
		if (*ret_taken == piece.len ||
			!exchange_is_mid_body(exchange_state_now(exchange)))
			return EXCHANGE_CONTINUE;
		if (exchange_suspend(exchange))
			return EXCHANGE_SUSPENDED;
	}
}

static enum exchange_next stream_in(
	struct exchange *exchange, struct span piece, size_t *ret_taken)
{
	if (exchange->received + piece.len > exchange->expected.body_max) {
		stream_fail(exchange->incoming, ERR_TOO_LARGE);
		return discard(exchange, piece.len);
	}
	enum exchange_next next = pass_on(exchange, piece, ret_taken);
	exchange->received += *ret_taken;
	return next;
}

enum exchange_next exchange_receive(
	struct exchange *exchange, struct span piece, size_t *ret_taken)
{
	enum exchange_state state = exchange_state_now(exchange);
	*ret_taken = piece.len;
	if (exchange_is_mid_body(state))
		return stream_in(exchange, piece, ret_taken);
	if (state != EXCHANGE_READING || exchange->req.route->body != BODY_BUFFERED)
		return discard(exchange, piece.len);
	gather(exchange, piece);
	return EXCHANGE_CONTINUE;
}
