/*
 * Every setting of the program, whatever part it belongs to: its default, the ends of
 * its range, what is refused and how that is said; and what settings must be to each other.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/settings.h"
#include "tests/support/cmocka.h"

#define FIELD(name) offsetof(struct config, name)
#define DAY         86400000
#define MIB         1048576

/* The numbers, written down a second time: a change of one is meant. */
static const struct {
	const char *name;
	size_t offset;
	int64_t fallback; /* -1: depends on the machine */
	int64_t min;
	int64_t max;
} numbers[] = {
	{ "PORT", FIELD(http.port), 8080, 0, 65535 },
	{ "ADMIN_PORT", FIELD(admin.port), 8081, 0, 65535 },
	{ "REQUEST_TIMEOUT_MS", FIELD(http.request_timeout_ms), 30000, 1, DAY },
	{ "STREAM_TIMEOUT_MS", FIELD(http.stream_timeout_ms), 0, 0, DAY },
	{ "STALL_TIMEOUT_MS", FIELD(http.stall_timeout_ms), 30000, 1, DAY },
	{ "DRAIN_TIMEOUT_MS", FIELD(http.drain_timeout_ms), 10000, 0, DAY },
	{ "IDLE_TIMEOUT_MS", FIELD(http.idle_timeout_ms), 60000, 1, DAY },
	{ "MAX_CONNECTIONS", FIELD(http.max_connections), 10000, 1, 1000000 },
	{ "MAX_CONNECTIONS_PER_ADDRESS", FIELD(http.max_connections_per_address), 0, 0,
		1000000 },
	{ "MAX_HEADER_BYTES", FIELD(http.max_header_bytes), 8192, 1024, MIB },
	{ "MAX_BODY_BYTES", FIELD(http.max_body_bytes), MIB, 1, 256 * MIB },
	{ "MAX_IMPORT_BYTES", FIELD(http.max_import_bytes), 1024 * MIB, 1,
		INT64_C(1) << 40 },
	{ "HTTP_THREADS", FIELD(http.http_threads), 1, 1, 64 },
	{ "SHORT_THREADS", FIELD(http.short_threads), 64, 1, 1024 },
	{ "SHORT_RUNNING", FIELD(http.short_running), -1, 1, 1024 },
	{ "SHORT_QUEUE", FIELD(http.short_queue), 1024, 0, 1000000 },
	{ "LONG_THREADS", FIELD(http.long_threads), 4, 1, 1024 },
	{ "LONG_RUNNING", FIELD(http.long_running), -1, 1, 1024 },
	{ "LONG_QUEUE", FIELD(http.long_queue), 16, 0, 1000000 },
	{ "LONG_NICE", FIELD(http.long_nice), 10, 0, 19 },
	{ "DB_READERS", FIELD(db.readers), -1, 1, 1024 },
	{ "WAL_MAX_BYTES", FIELD(db.wal_max_bytes), 1073741824, 1048576, 1099511627776 },
	{ "IMPORT_MAX_MS", FIELD(import_max_ms), 60000, 1, 86400000 },
	{ "DB_WRITE_QUEUE", FIELD(db.write_queue), 1024, 1, 1000000 },
	{ "DB_WRITE_BATCH", FIELD(db.write_batch), 256, 1, 1000000 },
	{ "DB_BUSY_TIMEOUT_MS", FIELD(db.busy_timeout_ms), 5000, 0, DAY },
};

static const struct {
	const char *name;
	size_t offset;
	const char *fallback;
} texts[] = {
	{ "LISTEN_ADDR", FIELD(http.listen_addr), "127.0.0.1" },
	{ "ADMIN_ADDR", FIELD(admin.addr), "127.0.0.1" },
	{ "DATABASE_URL", FIELD(db.url), "sqlite:data/hangup.db" },
};

enum {
	NUMBERS = sizeof numbers / sizeof numbers[0],
	TEXTS = sizeof texts / sizeof texts[0],
};

/* What the last load() complained about, or a printer printed. */
static char said[16384];

/* Other settings out of the way of one that is taken to its limits. */
static const char *const roomy[][2] = {
	{ "SHORT_THREADS", "1024" },
	{ "SHORT_RUNNING", "1" },
	{ "LONG_THREADS", "1024" },
	{ "LONG_RUNNING", "1" },
};

static void make_room(void)
{
	for (size_t i = 0; i < sizeof roomy / sizeof roomy[0]; i++)
		setenv(roomy[i][0], roomy[i][1], 1);
	setenv("ADMIN_PORT", "0", 1);
}

static int clear_environment(void **state)
{
	(void)state;
	for (size_t i = 0; i < NUMBERS; i++)
		unsetenv(numbers[i].name);
	for (size_t i = 0; i < TEXTS; i++)
		unsetenv(texts[i].name);
	unsetenv("LOG_LEVEL");
	unsetenv("LOG_FORMAT");
	return 0;
}

static enum err load(struct config *ret_config)
{
	memset(said, 0, sizeof said);
	FILE *complaints = fmemopen(said, sizeof said - 1, "w");
	enum err err = settings_load(&config_settings, ret_config, complaints);
	fclose(complaints);
	return err;
}

/* Loads with one variable set, to name=value. */
static enum err load_with(const char *name, const char *value, struct config *ret_config)
{
	setenv(name, value, 1);
	return load(ret_config);
}

static const char *printed(const struct config *config)
{
	memset(said, 0, sizeof said);
	FILE *out = fmemopen(said, sizeof said - 1, "w");
	settings_print(&config_settings, config, out);
	fclose(out);
	return said;
}

static int64_t number_of(const struct config *config, size_t i)
{
	int64_t number;
	memcpy(&number, (const char *)config + numbers[i].offset, sizeof number);
	return number;
}

static void every_setting_has_its_default(void **state)
{
	(void)state;
	struct config config;
	assert_int_equal(load(&config), ERR_OK);
	for (size_t i = 0; i < NUMBERS; i++)
		if (numbers[i].fallback >= 0)
			assert_int_equal(number_of(&config, i), numbers[i].fallback);
	for (size_t i = 0; i < TEXTS; i++)
		assert_string_equal((char *)&config + texts[i].offset, texts[i].fallback);
	assert_int_equal(config.log.level, LOG_LEVEL_INFO);
	assert_string_equal(db_settings_path(&config.db), "data/hangup.db");
	assert_string_equal(said, "");
}

static void lanes_and_readers_follow_the_machine_and_each_other(void **state)
{
	(void)state;
	struct config config;
	assert_int_equal(load(&config), ERR_OK);
	assert_in_range(config.http.short_running, 4, 64);
	assert_in_range(config.http.long_running, 2, 4);
	assert_int_equal(config.db.readers, config.http.short_running);
	setenv("SHORT_THREADS", "3", 1);
	setenv("LONG_THREADS", "1", 1);
	assert_int_equal(load(&config), ERR_OK);
	assert_int_equal(config.http.short_running, 3);
	assert_int_equal(config.http.long_running, 1);
	assert_int_equal(config.db.readers, 3);
}

static void defaults_ignore_the_environment(void **state)
{
	(void)state;
	struct config config;
	setenv("PORT", "9", 1);
	settings_default(&config_settings, &config);
	assert_int_equal(config.http.port, 8080);
	assert_string_equal(db_settings_path(&config.db), "data/hangup.db");
}

static void empty_is_unset(void **state)
{
	(void)state;
	struct config config;
	for (size_t i = 0; i < NUMBERS; i++)
		setenv(numbers[i].name, "", 1);
	for (size_t i = 0; i < TEXTS; i++)
		setenv(texts[i].name, "", 1);
	setenv("LOG_LEVEL", "", 1);
	setenv("LOG_FORMAT", "", 1);
	assert_int_equal(load(&config), ERR_OK);
	assert_int_equal(config.http.port, 8080);
	assert_string_equal(config.http.listen_addr, "127.0.0.1");
}

/* Loads numbers[i] as number, which must be taken. */
static void assert_taken(size_t i, int64_t value)
{
	struct config config;
	char text[32];
	snprintf(text, sizeof text, "%" PRId64, value);
	if (load_with(numbers[i].name, text, &config) != ERR_OK)
		fail_msg("%s=%s: %s", numbers[i].name, text, said);
	assert_int_equal(number_of(&config, i), value);
}

/* Loads numbers[i] as text, which must be refused in these words. */
static void assert_refused(size_t i, const char *text)
{
	struct config config;
	char expected[200];
	snprintf(expected, sizeof expected,
		"%s: \"%s\" is not a whole number from %" PRId64 " to %" PRId64 "\n",
		numbers[i].name, text, numbers[i].min, numbers[i].max);
	assert_int_equal(load_with(numbers[i].name, text, &config), ERR_INVALID);
	assert_string_equal(said, expected);
}

static void numbers_are_taken_up_to_their_limits_and_not_beyond(void **state)
{
	for (size_t i = 0; i < NUMBERS; i++) {
		char text[32];
		clear_environment(state);
		make_room();
		/* The greater side of a pair cannot be small beside the smaller one. */
		if (strstr("SHORT_THREADS LONG_THREADS", numbers[i].name)) {
			setenv("LONG_THREADS", "1", 1);
			setenv("LONG_RUNNING", "1", 1);
		}
		assert_taken(i, numbers[i].max);
		assert_taken(i, numbers[i].min);
		snprintf(text, sizeof text, "%" PRId64, numbers[i].min - 1);
		assert_refused(i, text);
		snprintf(text, sizeof text, "%" PRId64, numbers[i].max + 1);
		assert_refused(i, text);
	}
}

static void what_is_no_whole_number_is_refused(void **state)
{
	static const char *const garbage[] = {
		"80x",
		"x",
		"1.5",
		"1e3",
		"0x10",
		" 1",
		"1 ",
		"+1",
		"-1",
		"--",
		"1,000",
		"1k",
		"99999999999999999999",
		"\xd9\xa3",
	};
	for (size_t i = 0; i < NUMBERS; i++) {
		for (size_t j = 0; j < sizeof garbage / sizeof garbage[0]; j++) {
			clear_environment(state);
			assert_refused(i, garbage[j]);
		}
	}
}

static void words_are_taken_in_any_case(void **state)
{
	(void)state;
	static const char *const levels[LOG_LEVELS] = { "debug", "INFO", "Warn",
		"error" };
	struct config config;
	for (int i = 0; i < LOG_LEVELS; i++) {
		assert_int_equal(load_with("LOG_LEVEL", levels[i], &config), ERR_OK);
		assert_int_equal(config.log.level, i);
	}
	assert_int_equal(load_with("LOG_FORMAT", "text", &config), ERR_OK);
	assert_int_equal(config.log.format, LOG_FORMAT_TEXT);
	assert_int_equal(load_with("LOG_FORMAT", "JSON", &config), ERR_OK);
	assert_int_equal(config.log.format, LOG_FORMAT_JSON);
	assert_int_equal(load_with("LOG_FORMAT", "xml", &config), ERR_INVALID);
	assert_string_equal(said, "LOG_FORMAT: \"xml\" is not one of text, json\n");
	setenv("LOG_FORMAT", "json", 1);
	assert_int_equal(load_with("LOG_LEVEL", "loud", &config), ERR_INVALID);
	assert_string_equal(
		said, "LOG_LEVEL: \"loud\" is not one of debug, info, warn, error\n");
}

static void addresses_are_numeric(void **state)
{
	(void)state;
	static const char *const good[] = { "0.0.0.0", "10.1.2.3", "::", "::1", "fe80::1",
		"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255" };
	static const char *const bad[] = { "localhost", "1.2.3", "1.2.3.4:80", "[::1]",
		"::g", "*", "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255:1" };
	struct config config;
	for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
		assert_int_equal(load_with("LISTEN_ADDR", good[i], &config), ERR_OK);
		assert_string_equal(config.http.listen_addr, good[i]);
	}
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(load_with("LISTEN_ADDR", bad[i], &config), ERR_INVALID);
		assert_non_null(strstr(said, "is not a numeric IPv4 or IPv6 address\n"));
	}
}

static void the_database_is_a_file(void **state)
{
	(void)state;
	static const char *const bad[] = { "data/x.db", "sqlite:", "sqlite://host/x",
		"sqlite::memory:", "SQLITE:x", "postgres:x", "sqlite" };
	struct config config;
	assert_int_equal(
		load_with("DATABASE_URL", "sqlite:/var/lib/a b.db", &config), ERR_OK);
	assert_string_equal(db_settings_path(&config.db), "/var/lib/a b.db");
	struct config copy = config;
	memset(&config, 0, sizeof config);
	assert_string_equal(db_settings_path(&copy.db), "/var/lib/a b.db");
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		assert_int_equal(load_with("DATABASE_URL", bad[i], &config), ERR_INVALID);
		assert_non_null(
			strstr(said, "is not sqlite:PATH, where PATH is that of a file"));
	}
}

static void an_overlong_url_is_refused(void **state)
{
	(void)state;
	char url[DATABASE_URL_SIZE + 1] = "sqlite:";
	memset(url + strlen(url), 'x', sizeof url - 1 - strlen(url));
	struct config config;
	assert_int_equal(load_with("DATABASE_URL", url, &config), ERR_INVALID);
	url[DATABASE_URL_SIZE - 1] = '\0';
	assert_int_equal(load_with("DATABASE_URL", url, &config), ERR_OK);
	assert_string_equal(config.db.url, url);
}

static void all_bad_values_are_named_at_once_and_nothing_is_written(void **state)
{
	(void)state;
	struct config config;
	memset(&config, 0x5a, sizeof config);
	struct config before = config;
	setenv("PORT", "80x", 1);
	setenv("LISTEN_ADDR", "here", 1);
	setenv("SHORT_THREADS", "0", 1);
	setenv("SHORT_RUNNING", "1000", 1); /* not measured against a wrong one */
	assert_int_equal(load(&config), ERR_INVALID);
	assert_string_equal(said,
		"LISTEN_ADDR: \"here\" is not a numeric IPv4 or IPv6 address\n"
		"PORT: \"80x\" is not a whole number from 0 to 65535\n"
		"SHORT_THREADS: \"0\" is not a whole number from 1 to 1024\n");
	assert_memory_equal(&config, &before, sizeof config);
}

static void settings_that_contradict_each_other_are_refused(void **state)
{
	(void)state;
	struct config config;
	setenv("SHORT_RUNNING", "65", 1);
	setenv("LONG_RUNNING", "5", 1);
	setenv("ADMIN_PORT", "8080", 1);
	assert_int_equal(load(&config), ERR_INVALID);
	assert_string_equal(said,
		"ADMIN_PORT: 8080 is not another port than PORT\n"
		"SHORT_RUNNING: 65 is not at most SHORT_THREADS, which is 64: "
		"each runs on a thread\n"
		"LONG_RUNNING: 5 is not at most LONG_THREADS, which is 4: "
		"each runs on a thread\n");
}

static void ports_may_be_equal_where_they_do_not_meet(void **state)
{
	(void)state;
	struct config config;
	setenv("ADMIN_PORT", "8080", 1);
	assert_int_equal(load_with("ADMIN_ADDR", "127.0.0.2", &config), ERR_OK);
	unsetenv("ADMIN_ADDR");
	setenv("PORT", "0", 1);
	assert_int_equal(load_with("ADMIN_PORT", "0", &config), ERR_OK);
}

static void credentials_are_never_shown(void **state)
{
	(void)state;
	static const char *const cases[][2] = {
		{ "postgres://me:secret@db/items", "postgres://***@db/items" },
		{ "postgres://me:se/c@ret@db/items", "postgres://***@db/items" },
		{ "postgres://me:se?c@db/items", "postgres://***?***" },
		{ "postgres://db/items?password=secret", "postgres://db/items?***" },
		{ "postgres://db/items?password=s@cret", "postgres://***?***" },
		{ "postgres://me:x@db/items?password=secret",
			"postgres://***@db/items?***" },
		{ "host=db password=secret", "***" },
		{ "me:secret@db", "***" },
		{ "data/hangup.db", "data/hangup.db" },
	};
	struct config config;
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char expected[200];
		snprintf(expected, sizeof expected, "DATABASE_URL: \"%s\" is not",
			cases[i][1]);
		assert_int_equal(
			load_with("DATABASE_URL", cases[i][0], &config), ERR_INVALID);
		assert_memory_equal(said, expected, strlen(expected));

		settings_default(&config_settings, &config);
		strcpy(config.db.url, cases[i][0]); /* as another scheme will */
		snprintf(expected, sizeof expected, "\nDATABASE_URL=%s\n", cases[i][1]);
		assert_non_null(strstr(printed(&config), expected));
	}
}

static void what_is_printed_loads_as_the_same(void **state)
{
	(void)state;
	struct config config;
	struct config again;
	setenv("DATABASE_URL", "sqlite:/a b?c@d=e.db", 1);
	setenv("PORT", "1", 1);
	assert_int_equal(load(&config), ERR_OK);
	char *saved = NULL;
	for (char *line = strtok_r((char *)printed(&config), "\n", &saved); line;
		line = strtok_r(NULL, "\n", &saved)) {
		char *value = strchr(line, '=');
		*value = '\0';
		setenv(line, value + 1, 1);
	}
	assert_int_equal(load(&again), ERR_OK);
	for (size_t i = 0; i < NUMBERS; i++)
		assert_int_equal(number_of(&again, i), number_of(&config, i));
	assert_string_equal(again.db.url, config.db.url);
	assert_int_equal(again.log.format, config.log.format);
}

static void help_tells_of_every_setting(void **state)
{
	(void)state;
	memset(said, 0, sizeof said);
	FILE *out = fmemopen(said, sizeof said - 1, "w");
	settings_print_help(&config_settings, out);
	fclose(out);
	for (size_t i = 0; i < NUMBERS; i++) {
		char name[64];
		snprintf(name, sizeof name, "\n  %s\n", numbers[i].name);
		assert_non_null(strstr(said, name));
	}
	for (size_t i = 0; i < TEXTS; i++)
		assert_non_null(strstr(said, texts[i].name));
	assert_non_null(strstr(said, "a whole number from 0 to 65535; default: 8080\n"));
	assert_non_null(strstr(said, "one of text, json; default: text on a terminal"));
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, clear_environment, clear_environment)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_setting_has_its_default),
		TEST(lanes_and_readers_follow_the_machine_and_each_other),
		TEST(defaults_ignore_the_environment),
		TEST(empty_is_unset),
		TEST(numbers_are_taken_up_to_their_limits_and_not_beyond),
		TEST(what_is_no_whole_number_is_refused),
		TEST(words_are_taken_in_any_case),
		TEST(addresses_are_numeric),
		TEST(the_database_is_a_file),
		TEST(an_overlong_url_is_refused),
		TEST(all_bad_values_are_named_at_once_and_nothing_is_written),
		TEST(settings_that_contradict_each_other_are_refused),
		TEST(ports_may_be_equal_where_they_do_not_meet),
		TEST(credentials_are_never_shown),
		TEST(what_is_printed_loads_as_the_same),
		TEST(help_tells_of_every_setting),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
