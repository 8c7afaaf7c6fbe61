#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_H

/*
 * An exchange is one request and its answer, from the request's first line to
 * the log line. Private to the server: server.c translates libmicrohttpd's
 * callbacks into the calls below, client.c the watcher's.
 *
 *              begin                submit            run
 *   (made) ──> READING ──────────> QUEUED ─────────> RUNNING
 *                 │ refused, inline   │ cancelled        │ the handler returned,
 *                 │ or cut short      │ or queue full    │ or its stream began
 *                 └───────────────────┴──> SENDING <─────┘
 *                                             │ both owners have let go
 *                                             └──> DONE: logged, freed
 *
 * Two owners share it by counting: the network's side, from exchange_create() to
 * exchange_closed(), and the worker's, from QUEUED until the handler's answer
 * has been handed over. Whoever lets go last logs and frees.
 *
 * A body that is streamed (stream.h) arrives while the exchange is QUEUED or RUNNING,
 * and a streamed answer leaves while its handler still runs. A streamed body that the
 * handler did not want to the end is answered past libmicrohttpd.
 *
 * The lock guards what both sides, and the thread that fires the token, may
 * change: the state, and whether the connection is suspended. It is what makes
 * "look whether the answer is there, else suspend" and "put the answer there,
 * and resume if suspended" two indivisible steps, so that no wake-up is lost and
 * a connection is resumed once.
 *
 * Lock order: inflight::lock (request_list.c), exchange::lock, then libmicrohttpd's own (in
 * suspend and resume). client::lock comes after all. The token's and the pool's locks
 * are leaves.
 */
#include <pthread.h>

#include "service/core/activity.h"
#include "service/core/pool.h"
#include "service/http/client.h"
#include "service/http/inflight.h"
#include "service/http/request.h"
#include "service/http/request_head.h"
#include "service/http/response.h"

struct MHD_Connection;
struct MHD_Response;
struct metrics;

/* What the exchanges of a server share. Set once, before the first of them. */
struct exchange_env {
	struct request_rules rules;
	struct inflight *inflight;
	struct cancel *token; /* the parent of every request's */
	struct timers *timers;
	int64_t stall_timeout_ms; /* of streams; 0: none */
	struct pool *lanes[LANE_COUNT];
	void *app;
	struct metrics *metrics;
	bool quiet; /* its requests are logged as "debug" */
};

enum exchange_state {
	EXCHANGE_READING, /* the request is arriving */
	EXCHANGE_QUEUED,  /* waits for a worker */
	EXCHANGE_RUNNING, /* its handler runs */
	EXCHANGE_SENDING, /* its answer is decided */
	EXCHANGE_DONE,
	EXCHANGE_STATES,
};

const char *exchange_state_name(enum exchange_state state);

struct exchange {
	_Atomic unsigned owners;
	const struct exchange_env *env;
	struct exchange *next; /* inflight::lock; neighbours in the list in flight */
	struct exchange *prev;

	pthread_mutex_t lock;
	enum exchange_state state; /* lock */
	bool suspended;            /* lock */
	bool woken;                /* lock: the next suspension is not to happen */
	bool body_arrives;         /* lock: between a streamed body's start and end */
	bool cut_short;            /* lock: answered or closed past libmicrohttpd */
	bool begun;                /* lock: the headers are complete. From here on
					    * id, method, path and route stay as they are;
					    * written by the network thread */
	struct MHD_Connection
		*connection;   /* lock: NULL once the network's side is gone */
	struct client *client; /* lock: goes with connection */

	/* The network thread's until QUEUED, the worker's until SENDING, then the
	 * network thread's again. */
	struct request req;
	struct response res;
	enum err result; /* why it was refused, or what the handler returned */
	bool settled;    /* res is the answer already: no handler will run */
	struct expectation expected;
	char *body;
	size_t body_len;
	size_t body_size;
	size_t discarded;            /* bytes of a body that nobody wants */
	size_t received;             /* bytes of a body that is streamed */
	struct MHD_Response *answer; /* made when it is decided */
	struct response_sink sink;   /* ANSWER_STREAMED: res.sink */
	struct stream *incoming;     /* BODY_STREAMED */
	struct stream *outgoing;     /* once a streamed answer has begun */

	struct cancel_hook hook; /* on req.cancel */
	struct job job;
	struct activity activity;
	char address[CLIENT_ADDRESS_SIZE];
	bool sent_whole; /* the network thread's: all of the answer left */

	instant began;
	instant queued; /* INSTANT_NEVER: not yet, as with the next ones */
	instant running;
	instant answered; /* the answer was decided, or began */
	instant stopped;  /* the work ended */
	instant closed;
};

/* Makes the exchange of a request whose first line has arrived, the network's
 * side its owner. NULL when out of memory. Network thread. */
struct exchange *exchange_create(const struct exchange_env *env, struct client *client,
	struct MHD_Connection *connection);

enum exchange_next {
	EXCHANGE_CONTINUE, /* wait for more of the request */
	EXCHANGE_SEND,     /* queue exchange->answer now */
	EXCHANGE_SUSPENDED,
	EXCHANGE_CLOSE, /* close the connection without an answer */
};

/* The headers are complete and in req: looks at them, sets the deadline, and lets
 * hang-ups count. Network thread. */
enum exchange_next exchange_begin(struct exchange *exchange, bool is_http_1_1);

/* Takes a piece of the body, *ret_taken bytes of it; the rest comes again after the
 * suspension. Network thread. */
enum exchange_next exchange_receive(
	struct exchange *exchange, struct span piece, size_t *ret_taken);

/* The request is complete, or the connection was resumed: runs, submits, waits or
 * sends. Network thread. */
enum exchange_next exchange_proceed(struct exchange *exchange);

/* The network's side is gone: after all of the answer has left (CANCEL_NONE), or
 * before, and then for which cause, unless the token has one already. May free the
 * exchange. Network thread. */
void exchange_closed(struct exchange *exchange, enum cancel_cause cause);

bool exchange_is_head(const struct exchange *exchange);

/* Whether the client gets the body of the answer, and not only what is told of it
 * (RFC 9110, 6.4.1): of the answer to HEAD, and of 304, it does not. */
bool exchange_sends_body(const struct exchange *exchange);

#endif
