#include "service/http/exchange_work.h"

#include "service/http/exchange_answer.h"
#include "service/http/exchange_end.h"
#include "service/http/exchange_stream.h"
#include "service/http/inflight.h"

/*
 * Who has a queued request when its token fires:
 *
 * The state becomes QUEUED before the job is in the queue, so whoever fires the token in
 * between finds nothing to take out. That is why submit() looks at the token once more
 * behind pool_submit(). If the token fires before that look, submit() takes the job out
 * unless the one who fires has done so; if it fires after, the one who fires finds the
 * job in the queue, or a worker has it. pool_remove() lets exactly one of the three have
 * it: submit(), who fires, or the worker. A worker that has it looks at the token before
 * it calls the handler, and from there on what the handler blocks in has hooks of its
 * own.
 *
 * A quick read that goes back from RUNNING to QUEUED comes by submit() as well: a token
 * that fired while it ran, when nobody had to do anything, is seen there.
 */

/* Hands over and lets go, in this order: inflight_stop() waits for the last
 * inflight_work_end() before libmicrohttpd is stopped, and by then the connection
 * must have been resumed. */
static void end_work(struct exchange *exchange, enum err err)
{
	if (exchange->outgoing) {
		exchange_stream_end(exchange, err);
	} else {
		exchange_conclude(exchange, err);
		exchange_hand_over(exchange);
	}
	inflight_work_end(exchange->env->inflight);
	exchange_let_go(exchange);
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
	if (exchange_streams(exchange))
		exchange_stream_offer(exchange);
	activity_enter(&exchange->activity);
	err = req->route->handle(req, &exchange->res);
	activity_enter(NULL);
	return what_stopped(req, err);
}

/*
 * On a lane.
 */

static void run_job(struct job *job)
{
	struct exchange *exchange = (struct exchange *)((char *)job -
		offsetof(struct exchange, job));
	pthread_mutex_lock(&exchange->lock);
	exchange_become(exchange,
		exchange_is_mid_body(exchange->state) ? EXCHANGE_RUNNING_MID_BODY
						      : EXCHANGE_RUNNING);
	pthread_mutex_unlock(&exchange->lock);
	end_work(exchange, handle(exchange));
}

static struct pool *lane_of(const struct exchange *exchange)
{
	return exchange->env->lanes[exchange->req.route->lane];
}

void exchange_work_leave_queue(struct exchange *exchange, enum cancel_cause cause)
{
	if (pool_remove(lane_of(exchange), &exchange->job))
		end_work(exchange, err_of_cause(cause));
}

static void submit(struct exchange *exchange)
{
	exchange->job.run = run_job;
	atomic_fetch_add(&exchange->owners, 1);
	enum err err = pool_submit(lane_of(exchange), &exchange->job);
	if (err != ERR_OK)
		end_work(exchange, err);
	else if (cancel_cause(exchange->req.cancel) != CANCEL_NONE)
		exchange_work_leave_queue(exchange, cancel_cause(exchange->req.cancel));
}

/* QUEUED. Once the server stops, no work begins any more. */
static void submit_unless_stopping(struct exchange *exchange)
{
	if (inflight_work_begin(exchange->env->inflight)) {
		submit(exchange);
	} else {
		exchange_conclude(exchange, ERR_SHUTDOWN);
		exchange_hand_over(exchange);
	}
}

/* Takes the exchange out of READING, unless it was cut short meanwhile. */
static bool stop_reading(struct exchange *exchange, enum exchange_state next)
{
	pthread_mutex_lock(&exchange->lock);
	bool reading = exchange->state == EXCHANGE_READING;
	if (reading)
		exchange_become(exchange, next);
	pthread_mutex_unlock(&exchange->lock);
	return reading;
}

void exchange_work_start_on_lane(struct exchange *exchange)
{
	if (stop_reading(exchange, EXCHANGE_QUEUED))
		submit_unless_stopping(exchange);
}

/*
 * In the network thread.
 */

/* Undoes what a handler has written before it found that it would have to wait. */
static void start_over_on_lane(struct exchange *exchange)
{
	response_reset(&exchange->res);
	pthread_mutex_lock(&exchange->lock);
	exchange_become(exchange, EXCHANGE_QUEUED);
	pthread_mutex_unlock(&exchange->lock);
	submit_unless_stopping(exchange);
}

/* For LANE_INLINE, and for a short read that is tried here first, and taken to its lane
 * if it would wait. */
static void run_here(struct exchange *exchange, bool may_wait)
{
	if (!stop_reading(exchange, EXCHANGE_RUNNING))
		return;
	activity_let_wait(may_wait);
	enum err err = handle(exchange);
	activity_let_wait(true);
	if (err == ERR_WOULD_WAIT && !may_wait) {
		start_over_on_lane(exchange);
	} else {
		exchange_conclude(exchange, err);
		exchange_hand_over(exchange);
	}
}

void exchange_work_start(struct exchange *exchange)
{
	const struct route *route = exchange->req.route;
	if (route->lane == LANE_INLINE)
		run_here(exchange, true);
	else if (route->quick)
		run_here(exchange, false);
	else
		exchange_work_start_on_lane(exchange);
}
