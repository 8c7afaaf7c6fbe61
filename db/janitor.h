#ifndef HANGUP_DB_JANITOR_H
#define HANGUP_DB_JANITOR_H

/*
 * The janitor throws away, in the background, what the database no longer has to keep.
 * It does so in small bites, each a change like any other, so that no write waits for
 * it longer than for another request.
 */
#include "db/db.h"

struct janitor;

/* Starts the thread. db must outlive the janitor. ERR_NOMEM or ERR_IO. */
enum err janitor_create(struct db *db, struct janitor **ret_janitor);

/* Ends the thread after the bite it is at. NULL is a no-op. */
void janitor_destroy(struct janitor *janitor);

#endif
