#ifndef HANGUP_DB_SQLITE_WAL_H
#define HANGUP_DB_SQLITE_WAL_H

/*
 * The write-ahead log (https://sqlite.org/wal.html), as the writer keeps it small: what
 * has been committed is copied into the database now and then, and who keeps an old
 * snapshot for so long that the log outgrows its bound has to give it up. The writer's
 * thread, but for wal_bytes().
 */
#include <sqlite3.h>
#include <stdint.h>

struct wal {
	/* Set before wal_init(): */
	int64_t max_bytes;
	void (*free_up)(void *arg); /* makes the oldest snapshot end */
	void *arg;

	sqlite3 *sqlite;        /* the writer's connection */
	const char *path;       /* lives as long as that */
	unsigned frames;        /* in the log at the last commit */
	unsigned checkpoint_at; /* that many call for a checkpoint */
};

/* From here on it counts the commits of sqlite. wal must stay where it is. */
void wal_init(struct wal *wal, sqlite3 *sqlite);

/* After commits. Blocks on the disk, and for nobody. */
void wal_checkpoint_if_due(struct wal *wal);

/* At the end, when nobody reads any more: copies all of it, and leaves it empty. */
void wal_truncate(struct wal *wal);

int64_t wal_bytes(const struct wal *wal); /* any thread, while sqlite is open */

#endif
