#include "service/exchange.h"

#include <assert.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/log.h"
#include "service/problem.h"

enum {
	/* How much of a body that nobody wants is read all the same. Less would cut
	 * off clients that send before they listen: a close with unread bytes makes
	 * the kernel send a reset, which can overtake the answer. */
	DISCARD_MAX = 4 * 1024 * 1024,
	BODY_SIZE_AT_FIRST = 4096,
};

static const char *const state_names[EXCHANGE_STATES] = {
	[EXCHANGE_READING] = "reading", [EXCHANGE_QUEUED] = "queued",
	[EXCHANGE_RUNNING] = "running", [EXCHANGE_SENDING] = "sending",
	[EXCHANGE_DONE] = "done",
};

#define BIT(state) (1u << (state))

static const unsigned may_become[EXCHANGE_STATES] = {
	[EXCHANGE_READING] = BIT(EXCHANGE_QUEUED) | BIT(EXCHANGE_RUNNING)
		| BIT(EXCHANGE_SENDING) | BIT(EXCHANGE_DONE),
	[EXCHANGE_QUEUED] = BIT(EXCHANGE_RUNNING) | BIT(EXCHANGE_SENDING),
	[EXCHANGE_RUNNING] = BIT(EXCHANGE_SENDING),
	[EXCHANGE_SENDING] = BIT(EXCHANGE_DONE),
};

const char *exchange_state_name(enum exchange_state state)
{
	return state_names[state];
}

/* Lock held, or one owner left. */
static void become(struct exchange *exchange, enum exchange_state next)
{
	assert(may_become[exchange->state] & BIT(next));
	exchange->state = next;
}

/*
 * The end: the last owner logs and frees.
 */

/* Which state the token fired in, by the clock: the hooks cannot tell, because
 * the worker may have moved on before the hook of the exchange is run. */
static enum exchange_state state_at(const struct exchange *exchange, instant when)
{
	if (instant_before(when, exchange->queued) && instant_before(when, exchange->running)
		&& instant_before(when, exchange->stopped))
		return EXCHANGE_READING;
	if (instant_before(when, exchange->running) && instant_before(when, exchange->stopped))
		return EXCHANGE_QUEUED;
	return instant_before(when, exchange->stopped) ? EXCHANGE_RUNNING : EXCHANGE_SENDING;
}

/* What ended the request before its time, for the log: a token that fired after
 * all of the answer had left, or while a handler finished all the same, ended
 * nothing. */
static enum cancel_cause cause_of_end(const struct exchange *exchange)
{
	enum cancel_cause cause = cancel_cause(exchange->req.cancel);
	bool answered = exchange->sent_whole && !err_is_cancelled(exchange->result);
	return answered ? CANCEL_NONE : cause;
}

static unsigned logged_status(const struct exchange *exchange, enum cancel_cause cause)
{
	if (cause == CANCEL_CLIENT_GONE)
		return problem_status(ERR_CLIENT_GONE);
	return exchange->res.status;
}

/* From a to b, absent when either did not come. */
static struct log_field span_field(struct log_field field, instant a, instant b)
{
	field.number = instant_diff_ns(a, b);
	if (a.ns == INSTANT_NEVER.ns || b.ns == INSTANT_NEVER.ns)
		field.kind = LOG_KIND_NONE;
	return field;
}

#define LOG_BETWEEN(key, a, b) span_field(LOG_MS(key, 0), (a), (b))

static struct log_field unless_none(struct log_field field, bool present)
{
	if (!present)
		field.kind = LOG_KIND_NONE;
	return field;
}

static void log_request(const struct exchange *exchange, enum cancel_cause cause)
{
	const struct request *req = &exchange->req;
	const struct activity *activity = &exchange->activity;
	bool cut = cause != CANCEL_NONE;
	instant fired = cut ? cancel_fired_at(req->cancel) : INSTANT_NEVER;
	enum exchange_state state = state_at(exchange, fired);
	instant stopped = state == EXCHANGE_SENDING ? exchange->closed : exchange->stopped;
	instant handed = instant_min(exchange->running, exchange->stopped);
	int64_t rows = atomic_load(&activity->rows);
	log_info("request", LOG_STR("id", req->id),
		unless_none(LOG_NAME("trace", req->trace_id), req->trace_id[0]),
		LOG_STR("client", exchange->address), LOG_STR("method", req->method),
		LOG_NAME("route", req->route ? req->route->path : NULL),
		LOG_STR("path", req->path),
		LOG_INT("status", logged_status(exchange, cause)),
		unless_none(LOG_NAME("error", err_name(exchange->result)),
			exchange->result != ERR_OK),
		LOG_NAME("cause", cut ? cancel_cause_name(cause) : NULL),
		LOG_NAME("cancelled_while", cut ? exchange_state_name(state) : NULL),
		LOG_BETWEEN("stopped_after_ms", fired, stopped),
		unless_none(LOG_BOOL("committed", true), atomic_load(&activity->committed)),
		LOG_INT("bytes", exchange->sent_whole ? (int64_t)exchange->res.body_len : 0),
		unless_none(LOG_INT("rows", rows), rows > 0),
		LOG_BETWEEN("queued_ms", exchange->queued, handed),
		unless_none(LOG_MS("db_wait_ms", atomic_load(&activity->db_wait_ns)),
			atomic_load(&activity->db_wait_ns) > 0),
		LOG_BETWEEN("run_ms", exchange->running, exchange->stopped),
		LOG_BETWEEN("send_ms", exchange->stopped, exchange->closed),
		LOG_BETWEEN("total_ms", exchange->began, exchange->closed));
}

/* A connection that closed before its request's headers were complete, or that
 * libmicrohttpd refused by itself: it tells only that much. */
static void log_unbegun(const struct exchange *exchange)
{
	log_info("request not begun", LOG_STR("client", exchange->address),
		LOG_BETWEEN("total_ms", exchange->began, exchange->closed));
}

static void finish(struct exchange *exchange)
{
	enum cancel_cause cause = cause_of_end(exchange);
	become(exchange, EXCHANGE_DONE);
	if (exchange->begun)
		log_request(exchange, cause);
	else
		log_unbegun(exchange);
	inflight_remove(exchange->env->inflight, exchange, cause);
	cancel_unref(exchange->req.cancel);
	if (exchange->answer)
		MHD_destroy_response(exchange->answer);
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
 * The answer.
 */

static const char *header_or(const struct response *res, const char *name, const char *other)
{
	for (unsigned i = 0; i < res->headers_count; i++)
		if (strcmp(res->headers[i].name, name) == 0)
			return res->headers[i].value;
	return other;
}

static void add_headers(const struct exchange *exchange, struct MHD_Response *answer)
{
	const struct response *res = &exchange->res;
	const char *type = res->body_len > 0 ? "application/json" : NULL;
	MHD_add_response_header(answer, "X-Request-Id", exchange->req.id);
	MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
	if (!header_or(res, "Cache-Control", NULL))
		MHD_add_response_header(answer, "Cache-Control", "no-store");
	if (type && !header_or(res, "Content-Type", NULL))
		MHD_add_response_header(answer, "Content-Type", type);
	for (unsigned i = 0; i < res->headers_count; i++)
		MHD_add_response_header(answer, res->headers[i].name, res->headers[i].value);
}

/* Makes libmicrohttpd's response of res, which keeps its body's length only. NULL
 * when out of memory: the connection is then closed without an answer. */
static struct MHD_Response *make_answer(struct exchange *exchange)
{
	struct response *res = &exchange->res;
	struct MHD_Response *answer = MHD_create_response_from_buffer_with_free_callback(
		res->body_len, res->body, free);
	if (!answer)
		return NULL;
	res->body = NULL;
	add_headers(exchange, answer);
	return answer;
}

static void render(struct exchange *exchange, enum err err)
{
	exchange->result = err;
	if (err != ERR_OK)
		problem_render(&exchange->res, err);
}

/* Writes the answer past libmicrohttpd, which in the middle of a request can only
 * be told to close: its request handler may queue a response when the headers are
 * complete and when the body is, not between (MHD_queue_response, measured with
 * 0.9.75). Lock held. */
static void send_past(struct exchange *exchange)
{
	const struct response *res = &exchange->res;
	char text[4096];
	int len = snprintf(text, sizeof text,
		"HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Type: %s\r\n"
		"Content-Length: %zu\r\nX-Request-Id: %s\r\nX-Content-Type-Options: nosniff\r\n"
		"Cache-Control: no-store\r\n%s\r\n%.*s",
		res->status, MHD_get_reason_phrase_for(res->status),
		header_or(res, "Content-Type", "application/json"), res->body_len,
		exchange->req.id, header_or(res, "Retry-After", NULL) ? "Retry-After: 1\r\n" : "",
		(int)res->body_len, res->body ? res->body : "");
	assert(len > 0);
	if ((size_t)len < sizeof text)
		client_send_last(exchange->client, text, (size_t)len);
	else
		client_cut(exchange->client);
}

/* Ends a request that is still arriving: with an answer when somebody is there to
 * read it. What else arrives is dropped. Lock held, READING. */
static void cut_short(struct exchange *exchange, enum err err)
{
	render(exchange, err);
	become(exchange, EXCHANGE_SENDING);
	exchange->stopped = instant_now();
	exchange->cut_short = true;
	if (err == ERR_CLIENT_GONE)
		client_cut(exchange->client);
	else
		send_past(exchange);
}

/* The answer is decided: puts it where the network thread finds it, and wakes that
 * if it had gone to sleep. */
static void hand_over(struct exchange *exchange)
{
	if (exchange->result != ERR_CLIENT_GONE)
		exchange->answer = make_answer(exchange);
	pthread_mutex_lock(&exchange->lock);
	exchange->stopped = instant_now();
	become(exchange, EXCHANGE_SENDING);
	if (exchange->suspended) {
		exchange->suspended = false;
		MHD_resume_connection(exchange->connection);
	}
	pthread_mutex_unlock(&exchange->lock);
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
	render(exchange, err);
	hand_over(exchange);
	inflight_work_end(inflight);
	let_go(exchange);
}

/* A cancelled handler may return whatever its library made of it. */
static enum err handle(struct exchange *exchange)
{
	struct request *req = &exchange->req;
	enum err err = err_of_token(req->cancel);
	if (err != ERR_OK)
		return err;
	activity_enter(&exchange->activity);
	err = req->route->handle(req, &exchange->res);
	activity_enter(NULL);
	return err_is_cancelled(err) ? err_of_token(req->cancel) : err;
}

static void run(struct job *job)
{
	struct exchange *exchange =
		(struct exchange *)((char *)job - offsetof(struct exchange, job));
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

/*
 * The token fires: asks whoever has the exchange to end it. By state:
 *
 * READING  nobody else has it: it ends here.
 * QUEUED   it leaves the queue, if no worker has just taken it.
 * RUNNING  what the handler is blocked in has hooks of its own, and the handler
 *          returns. Nothing to do here.
 * SENDING  the answer is decided. If nobody reads it, libmicrohttpd, which ignores
 *          a FIN while it sends, is made to notice; a deadline or a shutdown lets
 *          it go.
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
	else if (state == EXCHANGE_SENDING
		&& (cause == CANCEL_CLIENT_GONE || cause == CANCEL_OPERATOR))
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
	exchange->stopped = exchange->closed = INSTANT_NEVER;
	snprintf(exchange->address, sizeof exchange->address, "%s", client_address(client));
	response_init(&exchange->res);
	exchange->res.instance = exchange->req.id;
	exchange->req.cancel = token;
	exchange->req.app = env->app;
	inflight_add(env->inflight, exchange);
	return exchange;
}

/* Decides the answer without a handler. It is sent once the body, which nobody
 * wants, has arrived. */
static void settle(struct exchange *exchange, enum err err)
{
	render(exchange, err);
	exchange->settled = true;
}

/* libmicrohttpd closes the connection after an answer that comes before the body,
 * so that is for clients that wait before they send it, or have more of it than is
 * worth reading. */
static bool answers_early(const struct exchange *exchange)
{
	const struct expectation *expected = &exchange->expected;
	return exchange->settled
		&& (expected->wants_continue || expected->body_len > DISCARD_MAX);
}

static void set_limits(struct exchange *exchange)
{
	const struct route *route = exchange->req.route;
	int64_t ms = exchange->expected.timeout_ms;
	bool cancels = !route || route->hangup == HANGUP_CANCELS;
	cancel_hook(exchange->req.cancel, &exchange->hook, on_cancel, exchange);
	if (ms > 0)
		cancel_set_deadline(exchange->req.cancel, exchange->env->timers,
			instant_add_ms(exchange->began, ms));
	client_expect(exchange->client, exchange->req.cancel,
		cancels && !(route && route->half_close_ok), cancels);
}

enum exchange_next exchange_begin(struct exchange *exchange, bool is_http_1_1)
{
	struct request *req = &exchange->req;
	req->draining = inflight_is_draining(exchange->env->inflight);
	enum err err = intake_look(&exchange->env->intake, req, &exchange->res, is_http_1_1,
		&exchange->expected);
	exchange->begun = true;
	set_limits(exchange);
	if (err != ERR_OK || !req->route)
		settle(exchange, err);
	return answers_early(exchange) ? exchange_proceed(exchange) : EXCHANGE_CONTINUE;
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
		return problem(&exchange->res, ERR_TOO_LARGE, "The body must be at most %zu bytes.",
			exchange->expected.body_max);
	enum err err = needed > exchange->body_size ? grow_body(exchange, needed) : ERR_OK;
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
	bool answered = exchange->state != EXCHANGE_READING;
	if (!answered)
		cut_short(exchange, exchange->result ? exchange->result : ERR_TOO_LARGE);
	pthread_mutex_unlock(&exchange->lock);
	return answered ? EXCHANGE_CLOSE : EXCHANGE_CONTINUE;
}

static bool is_reading(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	bool reading = exchange->state == EXCHANGE_READING;
	pthread_mutex_unlock(&exchange->lock);
	return reading;
}

enum exchange_next exchange_receive(struct exchange *exchange, struct span piece)
{
	if (exchange->settled || exchange->req.route->body == BODY_NONE || !is_reading(exchange))
		return discard(exchange, piece.len);
	enum err err = append_body(exchange, piece);
	if (err != ERR_OK)
		settle(exchange, err);
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

/* The request is complete: decides who answers it. */
static void dispatch(struct exchange *exchange)
{
	struct request *req = &exchange->req;
	bool is_inline = exchange->settled || req->route->lane == LANE_INLINE;
	req->body = (struct span){ exchange->body, exchange->body_len };
	if (!stop_reading(exchange, is_inline ? EXCHANGE_RUNNING : EXCHANGE_QUEUED))
		return;
	if (is_inline) {
		if (!exchange->settled)
			render(exchange, handle(exchange));
		hand_over(exchange);
	} else if (inflight_work_begin(exchange->env->inflight)) {
		submit(exchange);
	} else {
		render(exchange, ERR_SHUTDOWN);
		hand_over(exchange);
	}
}

/* What the network thread does next; suspends the connection, under the same lock
 * that hand_over() takes, when it has to wait for the worker. */
static enum exchange_next wait_or_send(struct exchange *exchange)
{
	enum exchange_next next = EXCHANGE_SUSPENDED;
	pthread_mutex_lock(&exchange->lock);
	if (exchange->state != EXCHANGE_SENDING) {
		exchange->suspended = true;
		MHD_suspend_connection(exchange->connection);
	} else {
		next = exchange->answer ? EXCHANGE_SEND : EXCHANGE_CLOSE;
	}
	pthread_mutex_unlock(&exchange->lock);
	return next;
}

enum exchange_next exchange_proceed(struct exchange *exchange)
{
	if (is_reading(exchange))
		dispatch(exchange);
	return wait_or_send(exchange);
}

void exchange_closed(struct exchange *exchange, bool sent_whole)
{
	client_forget(exchange->client);
	cancel_unhook(exchange->req.cancel, &exchange->hook);
	pthread_mutex_lock(&exchange->lock);
	exchange->connection = NULL;
	exchange->client = NULL;
	exchange->closed = instant_now();
	exchange->sent_whole = sent_whole;
	pthread_mutex_unlock(&exchange->lock);
	let_go(exchange);
}
