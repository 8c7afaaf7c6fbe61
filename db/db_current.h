#ifndef HANGUP_DB_DB_CURRENT_H
#define HANGUP_DB_DB_CURRENT_H

/*
 * Opening a database as a program does at its start: it is brought to this program's schema
 * first. What was done, and what went wrong, is in the log. Blocks on the disk.
 */
#include "db/db.h"

/* db_migrate(), with a clearer word when the folder is the reason. */
enum err db_make_current(const struct db_config *config);

/* The same, then db_open(). */
enum err db_open_current(const struct db_config *config, struct db **ret_db);

#endif
