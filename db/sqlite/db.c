#include "db/db.h"

#include <stdlib.h>
#include <string.h>

#include "db/migrate.h"
#include "db/sqlite/conn_pool.h"
#include "db/sqlite/transaction.h"
#include "db/sqlite/writer.h"

struct db {
	struct db_config config; /* with copies of its strings */
	char *path;
	char *vfs; /* NULL for the default */
	struct conn_pool readers;
	struct conn_pool long_readers;
	struct writer *writer;
};

struct db_config db_config_default(void)
{
	return (struct db_config){
		.readers = 16,
		.long_readers = 4,
		.wal_max_bytes = INT64_C(1) << 30,
		.write_queue_max = 1024,
		.write_batch_max = 256,
		.busy_timeout_ms = 5000,
	};
}

static enum err keep_config(struct db *db, const struct db_config *config)
{
	db->path = strdup(config->path);
	db->vfs = config->vfs ? strdup(config->vfs) : NULL;
	if (!db->path || (config->vfs && !db->vfs))
		return ERR_NOMEM;
	db->config = *config;
	db->config.path = db->path;
	db->config.vfs = db->vfs;
	return ERR_OK;
}

/* The WAL is too large, and some snapshot is in the way. */
static void free_wal(void *arg)
{
	struct db *db = arg;
	if (!conn_pool_cancel_oldest(&db->long_readers))
		conn_pool_cancel_oldest(&db->readers);
}

enum err db_open(const struct db_config *config, struct db **ret_db)
{
	struct db *db = calloc(1, sizeof *db);
	if (!db)
		return ERR_NOMEM;
	enum err err = keep_config(db, config);
	conn_pool_init(&db->readers, &db->config, CONN_READER, config->readers);
	conn_pool_init(
		&db->long_readers, &db->config, CONN_LONG_READER, config->long_readers);
	if (err == ERR_OK)
		err = writer_create(&db->config, free_wal, db, &db->writer);
	if (err == ERR_OK)
		*ret_db = db;
	else
		db_close(db);
	return err;
}

void db_close(struct db *db)
{
	if (!db)
		return;
	/* First: a reader would hold up the checkpoint. */
	conn_pool_finish(&db->readers);
	conn_pool_finish(&db->long_readers);
	writer_destroy(db->writer);
	free(db->vfs);
	free(db->path);
	free(db);
}

static enum err read_version(struct db *db, struct cancel *token, int *ret_version)
{
	AUTO_CONN *conn = NULL;
	enum err err = db_read(db, token, &conn);
	return err == ERR_OK ? migrate_version(conn, ret_version) : err;
}

enum err db_check(struct db *db, struct cancel *token, const char **ret_reason)
{
	int version = 0;
	enum err err = read_version(db, token, &version);
	if (err != ERR_OK) {
		*ret_reason = "the database does not answer";
		return err;
	}
	if (version == (int)migrations_count)
		return ERR_OK;
	*ret_reason = "the database has another schema than this program";
	return ERR_INVALID;
}

enum err db_read(struct db *db, struct cancel *token, struct conn **ret_conn)
{
	return conn_pool_take(&db->readers, token, ret_conn);
}

enum err db_read_long(struct db *db, struct cancel *token, struct conn **ret_conn)
{
	return conn_pool_take(&db->long_readers, token, ret_conn);
}

void conn_release(struct conn *conn)
{
	if (conn)
		conn_pool_give(conn);
}

enum err read_begin(struct conn *conn)
{
	enum err err = transaction_begin(conn, "BEGIN");
	if (err == ERR_OK)
		conn_pool_note_snapshot(conn, instant_now());
	return err;
}

void read_end(struct conn *conn)
{
	struct cancel *token = conn->token;
	transaction_rollback(conn);
	conn_bind(conn, token);
	conn_pool_note_snapshot(conn, INSTANT_NEVER);
}

enum err db_write(struct db *db, struct cancel *token, db_write_fn *fn, void *arg)
{
	return writer_write(db->writer, token, fn, arg);
}

enum err db_write_long(
	struct db *db, struct cancel *token, int64_t max_ms, db_write_fn *fn, void *arg)
{
	return writer_write_long(db->writer, token, max_ms, fn, arg);
}

const char *db_path(const struct db *db)
{
	return db->path;
}

const char *db_library_version(void)
{
	return sqlite3_libversion();
}

void db_stats(struct db *db, struct db_stats *ret_stats)
{
	*ret_stats = (struct db_stats){ 0 };
	conn_pool_stats(&db->readers, ret_stats);
	conn_pool_stats(&db->long_readers, ret_stats);
	writer_stats(db->writer, ret_stats);
}
