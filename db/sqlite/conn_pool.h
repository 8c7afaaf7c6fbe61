#ifndef HANGUP_DB_SQLITE_CONN_POOL_H
#define HANGUP_DB_SQLITE_CONN_POOL_H

/*
 * The connections for reading: at most max at a time, opened when first needed,
 * the last one given back lent first, since its cache is warm. Whoever finds none
 * free waits, in order of arrival, until its token fires.
 */
#include "db/sqlite/conn.h"

struct conn_waiter;

struct conn_pool {
	const struct db_config
		*config; /* set once, like the next two; outlives the pool */
	enum conn_role role;
	unsigned max;
	pthread_mutex_t lock;
	SLIST_HEAD(, conn) idle;                       /* lock; conn::link */
	TAILQ_HEAD(conn_waiters, conn_waiter) waiting; /* lock; conn_waiter::link */
	LIST_HEAD(, conn) reading; /* lock; conn::reading: those lent */
	unsigned lent;             /* lock: of max, those used or being opened */
	unsigned waiting_count;    /* lock */
};

void conn_pool_init(struct conn_pool *pool, const struct db_config *config,
	enum conn_role role, unsigned max);
void conn_pool_finish(struct conn_pool *pool); /* none may be lent */

/* Lends a connection bound to token, which the caller holds until it is given
 * back. Blocks; any thread. */
enum err conn_pool_take(
	struct conn_pool *pool, struct cancel *token, struct conn **ret_conn);

/* Ends what was left open, unbinds, and gives conn to who has waited longest.
 * Blocks only while an interrupt is being delivered. */
void conn_pool_give(struct conn *conn);

/* Notes when conn's snapshot began; INSTANT_NEVER when it ended. */
void conn_pool_note_snapshot(struct conn *conn, instant when);

/* Fires, with CANCEL_DEADLINE, the token of who has kept a snapshot for longest; false
 * when nobody has one. Any thread; runs the token's hooks. */
bool conn_pool_cancel_oldest(struct conn_pool *pool);

/* A moment's view: adds to *ret_stats. */
void conn_pool_stats(struct conn_pool *pool, struct db_stats *ret_stats);

#endif
