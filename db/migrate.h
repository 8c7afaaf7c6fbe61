#ifndef HANGUP_DB_MIGRATE_H
#define HANGUP_DB_MIGRATE_H

/*
 * The schema's history. db/migrations/NNNN_name.sql are embedded at build and
 * applied in order, each in a transaction of its own that also records it, all
 * under the database's write lock, so that two processes may start at once.
 * The text of each applied file is kept in the database: history must not be edited.
 */
#include <stddef.h>

#include "db/db.h"

struct migration {
	int version;      /* NNNN, counting from 1 without gaps */
	const char *name; /* of the file, between its number and .sql */
	const char *sql;
};

/* Generated from db/migrations/ by the build; in order of version. */
extern const struct migration migrations[];
extern const size_t migrations_count;

/* Says, for people, why db_migrate() refused. */
struct migrate_report {
	int from;
	int to;
	char message[256]; /* empty on ERR_OK */
};

/* Brings the database at config->path to the newest schema, creating it when
 * it is not there. ERR_INVALID when it is newer than this binary or an applied
 * migration was changed; otherwise the database's error. *ret_report is always
 * written. Blocks. */
enum err db_migrate(const struct db_config *config, struct migrate_report *ret_report);

/* The same with another history, for tests. */
enum err db_migrate_with(const struct db_config *config, const struct migration *history,
	size_t count, struct migrate_report *ret_report);

/* The schema's version as conn sees it. */
enum err migrate_version(struct conn *conn, int *ret_version);

#endif
