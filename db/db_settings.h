#ifndef HANGUP_DB_DB_SETTINGS_H
#define HANGUP_DB_DB_SETTINGS_H

/*
 * The settings of the database: which one, and how much it takes on. db_settings.c
 * describes them, and knows what a DATABASE_URL may be.
 */
#include "db/db.h"
#include "service/core/setting.h"

enum { DATABASE_URL_SIZE = 4096 };

struct db_settings {
	char url[DATABASE_URL_SIZE]; /* DATABASE_URL: see db_settings_path() */
	int64_t readers; /* for short requests; each long thread has one besides */
	int64_t write_queue;
	int64_t write_batch;
	int64_t busy_timeout_ms;
	int64_t wal_max_bytes; /* WAL_MAX_BYTES; the others' variables begin with DB_ */
};

extern const struct setting_table db_setting_table;

/* The path in url, `sqlite:PATH`: points into settings. */
const char *db_settings_path(const struct db_settings *settings);

/* What they say to db_open(), with a connection for each of long_threads; points into
 * settings. */
struct db_config db_config_of(const struct db_settings *settings, int64_t long_threads);

#endif
