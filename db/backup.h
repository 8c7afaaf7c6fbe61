#ifndef HANGUP_DB_BACKUP_H
#define HANGUP_DB_BACKUP_H

/*
 * A copy of a database as it was at one moment, while others read and write it.
 */
#include "db/db.h"

struct backup_report {
	int64_t bytes;       /* of the copy; 0 when there is none */
	const char *message; /* why there is none, for people: a literal */
};

/* Copies the database at config->path to a new file at path. The copy appears
 * there when it is whole and on the disk, and only the user may read it.
 * ERR_CONFLICT when something is at path already, then or now; otherwise the
 * token's error, or that of one of the two databases. *ret_report is always
 * written. Nobody who uses the database waits for it, but the WAL grows until it
 * is done. Blocks; any thread. */
enum err db_backup(const struct db_config *config, struct cancel *token, const char *path,
	struct backup_report *ret_report);

#endif
