#ifndef HANGUP_TESTS_SUPPORT_ITEMS_DB_H
#define HANGUP_TESTS_SUPPORT_ITEMS_DB_H

/*
 * A database with the service's own schema, in a directory of its own. A fixture for
 * cmocka: *state is a struct items_db.
 */
#include "db/items.h"
#include "tests/support/test_dir.h"

struct items_db {
	char dir[TEST_DIR_SIZE];
	char path[96];
	struct db *db;
	struct cancel *token; /* fires only if the test fires it */
};

int items_db_setup(void **state);
int items_db_teardown(void **state);

/* Adds count items in one transaction; the last one's id. Each text is a literal. */
int64_t items_db_add(struct items_db *test, const struct item *items, size_t count);

/* Runs one statement without rows on the writer. */
void items_db_exec(struct items_db *test, const char *sql);

/* An item in one expression. */
#define ITEM(its_name, its_category, its_quantity, its_price)               \
	((struct item){ SPAN_LITERAL(its_name), SPAN_LITERAL(its_category), \
		(its_quantity), (its_price) })

#endif
