#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "db/sqlite/conn.h"

/*
 * The cache holds the statements at rest, the last released first, so that the
 * ones in use all the time are found at once, and the one to drop is the last. A
 * statement that is lent is not in it: the same SQL may be lent twice. SQLite
 * keeps the text of a statement, which is the key; comparing the few texts that
 * come first costs less than hashing one.
 */
#define IDLE_MAX 64

struct stmt {
	struct conn *conn;
	sqlite3_stmt *sqlite;
	int bind_code;          /* SQLite's first complaint while binding */
	TAILQ_ENTRY(stmt) link; /* stmt_cache::idle */
};

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

static bool is_blank(const char *sql)
{
	return sql[strspn(sql, " \t\r\n;")] == '\0';
}

static enum err prepare(struct conn *conn, const char *sql, struct stmt **ret_stmt)
{
	struct stmt *stmt = calloc(1, sizeof *stmt);
	if (!stmt)
		return ERR_NOMEM;
	const char *rest = "";
	int code = sqlite3_prepare_v3(
		conn->sqlite, sql, -1, SQLITE_PREPARE_PERSISTENT, &stmt->sqlite, &rest);
	if (code != SQLITE_OK) {
		drop(stmt);
		return conn_error(conn, code);
	}
	assert(stmt->sqlite && is_blank(rest)); /* exactly one statement */
	stmt->conn = conn;
	*ret_stmt = stmt;
	return ERR_OK;
}

enum err stmt_prepare(struct conn *conn, const char *sql, struct stmt **ret_stmt)
{
	enum err err = conn_ready(conn);
	if (err != ERR_OK)
		return err;
	struct stmt *stmt = take_idle(&conn->cache, sql);
	if (!stmt)
		err = prepare(conn, sql, &stmt);
	if (err != ERR_OK)
		return err;
	conn->cache.lent++;
	*ret_stmt = stmt;
	return ERR_OK;
}

void stmt_release(struct stmt *stmt)
{
	if (!stmt)
		return;
	struct stmt_cache *cache = &stmt->conn->cache;
	sqlite3_reset(stmt->sqlite); /* repeats the error of the last step */
	sqlite3_clear_bindings(stmt->sqlite);
	stmt->bind_code = SQLITE_OK;
	TAILQ_INSERT_HEAD(&cache->idle, stmt, link);
	cache->lent--;
	if (++cache->idle_count > IDLE_MAX)
		drop_last(cache);
}

void stmt_cache_finish(struct conn *conn)
{
	assert(conn->cache.lent == 0);
	while (conn->cache.idle_count > 0)
		drop_last(&conn->cache);
}

static void note_binding(struct stmt *stmt, int code)
{
	if (stmt->bind_code == SQLITE_OK)
		stmt->bind_code = code;
}

void stmt_bind_int(struct stmt *stmt, int index, int64_t value)
{
	note_binding(stmt, sqlite3_bind_int64(stmt->sqlite, index, value));
}

void stmt_bind_text(struct stmt *stmt, int index, struct span text)
{
	note_binding(stmt,
		sqlite3_bind_text64(stmt->sqlite, index, text.data, text.len,
			SQLITE_STATIC, SQLITE_UTF8));
}

void stmt_bind_blob(struct stmt *stmt, int index, struct span bytes)
{
	note_binding(stmt,
		sqlite3_bind_blob64(
			stmt->sqlite, index, bytes.data, bytes.len, SQLITE_STATIC));
}

void stmt_bind_null(struct stmt *stmt, int index)
{
	note_binding(stmt, sqlite3_bind_null(stmt->sqlite, index));
}

enum err stmt_step(struct stmt *stmt, bool *ret_row)
{
	enum err err = conn_ready(stmt->conn);
	if (err != ERR_OK)
		return err;
	if (stmt->bind_code != SQLITE_OK)
		return conn_error(stmt->conn, stmt->bind_code);
	int code = sqlite3_step(stmt->sqlite);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return conn_error(stmt->conn, code);
	*ret_row = code == SQLITE_ROW;
	return ERR_OK;
}

enum err stmt_run(struct stmt *stmt)
{
	bool row;
	enum err err = stmt_step(stmt, &row);
	sqlite3_reset(stmt->sqlite);
	return err;
}

enum err stmt_exec(struct conn *conn, const char *sql)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn, sql, &stmt);
	return err == ERR_OK ? stmt_run(stmt) : err;
}

int64_t stmt_int(struct stmt *stmt, int column)
{
	return sqlite3_column_int64(stmt->sqlite, column);
}

/* sqlite3_column_blob() gives a text as it is; sqlite3_column_text() would copy it
 * to put a NUL behind it. */
struct span stmt_text(struct stmt *stmt, int column)
{
	if (stmt_is_null(stmt, column))
		return (struct span){ 0 };
	const char *data = sqlite3_column_blob(stmt->sqlite, column);
	if (!data)
		return SPAN_LITERAL("");
	return (struct span){ data, (size_t)sqlite3_column_bytes(stmt->sqlite, column) };
}

bool stmt_is_null(struct stmt *stmt, int column)
{
	return sqlite3_column_type(stmt->sqlite, column) == SQLITE_NULL;
}

int64_t conn_last_id(struct conn *conn)
{
	return sqlite3_last_insert_rowid(conn->sqlite);
}

int64_t conn_changes(struct conn *conn)
{
	return sqlite3_changes64(conn->sqlite);
}

struct cancel *conn_token(struct conn *conn)
{
	return conn->token;
}
