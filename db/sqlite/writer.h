#ifndef HANGUP_DB_SQLITE_WRITER_H
#define HANGUP_DB_SQLITE_WRITER_H

/*
 * The writer: one thread that owns the only connection that writes. Changes that
 * wait when it starts a transaction share it, and so share the one expensive thing,
 * the commit; each has a savepoint, so that it can be undone alone.
 */
#include "db/sqlite/conn.h"

struct writer;

/* Opens the write connection and starts the thread. config outlives the writer.
 * free_wal(arg) is called, in the writer's thread, when the WAL has grown too large and
 * somebody's snapshot keeps it from being reused. */
enum err writer_create(const struct db_config *config, void (*free_wal)(void *arg),
	void *arg, struct writer **ret_writer);

/* Makes the changes already accepted, then checkpoints, truncates the WAL and
 * closes. Waits for no other process's lock: what would have to is refused, with
 * ERR_SHUTDOWN. NULL is a no-op. */
void writer_destroy(struct writer *writer);

/* db_write() and, with a limit, db_write_long(). */
enum err writer_write(
	struct writer *writer, struct cancel *token, db_write_fn *fn, void *arg);
enum err writer_write_long(struct writer *writer, struct cancel *token, int64_t max_ms,
	db_write_fn *fn, void *arg);

void writer_stats(struct writer *writer, struct db_stats *ret_stats);

#endif
