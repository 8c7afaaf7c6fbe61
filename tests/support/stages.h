#ifndef HANGUP_TESTS_SUPPORT_STAGES_H
#define HANGUP_TESTS_SUPPORT_STAGES_H

/*
 * The stages of a request's life, each as a place where a test can hold one: the
 * victim. What ends it there (its client, its deadline, the service) is the test's;
 * what must be true of the place afterwards is the stage's.
 *
 *	stage_init(&test, stage);
 *	failure_page_tell(&test.page, "leaves by", "a FIN");
 *	stage_start(&test);
 *	stage_expect_log(&test, "cause", "client_gone");
 *	stage_expect_result(&test, ERR_CLIENT_GONE);
 *	stage_enter(&test, "", NULL);      the victim is there now
 *	raw_close(&test.victim);
 *	stage_check_log(&test);
 *	stage_leave(&test);
 *	stage_finish(&test);
 *
 * A test that fails leaves a page (failure_page.h), if failure_page_tear_down() is its
 * teardown, and its server: the tests after it are skipped, which would fail for that.
 *
 * No stage is reached by waiting for some time: a gate or a count says so.
 *
 * stages.c has the table of the places, stage_victims.c the routes, stage_test.c what a
 * test does, stage_page.c what its page tells.
 */
#include "tests/support/failure_page.h"
#include "tests/support/holding.h"
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

/* Fails the test when there is none. */
const struct stage *stage_named(const char *name);

enum { STAGE_ROUTES_MAX = 32 };

struct stage_test {
	struct holding holding; /* what prepare() starts; the first: handlers find it */
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

	struct failure_page page;
	bool runs;           /* between stage_start() and stage_finish() */
	enum err expected;   /* stage_expect_result()'s */
	char log_line[1024]; /* the victim's, once stage_check_log() has it */
};

/* Opens the page. Skips the test if one before it has failed. */
void stage_init(struct stage_test *test, const struct stage *stage);
void stage_start(struct stage_test *test);

/* What the field of the victim's log line will be: a text as in failure_page_expect(). */
void stage_expect_log(struct stage_test *test, const char *field, const char *expected);

/* What will end the victim, ERR_OK: nothing. From that and from the stage follow what
 * its handler returns, whether it is called at all, and what is kept. */
void stage_expect_result(struct stage_test *test, enum err result);

/* Sends the victim's request with these header lines, and bytes behind it (or NULL).
 * Waits until it is in its stage: false when it has ended before that. */
bool stage_enter(struct stage_test *test, const char *headers, const char *behind);

/* raw_read() for the victim. */
void stage_read(struct stage_test *test, struct http_response *ret);

/* Waits for the victim's log line, and fails the test unless it is as expected. For a
 * stage whose request is not begun it waits for the line that says so. */
void stage_check_log(struct stage_test *test);

/* Returns when a request with these header lines, on the victims' terms otherwise, has
 * run out of time: a victim that came before it has too. */
void stage_wait_for_deadline(struct stage_test *test, const char *headers);

/* Returns when the server has seen whatever the victim's client did before: hang-ups
 * are seen in the order in which they come, and another client's is in the log. */
void stage_wait_for_watcher(struct stage_test *test);

/* Lets go of the place: a victim that is not cancelled goes on to its end. */
void stage_release(struct stage_test *test);

/* Releases the place if that has not been done. Fails the test unless everything is
 * back, the handler was called and has returned as expected, no uninvited request was
 * started, nothing half-done was kept, and a second request finds the same database
 * connection unharmed. */
void stage_leave(struct stage_test *test);

/* The same for a server that is shut down: only what can be seen then. */
void stage_leave_shut_down(struct stage_test *test);

/* Ends the test's server, and fails the test when something is left over. */
void stage_finish(struct stage_test *test);

/* A second request in the same bytes: it must never be started. */
#define STAGE_UNINVITED "GET /uninvited HTTP/1.1\r\nHost: x\r\n\r\n"

/* How much a victim's answer holds, all of it 'x', in the stages that send. */
enum { STAGE_LARGE = 8 << 20 };

#endif
