#ifndef HANGUP_DB_CONN_POOL_H
#define HANGUP_DB_CONN_POOL_H

/*
 * The connections for reading: at most max at a time, opened when first needed,
 * the last one given back lent first, since its cache is warm. Whoever finds none
 * free waits, in order of arrival, until its token fires.
 */
#include "db/conn.h"

struct conn_waiter;

struct conn_pool {
	const struct db_config *config; /* set once; outlives the pool */
	unsigned max;                   /* set once */
	pthread_mutex_t lock;
	SLIST_HEAD(, conn) idle;                       /* lock; conn::link */
	TAILQ_HEAD(conn_waiters, conn_waiter) waiting; /* lock; conn_waiter::link */
	unsigned lent;          /* lock: of max, those used or being opened */
	unsigned waiting_count; /* lock */
};

void conn_pool_init(struct conn_pool *pool, const struct db_config *config);
void conn_pool_finish(struct conn_pool *pool); /* none may be lent */

/* Lends a connection bound to token, which the caller holds until it is given
 * back. Blocks; any thread. */
enum err conn_pool_take(
	struct conn_pool *pool, struct cancel *token, struct conn **ret_conn);

/* Ends what was left open, unbinds, and gives conn to who has waited longest.
 * Blocks only while an interrupt is being delivered. */
void conn_pool_give(struct conn *conn);

/* A moment's view. */
void conn_pool_stats(struct conn_pool *pool, struct db_stats *ret_stats);

#endif
