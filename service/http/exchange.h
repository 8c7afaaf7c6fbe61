#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_H

/*
 * An exchange is one request and its answer, from the request's first line to the
 * log line. Private to the server. exchange_state.h draws what becomes of one; the
 * files that move it along:
 *
 *	exchange_events   what libmicrohttpd and the token say: begun, more, closed, fired
 *	exchange_body     a body comes in
 *	exchange_work     somebody runs the handler
 *	exchange_answer   what the handler wrote goes out
 *	exchange_stream   the same, while it is still writing
 *	exchange_end      counted, logged, freed
 *
 * Two owners share it by counting: the network's side, from exchange_create() to
 * exchange_closed(), and the worker's, from QUEUED until the handler's answer
 * has been handed over. Whoever lets go last logs and frees (exchange_end.h).
 *
 * The lock guards what both sides, and the thread that fires the token, may change:
 * the state, and what the network thread is doing. It is what makes "look whether
 * the answer is there, else suspend" and "put the answer there, and resume if
 * suspended" two indivisible steps, so that no wake-up is lost and a connection is
 * resumed once.
 *
 * Lock order: inflight::lock (request_list.c), exchange::lock, then libmicrohttpd's own
 * (in suspend and resume). client::lock comes after all. The token's and the pool's
 * locks are leaves.
 */
#include <pthread.h>
#include <sys/queue.h>

#include "service/core/activity.h"
#include "service/core/buffer.h"
#include "service/core/pool.h"
#include "service/http/client.h"
#include "service/http/exchange_state.h"
#include "service/http/request.h"
#include "service/http/request_head.h"
#include "service/http/response.h"

struct MHD_Connection;
struct MHD_Response;
struct inflight;
struct metrics;
struct stream;

/* What the exchanges of a server share. Set once, before the first of them. */
struct exchange_env {
	struct request_rules rules;
	struct inflight *inflight;
	struct cancel *token; /* the parent of every request's */
	struct timers *timers;
	int64_t stall_timeout_ms; /* of streams; 0: none */
	struct pool *lanes[LANE_COUNT];
	void *app;
	readiness_fn *ready; /* request::ready */
	struct metrics *metrics;
	bool quiet; /* its requests are logged as "debug" */
};

struct exchange {
	_Atomic unsigned owners;
	const struct exchange_env *env;
	LIST_ENTRY(exchange) listed; /* inflight::list; inflight::lock */

	pthread_mutex_t lock;
	enum exchange_state state;         /* lock; moved by exchange_become() alone */
	enum exchange_network network;     /* lock */
	struct MHD_Connection *connection; /* lock: NULL when the network is GONE */
	struct client *client;             /* lock: goes with connection */

	/* The network thread's until QUEUED, the worker's until its answer is there,
	 * then the network thread's again. From READING on, id, method, path and route
	 * stay as they are, and whoever holds the lock may read them. */
	struct request req;
	struct response res;
	enum err result; /* why it was refused, or what the handler returned */
	struct expectation expected;
	struct buffer body;          /* as far as it has been gathered */
	size_t discarded;            /* bytes of a body that nobody wants */
	size_t received;             /* bytes of a body that is streamed */
	struct MHD_Response *answer; /* lock, from its making until it is queued */
	size_t answer_len;           /* of its body, which is no longer in res */
	struct response_sink sink;   /* ANSWER_STREAMED: res.sink */
	struct stream *incoming;     /* BODY_STREAMED */
	struct stream *outgoing;     /* STREAMING */

	struct cancel_hook hook; /* on req.cancel */
	struct job job;
	struct activity activity;
	char address[CLIENT_ADDRESS_SIZE];
	bool sent_whole; /* lock: all of the answer left */

	/* lock, but for began; INSTANT_NEVER: not yet */
	instant began;
	instant queued;
	instant running;
	instant answered; /* the answer was decided, or began */
	instant stopped;  /* the work ended */
	instant closed;
};

/* Follows the machine's arrow to next, which must be there, notes the time, and calls
 * the network thread when it may not go on waiting. Lock held. */
void exchange_become(struct exchange *exchange, enum exchange_state next);

/* The state at this moment. Another may come at once, except where the caller is the
 * only one that could bring it. Takes the lock. */
enum exchange_state exchange_state_now(struct exchange *exchange);

/* The network thread found nothing to do. True when the connection is suspended now;
 * false when it was called meanwhile, and must look again. Network thread. */
bool exchange_suspend(struct exchange *exchange);

/* Calls the network thread back to look again: a stream's wake, whose arg is the
 * exchange. Any thread; takes the lock. */
void exchange_call(void *arg);

/* Notes how it ended, in result and for the client: err makes res a problem document.
 * Whoever has res. */
void exchange_conclude(struct exchange *exchange, enum err err);

/* The same without a handler, while the request still arrives. Lock held, READING. */
void exchange_settle(struct exchange *exchange, enum err err);

/* What the network thread is to do next. */
enum exchange_next {
	EXCHANGE_CONTINUE, /* wait for more of the request */
	EXCHANGE_SEND,     /* queue exchange->answer now */
	EXCHANGE_SUSPENDED,
	EXCHANGE_CLOSE, /* close the connection without an answer */
};

bool exchange_is_head(const struct exchange *exchange);

/* Whether the route's answer is sent while its handler writes. */
bool exchange_streams(const struct exchange *exchange);

/* Whether the client gets the body of the answer, and not only what is told of it
 * (RFC 9110, 6.4.1): of the answer to HEAD, and of 304, it does not. */
bool exchange_sends_body(const struct exchange *exchange);

#endif
