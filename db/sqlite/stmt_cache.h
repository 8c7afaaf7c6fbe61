#ifndef HANGUP_DB_SQLITE_STMT_CACHE_H
#define HANGUP_DB_SQLITE_STMT_CACHE_H

/*
 * The statements of one connection: those at rest, ready to be lent again, and how
 * many are lent. So what is run all the time is prepared once.
 *
 * It knows SQLite's connection but nothing of ours: whether a statement may start, and
 * what an error means, is asked in stmt.c. Used, as the connection is, by one thread at
 * a time; blocks only as a prepare does, which reads the schema when that has changed.
 */
#include <sqlite3.h>
#include <sys/queue.h>

struct conn;

struct stmt {
	sqlite3_stmt *sqlite;
	struct conn *conn;      /* whose it is: stmt.c's, set when it is lent */
	int bind_code;          /* stmt.c's: SQLite's first complaint while binding */
	TAILQ_ENTRY(stmt) link; /* stmt_cache::idle */
};

struct stmt_cache {
	sqlite3 *sqlite;
	TAILQ_HEAD(stmt_list, stmt) idle; /* the last given back first */
	unsigned idle_count;
	unsigned lent; /* and not yet given back */
};

/* An empty one. sqlite outlives the cache. */
void stmt_cache_init(struct stmt_cache *cache, sqlite3 *sqlite);

/* Finalizes the statements at rest; none may be lent. All zero is fine, too. */
void stmt_cache_finish(struct stmt_cache *cache);

/* Lends the statement for sql, which is exactly one: one at rest, or it is prepared.
 * Returns SQLite's result code. */
int stmt_cache_lend(struct stmt_cache *cache, const char *sql, struct stmt **ret_stmt);

/* Takes it back, reset and without bindings; too many at rest, and the one that was
 * used longest ago goes. */
void stmt_cache_give_back(struct stmt_cache *cache, struct stmt *stmt);

#endif
