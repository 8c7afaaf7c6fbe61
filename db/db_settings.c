#include "db/db_settings.h"

#include <string.h>

#include "service/core/span.h"

/*
 * The database's URL. What connects it to a server may hold a password.
 */

static const struct span sqlite_scheme = { "sqlite:", sizeof "sqlite:" - 1 };

/* "//" would read as a host, and a database in memory belongs to one connection
 * alone. */
static bool is_path_of_file(const char *path)
{
	return path[0] != '\0' && strncmp(path, "//", 2) != 0 &&
		strcmp(path, ":memory:") != 0;
}

static bool read_url(const struct setting *setting, const char *text, void *field)
{
	(void)setting;
	if (strlen(text) >= DATABASE_URL_SIZE ||
		strncmp(text, sqlite_scheme.data, sqlite_scheme.len) != 0 ||
		!is_path_of_file(text + sqlite_scheme.len))
		return false;
	memcpy(field, text, strlen(text) + 1);
	return true;
}

/* A password may be before an '@', behind a '?', or anywhere in a text that is
 * no URL but has a '='. Better too much hidden than too little. */
static void print_masked(const char *text, FILE *out)
{
	bool is_path = strncmp(text, sqlite_scheme.data, sqlite_scheme.len) == 0;
	const char *slashes = strstr(text, "://");
	if (!slashes) {
		fputs(is_path || !strpbrk(text, "@=") ? text : "***", out);
		return;
	}
	const char *host = slashes + strlen("://");
	size_t len = strcspn(host, "?");
	const char *at = strrchr(host, '@');
	fprintf(out, "%.*s", (int)(host - text), text);
	if (at && at > host + len)
		fputs("***", out);
	else if (at)
		fprintf(out, "***%.*s", (int)(host + len - at), at);
	else
		fprintf(out, "%.*s", (int)len, host);
	if (host[len])
		fputs("?***", out);
}

static void print_url(const struct setting *setting, const void *field, FILE *out)
{
	(void)setting;
	print_masked(field, out);
}

static void allow_url(const struct setting *setting, FILE *out)
{
	(void)setting;
	fputs("sqlite:PATH, where PATH is that of a file", out);
}

static const struct setting_kind url_kind = { read_url, print_url, allow_url,
	print_masked };

/*
 * The settings.
 */

#define READERS_MAX 1024
#define QUEUE_MAX   1000000
#define MIB         (1 << 20)
#define TIB         ((int64_t)1 << 40)

#define FIELD(field) offsetof(struct db_settings, field)

static const struct setting db_setting_list[] = {
	{ "DATABASE_URL", &url_kind, FIELD(url), "sqlite:data/hangup.db",
		"the database; a relative path is one from the working directory",
		.basic = true },
	/* One for every short request that can be reading, so that none waits for one. */
	{ "DB_READERS", &setting_number, FIELD(readers), NULL,
		"connections for short requests; each long one has its own", .min = 1,
		.max = READERS_MAX, .follows = "SHORT_RUNNING" },
	{ "DB_WRITE_QUEUE", &setting_number, FIELD(write_queue), "1024",
		"writes that may wait; one more is answered 503", .min = 1,
		.max = QUEUE_MAX },
	{ "DB_WRITE_BATCH", &setting_number, FIELD(write_batch), "256",
		"writes that may share a commit; 1 for no sharing", .min = 1,
		.max = QUEUE_MAX },
	{ "DB_BUSY_TIMEOUT_MS", &setting_number, FIELD(busy_timeout_ms), "5000",
		"ms to wait while another process locks the database", .min = 0,
		.max = SETTING_DAY_MS },
	{ "WAL_MAX_BYTES", &setting_number, FIELD(wal_max_bytes), "1073741824",
		"size of the write-ahead log at which the oldest export or report that "
		"keeps it from being reused is cancelled",
		.min = MIB, .max = TIB },
	{ 0 },
};

const struct setting_table db_setting_table = { db_setting_list, NULL };

const char *db_settings_path(const struct db_settings *settings)
{
	return settings->url + sqlite_scheme.len;
}

struct db_config db_config_of(const struct db_settings *settings, int64_t long_threads)
{
	struct db_config config = db_config_default();
	config.path = db_settings_path(settings);
	config.readers = (unsigned)settings->readers;
	config.long_readers = (unsigned)long_threads;
	config.write_queue_max = (unsigned)settings->write_queue;
	config.write_batch_max = (unsigned)settings->write_batch;
	config.wal_max_bytes = settings->wal_max_bytes;
	config.busy_timeout_ms = settings->busy_timeout_ms;
	return config;
}
