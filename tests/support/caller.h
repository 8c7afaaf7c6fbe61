#ifndef HANGUP_TESTS_SUPPORT_CALLER_H
#define HANGUP_TESTS_SUPPORT_CALLER_H

/*
 * Somebody who calls db_write() or db_write_long() in a thread of his own, with a
 * token and an activity of his own, and may be held inside his change at a gate.
 * Fill in what is wanted, caller_start(), caller_join(), look at err.
 */
#include "service/core/activity.h"
#include "tests/support/actor.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

struct caller {
	/* Filled in by the test. */
	struct test_db *test;
	const char *text; /* the note that he adds */
	const char *sql;  /* what he does then; NULL for nothing */
	enum err result;  /* what his change returns when all went well */
	int64_t max_ms;   /* over 0: a long write */
	bool gated;       /* his change opens begun and waits for go before it adds */
	bool stubborn;    /* his change ignores errors, and adds another note */

	struct cancel *token;
	struct activity activity;
	struct actor actor;
	struct gate begun;
	struct gate go;
	atomic_int runs; /* of his change */
	enum err made;   /* what the database said in its last run */
	enum err err;    /* what the call returned; after caller_join() */
};

void caller_start(struct caller *caller);

/* The same, and waits until his write is the nth in the queue. */
void caller_queue(struct caller *caller, unsigned nth);

/* Waits for the call to return, and gives back everything but the results. */
enum err caller_join(struct caller *caller);

#endif
