#include "db/sqlite/writer.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

#include "db/sqlite/transaction.h"
#include "db/sqlite/wal.h"
#include "db/stmt.h"
#include "service/core/activity.h"

/*
 * The life of a change, and who may end it when its token fires:
 *
 *	waiting ──> running ──> settled ──> answered
 *	   │  ^         │          │
 *	   │  └─────────┴──────────┘  its shared transaction was lost: it waits again,
 *	   └──> withdrawn             at the head of the queue, to be made alone
 *
 * - waiting: in the queue. The caller takes it out and returns at once. The writer
 *   takes changes one by one, each just before it runs, so one that is in line for
 *   its savepoint still waits in this sense.
 * - running: fn is let finish, because an interrupt would undo its neighbours. A
 *   change that is made alone has none: it is interrupted.
 * - settled: fn has returned and the token was looked at for the last time; then the
 *   change was undone alone, or belongs to the transaction.
 * - answered: only after COMMIT, the undone ones too: what they were refused for may
 *   have been a neighbour's change, which a failing commit takes back.
 *
 * A transaction is lost when SQLite rolls it back by itself (disk full, I/O error, no
 * memory), when a savepoint cannot be undone, or when COMMIT fails. All its changes
 * are undone then, so each can safely be made again, in a transaction of its own,
 * whose result is its answer: the cause may be only one of them, or only their sum.
 * A COMMIT whose sync failed may have left its frames in the WAL, where a recovery
 * after a crash could find them; the next commit overwrites them. Until then such a
 * change is what its answer says: not known to be durable.
 *
 * Another process may have the database's lock for as long as it likes, so the writer
 * looks at every pause of such a wait (some 10 ms, conn.c) whether it still is for
 * somebody: a shared transaction is for those in the queue, one that is alone for its
 * change, whose token ends the wait besides; and once the writer is to stop nobody
 * waits for a lock any more. What has been accepted by then is made if the lock is
 * free, and refused with ERR_SHUTDOWN if not. Nothing else at the end is cut short:
 * only the beginning of a transaction waits for a lock, so a COMMIT is let finish.
 */

struct change {
	db_write_fn *fn;
	void *arg;
	struct cancel *token;      /* the caller's */
	struct activity *activity; /* the caller's */
	int64_t max_ms;            /* for a long one; 0 for a short one */
	bool alone;                /* in a transaction of its own; writer's thread */
	enum err result;           /* writer's thread until answered */
	bool waiting;              /* writer::lock: it is in the queue */
	bool behind_long;          /* set once: a long one was accepted before it */
	TAILQ_ENTRY(change) link;  /* writer::queue, or the writer's batch */

	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool answered; /* lock: from here on the writer does not know it */
};

TAILQ_HEAD(changes, change);

struct writer {
	struct conn *conn;    /* writer's thread */
	struct cancel *never; /* a token that never fires, for shared transactions */
	struct wal wal;       /* writer's thread */
	bool for_one;         /* writer's thread: the transaction is one change's alone */
	bool for_nobody;      /* writer's thread: all who waited for a lock have left */
	unsigned queue_max;   /* set once */
	unsigned batch_max;   /* set once */
	pthread_t thread;
	bool started;

	pthread_mutex_t lock;
	pthread_cond_t wanted;
	struct changes queue;  /* lock */
	unsigned queue_count;  /* lock */
	unsigned long_count;   /* lock: long changes that wait or run */
	bool stopping;         /* lock */
	struct db_stats stats; /* lock: the writer's part of it */
};

/*
 * The callers' side.
 */

static void queue_change(struct writer *writer, struct change *change)
{
	TAILQ_INSERT_TAIL(&writer->queue, change, link);
	writer->queue_count++;
	change->waiting = true;
}

static void unqueue_change(struct writer *writer, struct change *change)
{
	TAILQ_REMOVE(&writer->queue, change, link);
	writer->queue_count--;
	change->waiting = false;
}

static bool is_long(const struct change *change)
{
	return change->max_ms > 0;
}

static enum err accept_change(struct writer *writer, struct change *change)
{
	enum err err = ERR_OK;
	pthread_mutex_lock(&writer->lock);
	if (writer->stopping)
		err = ERR_SHUTDOWN;
	else if (writer->queue_count >= writer->queue_max)
		err = ERR_BUSY;
	else
		queue_change(writer, change);
	change->behind_long = writer->long_count > 0;
	writer->long_count += err == ERR_OK && is_long(change);
	pthread_cond_signal(&writer->wanted);
	pthread_mutex_unlock(&writer->lock);
	return err;
}

/* After its answer, or its withdrawal. */
static void forget_if_long(struct writer *writer, const struct change *change)
{
	if (!is_long(change))
		return;
	pthread_mutex_lock(&writer->lock);
	writer->long_count--;
	pthread_mutex_unlock(&writer->lock);
}

static bool withdraw_change(struct writer *writer, struct change *change)
{
	pthread_mutex_lock(&writer->lock);
	bool waiting = change->waiting;
	if (waiting)
		unqueue_change(writer, change);
	pthread_mutex_unlock(&writer->lock);
	return waiting;
}

/* Of one that was not begun when its token fired. Who has spent his time behind a long
 * change has not asked for too much: the database was busy, and the same write may
 * succeed in a moment. */
static enum err err_of_unbegun(const struct change *change)
{
	enum err err = err_of_token(change->token);
	return err == ERR_DEADLINE && change->behind_long ? ERR_BUSY : err;
}

/* Until it is answered, or wanted no more. */
static bool wait_while_wanted(struct change *change)
{
	struct cancel_waiter on_token;
	cancel_wait_begin(&on_token, change->token, &change->lock, &change->changed);
	pthread_mutex_lock(&change->lock);
	while (!change->answered && cancel_cause(change->token) == CANCEL_NONE)
		pthread_cond_wait(&change->changed, &change->lock);
	bool answered = change->answered;
	pthread_mutex_unlock(&change->lock);
	cancel_wait_end(&on_token);
	return answered;
}

static void wait_for_answer(struct change *change)
{
	pthread_mutex_lock(&change->lock);
	while (!change->answered)
		pthread_cond_wait(&change->changed, &change->lock);
	pthread_mutex_unlock(&change->lock);
}

static enum err make_durable(struct writer *writer, struct change *change)
{
	enum err err = accept_change(writer, change);
	if (err != ERR_OK)
		return err;
	instant begun = activity_wait_begin("commit");
	bool withdrawn = !wait_while_wanted(change) && withdraw_change(writer, change);
	if (withdrawn)
		err = err_of_unbegun(change);
	else
		wait_for_answer(change);
	activity_wait_end(begun);
	forget_if_long(writer, change);
	return withdrawn ? err : change->result;
}

static enum err submit_change(struct writer *writer, struct change *change)
{
	assert(!pthread_equal(pthread_self(), writer->thread));
	if (!activity_may_wait())
		return ERR_WOULD_WAIT;
	enum err err = err_of_token(change->token);
	if (err != ERR_OK)
		return err;
	change->activity = activity_current();
	pthread_mutex_init(&change->lock, NULL);
	pthread_cond_init(&change->changed, NULL);
	err = make_durable(writer, change);
	pthread_cond_destroy(&change->changed);
	pthread_mutex_destroy(&change->lock);
	return err;
}

enum err writer_write(
	struct writer *writer, struct cancel *token, db_write_fn *fn, void *arg)
{
	struct change change = { .fn = fn, .arg = arg, .token = token };
	return submit_change(writer, &change);
}

enum err writer_write_long(struct writer *writer, struct cancel *token, int64_t max_ms,
	db_write_fn *fn, void *arg)
{
	struct change change = {
		.fn = fn, .arg = arg, .token = token, .max_ms = max_ms, .alone = true
	};
	assert(max_ms > 0);
	return submit_change(writer, &change);
}

void writer_stats(struct writer *writer, struct db_stats *ret_stats)
{
	pthread_mutex_lock(&writer->lock);
	ret_stats->writes_waiting = writer->queue_count;
	ret_stats->commits = writer->stats.commits;
	ret_stats->writes_committed = writer->stats.writes_committed;
	ret_stats->writes_undone = writer->stats.writes_undone;
	ret_stats->batch_size_max = writer->stats.batch_size_max;
	ret_stats->commit_ns_total = writer->stats.commit_ns_total;
	ret_stats->commit_ns_max = writer->stats.commit_ns_max;
	pthread_mutex_unlock(&writer->lock);
	ret_stats->wal_bytes = wal_bytes(&writer->wal);
}

/*
 * The writer's side: everything from here on runs on its thread.
 */

static bool wait_for_work(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	while (TAILQ_EMPTY(&writer->queue) && !writer->stopping)
		pthread_cond_wait(&writer->wanted, &writer->lock);
	bool work = !TAILQ_EMPTY(&writer->queue);
	pthread_mutex_unlock(&writer->lock);
	return work;
}

/* The head of the queue, if it is of that kind; else NULL. */
static struct change *take_next_change(struct writer *writer, bool alone)
{
	pthread_mutex_lock(&writer->lock);
	struct change *change = TAILQ_FIRST(&writer->queue);
	if (change && change->alone == alone)
		unqueue_change(writer, change);
	else
		change = NULL;
	pthread_mutex_unlock(&writer->lock);
	return change;
}

static void answer_change(struct change *change, enum err result)
{
	if (result == ERR_OK)
		atomic_store(&change->activity->committed, true);
	pthread_mutex_lock(&change->lock);
	change->result = result;
	change->answered = true;
	pthread_cond_signal(&change->changed);
	pthread_mutex_unlock(&change->lock);
}

/* The next of that kind; one that nobody wants any more is answered instead. */
static struct change *next_wanted(struct writer *writer, bool alone)
{
	struct change *change;
	while ((change = take_next_change(writer, alone))) {
		enum err err = err_of_unbegun(change);
		if (err == ERR_OK)
			break;
		answer_change(change, err);
	}
	return change;
}

static void count_commit(struct writer *writer, unsigned kept, uint64_t ns)
{
	struct db_stats *stats = &writer->stats;
	pthread_mutex_lock(&writer->lock);
	stats->commits++;
	stats->writes_committed += kept;
	if (stats->batch_size_max < kept)
		stats->batch_size_max = kept;
	stats->commit_ns_total += ns;
	if (stats->commit_ns_max < ns)
		stats->commit_ns_max = ns;
	pthread_mutex_unlock(&writer->lock);
}

static void count_undone(struct writer *writer, unsigned undone)
{
	pthread_mutex_lock(&writer->lock);
	writer->stats.writes_undone += undone;
	pthread_mutex_unlock(&writer->lock);
}

static bool is_stopping(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	bool stopping = writer->stopping;
	pthread_mutex_unlock(&writer->lock);
	return stopping;
}

/* For conn::is_awaited: whether the lock that another process has is worth waiting for. */
static bool transaction_is_awaited(void *arg)
{
	struct writer *writer = arg;
	pthread_mutex_lock(&writer->lock);
	writer->for_nobody = !writer->for_one && TAILQ_EMPTY(&writer->queue);
	bool awaited = !writer->for_nobody && !writer->stopping;
	pthread_mutex_unlock(&writer->lock);
	return awaited;
}

static enum err begin_transaction(
	struct writer *writer, struct cancel *token, instant stop_at)
{
	struct conn *conn = writer->conn;
	transaction_rollback(conn); /* a no-op, unless the last one failed */
	conn_bind(conn, token);
	conn->stop_at = stop_at;
	writer->for_one = token != writer->never;
	writer->for_nobody = false;
	enum err err = transaction_begin(conn, "BEGIN IMMEDIATE");
	if (err != ERR_OK)
		transaction_rollback(conn);
	return err == ERR_BUSY && is_stopping(writer) ? ERR_SHUTDOWN : err;
}

/* Fails for a lost transaction too. */
static enum err commit_transaction(struct writer *writer, unsigned kept)
{
	instant begun = instant_now();
	enum err err = transaction_commit(writer->conn);
	if (err != ERR_OK)
		transaction_rollback(writer->conn);
	else if (kept > 0)
		count_commit(
			writer, kept, (uint64_t)instant_diff_ns(begun, instant_now()));
	return err;
}

/* ERR_OK says that the change is to be kept. */
static enum err run_change(struct writer *writer, struct change *change)
{
	enum err err = change->fn(writer->conn, change->arg);
	assert(writer->conn->cache.lent == 0); /* fn has released its statements */
	if (err != ERR_OK)
		return err;
	return err_of_token(change->token); /* the point of no return */
}

static void make_alone(struct writer *writer, struct change *change)
{
	instant stop_at = INSTANT_NEVER;
	if (change->max_ms > 0)
		stop_at = instant_add_ms(instant_now(), change->max_ms);
	enum err err = begin_transaction(writer, change->token, stop_at);
	if (err == ERR_OK)
		err = run_change(writer, change);
	if (err == ERR_OK)
		err = commit_transaction(writer, 1);
	if (err != ERR_OK) {
		transaction_rollback(writer->conn);
		count_undone(writer, 1);
	}
	answer_change(change, err);
}

static bool is_lost(const struct conn *conn)
{
	return !conn->in_transaction || !conn_transaction_is_open(conn);
}

static enum err make_in_savepoint(struct writer *writer, struct change *change)
{
	struct conn *conn = writer->conn;
	enum err err = stmt_exec(conn, "SAVEPOINT change");
	if (err != ERR_OK)
		return err;
	err = run_change(writer, change);
	bool whole = err == ERR_OK || stmt_exec(conn, "ROLLBACK TO change") == ERR_OK;
	if (!whole || stmt_exec(conn, "RELEASE change") != ERR_OK)
		transaction_rollback(conn); /* loses the transaction */
	return err;
}

/* Returns how many were made; *ret_kept of them are to be kept. */
static unsigned make_batch(
	struct writer *writer, struct changes *batch, unsigned *ret_kept)
{
	struct change *change;
	unsigned made = 0;
	while (made < writer->batch_max && !is_lost(writer->conn) &&
		(change = next_wanted(writer, false))) {
		change->result = make_in_savepoint(writer, change);
		TAILQ_INSERT_TAIL(batch, change, link);
		*ret_kept += change->result == ERR_OK;
		made++;
	}
	return made;
}

static void answer_batch(struct changes *batch)
{
	struct change *change;
	while ((change = TAILQ_FIRST(batch))) {
		TAILQ_REMOVE(batch, change, link);
		answer_change(change, change->result);
	}
}

/* Back to the head of the queue, in the old order; the bound was paid already. */
static void make_again_alone(struct writer *writer, struct changes *batch)
{
	struct change *change;
	pthread_mutex_lock(&writer->lock);
	while ((change = TAILQ_LAST(batch, changes))) {
		TAILQ_REMOVE(batch, change, link);
		TAILQ_INSERT_HEAD(&writer->queue, change, link);
		writer->queue_count++;
		change->waiting = true;
		change->alone = true;
	}
	pthread_mutex_unlock(&writer->lock);
}

/* The database could not be had, by none of those who wait for it. */
static void refuse_waiting(struct writer *writer, enum err err)
{
	struct change *change;
	for (unsigned n = 0; n < writer->queue_max; n++) {
		change = next_wanted(writer, false);
		if (!change)
			break;
		answer_change(change, err);
	}
}

static void make_together(struct writer *writer)
{
	struct changes batch = TAILQ_HEAD_INITIALIZER(batch);
	enum err err = begin_transaction(writer, writer->never, INSTANT_NEVER);
	if (err != ERR_OK) {
		if (!writer->for_nobody) /* else who has come since gets his own wait */
			refuse_waiting(writer, err);
		return;
	}
	unsigned kept = 0;
	unsigned made = make_batch(writer, &batch, &kept);
	if (commit_transaction(writer, kept) == ERR_OK) {
		count_undone(writer, made - kept);
		answer_batch(&batch);
	} else {
		make_again_alone(writer, &batch);
	}
}

static void *write_changes(void *arg)
{
	struct writer *writer = arg;
	while (wait_for_work(writer)) {
		struct change *change = next_wanted(writer, true);
		if (change)
			make_alone(writer, change);
		else
			make_together(writer);
		wal_checkpoint_if_due(&writer->wal);
	}
	return NULL;
}

/*
 * Lifecycle.
 */

static enum err open_and_start(struct writer *writer, const struct db_config *config)
{
	writer->never = cancel_create(NULL);
	if (!writer->never)
		return ERR_NOMEM;
	enum err err = conn_open(config, CONN_WRITER, writer->never, &writer->conn);
	if (err != ERR_OK)
		return err;
	conn_unbind(writer->conn);
	writer->conn->is_awaited = transaction_is_awaited;
	writer->conn->awaited_arg = writer;
	wal_init(&writer->wal, writer->conn->sqlite);
	writer->started = pthread_create(&writer->thread, NULL, write_changes, writer) ==
		0;
	if (writer->started)
		pthread_setname_np(writer->thread, "writer");
	return writer->started ? ERR_OK : ERR_NOMEM;
}

enum err writer_create(const struct db_config *config, void (*free_wal)(void *arg),
	void *arg, struct writer **ret_writer)
{
	struct writer *writer = calloc(1, sizeof *writer);
	if (!writer)
		return ERR_NOMEM;
	writer->queue_max = config->write_queue_max;
	writer->batch_max = config->write_batch_max;
	writer->wal = (struct wal){
		.max_bytes = config->wal_max_bytes, .free_up = free_wal, .arg = arg
	};
	pthread_mutex_init(&writer->lock, NULL);
	pthread_cond_init(&writer->wanted, NULL);
	TAILQ_INIT(&writer->queue);
	enum err err = open_and_start(writer, config);
	if (err == ERR_OK)
		*ret_writer = writer;
	else
		writer_destroy(writer);
	return err;
}

static void stop_writing(struct writer *writer)
{
	pthread_mutex_lock(&writer->lock);
	writer->stopping = true;
	pthread_cond_signal(&writer->wanted);
	pthread_mutex_unlock(&writer->lock);
	pthread_join(writer->thread, NULL);
	wal_truncate(&writer->wal);
}

void writer_destroy(struct writer *writer)
{
	if (!writer)
		return;
	if (writer->started)
		stop_writing(writer);
	conn_close(writer->conn);
	cancel_unref(writer->never);
	pthread_cond_destroy(&writer->wanted);
	pthread_mutex_destroy(&writer->lock);
	free(writer);
}
