#ifndef HANGUP_TESTS_SUPPORT_STAGES_H
#define HANGUP_TESTS_SUPPORT_STAGES_H

/*
 * The stages of a request's life, each as a place where a test can hold one: the
 * victim. What ends it there (its client, its deadline, the service) is the test's;
 * what must be true of the place afterwards is the stage's.
 *
 *	stage_enter(&test, "", NULL);      the victim is there now
 *	raw_close(&test.victim);
 *	json_t *line = stage_log_line(&test);
 *	stage_leave(&test, ERR_CLIENT_GONE);
 *
 * No stage is reached by waiting for some time: a gate or a count says so.
 */
#include "tests/support/gate.h"
#include "tests/support/http.h"
#include "tests/support/raw.h"
#include "tests/support/test_server.h"

struct stage_test;
struct sqlite3;

struct stage {
	const char *name;
	const char *request; /* how the victim's begins: "GET /path HTTP/1.1\r\n..." */
	const char *body;    /* what is sent of its body, after a 100; NULL: nothing */
	const char *state;   /* the log's cancelled_while; NULL: it is not begun */
	void (*prepare)(struct stage_test *test); /* makes the place; may be NULL */
	bool (*is_reached)(struct stage_test *test);
	void (*release)(struct stage_test *test); /* undoes prepare; may be NULL */

	bool arrives;  /* the request is not complete: what is sent next belongs to it */
	bool begins;   /* the handler has begun */
	bool sends;    /* an answer is on its way, and the client does not read it */
	bool finite;   /* it comes to its end if released and not cancelled */
	bool returned; /* the handler has returned already */
	bool finishes; /* the change is made all the same: past the point of no return */
};

extern const struct stage stages[];
extern const unsigned stages_count;

enum { STAGE_ROUTES_MAX = 32 };

struct stage_test {
	const struct stage *stage;
	struct test_server server;
	struct raw victim;
	/* Of all victims' routes; set between stage_init() and stage_start(). */
	enum hang_up hang_up;
	bool half_close_ok;
	int64_t timeout_ms;
	struct route routes[STAGE_ROUTES_MAX];

	struct gate reached; /* the victim is there */
	struct gate fired;   /* its token has fired; or the test lets it go on */
	struct gate held;    /* what prepare() starts holds the place */
	struct gate let_go;  /* and may stop to */
	struct gate synced;  /* the disk is in the middle of a sync */
	struct gate sync;    /* and may finish it */
	struct http_call *holder;
	struct cancel *own; /* the test's token, for what it borrows itself */
	struct conn *borrowed;
	struct sqlite3 *locker;

	bool released;
	_Atomic int result; /* enum err: what the victim's handler returned; -1 not yet */
	atomic_uint begun;  /* victims' handlers */
	atomic_uint uninvited; /* handlers of requests that must never be started */
};

void stage_init(struct stage_test *test, const struct stage *stage);
void stage_start(struct stage_test *test);

/* Sends the victim's request with these header lines, and bytes behind it (or NULL).
 * Waits until it is in its stage: false when it has ended before that. */
bool stage_enter(struct stage_test *test, const char *headers, const char *behind);

/* Waits for the victim's log line; the caller gets a reference. NULL for a stage
 * whose request is not begun, and then it has waited for the other line. */
json_t *stage_log_line(struct stage_test *test);

/* Returns when a request with these header lines, on the victims' terms otherwise, has
 * run out of time: a victim that came before it has too. */
void stage_wait_for_deadline(struct stage_test *test, const char *headers);

/* Returns when the server has seen whatever the victim's client did before: hang-ups
 * are seen in the order in which they come, and another client's is in the log. */
void stage_wait_for_watcher(struct stage_test *test);

/* Lets go of the place: a victim that is not cancelled goes on to its end. */
void stage_release(struct stage_test *test);

/* Releases the place if that has not been done. Fails the test unless everything is back, the handler was
 * called and has returned result as the stage says, no uninvited request was
 * started, nothing half-done was kept, and a second request finds the same database
 * connection unharmed. */
void stage_leave(struct stage_test *test, enum err result);

/* The same for a server that is shut down: only what can be seen then. */
void stage_leave_shut_down(struct stage_test *test, enum err result);

/* Ends the test's server, and fails the test when something is left over. */
void stage_finish(struct stage_test *test);

/* A second request in the same bytes: it must never be started. */
#define STAGE_UNINVITED "GET /uninvited HTTP/1.1\r\nHost: x\r\n\r\n"

/* How much a victim's answer holds, all of it 'x', in the stages that send. */
enum { STAGE_LARGE = 8 << 20 };

#endif
