#include "service/http/exchange.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/core/stream.h"
#include "service/http/exchange_answer.h"
#include "service/http/exchange_log.h"
#include "service/http/problem.h"

enum {
	/* How much of a body that nobody wants is read all the same. Less would cut
	 * off clients that send before they listen: a close with unread bytes makes
	 * the kernel send a reset, which can overtake the answer. */
	DISCARD_MAX = 4 * 1024 * 1024,
	BODY_SIZE_AT_FIRST = 4096,
};

#define BIT(state) (1u << (state))

static const unsigned may_become[EXCHANGE_STATES] = {
	[EXCHANGE_READING] = BIT(EXCHANGE_QUEUED) | BIT(EXCHANGE_RUNNING) |
		BIT(EXCHANGE_SENDING) | BIT(EXCHANGE_DONE),
	[EXCHANGE_QUEUED] = BIT(EXCHANGE_RUNNING) | BIT(EXCHANGE_SENDING),
	[EXCHANGE_RUNNING] = BIT(EXCHANGE_QUEUED) | BIT(EXCHANGE_SENDING),
	[EXCHANGE_SENDING] = BIT(EXCHANGE_DONE),
};

bool exchange_is_head(const struct exchange *exchange)
{
	return strcmp(exchange->req.method, "HEAD") == 0;
}

bool exchange_sends_body(const struct exchange *exchange)
{
	return !exchange_is_head(exchange) && exchange->res.status != 304;
}

/* Lock held. */
static void become(struct exchange *exchange, enum exchange_state next)
{
	assert(may_become[exchange->state] & BIT(next));
	exchange->state = next;
}

/*
 * The end: the last owner logs and frees.
 */

static void finish(struct exchange *exchange)
{
	struct exchange_end end = exchange_end(exchange);
	pthread_mutex_lock(&exchange->lock); /* it is still listed (request_list.c) */
	become(exchange, EXCHANGE_DONE);
	pthread_mutex_unlock(&exchange->lock);
	exchange_count(exchange, &end);
	exchange_log(exchange, &end);
	inflight_remove(exchange->env->inflight, exchange, end.cause);
	cancel_unref(exchange->req.cancel);
	if (exchange->answer)
		MHD_destroy_response(exchange->answer);
	stream_destroy(exchange->incoming);
	stream_destroy(exchange->outgoing);
	request_finish(&exchange->req);
	response_finish(&exchange->res);
	free(exchange->body);
	pthread_mutex_destroy(&exchange->lock);
	free(exchange);
}

static void let_go(struct exchange *exchange)
{
	if (atomic_fetch_sub(&exchange->owners, 1) == 1)
		finish(exchange);
}

/*
 * Suspending and resuming.
 *
 * Whoever has news for the network thread wakes it; the network thread looks for
 * news, and suspends if there are none. The news and the look are not under one
 * lock (a stream has its own), so a wake-up that finds the connection not yet
 * suspended is kept, and makes the suspension fail: the network thread looks again.
 */
static bool suspend(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	bool suspends = !exchange->woken;
	exchange->woken = false;
	if (suspends) {
		exchange->suspended = true;
		MHD_suspend_connection(exchange->connection);
	}
	pthread_mutex_unlock(&exchange->lock);
	return suspends;
}

/* Lock held. */
static void wake_locked(struct exchange *exchange)
{
	if (exchange->suspended)
		MHD_resume_connection(exchange->connection);
	exchange->woken = !exchange->suspended;
	exchange->suspended = false;
}

static void wake(void *arg)
{
	struct exchange *exchange = arg;
	pthread_mutex_lock(&exchange->lock);
	wake_locked(exchange);
	pthread_mutex_unlock(&exchange->lock);
}

/*
 * The answer.
 */

static bool streams(const struct exchange *exchange)
{
	const struct route *route = exchange->req.route;
	return route && route->answer == ANSWER_STREAMED;
}

/* Cuts a streamed answer that cannot be finished. Told so with END_WITH_ERROR, 0.9.75
 * closes the connection after a resume only halfway, and keeps it until the idle
 * timeout. So it is told that this is the end, and finds that it can send no final
 * chunk: a client never takes what it got for the whole. */
static ssize_t cut_outgoing(struct exchange *exchange)
{
	client_cut(exchange->client);
	return MHD_CONTENT_READER_END_OF_STREAM;
}

/* Gives libmicrohttpd the next piece of a streamed answer. Network thread. */
static ssize_t read_outgoing(void *arg, uint64_t position, char *buffer, size_t size)
{
	struct exchange *exchange = arg;
	(void)position;
	for (;;) {
		bool ended;
		enum err err;
		size_t len = stream_take(exchange->outgoing, buffer, size, &ended, &err);
		if (len > 0)
			return (ssize_t)len;
		if (ended)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (err != ERR_OK)
			return cut_outgoing(exchange);
		if (suspend(exchange))
			return 0;
	}
}

static void render(struct exchange *exchange, enum err err)
{
	exchange->result = err;
	if (err != ERR_OK)
		problem_render(&exchange->res, err);
}

/* Says in the middle of a body how the request ended, if somebody is there to hear
 * it. Lock held. */
static void answer_past(struct exchange *exchange)
{
	exchange->cut_short = true;
	if (!exchange->client)
		return;
	if (exchange->result == ERR_CLIENT_GONE)
		client_cut(exchange->client);
	else
		answer_send_past(exchange);
}

/* Ends a request that is still arriving: with an answer when somebody is there to
 * read it. What else arrives is dropped. Lock held, READING. */
static void cut_short(struct exchange *exchange, enum err err)
{
	render(exchange, err);
	become(exchange, EXCHANGE_SENDING);
	exchange->answered = exchange->stopped = instant_now();
	answer_past(exchange);
}

/* The answer is decided: puts it where the network thread finds it, and wakes that.
 * In the middle of a streamed body there is no way to the client but past it. */
static void hand_over(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	exchange->answered = exchange->stopped = instant_now();
	become(exchange, EXCHANGE_SENDING);
	if (exchange->body_arrives)
		answer_past(exchange);
	else if (exchange->result == ERR_OK && streams(exchange) &&
		exchange_is_head(exchange))
		exchange->answer = answer_make_streamed(exchange, read_outgoing);
	else if (exchange->result != ERR_CLIENT_GONE)
		exchange->answer = answer_make(exchange);
	wake_locked(exchange);
	pthread_mutex_unlock(&exchange->lock);
}

/* The first piece of a streamed answer: from here on its status is what it is. */
static enum err begin_streaming(struct exchange *exchange)
{
	exchange->outgoing = stream_create(
		exchange->req.cancel, exchange->env->stall_timeout_ms, wake, exchange);
	if (!exchange->outgoing)
		return ERR_NOMEM;
	struct MHD_Response *answer = answer_make_streamed(exchange, read_outgoing);
	pthread_mutex_lock(&exchange->lock);
	exchange->answered = instant_now();
	exchange->answer = answer;
	become(exchange, EXCHANGE_SENDING);
	wake_locked(exchange);
	pthread_mutex_unlock(&exchange->lock);
	return answer ? ERR_OK : ERR_NOMEM;
}

static enum err flush(struct response_sink *sink, struct response *res)
{
	struct exchange *exchange = (struct exchange *)((char *)sink -
		offsetof(struct exchange, sink));
	enum err err = ERR_OK;
	if (!exchange_is_head(exchange) && !exchange->outgoing)
		err = begin_streaming(exchange);
	if (!exchange_is_head(exchange) && err == ERR_OK)
		err = stream_write(
			exchange->outgoing, (struct span){ res->body, res->body_len });
	atomic_fetch_add(&exchange->activity.bytes, (int64_t)res->body_len);
	res->body_len = 0;
	return err;
}

/* The end of a streamed answer that has begun. One that fails is cut off: the
 * network thread closes without the chunk that would say it is whole. */
static void end_streaming(struct exchange *exchange, enum err err)
{
	if (err == ERR_OK)
		err = flush(&exchange->sink, &exchange->res);
	exchange->result = err;
	pthread_mutex_lock(&exchange->lock);
	exchange->stopped = instant_now();
	pthread_mutex_unlock(&exchange->lock);
	if (err == ERR_OK)
		stream_end(exchange->outgoing);
	else
		stream_fail(exchange->outgoing, err);
}

/*
 * The worker's side.
 */

/* Hands over and lets go, in this order: inflight_stop() waits for the last
 * inflight_work_end() before libmicrohttpd is stopped, and by then the connection
 * must have been resumed. */
static void end_work(struct exchange *exchange, enum err err)
{
	struct inflight *inflight = exchange->env->inflight;
	if (exchange->outgoing) {
		end_streaming(exchange, err);
	} else {
		render(exchange, err);
		hand_over(exchange);
	}
	inflight_work_end(inflight);
	let_go(exchange);
}

/* A cancelled handler may return whatever its library made of it; one that is not, and
 * says that it was, has its reasons (the database is closing). */
static enum err what_stopped(const struct request *req, enum err err)
{
	enum err cause = err_of_token(req->cancel);
	return err_is_cancelled(err) && cause != ERR_OK ? cause : err;
}

static enum err handle(struct exchange *exchange)
{
	struct request *req = &exchange->req;
	enum err err = err_of_token(req->cancel);
	if (err != ERR_OK)
		return err;
	if (streams(exchange))
		exchange->res.sink = &exchange->sink;
	activity_enter(&exchange->activity);
	err = req->route->handle(req, &exchange->res);
	activity_enter(NULL);
	return what_stopped(req, err);
}

static void run(struct job *job)
{
	struct exchange *exchange = (struct exchange *)((char *)job -
		offsetof(struct exchange, job));
	pthread_mutex_lock(&exchange->lock);
	exchange->running = instant_now();
	become(exchange, EXCHANGE_RUNNING);
	pthread_mutex_unlock(&exchange->lock);
	end_work(exchange, handle(exchange));
}

static struct pool *lane_of(const struct exchange *exchange)
{
	return exchange->env->lanes[exchange->req.route->lane];
}

/* Ends a queued request whose token has fired. Both who fires and who submits call
 * it, so that it does not matter which comes first; the queue lets one have it. */
static void leave_queue(struct exchange *exchange, enum cancel_cause cause)
{
	if (pool_remove(lane_of(exchange), &exchange->job))
		end_work(exchange, err_of_cause(cause));
}

/* Gives the request to its lane. Afterwards it may have its answer already. Network
 * thread. */
static void submit(struct exchange *exchange)
{
	exchange->job.run = run;
	atomic_fetch_add(&exchange->owners, 1);
	enum err err = pool_submit(lane_of(exchange), &exchange->job);
	if (err != ERR_OK)
		end_work(exchange, err);
	else if (cancel_cause(exchange->req.cancel) != CANCEL_NONE)
		leave_queue(exchange, cancel_cause(exchange->req.cancel));
}

/* What becomes of an answer that was decided. Lock held, SENDING. */
static bool must_cut(const struct exchange *exchange, enum cancel_cause cause)
{
	instant fired = cancel_fired_at(exchange->req.cancel);
	return cause == CANCEL_CLIENT_GONE || exchange->outgoing ||
		(cause == CANCEL_OPERATOR && instant_before(exchange->answered, fired));
}

/*
 * The token fires: asks whoever has the exchange to end it. By state:
 *
 * READING  nobody else has it: it ends here.
 * QUEUED   it leaves the queue, if no worker has just taken it.
 * RUNNING  what the handler is blocked in has hooks of its own, and the handler
 *          returns. Nothing to do here.
 * SENDING  the answer is decided. If nobody reads it, libmicrohttpd, which ignores
 *          a FIN while it sends, is made to notice; a deadline or a shutdown lets
 *          it go, unless it is a stream, which has not been decided to its end. An
 *          operator cuts it off, unless it was decided after he had spoken: whoever
 *          had the request may have heard of it before this function is called, and
 *          then this is the answer that says so.
 *
 * A queued exchange cannot be freed under this function: exchange_closed() unhooks,
 * which waits for it to return, before the network's side lets go.
 */
static void on_cancel(void *arg, enum cancel_cause cause)
{
	struct exchange *exchange = arg;
	pthread_mutex_lock(&exchange->lock);
	enum exchange_state state = exchange->state;
	if (state == EXCHANGE_READING)
		cut_short(exchange, err_of_cause(cause));
	else if (state == EXCHANGE_SENDING && must_cut(exchange, cause))
		client_cut(exchange->client);
	pthread_mutex_unlock(&exchange->lock);
	if (state == EXCHANGE_QUEUED)
		leave_queue(exchange, cause);
}

/*
 * The network's side.
 */

struct exchange *exchange_create(const struct exchange_env *env, struct client *client,
	struct MHD_Connection *connection)
{
	struct exchange *exchange = calloc(1, sizeof *exchange);
	struct cancel *token = cancel_create(env->token);
	if (!exchange || !token) {
		free(exchange);
		cancel_unref(token);
		return NULL;
	}
	exchange->owners = 1;
	exchange->env = env;
	exchange->connection = connection;
	exchange->client = client;
	pthread_mutex_init(&exchange->lock, NULL);
	exchange->began = instant_now();
	exchange->queued = exchange->running = INSTANT_NEVER;
	exchange->answered = exchange->stopped = exchange->closed = INSTANT_NEVER;
	snprintf(exchange->address, sizeof exchange->address, "%s",
		client_address(client));
	response_init(&exchange->res);
	exchange->sink.flush = flush;
	exchange->res.instance = exchange->req.id;
	exchange->req.cancel = token;
	exchange->req.app = env->app;
	inflight_add(env->inflight, exchange);
	return exchange;
}

/* Decides the answer without a handler. It is sent once the body, which nobody
 * wants, has arrived. Lock held, unless the token's hook is not there yet. */
static void settle(struct exchange *exchange, enum err err)
{
	render(exchange, err);
	exchange->settled = true;
}

/* libmicrohttpd closes the connection after an answer that comes before the body,
 * so that is for clients that wait before they send it, or have more of it than is
 * worth reading; and when nobody can tell where it ends. */
static bool answers_early(const struct exchange *exchange)
{
	const struct expectation *expected = &exchange->expected;
	return exchange->settled &&
		(expected->unframed || expected->wants_continue ||
			expected->body_len > DISCARD_MAX);
}

static void set_limits(struct exchange *exchange)
{
	const struct route *route = exchange->req.route;
	int64_t ms = exchange->expected.timeout_ms;
	bool cancels = !route || route->hang_up == HANG_UP_CANCELS;
	cancel_hook(exchange->req.cancel, &exchange->hook, on_cancel, exchange);
	if (ms > 0)
		cancel_set_deadline(exchange->req.cancel, exchange->env->timers,
			instant_add_ms(exchange->began, ms));
	client_expect(exchange->client, exchange->req.cancel,
		cancels && !(route && route->half_close_ok), cancels);
}

static enum err grow_body(struct exchange *exchange, size_t needed)
{
	size_t expected = exchange->expected.body_len;
	size_t grown = exchange->body_size ? 2 * exchange->body_size : BODY_SIZE_AT_FIRST;
	if (grown < needed)
		grown = needed;
	if (exchange->body_size == 0 && expected >= needed)
		grown = expected;
	char *body = realloc(exchange->body, grown);
	if (!body)
		return ERR_NOMEM;
	exchange->body = body;
	exchange->body_size = grown;
	return ERR_OK;
}

static enum err append_body(struct exchange *exchange, struct span piece)
{
	size_t needed = exchange->body_len + piece.len;
	if (needed > exchange->expected.body_max)
		return problem(&exchange->res, ERR_TOO_LARGE,
			"The body must be at most %zu bytes.",
			exchange->expected.body_max);
	enum err err = needed > exchange->body_size ? grow_body(exchange, needed)
						    : ERR_OK;
	if (err != ERR_OK)
		return err;
	memcpy(exchange->body + exchange->body_len, piece.data, piece.len);
	exchange->body_len = needed;
	return ERR_OK;
}

/* Drops a piece of the body. One that goes on for too long is not read to its end:
 * the answer goes out now; then the client may send as much again until it reads
 * it, and then the connection is closed. */
static enum exchange_next discard(struct exchange *exchange, size_t len)
{
	exchange->discarded += len;
	if (exchange->discarded <= DISCARD_MAX)
		return EXCHANGE_CONTINUE;
	exchange->discarded = 0;
	pthread_mutex_lock(&exchange->lock);
	enum exchange_state state = exchange->state;
	if (state == EXCHANGE_READING)
		cut_short(exchange, exchange->result ? exchange->result : ERR_TOO_LARGE);
	pthread_mutex_unlock(&exchange->lock);
	return state == EXCHANGE_SENDING ? EXCHANGE_CLOSE : EXCHANGE_CONTINUE;
}

static bool is_reading(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	bool reading = exchange->state == EXCHANGE_READING;
	pthread_mutex_unlock(&exchange->lock);
	return reading;
}

/* Under the lock, because a refusal is written to the same response as the end of a
 * request whose token fires. */
static void receive_buffered(struct exchange *exchange, struct span piece)
{
	pthread_mutex_lock(&exchange->lock);
	enum err err = ERR_OK;
	if (exchange->state == EXCHANGE_READING)
		err = append_body(exchange, piece);
	if (err != ERR_OK)
		settle(exchange, err);
	pthread_mutex_unlock(&exchange->lock);
}

static bool is_decided(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	bool decided = exchange->state == EXCHANGE_SENDING;
	pthread_mutex_unlock(&exchange->lock);
	return decided;
}

/* Passes a piece of a streamed body on to the worker, as far as it goes; suspends
 * when that is not far enough, until the worker has made room or has its answer. */
static enum exchange_next pass_on(
	struct exchange *exchange, struct span piece, size_t *ret_taken)
{
	*ret_taken = 0;
	for (;;) {
		*ret_taken += stream_offer(exchange->incoming,
			(struct span){ piece.data + *ret_taken, piece.len - *ret_taken });
		if (*ret_taken == piece.len || is_decided(exchange))
			return EXCHANGE_CONTINUE;
		if (suspend(exchange))
			return EXCHANGE_SUSPENDED;
	}
}

static enum exchange_next receive_streamed(
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
	*ret_taken = piece.len;
	if (exchange->incoming && !is_decided(exchange))
		return receive_streamed(exchange, piece, ret_taken);
	if (exchange->settled || exchange->req.route->body != BODY_BUFFERED ||
		!is_reading(exchange))
		return discard(exchange, piece.len);
	receive_buffered(exchange, piece);
	return EXCHANGE_CONTINUE;
}

/* Takes the exchange out of READING, unless it was cut short meanwhile. */
static bool stop_reading(struct exchange *exchange, enum exchange_state next)
{
	pthread_mutex_lock(&exchange->lock);
	bool reading = exchange->state == EXCHANGE_READING;
	if (reading) {
		become(exchange, next);
		if (next == EXCHANGE_QUEUED)
			exchange->queued = instant_now();
		else
			exchange->running = instant_now();
	}
	pthread_mutex_unlock(&exchange->lock);
	return reading;
}

static void run_inline(struct exchange *exchange)
{
	if (!stop_reading(exchange, EXCHANGE_RUNNING))
		return;
	if (!exchange->settled)
		render(exchange, handle(exchange));
	hand_over(exchange);
}

static void run_queued(struct exchange *exchange)
{
	if (inflight_work_begin(exchange->env->inflight)) {
		submit(exchange);
	} else {
		render(exchange, ERR_SHUTDOWN);
		hand_over(exchange);
	}
}

static void run_on_lane(struct exchange *exchange)
{
	if (stop_reading(exchange, EXCHANGE_QUEUED))
		run_queued(exchange);
}

/* Undoes what a handler has written before it found that it would have to wait. */
static void start_over(struct exchange *exchange)
{
	response_reset(&exchange->res);
	pthread_mutex_lock(&exchange->lock);
	become(exchange, EXCHANGE_QUEUED);
	exchange->queued = instant_now();
	exchange->running = INSTANT_NEVER;
	pthread_mutex_unlock(&exchange->lock);
}

/* Tries a short read here, and takes it to its lane if it would wait. The token may
 * fire in between: submit() looks at it after the request is in the queue. */
static void run_quickly(struct exchange *exchange)
{
	if (!stop_reading(exchange, EXCHANGE_RUNNING))
		return;
	activity_let_wait(false);
	enum err err = handle(exchange);
	activity_let_wait(true);
	if (err == ERR_WOULD_WAIT) {
		start_over(exchange);
		run_queued(exchange);
	} else {
		render(exchange, err);
		hand_over(exchange);
	}
}

/* The request is complete: decides who answers it, unless that was done before. */
static void dispatch(struct exchange *exchange)
{
	struct request *req = &exchange->req;
	if (exchange->incoming) {
		pthread_mutex_lock(&exchange->lock);
		exchange->body_arrives = false;
		pthread_mutex_unlock(&exchange->lock);
		stream_end(exchange->incoming);
		return;
	}
	req->body = (struct span){ exchange->body, exchange->body_len };
	if (exchange->settled || req->route->lane == LANE_INLINE)
		run_inline(exchange);
	else if (req->route->quick)
		run_quickly(exchange);
	else
		run_on_lane(exchange);
}

static bool finds_answer(struct exchange *exchange, enum exchange_next *ret_next)
{
	pthread_mutex_lock(&exchange->lock);
	bool decided = exchange->state == EXCHANGE_SENDING;
	*ret_next = exchange->answer ? EXCHANGE_SEND : EXCHANGE_CLOSE;
	pthread_mutex_unlock(&exchange->lock);
	return decided;
}

/* What the network thread does once nothing more will arrive. */
static enum exchange_next wait_or_send(struct exchange *exchange)
{
	enum exchange_next next;
	while (!finds_answer(exchange, &next))
		if (suspend(exchange))
			return EXCHANGE_SUSPENDED;
	return next;
}

static enum err expect_stream(struct exchange *exchange)
{
	exchange->incoming = stream_create(
		exchange->req.cancel, exchange->env->stall_timeout_ms, wake, exchange);
	exchange->req.incoming = exchange->incoming;
	return exchange->incoming ? ERR_OK : ERR_NOMEM;
}

/* Starts the handler of a streamed body before the body. */
static enum exchange_next begin_body(struct exchange *exchange)
{
	run_on_lane(exchange);
	pthread_mutex_lock(&exchange->lock);
	bool refused = exchange->state == EXCHANGE_SENDING;
	exchange->body_arrives = !refused;
	pthread_mutex_unlock(&exchange->lock);
	return refused ? wait_or_send(exchange) : EXCHANGE_CONTINUE;
}

enum exchange_next exchange_proceed(struct exchange *exchange)
{
	if (exchange->incoming || is_reading(exchange))
		dispatch(exchange);
	return wait_or_send(exchange);
}

enum exchange_next exchange_begin(struct exchange *exchange, bool is_http_1_1)
{
	struct request *req = &exchange->req;
	req->draining = inflight_is_draining(exchange->env->inflight);
	enum err err = request_head_check(&exchange->env->rules, req, &exchange->res,
		is_http_1_1, &exchange->expected);
	pthread_mutex_lock(&exchange->lock);
	exchange->begun = true; /* from here on others may look at req */
	pthread_mutex_unlock(&exchange->lock);
	if (err == ERR_OK && req->route && req->route->body == BODY_STREAMED)
		err = expect_stream(exchange);
	if (err != ERR_OK || !req->route)
		settle(exchange, err);
	set_limits(exchange);
	if (exchange->incoming)
		return begin_body(exchange);
	return answers_early(exchange) ? exchange_proceed(exchange) : EXCHANGE_CONTINUE;
}

static bool was_cut_short(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	bool was = exchange->cut_short;
	pthread_mutex_unlock(&exchange->lock);
	return was;
}

void exchange_closed(struct exchange *exchange, enum cancel_cause cause)
{
	/* Before the hook is out: a worker of a stream may still be at work. */
	if (cause != CANCEL_NONE && !was_cut_short(exchange))
		cancel_fire(exchange->req.cancel, cause);
	client_forget(exchange->client);
	cancel_unhook(exchange->req.cancel, &exchange->hook);
	pthread_mutex_lock(&exchange->lock);
	exchange->connection = NULL;
	exchange->client = NULL;
	exchange->closed = instant_now();
	exchange->sent_whole = cause == CANCEL_NONE;
	pthread_mutex_unlock(&exchange->lock);
	let_go(exchange);
}
