#ifndef HANGUP_SERVICE_RUN_CONFIG_H
#define HANGUP_SERVICE_RUN_CONFIG_H

/*
 * The settings: read once from the environment, then a plain value that may be
 * copied and owns nothing. One table in config.c describes them all: their
 * names (those below in upper case), defaults, ranges and help. A new setting
 * is a field here, a line there, and a line in tests/unit/test_config.c.
 *
 * Every number is an int64_t, so that the table can treat them alike.
 */
#include <stdint.h>
#include <stdio.h>

#include "service/core/error.h"
#include "service/core/log.h"

#define CONFIG_ADDR_SIZE sizeof "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"
#define CONFIG_URL_SIZE  4096

struct config {
	char listen_addr[CONFIG_ADDR_SIZE]; /* IPv4 or IPv6, numeric */
	int64_t port;                       /* 0 takes a free one */
	char admin_addr[CONFIG_ADDR_SIZE];
	int64_t admin_port;                 /* 0: no admin listener */
	char database_url[CONFIG_URL_SIZE]; /* see config_database_path() */
	enum log_level log_level;
	enum log_format log_format;

	int64_t request_timeout_ms;
	int64_t stream_timeout_ms; /* 0: none */
	int64_t stall_timeout_ms;
	int64_t drain_timeout_ms;
	int64_t idle_timeout_ms; /* libmicrohttpd counts whole seconds: round up */

	int64_t max_connections;
	int64_t max_connections_per_address; /* 0: no limit */
	int64_t max_header_bytes;
	int64_t max_body_bytes;
	int64_t max_import_bytes;

	int64_t http_threads;
	int64_t short_threads; /* short_*, long_*: the lanes, see pool.h */
	int64_t short_running; /* at most short_threads */
	int64_t short_queue;
	int64_t long_threads;
	int64_t long_running; /* at most long_threads */
	int64_t long_queue;
	int64_t long_nice;

	int64_t db_readers; /* for point reads; each long thread has one besides */
	int64_t db_write_queue;
	int64_t db_write_batch;
	int64_t db_busy_timeout_ms;
	int64_t wal_max_bytes;
	int64_t import_max_ms; /* of an import's transaction, while which other writes wait */
};

/* The defaults, whatever the environment says: for tests. */
void config_default(struct config *ret_config);

/* Reads the environment; an empty variable counts as unset. ERR_INVALID when a
 * value is refused: complaints then has a line for every bad one, each naming
 * the variable, the value and what is allowed. Not while another thread calls
 * setenv(). */
enum err config_load(struct config *ret_config, FILE *complaints);

/* The path in database_url, `sqlite:PATH`: points into config. */
const char *config_database_path(const struct config *config);

/* A NAME=value line for each setting; credentials show as ***. */
void config_print(const struct config *config, FILE *out);

/* Name, range, default and help of each setting, for --help. */
void config_print_help(FILE *out);

#endif
