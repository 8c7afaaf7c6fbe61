#include "db/sqlite/conn_pool.h"

#include <assert.h>
#include <pthread.h>

#include "db/sqlite/transaction.h"
#include "service/core/activity.h"

/*
 * What is lent, strictly, is a place among max; a connection comes with it if one
 * is idle, else the borrower opens one. A place is handed from who gives it to who
 * has waited longest, so nobody overtakes, and an idle connection or a free place
 * implies that nobody waits.
 */
struct conn_waiter {
	pthread_cond_t changed;
	bool served;       /* conn_pool::lock */
	struct conn *conn; /* conn_pool::lock: what came with the place, or NULL */
	TAILQ_ENTRY(conn_waiter) link;
};

void conn_pool_init(struct conn_pool *pool, const struct db_config *config,
	enum conn_role role, unsigned max)
{
	*pool = (struct conn_pool){ .config = config, .role = role, .max = max };
	pthread_mutex_init(&pool->lock, NULL);
	SLIST_INIT(&pool->idle);
	TAILQ_INIT(&pool->waiting);
	LIST_INIT(&pool->reading);
}

static struct conn *pop_idle(struct conn_pool *pool)
{
	struct conn *conn = SLIST_FIRST(&pool->idle);
	if (conn)
		SLIST_REMOVE_HEAD(&pool->idle, link);
	return conn;
}

void conn_pool_finish(struct conn_pool *pool)
{
	assert(pool->lent == 0);
	struct conn *conn;
	while ((conn = pop_idle(pool)))
		conn_close(conn);
	pthread_mutex_destroy(&pool->lock);
}

/* For who may not wait: not even for a connection to be opened. */
static enum err take_at_once(struct conn_pool *pool, struct conn **ret_conn)
{
	pthread_mutex_lock(&pool->lock);
	struct conn *conn = pool->lent < pool->max ? pop_idle(pool) : NULL;
	pool->lent += conn != NULL;
	pthread_mutex_unlock(&pool->lock);
	*ret_conn = conn;
	return conn ? ERR_OK : ERR_WOULD_WAIT;
}

/* Takes a place at once, or else the end of the queue. */
static bool take_or_queue(struct conn_pool *pool, struct conn_waiter *waiter)
{
	pthread_mutex_lock(&pool->lock);
	bool served = pool->lent < pool->max;
	if (served) {
		pool->lent++;
		waiter->conn = pop_idle(pool);
	} else {
		pool->waiting_count++;
		TAILQ_INSERT_TAIL(&pool->waiting, waiter, link);
	}
	pthread_mutex_unlock(&pool->lock);
	return served;
}

static void stop_waiting(struct conn_pool *pool, struct conn_waiter *waiter)
{
	pool->waiting_count--;
	TAILQ_REMOVE(&pool->waiting, waiter, link);
}

/* A place that came just as the token fired is kept. */
static enum err wait_in_queue(
	struct conn_pool *pool, struct conn_waiter *waiter, struct cancel *token)
{
	struct cancel_waiter on_token;
	cancel_wait_begin(&on_token, token, &pool->lock, &waiter->changed);
	pthread_mutex_lock(&pool->lock);
	while (!waiter->served && cancel_cause(token) == CANCEL_NONE)
		pthread_cond_wait(&waiter->changed, &pool->lock);
	bool served = waiter->served;
	if (!served)
		stop_waiting(pool, waiter);
	pthread_mutex_unlock(&pool->lock);
	cancel_wait_end(&on_token);
	return served ? ERR_OK : err_of_token(token);
}

static enum err take_place(
	struct conn_pool *pool, struct cancel *token, struct conn **ret_conn)
{
	struct conn_waiter waiter = { .changed = PTHREAD_COND_INITIALIZER };
	enum err err = ERR_OK;
	if (!activity_may_wait())
		return take_at_once(pool, ret_conn);
	if (!take_or_queue(pool, &waiter)) {
		instant begun = activity_wait_begin("connection");
		err = wait_in_queue(pool, &waiter, token);
		activity_wait_end(begun);
	}
	pthread_cond_destroy(&waiter.changed);
	if (err == ERR_OK)
		*ret_conn = waiter.conn;
	return err;
}

/* conn is NULL when the place comes back without one. */
static void give_place(struct conn_pool *pool, struct conn *conn)
{
	pthread_mutex_lock(&pool->lock);
	struct conn_waiter *waiter = TAILQ_FIRST(&pool->waiting);
	if (waiter) {
		stop_waiting(pool, waiter);
		waiter->conn = conn;
		waiter->served = true;
		pthread_cond_signal(&waiter->changed);
	} else {
		pool->lent--;
		if (conn)
			SLIST_INSERT_HEAD(&pool->idle, conn, link);
	}
	pthread_mutex_unlock(&pool->lock);
}

enum err conn_pool_take(
	struct conn_pool *pool, struct cancel *token, struct conn **ret_conn)
{
	struct conn *conn = NULL;
	enum err err = err_of_token(token);
	if (err == ERR_OK)
		err = take_place(pool, token, &conn);
	if (err != ERR_OK)
		return err;
	if (conn)
		conn_bind(conn, token);
	else
		err = conn_open(pool->config, pool->role, token, &conn);
	if (err != ERR_OK) {
		give_place(pool, NULL);
		return err;
	}
	conn->pool = pool;
	pthread_mutex_lock(&pool->lock);
	conn->reader = token;
	LIST_INSERT_HEAD(&pool->reading, conn, reading);
	pthread_mutex_unlock(&pool->lock);
	*ret_conn = conn;
	return ERR_OK;
}

/* While it is in the list, its token may be looked at and counted. */
static void leave_list(struct conn *conn)
{
	pthread_mutex_lock(&conn->pool->lock);
	LIST_REMOVE(conn, reading);
	conn->snapshot_at = INSTANT_NEVER;
	pthread_mutex_unlock(&conn->pool->lock);
}

void conn_pool_note_snapshot(struct conn *conn, instant when)
{
	pthread_mutex_lock(&conn->pool->lock);
	conn->snapshot_at = when;
	pthread_mutex_unlock(&conn->pool->lock);
}

static struct conn *oldest_reader(struct conn_pool *pool)
{
	struct conn *conn;
	struct conn *oldest = NULL;
	LIST_FOREACH(conn, &pool->reading, reading)
		if (conn->snapshot_at.ns != INSTANT_NEVER.ns &&
			(!oldest ||
				instant_before(conn->snapshot_at, oldest->snapshot_at)))
			oldest = conn;
	return oldest;
}

bool conn_pool_cancel_oldest(struct conn_pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	struct conn *conn = oldest_reader(pool);
	struct cancel *token = conn ? cancel_ref(conn->reader) : NULL;
	pthread_mutex_unlock(&pool->lock);
	if (token)
		cancel_fire(token, CANCEL_DEADLINE);
	cancel_unref(token);
	return token != NULL;
}

void conn_pool_give(struct conn *conn)
{
	struct conn_pool *pool = conn->pool;
	assert(conn->cache.lent == 0);
	leave_list(conn);
	transaction_rollback(conn);
	if (conn_transaction_is_open(conn)) { /* the next one would see an old snapshot */
		conn_close(conn);
		conn = NULL;
	}
	give_place(pool, conn);
}

void conn_pool_stats(struct conn_pool *pool, struct db_stats *ret_stats)
{
	pthread_mutex_lock(&pool->lock);
	ret_stats->readers += pool->max;
	ret_stats->readers_lent += pool->lent;
	ret_stats->readers_waited_for += pool->waiting_count;
	pthread_mutex_unlock(&pool->lock);
}
