#include "db/kept_answers.h"

#include <string.h>

static struct span fingerprint_of(const struct answer_key *key)
{
	return (struct span){ (const char *)key->fingerprint, FINGERPRINT_SIZE };
}

static bool is_same(struct span a, struct span b)
{
	return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}

/* Columns: 0 fingerprint, 1 kept_at, 2 status, 3 location, 4 etag, 5 body. */
static enum err look_up(struct conn *conn, struct span key, struct stmt **ret_rows)
{
	AUTO_STMT *rows = NULL;
	bool there = false;
	enum err err = stmt_prepare(conn,
		"SELECT fingerprint, kept_at, status, location, etag, body"
		" FROM kept_answers WHERE key = ?1",
		&rows);
	if (err != ERR_OK)
		return err;
	stmt_bind_text(rows, 1, key);
	err = stmt_step(rows, &there);
	if (err != ERR_OK || !there)
		return err;
	*ret_rows = rows;
	rows = NULL;
	return ERR_OK;
}

static enum err throw_away(struct conn *conn, struct span key)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(
		conn, "DELETE FROM kept_answers WHERE key = ?1", &stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_text(stmt, 1, key);
	return stmt_run(stmt);
}

enum err kept_answer_find(struct conn *conn, const struct answer_key *key, int64_t now_ms,
	struct stmt **ret_rows, struct kept_answer *ret_answer)
{
	AUTO_STMT *rows = NULL;
	enum err err = look_up(conn, key->key, &rows);
	if (err != ERR_OK || !rows)
		return err;
	if (stmt_int(rows, 1) + KEPT_ANSWER_MS <= now_ms)
		return throw_away(conn, key->key);
	if (!is_same(stmt_text(rows, 0), fingerprint_of(key)))
		return ERR_KEY_REUSED;
	*ret_answer = (struct kept_answer){
		.status = (unsigned)stmt_int(rows, 2),
		.location = stmt_text(rows, 3),
		.etag = stmt_text(rows, 4),
		.body = stmt_text(rows, 5),
	};
	*ret_rows = rows;
	rows = NULL;
	return ERR_OK;
}

enum err kept_answer_add(struct conn *conn, const struct answer_key *key, int64_t now_ms,
	const struct kept_answer *answer)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn,
		"INSERT INTO kept_answers (key, fingerprint, kept_at, status, location, etag, body)"
		" VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
		&stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_text(stmt, 1, key->key);
	stmt_bind_blob(stmt, 2, fingerprint_of(key));
	stmt_bind_int(stmt, 3, now_ms);
	stmt_bind_int(stmt, 4, answer->status);
	stmt_bind_text(stmt, 5, answer->location);
	stmt_bind_text(stmt, 6, answer->etag);
	stmt_bind_text(stmt, 7, answer->body);
	return stmt_run(stmt);
}

enum err kept_answers_purge(
	struct conn *conn, int64_t now_ms, int64_t limit, int64_t *ret_purged)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn,
		"DELETE FROM kept_answers WHERE key IN"
		" (SELECT key FROM kept_answers WHERE kept_at <= ?1 ORDER BY kept_at LIMIT ?2)",
		&stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_int(stmt, 1, now_ms - KEPT_ANSWER_MS);
	stmt_bind_int(stmt, 2, limit);
	err = stmt_run(stmt);
	if (err == ERR_OK)
		*ret_purged = conn_changes(conn);
	return err;
}
