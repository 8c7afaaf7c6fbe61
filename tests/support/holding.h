#ifndef HANGUP_TESTS_SUPPORT_HOLDING_H
#define HANGUP_TESTS_SUPPORT_HOLDING_H

/*
 * Holding is having what others want, until the test says that it is enough: a thread of
 * a lane, the writer, a connection for reading. The handlers here do that, and beside
 * them stand those of requests that come by meanwhile. request::app is a struct holding,
 * or a test's own struct that begins with one.
 *
 *	{ "GET", "/held", hold_lane, .lane = LANE_LONG },
 *	...
 *	struct http_call *call = http_start_get(port, "/held");
 *	gate_wait(&holding->held);      it has its thread
 *	gate_open(&holding->let_go);
 *	http_join_expecting(call, "\"held\"");
 */
#include <stdatomic.h>

#include "db/db.h"
#include "service/http/router.h"
#include "tests/support/actor.h"
#include "tests/support/gate.h"

struct holding {
	/* Filled in by the test. */
	struct db *db;     /* for the handlers that want one */
	bool heeds_cancel; /* what holds lets go when its request is cancelled, too */

	struct gate held;   /* one has got what it is to hold */
	struct gate let_go; /* and all may stop to */
	atomic_uint held_count;

	struct actor actor; /* holding_take_writer()'s */
	struct cancel *token;
	int64_t max_ms;
	enum err err;
};

/* Between them the test may set what it fills in. Let go before holding_finish(), and
 * before what serves the handlers is stopped. */
void holding_init(struct holding *holding);
void holding_finish(struct holding *holding);

/*
 * Handlers that hold, and what they answer in the end.
 */
handler_fn hold_lane;   /* a thread, whichever runs it: "held" */
handler_fn hold_writer; /* inside of a change that changes nothing: "written" */
handler_fn hold_reader; /* a connection for reading: "held" */

/*
 * Handlers that come by.
 */
handler_fn answer_at_once;       /* "quick" */
handler_fn write_nothing;        /* "written", after a change that changes nothing */
handler_fn wait_until_cancelled; /* no answer but the cause's */

/*
 * The writer is held by the test itself, without a request.
 */

/* Returns when it is held. max_ms over 0: by a long write of at most that. */
void holding_take_writer(struct holding *holding, int64_t max_ms);

/* Lets go and waits until it is given back. Fails the test if that was no success. */
void holding_give_writer(struct holding *holding);

#endif
