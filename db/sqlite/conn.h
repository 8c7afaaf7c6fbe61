#ifndef HANGUP_DB_SQLITE_CONN_H
#define HANGUP_DB_SQLITE_CONN_H

/*
 * A connection to SQLite, and the token that its present user works for. Private
 * to db/sqlite/: handlers see struct conn only through db.h and stmt.h. Statements
 * (stmt.c), transactions (transaction.h), pool and writer are built on it.
 *
 * A connection is used by one thread at a time. The one exception is the hook
 * that conn_bind() leaves on the token: it runs in whichever thread fires.
 */
#include <sqlite3.h>
#include <stdbool.h>
#include <sys/queue.h>

#include "db/db.h"
#include "db/sqlite/stmt_cache.h"

struct conn_pool;

enum conn_role {
	CONN_READER,      /* for point reads: maps the file */
	CONN_LONG_READER, /* for scans: leaves nothing of what it reads in memory */
	CONN_WRITER,      /* one for each database and process: the writer's */
	CONN_MIGRATOR,    /* creates the file; foreign keys are checked at the end only */
};

struct conn {
	sqlite3 *sqlite;
	struct stmt_cache cache; /* its statements: stmt.c lends them */
	int64_t busy_timeout_ms;

	struct cancel *token; /* NULL: nobody may stop what runs now */
	struct cancel_hook hook;
	instant stop_at;    /* a limit besides the token; ERR_BUSY when it has passed */
	instant busy_until; /* of the wait for a lock that is going on */
	/* Whether somebody still waits for what conn waits for; NULL: the token says it
	 * all. By the thread that has conn, at every pause of a wait for a lock. */
	bool (*is_awaited)(void *arg);
	void *awaited_arg;
	unsigned progress;   /* calls of the progress handler since it was bound */
	bool in_transaction; /* what we believe: transaction.c says so */
	enum err failed;     /* what the last failed statement said */
	instant snapshot_at; /* conn_pool::lock: when its transaction began; or never */

	struct conn_pool *pool;   /* NULL outside one */
	struct cancel *reader;    /* conn_pool::lock: the borrower's token, while lent */
	SLIST_ENTRY(conn) link;   /* conn_pool::idle */
	LIST_ENTRY(conn) reading; /* conn_pool::reading */
};

/* Opens config->path in the given role, bound to token, which may be NULL.
 * Blocks on the disk and, as everything on a connection, for locks. */
enum err conn_open(const struct db_config *config, enum conn_role role,
	struct cancel *token, struct conn **ret_conn);

/* Unbinds and closes. All statements must have been released. NULL is a no-op. */
void conn_close(struct conn *conn);

/* From here on token stops whatever runs on conn. The caller's count of token
 * outlives the binding; NULL binds to nothing. */
void conn_bind(struct conn *conn, struct cancel *token);

/* Waits out an interrupt that is being delivered; a no-op without a token. */
void conn_unbind(struct conn *conn);

/* ERR_OK when the next statement may start: not when the token has fired, nor
 * when the transaction it believes to be in is gone. */
enum err conn_ready(struct conn *conn);

/* The error for a result code of SQLite that conn has just returned. */
enum err conn_error(struct conn *conn, int code);

/* Whether SQLite still has the transaction open; it ends one by itself after
 * some errors (https://sqlite.org/lang_transaction.html, section 3). */
bool conn_transaction_is_open(const struct conn *conn);

/* Why the transaction that conn believes to be in is gone. */
enum err conn_loss(const struct conn *conn);

#endif
