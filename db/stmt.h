#ifndef HANGUP_DB_STMT_H
#define HANGUP_DB_STMT_H

/*
 * A statement: prepare, bind, step, read columns, release. The only SQL
 * interface of db/items.c and its kind, and the place where another database
 * would go under. A statement belongs to its connection and to the thread that
 * borrowed it.
 */
#include <stdint.h>

#include "db/db.h"
#include "service/core/span.h"

struct stmt;

/* Takes the statement for sql, which is exactly one, from the connection's cache, or
 * prepares it. The cache finds it by its text: sql need not be a literal. */
enum err stmt_prepare(struct conn *conn, const char *sql, struct stmt **ret_stmt);

/* Resets it, clears its bindings and gives it back. NULL is a no-op. */
void stmt_release(struct stmt *stmt);

static inline void stmt_release_at(struct stmt **stmt)
{
	stmt_release(*stmt);
}
#define AUTO_STMT __attribute__((cleanup(stmt_release_at))) struct stmt

/* Parameters count from 1. Text is not copied: it must stay until the release.
 * A span without data binds NULL. Errors are kept and returned by stmt_step(). */
void stmt_bind_int(struct stmt *stmt, int index, int64_t value);
void stmt_bind_text(struct stmt *stmt, int index, struct span text);
void stmt_bind_blob(struct stmt *stmt, int index, struct span bytes);
void stmt_bind_null(struct stmt *stmt, int index);

/* Advances to the next row. *ret_row says whether there is one. ERR_OK, the
 * token's error when it was cancelled, ERR_CONFLICT for a constraint, ERR_BUSY,
 * ERR_DISK_FULL, ERR_NOMEM, ERR_IO, ERR_CORRUPT or ERR_INTERNAL. Not to be called
 * again after it said that there is no row: it would start anew. */
enum err stmt_step(struct stmt *stmt, bool *ret_row);

/* For statements without rows: steps once and resets, so that it can be bound anew
 * and run again. */
enum err stmt_run(struct stmt *stmt);

/* Steps over the rows that are left. A change that RETURNs its rows may still fail
 * after the first of them (https://sqlite.org/c3ref/reset.html): it is whole after
 * this. Not to be called after stmt_step() said that there is no row. */
enum err stmt_finish(struct stmt *stmt);

/* stmt_prepare(), stmt_run() and release of sql without parameters. */
enum err stmt_exec(struct conn *conn, const char *sql);

/* Columns count from 0. Text stays valid until the next step or the release. */
int64_t stmt_int(struct stmt *stmt, int column);
struct span stmt_text(struct stmt *stmt, int column);
bool stmt_is_null(struct stmt *stmt, int column);

/* Of the connection's last statement. */
int64_t conn_last_id(struct conn *conn);
int64_t conn_changes(struct conn *conn);

/* The token the connection is bound to, for loops between rows; one that never
 * fires inside db_write(), whose fn is let finish. */
struct cancel *conn_token(struct conn *conn);

#endif
