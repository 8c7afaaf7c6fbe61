#include "service/http/exchange_end.h"

#include <stdlib.h>

#include "service/core/log.h"
#include "service/core/stream.h"
#include "service/http/exchange_answer.h"
#include "service/http/inflight.h"
#include "service/http/metrics.h"
#include "service/http/problem.h"

struct end {
	enum cancel_cause cause; /* what ended it before its time; CANCEL_NONE when it
				    * was answered */
	unsigned status;         /* what was sent; 499 when the client left before */
	bool begun;              /* its head was complete */
	int64_t bytes;           /* of the body that was sent */
	/* With a cause; else NEVER. */
	enum exchange_phase phase; /* the one that the token fired in */
	instant fired;
	instant stopped; /* when nothing was done for it any more */
};

/* Which phase the token fired in, by the clock: the hooks cannot tell, because
 * the worker may have moved on before the hook of the exchange is run. What has not
 * come is at INSTANT_NEVER. */
static enum exchange_phase phase_at(const struct exchange *exchange, instant when)
{
	if (!instant_before(when, exchange->answered))
		return PHASE_SENDING;
	if (!instant_before(when, exchange->running))
		return PHASE_RUNNING;
	return instant_before(when, exchange->queued) ? PHASE_READING : PHASE_QUEUED;
}

/* When nothing was done for it any more: the handler had returned, and, if it was
 * being sent, the connection was given up. */
static instant stopped_at(const struct exchange *exchange, instant fired)
{
	return instant_before(exchange->stopped, fired) ? exchange->closed
							: exchange->stopped;
}

/* It left before there was an answer: then it has seen none, even if libmicrohttpd could
 * write one, which it can as long as nothing but a FIN has come. */
static bool left_unanswered(const struct exchange *exchange, enum cancel_cause cause)
{
	return cause == CANCEL_CLIENT_GONE &&
		instant_before(cancel_fired_at(exchange->req.cancel), exchange->answered);
}

/* A token that fired after all of the answer had left, or while a handler finished all
 * the same for a client that is still there, ended nothing. */
static enum cancel_cause cause_of(const struct exchange *exchange)
{
	enum cancel_cause cause = cancel_cause(exchange->req.cancel);
	bool answered = exchange->sent_whole && !err_is_cancelled(exchange->result);
	return answered && !left_unanswered(exchange, cause) ? CANCEL_NONE : cause;
}

static int64_t bytes_sent(const struct exchange *exchange)
{
	if (exchange->outgoing)
		return stream_bytes(exchange->outgoing);
	bool has_body = exchange_sends_body(exchange) &&
		(exchange->sent_whole || exchange->state == EXCHANGE_PAST);
	size_t len = exchange->answer_len + exchange->res.body.len; /* one is 0 */
	return has_body ? (int64_t)len : 0;
}

/* Nothing of it changes any more but the token, which is looked at once. */
static struct end look_at_end(const struct exchange *exchange)
{
	struct end end = {
		.cause = cause_of(exchange),
		.status = exchange->res.status,
		.begun = exchange->state != EXCHANGE_HEAD,
		.fired = INSTANT_NEVER,
		.stopped = INSTANT_NEVER,
	};
	if (end.begun)
		end.bytes = bytes_sent(exchange);
	if (end.cause == CANCEL_CLIENT_GONE)
		end.status = problem_status(ERR_CLIENT_GONE);
	if (end.cause != CANCEL_NONE) {
		end.fired = cancel_fired_at(exchange->req.cancel);
		end.phase = phase_at(exchange, end.fired);
		end.stopped = stopped_at(exchange, end.fired);
	}
	return end;
}

static void count(const struct exchange *exchange, const struct end *end)
{
	struct metrics *metrics = exchange->env->metrics;
	if (!end->begun) {
		metrics_count_unbegun(metrics);
		return;
	}
	const struct metrics_request request = {
		.route = exchange->req.route,
		.status = end->status,
		.took_ns = instant_diff_ns(exchange->began, exchange->closed),
		.cause = end->cause,
		.phase = end->phase,
		.stopping_ns = instant_diff_ns(end->fired, end->stopped),
	};
	metrics_count(metrics, &request);
}

static enum log_level level_of(const struct exchange *exchange)
{
	return exchange->env->quiet ? LOG_LEVEL_DEBUG : LOG_LEVEL_INFO;
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

static void log_begun(const struct exchange *exchange, const struct end *end)
{
	const struct request *req = &exchange->req;
	const struct activity *activity = &exchange->activity;
	bool cut = end->cause != CANCEL_NONE;
	instant handed = instant_min(exchange->running, exchange->stopped);
	int64_t rows = atomic_load(&activity->rows);
	int64_t client_wait_ns = atomic_load(&activity->client_wait_ns);
	log_at(level_of(exchange), "request", LOG_STR("id", req->id),
		unless_none(LOG_NAME("trace", req->trace_id), req->trace_id[0]),
		LOG_STR("client", exchange->address), LOG_STR("method", req->method),
		LOG_NAME("route", req->route ? req->route->path : NULL),
		LOG_STR("path", req->path), LOG_INT("status", end->status),
		unless_none(LOG_NAME("error", err_name(exchange->result)),
			exchange->result != ERR_OK),
		LOG_NAME("cause", cut ? cancel_cause_name(end->cause) : NULL),
		LOG_NAME("cancelled_while", cut ? exchange_phase_name(end->phase) : NULL),
		LOG_BETWEEN("stopped_after_ms", end->fired, end->stopped),
		unless_none(
			LOG_BOOL("committed", true), atomic_load(&activity->committed)),
		LOG_INT("bytes", end->bytes),
		unless_none(LOG_INT("received", (int64_t)exchange->received),
			exchange->received > 0),
		unless_none(LOG_INT("rows", rows), rows > 0),
		LOG_BETWEEN("queued_ms", exchange->queued, handed),
		unless_none(LOG_MS("db_wait_ms", atomic_load(&activity->db_wait_ns)),
			atomic_load(&activity->db_wait_ns) > 0),
		unless_none(LOG_MS("client_wait_ms", client_wait_ns), client_wait_ns > 0),
		LOG_BETWEEN("run_ms", exchange->running, exchange->stopped),
		LOG_BETWEEN("send_ms", exchange->answered, exchange->closed),
		LOG_BETWEEN("total_ms", exchange->began, exchange->closed));
}

/* A connection that closed before its request's headers were complete, or that
 * libmicrohttpd refused by itself: it tells only that much. */
static void log_unbegun(const struct exchange *exchange)
{
	log_at(level_of(exchange), "request not begun",
		LOG_STR("client", exchange->address),
		LOG_BETWEEN("total_ms", exchange->began, exchange->closed));
}

static void log_end(const struct exchange *exchange, const struct end *end)
{
	if (end->begun)
		log_begun(exchange, end);
	else
		log_unbegun(exchange);
}

/*
 * The last owner's part.
 */

/*
 * Who may have a count of the token beyond this, and beyond the server: whoever is
 * firing it, such as the database's writer, which the server knows nothing of
 * (conn_pool_cancel_oldest()). He is no worker and no network thread, so nobody waits
 * for him before the watcher and its timers go. What reaches from the token to the
 * server therefore ends here, with its owner, not with its last count: the hooks are out
 * by now, the deadline is taken out; the parent is counted.
 */
static void destroy(struct exchange *exchange)
{
	cancel_drop_deadline(exchange->req.cancel);
	cancel_unref(exchange->req.cancel);
	answer_destroy(exchange->answer);
	stream_destroy(exchange->incoming);
	stream_destroy(exchange->outgoing);
	request_finish(&exchange->req);
	response_finish(&exchange->res);
	buffer_finish(&exchange->body);
	pthread_mutex_destroy(&exchange->lock);
	free(exchange);
}

/* It is still listed, and so looked at (request_list.c), until it has been counted and
 * logged: whoever waits for nothing to be in flight then finds all of that done. */
static void finish(struct exchange *exchange)
{
	struct end end = look_at_end(exchange);
	pthread_mutex_lock(&exchange->lock);
	exchange_become(exchange, EXCHANGE_DONE);
	pthread_mutex_unlock(&exchange->lock);
	count(exchange, &end);
	log_end(exchange, &end);
	inflight_remove(exchange->env->inflight, exchange, end.cause);
	destroy(exchange);
}

void exchange_let_go(struct exchange *exchange)
{
	if (atomic_fetch_sub(&exchange->owners, 1) == 1)
		finish(exchange);
}
