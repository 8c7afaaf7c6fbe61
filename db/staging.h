#ifndef HANGUP_DB_STAGING_H
#define HANGUP_DB_STAGING_H

/*
 * A staging place keeps records while they arrive, for as long as that takes, without a
 * lock on anything: first in memory, then in a file beside the database that has no
 * name, so that nothing is left of it whatever becomes of the process. Records come out
 * in the order in which they were put in, as often as wanted. One thread at a time.
 */
#include "db/db.h"
#include "service/core/span.h"

struct staging;

enum { STAGING_RECORD_MAX = 16 * 1024 };

/* Blocks on nothing. ERR_NOMEM. */
enum err staging_create(struct db *db, struct staging **ret_staging);
void staging_destroy(struct staging *staging); /* NULL is a no-op */

/* Adds a record of at most STAGING_RECORD_MAX bytes. Not after staging_rewind(). Blocks
 * on the disk. ERR_DISK_FULL, ERR_IO; then what is there is of no use. */
enum err staging_add(struct staging *staging, struct span record);

/* From here on staging_next() begins with the first record. ERR_DISK_FULL, ERR_IO. */
enum err staging_rewind(struct staging *staging);

/* The next record, which stays until the next call; it has no data after the last.
 * ERR_IO. */
enum err staging_next(struct staging *staging, struct span *ret_record);

int64_t staging_count(const struct staging *staging); /* of records added */

#endif
