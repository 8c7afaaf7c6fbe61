#ifndef HANGUP_TESTS_SUPPORT_TEST_DB_H
#define HANGUP_TESTS_SUPPORT_TEST_DB_H

/*
 * A database of a test's own, in a directory of its own, with a schema of its own:
 *
 *	CREATE TABLE note (id INTEGER PRIMARY KEY, text TEXT NOT NULL UNIQUE,
 *		about INTEGER REFERENCES note DEFERRABLE INITIALLY DEFERRED) STRICT
 */
#include <sqlite3.h>

#include "db/db.h"
#include "tests/support/test_dir.h"

struct test_db {
	char dir[TEST_DIR_SIZE];
	char path[96];
	struct db_config config; /* may be changed before test_db_open() */
	struct db *db;           /* NULL before test_db_open() */
	struct cancel *token;    /* fires only if the test fires it */
};

/* Makes the directory and the schema. */
void test_db_init(struct test_db *test);
void test_db_open(struct test_db *test);  /* db_open() */
void test_db_close(struct test_db *test); /* db_close() */

/* Closes what is open and removes the directory. */
void test_db_finish(struct test_db *test);

/* The rows of note, as a connection of its own sees them. */
int64_t test_db_notes(const struct test_db *test);
int64_t test_db_notes_like(const struct test_db *test, const char *pattern);

/* SQLite's own PRAGMA integrity_check. */
bool test_db_is_sound(const char *path);

/* A connection that is none of the service's: another process, so to speak. */
sqlite3 *test_db_stranger(const char *path);
void stranger_exec(sqlite3 *stranger, const char *sql);
int64_t stranger_int(sqlite3 *stranger, const char *sql);

enum err add_note(struct conn *conn, const char *text);

#endif
