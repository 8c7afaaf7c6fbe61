#ifndef HANGUP_SERVICE_HTTP_SERVER_H
#define HANGUP_SERVICE_HTTP_SERVER_H

/*
 * The server: a listening socket, libmicrohttpd's network threads, the lanes,
 * the watcher, and the life of each request from its first line to its log
 * line. docs/how-it-works.md tells it in full.
 */
#include "service/core/pool.h"
#include "service/http/http_settings.h"
#include "service/http/request.h"
#include "service/http/request_list.h"
#include "service/http/response.h"
#include "service/http/router.h"

struct server;
struct metrics;

struct server_setup {
	const struct http_settings *settings; /* copied */
	const struct route *routes;           /* must outlive the server */
	size_t routes_count;
	void *app;           /* request::app; may be NULL */
	readiness_fn *ready; /* request::ready; NULL: app always is */
	int listen_fd; /* of server_listen(), taken over whatever happens; 0: none yet */
	bool own_names_only; /* requests must name localhost or an address of loopback */
	bool quiet;          /* requests are logged as "debug" */
};

/* Opens the socket that a server of these settings listens on, before there is a server:
 * clients that come meanwhile wait. ERR_IO when the address cannot be had; the reason is in
 * the log. */
enum err server_listen(const struct http_settings *settings, int *ret_fd);

/* Starts to listen and to serve. On failure *ret_server is untouched and the
 * reason is in the log. ERR_IO when the address cannot be had. */
enum err server_create(const struct server_setup *setup, struct server **ret_server);

/* Of libmicrohttpd, as it runs: static. */
const char *server_library_version(void);

/* The port it listens on: what PORT=0 has become. */
unsigned server_port(const struct server *server);

/* Stops accepting, and closes each connection after the answer it waits for.
 * request::draining is set for requests that still come over open connections.
 * Main thread; idempotent; returns at once. */
void server_drain(struct server *server);
bool server_is_draining(const struct server *server);

/* An eventfd that is readable once server_drain() was called and nothing is in
 * flight; poll it, do not read it. */
int server_idle_fd(const struct server *server);

/* Cancels what is in flight with CANCEL_SHUTDOWN, waits until the last handler
 * has returned and its answer is sent, closes everything and frees. Main thread.
 * NULL is a no-op. */
void server_destroy(struct server *server);

/* A moment's view, any thread. */
struct server_stats {
	unsigned connections;
	unsigned in_flight; /* requests begun and not yet logged */
	uint64_t requests;  /* begun since the start */
	uint64_t cancelled[CANCEL_CAUSES];
	struct pool_stats lanes[LANE_COUNT];
};
void server_stats(struct server *server, struct server_stats *ret_stats);

/* What has become of its requests; the server's. Any thread. */
const struct metrics *server_metrics(const struct server *server);

/* Shows fn every request in flight; see request_list_visit(). */
enum err server_visit_requests(struct server *server, request_view_fn *fn, void *arg);

/* Cancels the requests in flight with this id, with CANCEL_OPERATOR, and returns how
 * many those were; see request_list_cancel(). Must have returned before server_destroy()
 * is called. */
unsigned server_cancel_request(struct server *server, const char *id);

#endif
