#include "db/migrate.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "db/sqlite/transaction.h"
#include "db/stmt.h"

/*
 * schema_history keeps the whole text of every applied migration: comparing texts
 * needs no checksum, and whoever finds them different can see how.
 *
 * Each migration is one transaction that takes the write lock, looks again where
 * the history stands, applies the next one and records it. So of two processes that
 * start at once each may apply some, and neither applies one twice. A database that
 * is current is only read: a start does not wait for somebody's long write.
 */
#define CREATE_HISTORY                                      \
	"CREATE TABLE IF NOT EXISTS schema_history ("       \
	"  version INTEGER PRIMARY KEY,"                    \
	"  name TEXT NOT NULL,"                             \
	"  sql TEXT NOT NULL,"                              \
	"  applied_at INTEGER NOT NULL" /* ms since 1970 */ \
	") STRICT"

struct migrator {
	struct conn *conn;
	struct cancel *never; /* waiting for a lock needs a token */
	const struct migration *history;
	size_t count;
	struct migrate_report *report;
};

__attribute__((format(printf, 3, 4))) static enum err refuse(
	struct migrator *migrator, enum err err, const char *format, ...)
{
	char *message = migrator->report->message;
	va_list args;
	va_start(args, format);
	if (message[0] == '\0') /* the first says most */
		vsnprintf(message, sizeof migrator->report->message, format, args);
	va_end(args);
	return err;
}

enum err migrate_version(struct conn *conn, int *ret_version)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(
		conn, "SELECT max(version) FROM schema_history", &stmt);
	bool row = false;
	if (err == ERR_OK)
		err = stmt_step(stmt, &row);
	if (err == ERR_OK)
		*ret_version = (int)stmt_int(stmt, 0); /* NULL reads as 0 */
	return err;
}

/* stmt is at a row of the history. */
static enum err compare(struct migrator *migrator, struct stmt *stmt)
{
	int64_t version = stmt_int(stmt, 0);
	struct span sql = stmt_text(stmt, 1);
	if (version < 1 || (size_t)version > migrator->count)
		return refuse(migrator, ERR_INVALID,
			"the database has schema %lld, this program knows %zu: it is too old",
			(long long)version, migrator->count);
	const struct migration *known = &migrator->history[version - 1];
	if (!span_is(sql, known->sql))
		return refuse(migrator, ERR_INVALID,
			"migration %04d_%s was changed after it had been applied",
			known->version, known->name);
	return ERR_OK;
}

/* Where the history stands, if it is a part of ours. */
static enum err read_history(struct migrator *migrator, int *ret_version)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(migrator->conn,
		"SELECT version, sql FROM schema_history ORDER BY version DESC", &stmt);
	int version = 0;
	bool row = false;
	while (err == ERR_OK && (err = stmt_step(stmt, &row)) == ERR_OK && row) {
		if (version == 0)
			version = (int)stmt_int(stmt, 0);
		err = compare(migrator, stmt);
	}
	if (err == ERR_OK)
		*ret_version = version;
	return err;
}

static enum err record(struct conn *conn, const struct migration *migration)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn,
		"INSERT INTO schema_history (version, name, sql, applied_at) "
		"VALUES (?, ?, ?, ?)",
		&stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_int(stmt, 1, migration->version);
	stmt_bind_text(stmt, 2, span_of(migration->name));
	stmt_bind_text(stmt, 3, span_of(migration->sql));
	stmt_bind_int(stmt, 4, wall_ms());
	return stmt_run(stmt);
}

/* Foreign keys are not enforced while a migration rebuilds tables
 * (https://sqlite.org/lang_altertable.html, section 7), but they must hold after. */
static enum err check_foreign_keys(
	struct migrator *migrator, const struct migration *migration)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(migrator->conn, "PRAGMA foreign_key_check", &stmt);
	bool row = false;
	if (err == ERR_OK)
		err = stmt_step(stmt, &row);
	if (err == ERR_OK && row)
		return refuse(migrator, ERR_CONFLICT,
			"migration %04d_%s leaves a row whose foreign key points nowhere",
			migration->version, migration->name);
	return err;
}

static enum err apply(struct migrator *migrator, const struct migration *migration)
{
	struct conn *conn = migrator->conn;
	int code = sqlite3_exec(conn->sqlite, migration->sql, NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return refuse(migrator, conn_error(conn, code), "migration %04d_%s: %s",
			migration->version, migration->name,
			sqlite3_errmsg(conn->sqlite));
	if (!conn_transaction_is_open(conn))
		return refuse(migrator, ERR_INVALID,
			"migration %04d_%s ends the transaction it is applied in",
			migration->version, migration->name);
	enum err err = check_foreign_keys(migrator, migration);
	return err == ERR_OK ? record(conn, migration) : err;
}

/* In a transaction that the caller ends. Another process may have been here since
 * the history was read last. */
static enum err apply_next(struct migrator *migrator, int *ret_version)
{
	int version = 0;
	enum err err = transaction_begin(migrator->conn, "BEGIN IMMEDIATE");
	if (err == ERR_OK)
		err = read_history(migrator, &version);
	if (err != ERR_OK)
		return err;
	if ((size_t)version < migrator->count)
		err = apply(migrator, &migrator->history[version++]);
	if (err == ERR_OK)
		*ret_version = version;
	return err;
}

static enum err apply_pending(struct migrator *migrator)
{
	struct conn *conn = migrator->conn;
	struct migrate_report *report = migrator->report;
	enum err err = stmt_exec(conn, CREATE_HISTORY);
	if (err == ERR_OK)
		err = read_history(migrator, &report->from);
	int version = report->from;
	report->to = version;
	while (err == ERR_OK && (size_t)version < migrator->count) {
		err = apply_next(migrator, &version);
		if (err == ERR_OK)
			err = transaction_commit(conn);
		if (err == ERR_OK)
			report->to = version;
		transaction_rollback(conn);
		conn_bind(conn, migrator->never);
	}
	return err;
}

static enum err migrate(struct migrator *migrator, const struct db_config *config)
{
	migrator->never = cancel_create(NULL);
	if (!migrator->never)
		return ERR_NOMEM;
	enum err err = conn_open(config, CONN_MIGRATOR, migrator->never, &migrator->conn);
	if (err == ERR_OK)
		err = apply_pending(migrator);
	if (err != ERR_OK)
		refuse(migrator, err, "cannot migrate %s: %s", config->path,
			err_name(err));
	conn_close(migrator->conn);
	cancel_unref(migrator->never);
	return err;
}

enum err db_migrate_with(const struct db_config *config, const struct migration *history,
	size_t count, struct migrate_report *ret_report)
{
	struct migrator migrator = {
		.history = history, .count = count, .report = ret_report
	};
	*ret_report = (struct migrate_report){ 0 };
	return migrate(&migrator, config);
}

enum err db_migrate(const struct db_config *config, struct migrate_report *ret_report)
{
	return db_migrate_with(config, migrations, migrations_count, ret_report);
}
