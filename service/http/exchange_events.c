#include "service/http/exchange_events.h"

#include <stdio.h>
#include <stdlib.h>

#include "service/http/exchange_answer.h"
#include "service/http/exchange_body.h"
#include "service/http/exchange_end.h"
#include "service/http/exchange_work.h"
#include "service/http/inflight.h"

/*
 * The token.
 */

/* What becomes of an answer that was decided. Lock held. */
static bool must_cut(const struct exchange *exchange, enum cancel_cause cause)
{
	instant fired = cancel_fired_at(exchange->req.cancel);
	return cause == CANCEL_CLIENT_GONE || exchange->state == EXCHANGE_STREAMING ||
		(cause == CANCEL_OPERATOR && instant_before(exchange->answered, fired));
}

/*
 * The token fires: asks whoever has the exchange to end it. By phase:
 *
 * READING  nobody else has it: it ends here. (HEAD is not asked: the hook comes with
 *          READING, and a token that has fired by then runs it at once.)
 * QUEUED   it leaves the queue, if no worker has just taken it: exchange_work.c.
 * RUNNING  what the handler is blocked in has hooks of its own, and the handler
 *          returns. Nothing to do here.
 * SENDING  the answer is decided. If nobody reads it, libmicrohttpd, which ignores
 *          a FIN while it sends, is made to notice; a deadline or a shutdown lets
 *          it go, unless it is a stream, which has not been decided to its end. An
 *          operator cuts it off, unless it was decided after he had spoken: whoever
 *          had the request may have heard of it before this function is called, and
 *          then this is the answer that says so.
 *
 * A queued exchange cannot be freed under this function, nor its client: exchange_closed()
 * unhooks, which waits for it to return, before the network's side lets go. When it is
 * exchange_closed() that fires the token, this runs inside of it.
 */
static void on_cancel(void *arg, enum cancel_cause cause)
{
	struct exchange *exchange = arg;
	pthread_mutex_lock(&exchange->lock);
	enum exchange_state state = exchange->state;
	enum exchange_phase phase = exchange_phase_of(state);
	if (phase == PHASE_READING)
		exchange_cut_short(exchange, err_of_cause(cause));
	else if (phase == PHASE_SENDING && must_cut(exchange, cause))
		client_cut(exchange->client);
	pthread_mutex_unlock(&exchange->lock);
	if (phase == PHASE_QUEUED)
		exchange_work_leave_queue(exchange, cause);
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

/*
 * Beginning.
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
	exchange->res.instance = exchange->req.id;
	exchange->req.cancel = token;
	exchange->req.app = env->app;
	exchange->req.ready = env->ready;
	inflight_add(env->inflight, exchange);
	return exchange;
}

/* Whether there is an answer to queue or to wait for; *ret_next says which. */
static bool finds_answer(struct exchange *exchange, enum exchange_next *ret_next)
{
	pthread_mutex_lock(&exchange->lock);
	bool decided = exchange_phase_of(exchange->state) == PHASE_SENDING;
	*ret_next = exchange->answer ? EXCHANGE_SEND : EXCHANGE_CLOSE;
	pthread_mutex_unlock(&exchange->lock);
	return decided;
}

/* What the network thread does once nothing more will arrive. */
static enum exchange_next wait_or_send(struct exchange *exchange)
{
	enum exchange_next next;
	while (!finds_answer(exchange, &next))
		if (exchange_suspend(exchange))
			return EXCHANGE_SUSPENDED;
	return next;
}

/* From here on others may look at req. Whether the answer is decided already. */
static bool begin_reading(struct exchange *exchange, enum err err)
{
	bool settles = err != ERR_OK || !exchange->req.route;
	pthread_mutex_lock(&exchange->lock);
	exchange_become(exchange, EXCHANGE_READING);
	if (settles)
		exchange_settle(exchange, err);
	pthread_mutex_unlock(&exchange->lock);
	return settles;
}

/* Starts the handler of a streamed body before the body. */
static enum exchange_next begin_streamed(struct exchange *exchange)
{
	exchange_work_start_on_lane(exchange);
	return exchange_body_begins(exchange) ? EXCHANGE_CONTINUE
					      : wait_or_send(exchange);
}

enum exchange_next exchange_begin(struct exchange *exchange, bool is_http_1_1)
{
	struct request *req = &exchange->req;
	req->draining = inflight_is_draining(exchange->env->inflight);
	enum err err = request_head_check(&exchange->env->rules, req, &exchange->res,
		is_http_1_1, &exchange->expected);
	if (err == ERR_OK && req->route && req->route->body == BODY_STREAMED)
		err = exchange_body_expect_stream(exchange);
	bool settled = begin_reading(exchange, err);
	set_limits(exchange);
	if (exchange->incoming)
		return begin_streamed(exchange);
	bool early = settled && exchange_body_is_not_awaited(exchange);
	return early ? exchange_proceed(exchange) : EXCHANGE_CONTINUE;
}

/* The request is complete, and its body stays as it is. */
static void start_work(struct exchange *exchange)
{
	exchange->req.body = buffer_span(&exchange->body);
	exchange_work_start(exchange);
}

enum exchange_next exchange_proceed(struct exchange *exchange)
{
	enum exchange_state state = exchange_state_now(exchange);
	if (exchange_is_mid_body(state))
		exchange_body_ends(exchange);
	else if (state == EXCHANGE_SETTLED)
		exchange_hand_over_settled(exchange);
	else if (state == EXCHANGE_READING)
		start_work(exchange);
	return wait_or_send(exchange);
}

/*
 * The end of the network's side.
 */

void exchange_closed(struct exchange *exchange, enum cancel_cause cause)
{
	/* Before the hook is out: a worker of a stream may still be at work. */
	if (cause != CANCEL_NONE && exchange_state_now(exchange) != EXCHANGE_PAST)
		cancel_fire(exchange->req.cancel, cause);
	client_forget(exchange->client);
	cancel_unhook(exchange->req.cancel, &exchange->hook);
	pthread_mutex_lock(&exchange->lock);
	exchange->network = NETWORK_GONE;
	exchange->connection = NULL;
	exchange->client = NULL;
	exchange->closed = instant_now();
	exchange->sent_whole = cause == CANCEL_NONE;
	pthread_mutex_unlock(&exchange->lock);
	exchange_let_go(exchange);
}
