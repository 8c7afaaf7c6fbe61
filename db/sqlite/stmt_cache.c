#include "db/sqlite/stmt_cache.h"

#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/*
 * The cache holds the statements at rest, the last given back first, so that the
 * ones in use all the time are found at once, and the one to drop is the last. A
 * statement that is lent is not in it: the same SQL may be lent twice. SQLite
 * keeps the text of a statement, which is the key; comparing the few texts that
 * come first costs less than hashing one.
 */
#define IDLE_MAX 64

void stmt_cache_init(struct stmt_cache *cache, sqlite3 *sqlite)
{
	*cache = (struct stmt_cache){ .sqlite = sqlite };
	TAILQ_INIT(&cache->idle);
}

static void drop(struct stmt *stmt)
{
	sqlite3_finalize(stmt->sqlite);
	free(stmt);
}

static void drop_last(struct stmt_cache *cache)
{
	struct stmt *last = TAILQ_LAST(&cache->idle, stmt_list);
	TAILQ_REMOVE(&cache->idle, last, link);
	cache->idle_count--;
	drop(last);
}

void stmt_cache_finish(struct stmt_cache *cache)
{
	assert(cache->lent == 0);
	while (cache->idle_count > 0)
		drop_last(cache);
}

static struct stmt *take_idle(struct stmt_cache *cache, const char *sql)
{
	struct stmt *stmt;
	TAILQ_FOREACH(stmt, &cache->idle, link)
		if (strcmp(sqlite3_sql(stmt->sqlite), sql) == 0)
			break;
	if (!stmt)
		return NULL;
	TAILQ_REMOVE(&cache->idle, stmt, link);
	cache->idle_count--;
	return stmt;
}

static bool is_blank(const char *sql)
{
	return sql[strspn(sql, " \t\r\n;")] == '\0';
}

static int prepare(sqlite3 *sqlite, const char *sql, struct stmt **ret_stmt)
{
	struct stmt *stmt = calloc(1, sizeof *stmt);
	if (!stmt)
		return SQLITE_NOMEM;
	const char *rest = "";
	int code = sqlite3_prepare_v3(
		sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt->sqlite, &rest);
	if (code != SQLITE_OK) {
		drop(stmt);
		return code;
	}
	assert(stmt->sqlite && is_blank(rest)); /* exactly one statement */
	*ret_stmt = stmt;
	return SQLITE_OK;
}

int stmt_cache_lend(struct stmt_cache *cache, const char *sql, struct stmt **ret_stmt)
{
	int code = SQLITE_OK;
	struct stmt *stmt = take_idle(cache, sql);
	if (!stmt)
		code = prepare(cache->sqlite, sql, &stmt);
	if (code != SQLITE_OK)
		return code;
	cache->lent++;
	*ret_stmt = stmt;
	return SQLITE_OK;
}

void stmt_cache_give_back(struct stmt_cache *cache, struct stmt *stmt)
{
	sqlite3_reset(stmt->sqlite); /* repeats the error of the last step */
	sqlite3_clear_bindings(stmt->sqlite);
	stmt->bind_code = SQLITE_OK;
	TAILQ_INSERT_HEAD(&cache->idle, stmt, link);
	cache->lent--;
	if (++cache->idle_count > IDLE_MAX)
		drop_last(cache);
}
