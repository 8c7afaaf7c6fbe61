#ifndef HANGUP_HANDLERS_SEED_H
#define HANGUP_HANDLERS_SEED_H

/*
 * Sample items, for trying things out and for measuring: always the same ones. An
 * item's fields follow from its id alone; 20,000 ids go through all the categories.
 */
#include "db/db.h"

struct config;

enum { SEED_CATEGORIES = 200 };

/* Adds count items behind those that are there. Either all of a transaction's items
 * are kept or none; *ret_added says how many there are, also when it fails. */
enum err seed_items(struct db *db, int64_t count, int64_t *ret_added);

/* A command for the table of service/run/program.h: seed N. */
int command_seed(const struct config *config, int argc, char **argv);

#endif
