#include "service/http/exchange.h"

#include <assert.h>
#include <microhttpd.h>

#include "service/http/problem.h"

/*
 * Calling and suspending.
 *
 * Whoever has news for the network thread calls it; the network thread looks for
 * news, and suspends if there are none. The news and the look are not under one
 * lock (a stream has its own), so a call that finds the connection not yet suspended
 * is kept, and makes the suspension fail: the network thread looks again.
 *
 * Every interleaving of a look (L), a suspension (S), news (N) and its call (C):
 *
 *	N before L            L finds it. C finds AWAKE, and leaves CALLED: one look
 *	                      too many, later.
 *	L N C S               C leaves CALLED, S takes that and fails; the next L
 *	                      comes after N and finds it.
 *	L S N C               C finds SUSPENDED, and resumes.
 *	L N S C               likewise: it sleeps between S and C only.
 *
 * Two calls while suspended resume once: the first one leaves AWAKE. After GONE a
 * call does nothing: the connection may be another request's by then.
 *
 * A state that nobody may wait in is news: exchange_become() calls. So the network
 * thread is never suspended in one, and suspending there would be a bug of ours.
 */

bool exchange_suspend(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	bool suspends = exchange->network == NETWORK_AWAKE;
	assert(suspends || exchange->network == NETWORK_CALLED);
	exchange->network = suspends ? NETWORK_SUSPENDED : NETWORK_AWAKE;
	if (suspends) {
		assert(exchange_may_wait(exchange->state));
		MHD_suspend_connection(exchange->connection);
	}
	pthread_mutex_unlock(&exchange->lock);
	return suspends;
}

/* Lock held. */
static void call_network(struct exchange *exchange)
{
	if (exchange->network == NETWORK_SUSPENDED) {
		exchange->network = NETWORK_AWAKE;
		MHD_resume_connection(exchange->connection);
	} else if (exchange->network == NETWORK_AWAKE) {
		exchange->network = NETWORK_CALLED;
	}
}

void exchange_call(void *arg)
{
	struct exchange *exchange = arg;
	pthread_mutex_lock(&exchange->lock);
	call_network(exchange);
	pthread_mutex_unlock(&exchange->lock);
}

/*
 * The state.
 */

/* Another phase begins. */
static void note_time(struct exchange *exchange, enum exchange_phase phase)
{
	instant now = instant_now();
	if (phase == PHASE_QUEUED) {
		exchange->queued = now;
		exchange->running = INSTANT_NEVER; /* it was only tried */
	} else if (phase == PHASE_RUNNING) {
		exchange->running = now;
	} else if (phase == PHASE_SENDING) {
		exchange->answered = now;
	}
}

void exchange_become(struct exchange *exchange, enum exchange_state next)
{
	enum exchange_phase phase = exchange_phase_of(next);
	assert(exchange_may_become(exchange->state, next));
	assert(next != EXCHANGE_DONE || exchange->network == NETWORK_GONE);
	if (phase != exchange_phase_of(exchange->state))
		note_time(exchange, phase);
	if (next == EXCHANGE_ANSWERED || next == EXCHANGE_PAST)
		exchange->stopped = exchange->answered;
	exchange->state = next;
	if (phase == PHASE_SENDING)
		call_network(exchange);
}

enum exchange_state exchange_state_now(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	enum exchange_state state = exchange->state;
	pthread_mutex_unlock(&exchange->lock);
	return state;
}

void exchange_conclude(struct exchange *exchange, enum err err)
{
	exchange->result = err;
	if (err != ERR_OK)
		problem_render(&exchange->res, err);
}

void exchange_settle(struct exchange *exchange, enum err err)
{
	exchange_conclude(exchange, err);
	exchange_become(exchange, EXCHANGE_SETTLED);
}

/*
 * What is asked for.
 */

bool exchange_is_head(const struct exchange *exchange)
{
	return strcmp(exchange->req.method, "HEAD") == 0;
}

bool exchange_streams(const struct exchange *exchange)
{
	const struct route *route = exchange->req.route;
	return route && route->answer == ANSWER_STREAMED;
}

bool exchange_sends_body(const struct exchange *exchange)
{
	return !exchange_is_head(exchange) && exchange->res.status != 304;
}
