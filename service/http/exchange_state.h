#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_STATE_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_STATE_H

/*
 * The machine that an exchange is (exchange.h): one request and its answer. Only
 * names and tables: no locks, no memory, any thread.
 *
 *   HEAD ──> READING ──> QUEUED ──────────> RUNNING ──┬──> ANSWERED ──> DONE
 *               │           │ ^                │ ^       └──> STREAMING ─> DONE
 *               │           v │                v │
 *               │      QUEUED_MID_BODY ─> RUNNING_MID_BODY
 *               │           └────────────────┴─────────────> PAST ──────> DONE
 *               └──> SETTLED ──────────────────────────────> ANSWERED
 *
 *  and besides
 *   READING ──> RUNNING           inline, or tried in the network thread
 *   RUNNING ──> QUEUED            tried there, and would have to wait
 *   QUEUED ───> ANSWERED          cancelled, or no place in the queue
 *   READING, SETTLED ──> PAST     cancelled, or more comes than is read
 *   HEAD, READING, SETTLED ──> DONE    the connection ends
 *
 *  HEAD       its first line is there, and nothing is known of it yet
 *  READING    its head is known; a body that is gathered arrives
 *  SETTLED    its answer is decided (a refusal, OPTIONS); what arrives is dropped
 *  QUEUED     waits for a worker
 *  RUNNING    its handler runs: on a worker, or in the network thread. One that was
 *             only tried there, and would have to wait, goes back to QUEUED
 *  ..MID_BODY the same while a streamed body arrives: libmicrohttpd takes no answer
 *             now, so there is no way to the client but past it
 *  ANSWERED   the answer is there for libmicrohttpd; or nobody is left to get one
 *  STREAMING  its beginning is, and the handler goes on writing
 *  PAST       it was answered, or cut, past libmicrohttpd; what still arrives is dropped
 *  DONE       both owners have let go: it is logged and freed
 *
 * Every arrow, and no other, is in the table of exchange_state.c.
 */
#include <stdbool.h>

/* What logs, metrics and pages tell of it. */
enum exchange_phase {
	PHASE_READING, /* the request is arriving */
	PHASE_QUEUED,  /* waits for a worker */
	PHASE_RUNNING, /* its handler runs */
	PHASE_SENDING, /* its answer is decided, or has begun */
	PHASE_DONE,
	PHASES,
};

/* "reading", "queued", ...: static. */
const char *exchange_phase_name(enum exchange_phase phase);

enum exchange_state {
	EXCHANGE_HEAD,
	EXCHANGE_READING,
	EXCHANGE_SETTLED,
	EXCHANGE_QUEUED,
	EXCHANGE_QUEUED_MID_BODY,
	EXCHANGE_RUNNING,
	EXCHANGE_RUNNING_MID_BODY,
	EXCHANGE_ANSWERED,
	EXCHANGE_STREAMING,
	EXCHANGE_PAST,
	EXCHANGE_DONE,
	EXCHANGE_STATES,
};

enum exchange_phase exchange_phase_of(enum exchange_state state);

/* Whether there is an arrow. */
bool exchange_may_become(enum exchange_state state, enum exchange_state next);

/* Whether the network thread may suspend the connection in this state: it waits for
 * somebody who will resume it. */
bool exchange_may_wait(enum exchange_state state);

/* Whether a streamed body is arriving. */
bool exchange_is_mid_body(enum exchange_state state);

/*
 * What the network thread is doing about it meanwhile:
 *
 *	AWAKE ──> SUSPENDED     it found no news, and waits
 *	AWAKE <── SUSPENDED     somebody has news: the connection is resumed
 *	AWAKE ──> CALLED        somebody has news, and it was not asleep
 *	AWAKE <── CALLED        instead of suspending, it looks again
 *	AWAKE, CALLED ──> GONE  libmicrohttpd is through with the request
 */
enum exchange_network {
	NETWORK_AWAKE,
	NETWORK_CALLED,
	NETWORK_SUSPENDED,
	NETWORK_GONE,
};

#endif
