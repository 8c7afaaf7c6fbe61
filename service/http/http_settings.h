#ifndef HANGUP_SERVICE_HTTP_HTTP_SETTINGS_H
#define HANGUP_SERVICE_HTTP_HTTP_SETTINGS_H

/*
 * The settings of a server: where it listens, how long it waits, how much it takes on.
 * Each field's variable is its name in upper case; http_settings.c describes them.
 */
#include "service/core/setting.h"

struct http_settings {
	char listen_addr[SETTING_ADDR_SIZE]; /* IPv4 or IPv6, numeric */
	int64_t port;                        /* 0 takes a free one */

	int64_t request_timeout_ms;
	int64_t stream_timeout_ms; /* 0: none */
	int64_t stall_timeout_ms;
	int64_t drain_timeout_ms; /* for whoever calls server_drain() */
	int64_t idle_timeout_ms;  /* libmicrohttpd counts whole seconds: round up */

	int64_t max_connections;
	int64_t max_connections_per_address; /* 0: no limit */
	int64_t max_header_bytes;
	int64_t max_body_bytes;
	int64_t max_import_bytes; /* of any body that is streamed */

	int64_t http_threads;
	int64_t short_threads; /* short_*, long_*: the lanes, see pool.h */
	int64_t short_running; /* at most short_threads */
	int64_t short_queue;
	int64_t long_threads;
	int64_t long_running; /* at most long_threads */
	int64_t long_queue;
	int64_t long_nice;
};

extern const struct setting_table http_setting_table;

#endif
