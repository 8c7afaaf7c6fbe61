#ifndef HANGUP_DB_DB_H
#define HANGUP_DB_DB_H

/*
 * The database as handlers know it: db_read() lends a connection for reading,
 * db_write() makes a change durable. Everything below honours the token: when
 * it fires, waiting ends, the statement in flight is interrupted, and the call
 * returns err_of_token(). What SQL looks like is in stmt.h; nothing of SQLite
 * is visible from here.
 */
#include <stdint.h>

#include "service/core/cancel.h"
#include "service/core/error.h"

struct db;
struct conn;

struct db_config {
	const char *path;         /* of the database file */
	const char *vfs;          /* NULL for SQLite's default; tests bring their own */
	unsigned readers;         /* connections for db_read(): DB_READERS */
	unsigned long_readers;    /* for db_read_long(): one for each long thread */
	int64_t wal_max_bytes;    /* see read_begin(): WAL_MAX_BYTES */
	unsigned write_queue_max; /* one more waiting is ERR_BUSY: DB_WRITE_QUEUE */
	unsigned write_batch_max; /* share a commit; 1, not sharing: DB_WRITE_BATCH */
	int64_t busy_timeout_ms;  /* for another process's lock, then ERR_BUSY */
};

/* Defaults for every field but path. */
struct db_config db_config_default(void);

/* Opens the database and starts the writer thread. The schema must be current:
 * see migrate.h. Blocks on the disk. */
enum err db_open(const struct db_config *config, struct db **ret_db);

/* Ends the writer after the writes it has accepted, checkpoints, truncates the
 * WAL, closes. While another process has the lock, accepted writes are refused with
 * ERR_SHUTDOWN, at once. No connection may be lent out. NULL is a no-op. */
void db_close(struct db *db);

/* Whether the database answers and its schema is the one this binary was built
 * for (else ERR_INVALID): a trivial read. *ret_reason is a literal when it does
 * not. Blocks as db_read() does. */
enum err db_check(struct db *db, struct cancel *token, const char **ret_reason);

/* The database file's: lives as long as db. */
const char *db_path(const struct db *db);

/* Of SQLite, as it runs: static. */
const char *db_library_version(void);

/*
 * Reading.
 */

/* Lends a connection for reading, bound to token until conn_release(). Waits
 * for one to become free, and stops waiting when token fires. The caller's
 * count of token must outlive the loan. Any thread; blocks. */
enum err db_read(struct db *db, struct cancel *token, struct conn **ret_conn);

/* The same for requests that read a lot: reports, exports. Their connections are
 * others, so that however many of them there are, point reads keep theirs; and what
 * they read does not stay in memory. */
enum err db_read_long(struct db *db, struct cancel *token, struct conn **ret_conn);

/* Gives the connection back and unbinds the token, waiting out an interrupt
 * that is just being delivered, so that the next borrower never feels it. All
 * its statements must have been released. NULL is a no-op. */
void conn_release(struct conn *conn);

static inline void conn_release_at(struct conn **conn)
{
	conn_release(*conn);
}
#define AUTO_CONN __attribute__((cleanup(conn_release_at))) struct conn

/* Opens one snapshot, which the first read takes and all reads see until
 * read_end() or conn_release(). After an error that lost it (such as no memory)
 * reads fail; they never go on in another. The WAL cannot be reused while it is open:
 * when that makes it grow beyond wal_max_bytes, the oldest snapshot's token is fired,
 * with CANCEL_DEADLINE. */
enum err read_begin(struct conn *conn);
void read_end(struct conn *conn);

/*
 * Writing. fn runs on the writer's thread, inside a savepoint of a transaction
 * that it may share with others, and must not block on anything but the
 * database. When it returns an error its changes are undone, alone. It may run
 * more than once, each time on an undone database, so it writes its results
 * only to memory that a second run may overwrite.
 */
typedef enum err db_write_fn(struct conn *conn, void *arg);

/* Runs fn and returns once its changes are durable (ERR_OK), or undone (fn's
 * error, or err_of_token() when token fired before fn had returned, or the
 * database's). Before fn begins, token ends the waiting at once. Once fn has begun
 * it is let finish: it is short, and an interrupt would undo its neighbours. Once
 * fn has returned, the commit's result is the answer, whatever the token says.
 * ERR_BUSY at once when write_queue_max are waiting, and instead of ERR_DEADLINE when
 * it waited behind a long write and fn has not begun. Any thread but the writer's;
 * blocks. */
enum err db_write(struct db *db, struct cancel *token, db_write_fn *fn, void *arg);

/* The same in a transaction of its own, in which token interrupts fn at any moment.
 * For changes of many rows. While it runs, short writes wait: it gets at most
 * max_ms, which is over 0, to have the database and run fn, then ERR_BUSY. */
enum err db_write_long(
	struct db *db, struct cancel *token, int64_t max_ms, db_write_fn *fn, void *arg);

/*
 * Figures for metrics and tests; a moment's view, any thread.
 */
struct db_stats {
	unsigned readers;            /* connections in the pool */
	unsigned readers_lent;       /* of which in use now */
	unsigned readers_waited_for; /* callers waiting now */
	unsigned writes_waiting;
	uint64_t commits;
	uint64_t writes_committed; /* members of those commits */
	uint64_t writes_undone;    /* begun, then failed or cancelled */
	uint64_t batch_size_max;
	uint64_t commit_ns_total;
	uint64_t commit_ns_max;
	int64_t wal_bytes;
};
void db_stats(struct db *db, struct db_stats *ret_stats);

#endif
