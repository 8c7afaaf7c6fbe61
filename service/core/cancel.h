#ifndef HANGUP_SERVICE_CORE_CANCEL_H
#define HANGUP_SERVICE_CORE_CANCEL_H

/*
 * A cancel token says whether work is still wanted. Tokens form a tree:
 * firing a parent fires its descendants. A token fires once, and keeps the
 * first cause. What Go calls a context: docs/cancellation.md compares the two
 * point by point.
 *
 * Any thread may call anything here. Only cancel_unhook(), cancel_detach() and
 * the release of a last count block, until a hook that is running has returned;
 * cancel_sleep() and cancel_wait() are there to block.
 *
 * Lock order: a token's lock is a leaf; no lock is held while a hook runs. So
 * a hook may take any lock, and the rule for callers is: never unhook, and
 * never release a last count, while holding a lock that the hook takes.
 *
 * Nothing here knows of HTTP or SQL; with timer.[ch] and clock.[ch] it can be
 * taken to another program.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "service/core/clock.h"

struct cancel;
struct timers;

enum cancel_cause {
	CANCEL_NONE,        /* still wanted */
	CANCEL_CLIENT_GONE, /* whoever asked has left */
	CANCEL_DEADLINE,    /* its time has run out */
	CANCEL_SHUTDOWN,    /* the program is ending */
	CANCEL_OPERATOR,    /* somebody with the right to has said so */
	CANCEL_CAUSES,
};

/* "none", "client_gone", "deadline", "shutdown", "operator": static. */
const char *cancel_cause_name(enum cancel_cause cause);

/*
 * Lifecycle. Tokens are counted. A child holds a count of its parent.
 */

/* A new token with one count; a child of parent unless that is NULL. A child
 * of a fired parent is born fired. NULL when out of memory. */
struct cancel *cancel_create(struct cancel *parent);

/* Cuts token off from its ancestors: from now on only its own deadline and
 * cancel_fire() reach it. For work that must outlive who asked for it. Waits out
 * a firing that is just passing down; false when token has fired by then. Go's
 * WithoutCancel() makes a new context instead: that is cancel_create(NULL). */
bool cancel_detach(struct cancel *token);

struct cancel *cancel_ref(struct cancel *token); /* returns token */
void cancel_unref(struct cancel *token);         /* NULL is a no-op */

/*
 * Asking and firing.
 */

/* The cause, or CANCEL_NONE: one atomic load, cheap enough for inner loops. */
enum cancel_cause cancel_cause(const struct cancel *token);

/* Fires the token and its descendants, and runs their hooks in the calling
 * thread before it returns. False when it had fired before: the first cause
 * stays, and that firing's hooks may still be running. The caller holds a count
 * when it calls; a hook may release it. cause is not CANCEL_NONE. */
bool cancel_fire(struct cancel *token, enum cancel_cause cause);

/* When it fired; INSTANT_NEVER while it has not. */
instant cancel_fired_at(const struct cancel *token);

/*
 * Deadlines.
 */

/* Fires the token with CANCEL_DEADLINE at when, driven by timers' thread. Once
 * a token. A deadline later than an ancestor's is kept as the ancestor's: it
 * fires first. timers must outlive the token, or its cancel_drop_deadline(). */
void cancel_set_deadline(struct cancel *token, struct timers *timers, instant when);

/* Takes the token's own deadline out: when this returns, it is not being fired by it
 * and never will, except when that firing is the caller. For who has set it, before he
 * gives up his count and, later, the timers: others may still have counts of the token,
 * for as long as they like, and what they have no longer needs the timers. Blocks as
 * cancel_unhook() does. A no-op without one. */
void cancel_drop_deadline(struct cancel *token);

/* The earliest deadline of the token and its ancestors, or INSTANT_NEVER. */
instant cancel_deadline(const struct cancel *token);

/*
 * Hooks: a function to run when the token fires.
 */

typedef void cancel_hook_fn(void *arg, enum cancel_cause cause);

/* The owner provides the memory and keeps it until cancel_unhook() returned. */
struct cancel_hook {
	cancel_hook_fn *fn;
	void *arg;
	LIST_ENTRY(cancel_hook) link; /* cancel::lock; cancel::hooks */
	bool listed;                  /* cancel::lock: link is in that list */
};

/* Registers fn(arg, cause), to run once, in the thread that fires, when the
 * token fires; hooks run in reverse order of registration. On a fired token it
 * runs at once, in the caller. A hook must be short and must not wait for the
 * caller of cancel_unhook(). True when registered, false when it ran at once. */
bool cancel_hook(
	struct cancel *token, struct cancel_hook *hook, cancel_hook_fn *fn, void *arg);

/* When this returns, the hook is not running and never will, except when the
 * hook itself is the caller: then it returns at once. The caller must hold a
 * count of token, and comes after cancel_hook() has returned or from inside the
 * hook. Any number of threads may unhook the same hook. True when the hook had
 * not run. A zeroed hook and a NULL token are no-ops. */
bool cancel_unhook(struct cancel *token, struct cancel_hook *hook);

/*
 * Waiting for "the token or something else".
 */

/* An eventfd that is readable once the token has fired; poll it, do not read
 * it. Made at the first call, owned by the token. -1 when none can be had.
 * Go: the channel of Done(). */
int cancel_fd(struct cancel *token);

/* Sleeps until when or until the token fires; returns its cause. */
enum cancel_cause cancel_sleep(struct cancel *token, instant when);

/*
 * Condition variables: a cancel_waiter broadcasts cond, with lock held, when
 * the token fires, so that a loop such as
 *
 *	cancel_wait_begin(&waiter, token, &q->lock, &q->changed);
 *	pthread_mutex_lock(&q->lock);
 *	while (!q->ready && !cancel_cause(token))
 *		pthread_cond_wait(&q->changed, &q->lock);
 *	pthread_mutex_unlock(&q->lock);
 *	cancel_wait_end(&waiter);
 *
 * misses neither. Both calls are made WITHOUT holding lock: the hook takes it.
 */
struct cancel_waiter {
	struct cancel *token; /* not counted: the caller's count outlives the wait */
	struct cancel_hook hook;
	pthread_mutex_t *lock;
	pthread_cond_t *cond;
};

void cancel_wait_begin(struct cancel_waiter *waiter, struct cancel *token,
	pthread_mutex_t *lock, pthread_cond_t *cond);
void cancel_wait_end(struct cancel_waiter *waiter);

#endif
