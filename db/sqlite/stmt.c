#include "db/stmt.h"

#include <assert.h>

#include "db/sqlite/conn.h"

enum err stmt_prepare(struct conn *conn, const char *sql, struct stmt **ret_stmt)
{
	struct stmt *stmt;
	enum err err = conn_ready(conn);
	if (err != ERR_OK)
		return err;
	int code = stmt_cache_lend(&conn->cache, sql, &stmt);
	if (code != SQLITE_OK) {
		err = conn_error(conn, code);
		assert(err != ERR_OK); /* or the caller would believe in a statement */
		return err;
	}
	stmt->conn = conn;
	*ret_stmt = stmt;
	return ERR_OK;
}

void stmt_release(struct stmt *stmt)
{
	if (stmt)
		stmt_cache_give_back(&stmt->conn->cache, stmt);
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

enum err stmt_finish(struct stmt *stmt)
{
	bool row = true;
	enum err err = ERR_OK;
	while (err == ERR_OK && row)
		err = stmt_step(stmt, &row);
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
