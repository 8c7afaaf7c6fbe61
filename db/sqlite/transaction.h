#ifndef HANGUP_DB_SQLITE_TRANSACTION_H
#define HANGUP_DB_SQLITE_TRANSACTION_H

/*
 * The transaction of a connection: its beginning, which the token can stop, and its
 * end, which is exempt from cancellation: it unbinds conn first, and leaves it so.
 * By the thread that has conn; blocks on the disk, and for locks.
 */
#include "db/sqlite/conn.h"

/* sql is BEGIN or BEGIN IMMEDIATE. After an error the caller rolls back. */
enum err transaction_begin(struct conn *conn, const char *sql);

/* The error that lost it, when it is gone already. After an error the caller rolls
 * back. */
enum err transaction_commit(struct conn *conn);

/* None is open after it, unless SQLite could not even do that, for want of memory; then
 * it may be called again. Only unbinds outside a transaction. */
void transaction_rollback(struct conn *conn);

#endif
