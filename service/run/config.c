#include "service/run/config.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <sched.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "service/core/span.h"

struct setting;

/* What a kind of setting can do: text holds a value as it was given. */
struct kind {
	bool (*read)(const struct setting *setting, const char *text, void *field);
	void (*print)(const struct setting *setting, const void *field, FILE *out);
	void (*print_allowed)(
		const struct setting *setting, FILE *out); /* "is not ..." */
};

struct setting {
	const char *name;
	const struct kind *kind;
	size_t offset;                         /* of its field in struct config */
	const char *fallback;                  /* the default, or what it depends on */
	void (*derive)(struct config *config); /* a default that depends; else NULL */
	int64_t min, max;                      /* numbers */
	const char *const *words;              /* words; ends with NULL */
	const char *help;
};

/*
 * Numbers.
 */

static bool read_number(const struct setting *setting, const char *text, void *field)
{
	if (text[strspn(text, "0123456789")] != '\0')
		return false;
	errno = 0;
	int64_t number = strtoll(text, NULL, 10);
	if (errno != 0 || number < setting->min || number > setting->max)
		return false;
	memcpy(field, &number, sizeof number);
	return true;
}

static int64_t number_at(const void *field)
{
	int64_t number;
	memcpy(&number, field, sizeof number);
	return number;
}

static void print_number(const struct setting *setting, const void *field, FILE *out)
{
	(void)setting;
	fprintf(out, "%" PRId64, number_at(field));
}

static void allow_number(const struct setting *setting, FILE *out)
{
	fprintf(out, "a whole number from %" PRId64 " to %" PRId64, setting->min,
		setting->max);
}

static const struct kind number = { read_number, print_number, allow_number };

/*
 * Words: one of a few.
 */

static_assert(sizeof(enum log_level) == sizeof(unsigned) &&
		sizeof(enum log_format) == sizeof(unsigned),
	"words are stored as unsigned");

static bool read_word(const struct setting *setting, const char *text, void *field)
{
	for (unsigned i = 0; setting->words[i]; i++) {
		if (strcasecmp(setting->words[i], text) == 0) {
			memcpy(field, &i, sizeof i);
			return true;
		}
	}
	return false;
}

static void print_word(const struct setting *setting, const void *field, FILE *out)
{
	unsigned i;
	memcpy(&i, field, sizeof i);
	fputs(setting->words[i], out);
}

static void allow_word(const struct setting *setting, FILE *out)
{
	fputs("one of ", out);
	for (unsigned i = 0; setting->words[i]; i++)
		fprintf(out, "%s%s", i > 0 ? ", " : "", setting->words[i]);
}

static const struct kind word = { read_word, print_word, allow_word };

/*
 * Addresses.
 */

static bool read_address(const struct setting *setting, const char *text, void *field)
{
	(void)setting;
	struct in6_addr ignored;
	if (strlen(text) >= CONFIG_ADDR_SIZE ||
		(inet_pton(AF_INET, text, &ignored) != 1 &&
			inet_pton(AF_INET6, text, &ignored) != 1))
		return false;
	memcpy(field, text, strlen(text) + 1);
	return true;
}

static void print_address(const struct setting *setting, const void *field, FILE *out)
{
	(void)setting;
	fputs(field, out);
}

static void allow_address(const struct setting *setting, FILE *out)
{
	(void)setting;
	fputs("a numeric IPv4 or IPv6 address", out);
}

static const struct kind address = { read_address, print_address, allow_address };

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
	if (strlen(text) >= CONFIG_URL_SIZE ||
		strncmp(text, sqlite_scheme.data, sqlite_scheme.len) != 0 ||
		!is_path_of_file(text + sqlite_scheme.len))
		return false;
	memcpy(field, text, strlen(text) + 1);
	return true;
}

/* A password may be before an '@', behind a '?', or anywhere in a text that is
 * no URL but has a '='. Better too much hidden than too little. */
static void print_url(const struct setting *setting, const void *field, FILE *out)
{
	(void)setting;
	const char *text = field;
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

static void allow_url(const struct setting *setting, FILE *out)
{
	(void)setting;
	fputs("sqlite:PATH, where PATH is that of a file", out);
}

static const struct kind url = { read_url, print_url, allow_url };

/*
 * Defaults that depend on the machine, or on the settings above them.
 */

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
	if (value < least)
		value = least;
	return value < most ? value : most;
}

/* Those that this process may use; a container's may be fewer than there are. */
static int64_t cores(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static void derive_log_format(struct config *config)
{
	config->log_format = isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
}

static void derive_short_running(struct config *config)
{
	config->short_running = clamp(2 * cores(), 4, config->short_threads);
}

static void derive_long_running(struct config *config)
{
	config->long_running = clamp(cores(), 2, config->long_threads);
}

/* One for every short request that can be reading, so that none waits for one. */
static void derive_db_readers(struct config *config)
{
	config->db_readers = config->short_running;
}

/*
 * The settings.
 */

static const char *const level_words[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVELS] = NULL,
};

static const char *const format_words[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_JSON] = "json",
	[LOG_FORMATS] = NULL,
};

#define DAY_MS      (24 * 60 * 60 * 1000)
#define MIB         (1 << 20)
#define TIB         ((int64_t)1 << 40)
#define THREADS_MAX 1024
#define QUEUE_MAX   1000000

#define SETTING(its_name, field, its_kind, its_fallback, its_help)    \
	.name = (its_name), .offset = offsetof(struct config, field), \
	.kind = &(its_kind), .fallback = (its_fallback), .help = (its_help)

/* In the order of struct config; a derived default looks at those above it. */
static const struct setting settings[] = {
	{ SETTING("LISTEN_ADDR", listen_addr, address, "127.0.0.1",
		"address of the public listener") },
	{ SETTING("PORT", port, number, "8080",
		  "its port; 0 takes a free one and logs it"),
		.min = 0, .max = 65535 },
	{ SETTING("ADMIN_ADDR", admin_addr, address, "127.0.0.1",
		"address of the listener for metrics and operators") },
	{ SETTING("ADMIN_PORT", admin_port, number, "8081", "its port; 0 turns it off"),
		.min = 0, .max = 65535 },
	{ SETTING("DATABASE_URL", database_url, url, "sqlite:data/hangup.db",
		"the database; a relative path is one from the working directory") },
	{ SETTING("LOG_LEVEL", log_level, word, "info", "the least level that is logged"),
		.words = level_words },
	{ SETTING("LOG_FORMAT", log_format, word, "text on a terminal, else json",
		  "lines for people or for machines"),
		.words = format_words, .derive = derive_log_format },

	{ SETTING("REQUEST_TIMEOUT_MS", request_timeout_ms, number, "30000",
		  "ms until a request is answered 504"),
		.min = 1, .max = DAY_MS },
	{ SETTING("STREAM_TIMEOUT_MS", stream_timeout_ms, number, "0",
		  "the same for imports and exports; 0 for none"),
		.min = 0, .max = DAY_MS },
	{ SETTING("STALL_TIMEOUT_MS", stall_timeout_ms, number, "30000",
		  "ms without a byte moving until an import or export is ended"),
		.min = 1, .max = DAY_MS },
	{ SETTING("DRAIN_TIMEOUT_MS", drain_timeout_ms, number, "10000",
		  "ms that requests get to finish at shutdown"),
		.min = 0, .max = DAY_MS },
	{ SETTING("IDLE_TIMEOUT_MS", idle_timeout_ms, number, "60000",
		  "ms until an idle connection is closed; rounded up to seconds"),
		.min = 1, .max = DAY_MS },

	{ SETTING("MAX_CONNECTIONS", max_connections, number, "10000",
		  "connections at a time"),
		.min = 1, .max = 1000000 },
	{ SETTING("MAX_CONNECTIONS_PER_ADDRESS", max_connections_per_address, number, "0",
		  "of which from one client address; 0 for no limit"),
		.min = 0, .max = 1000000 },
	{ SETTING("MAX_HEADER_BYTES", max_header_bytes, number, "8192",
		  "bytes of a request's line and headers"),
		.min = 1024, .max = MIB },
	{ SETTING("MAX_BODY_BYTES", max_body_bytes, number, "1048576",
		  "bytes of a body, and of one line of an import"),
		.min = 1, .max = 256 * MIB },
	{ SETTING("MAX_IMPORT_BYTES", max_import_bytes, number, "1073741824",
		  "bytes of an import"),
		.min = 1, .max = TIB },

	{ SETTING("HTTP_THREADS", http_threads, number, "1",
		  "threads that read requests and send answers"),
		.min = 1, .max = 64 },
	{ SETTING("SHORT_THREADS", short_threads, number, "64",
		  "short requests begun at a time: running or waiting"),
		.min = 1, .max = THREADS_MAX },
	{ SETTING("SHORT_RUNNING", short_running, number,
		  "twice the cores, at least 4, at most SHORT_THREADS",
		  "of which may use the processor"),
		.min = 1, .max = THREADS_MAX, .derive = derive_short_running },
	{ SETTING("SHORT_QUEUE", short_queue, number, "1024",
		  "short requests that may queue; one more is answered 503"),
		.min = 0, .max = QUEUE_MAX },
	{ SETTING("LONG_THREADS", long_threads, number, "4",
		  "reports, imports and exports begun at a time"),
		.min = 1, .max = THREADS_MAX },
	{ SETTING("LONG_RUNNING", long_running, number,
		  "the cores, at least 2, at most LONG_THREADS",
		  "of which may use the processor"),
		.min = 1, .max = THREADS_MAX, .derive = derive_long_running },
	{ SETTING("LONG_QUEUE", long_queue, number, "16",
		  "long requests that may queue; one more is answered 503"),
		.min = 0, .max = QUEUE_MAX },
	{ SETTING("LONG_NICE", long_nice, number, "10",
		  "how far long requests step back where processors are scarce"),
		.min = 0, .max = 19 },

	{ SETTING("DB_READERS", db_readers, number, "SHORT_RUNNING",
		  "connections for short requests; each long one has its own"),
		.min = 1, .max = THREADS_MAX, .derive = derive_db_readers },
	{ SETTING("DB_WRITE_QUEUE", db_write_queue, number, "1024",
		  "writes that may wait; one more is answered 503"),
		.min = 1, .max = QUEUE_MAX },
	{ SETTING("DB_WRITE_BATCH", db_write_batch, number, "256",
		  "writes that may share a commit; 1 for no sharing"),
		.min = 1, .max = QUEUE_MAX },
	{ SETTING("DB_BUSY_TIMEOUT_MS", db_busy_timeout_ms, number, "5000",
		  "ms to wait while another process locks the database"),
		.min = 0, .max = DAY_MS },
	{ SETTING("WAL_MAX_BYTES", wal_max_bytes, number, "1073741824",
		  "size of the write-ahead log at which the oldest export or report that "
		  "keeps it from being reused is cancelled"),
		.min = 1 << 20, .max = INT64_C(1) << 40 },
	{ SETTING("IMPORT_MAX_MS", import_max_ms, number, "60000",
		  "ms that an import may take to write, once it has arrived: other writes "
		  "wait meanwhile"),
		.min = 1, .max = DAY_MS },
};

enum { SETTINGS = sizeof settings / sizeof settings[0] };

static void *field_of(struct config *config, const struct setting *setting)
{
	return (char *)config + setting->offset;
}

static const void *const_field_of(
	const struct config *config, const struct setting *setting)
{
	return (const char *)config + setting->offset;
}

/*
 * Loading.
 */

static void set_default(struct config *config, const struct setting *setting)
{
	if (setting->derive)
		setting->derive(config);
	else if (!setting->kind->read(
			 setting, setting->fallback, field_of(config, setting)))
		assert(!"every default is allowed");
}

static void complain(const struct setting *setting, const char *value, FILE *complaints)
{
	fprintf(complaints, "%s: \"", setting->name);
	if (setting->kind == &url)
		print_url(setting, value, complaints);
	else
		fputs(value, complaints);
	fputs("\" is not ", complaints);
	setting->kind->print_allowed(setting, complaints);
	fputc('\n', complaints);
}

/* False when the environment's value was refused. */
static bool load(struct config *config, const struct setting *setting, FILE *complaints)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the header says when not to. */
	const char *value = getenv(setting->name);
	set_default(config, setting);
	if (!value || !value[0])
		return true;
	if (setting->kind->read(setting, value, field_of(config, setting)))
		return true;
	complain(setting, value, complaints);
	return false;
}

/*
 * What settings must be to each other.
 */

static const struct rule {
	const char *smaller;
	size_t smaller_offset;
	const char *greater;
	size_t greater_offset;
	const char *why;
} rules[] = {
	{ "SHORT_RUNNING", offsetof(struct config, short_running), "SHORT_THREADS",
		offsetof(struct config, short_threads), "each runs on a thread" },
	{ "LONG_RUNNING", offsetof(struct config, long_running), "LONG_THREADS",
		offsetof(struct config, long_threads), "each runs on a thread" },
};

static bool holds(const struct config *config, const struct rule *rule, FILE *complaints)
{
	int64_t smaller = number_at((const char *)config + rule->smaller_offset);
	int64_t greater = number_at((const char *)config + rule->greater_offset);
	if (smaller <= greater)
		return true;
	fprintf(complaints,
		"%s: %" PRId64 " is not at most %s, which is %" PRId64 ": %s\n",
		rule->smaller, smaller, rule->greater, greater, rule->why);
	return false;
}

static bool ports_differ(const struct config *config, FILE *complaints)
{
	if (config->port == 0 || config->port != config->admin_port ||
		strcmp(config->listen_addr, config->admin_addr) != 0)
		return true;
	fprintf(complaints, "ADMIN_PORT: %" PRId64 " is not another port than PORT\n",
		config->admin_port);
	return false;
}

static bool agree(const struct config *config, FILE *complaints)
{
	bool all = ports_differ(config, complaints);
	for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++)
		all &= holds(config, &rules[i], complaints);
	return all;
}

void config_default(struct config *ret_config)
{
	for (size_t i = 0; i < SETTINGS; i++)
		set_default(ret_config, &settings[i]);
}

enum err config_load(struct config *ret_config, FILE *complaints)
{
	struct config config;
	bool good = true;
	for (size_t i = 0; i < SETTINGS; i++)
		good &= load(&config, &settings[i], complaints);
	/* With a default in the place of a bad value they would mislead. */
	if (good)
		good = agree(&config, complaints);
	if (!good)
		return ERR_INVALID;
	*ret_config = config;
	return ERR_OK;
}

const char *config_database_path(const struct config *config)
{
	return config->database_url + sqlite_scheme.len;
}

/*
 * Showing.
 */

void config_print(const struct config *config, FILE *out)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *setting = &settings[i];
		fprintf(out, "%s=", setting->name);
		setting->kind->print(setting, const_field_of(config, setting), out);
		fputc('\n', out);
	}
}

void config_print_help(FILE *out)
{
	for (size_t i = 0; i < SETTINGS; i++) {
		const struct setting *setting = &settings[i];
		fprintf(out, "  %s\n      %s\n      ", setting->name, setting->help);
		setting->kind->print_allowed(setting, out);
		fprintf(out, "; default: %s\n", setting->fallback);
	}
}
