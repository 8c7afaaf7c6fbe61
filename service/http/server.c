#include "service/http/server.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/core/log.h"
#include "service/http/inflight.h"
#include "service/http/listener.h"
#include "service/http/metrics.h"
#include "service/http/mhd_daemon.h"

struct server {
	struct http_settings settings;
	struct exchange_env env;
	struct inflight inflight;
	struct watcher *watcher;
	int listen_fd; /* open until libmicrohttpd has stopped */
	unsigned port;
	struct mhd_daemon daemon;
	bool quiesced;
};

static enum err start_lanes(struct server *server)
{
	const struct http_settings *settings = &server->settings;
	const struct pool_config lanes[LANE_COUNT] = {
		[LANE_SHORT] = { lane_name(LANE_SHORT), (unsigned)settings->short_threads,
			(unsigned)settings->short_running,
			(unsigned)settings->short_queue, 0 },
		[LANE_LONG] = { lane_name(LANE_LONG), (unsigned)settings->long_threads,
			(unsigned)settings->long_running, (unsigned)settings->long_queue,
			(int)settings->long_nice },
	};
	enum err err = ERR_OK;
	for (int i = 0; err == ERR_OK && i < LANE_COUNT; i++)
		err = pool_create(&lanes[i], &server->env.lanes[i]);
	return err;
}

enum err server_listen(const struct http_settings *settings, int *ret_fd)
{
	enum err err = listener_open(settings->listen_addr, (unsigned)settings->port,
		settings->stall_timeout_ms, ret_fd);
	if (err != ERR_OK)
		log_error("cannot listen", LOG_STR("addr", settings->listen_addr),
			LOG_INT("port", settings->port),
			LOG_STR("reason", strerrordesc_np(errno)));
	return err;
}

static enum err listen_unless_given(struct server *server)
{
	enum err err = server->listen_fd < 0
		? server_listen(&server->settings, &server->listen_fd)
		: ERR_OK;
	if (err == ERR_OK)
		server->port = listener_port(server->listen_fd);
	return err;
}

/* Once an answer has begun to flow, what is left of a body has nowhere to go. */
static void check_routes(const struct server_setup *setup)
{
	for (size_t i = 0; i < setup->routes_count; i++)
		assert(setup->routes[i].body != BODY_STREAMED ||
			setup->routes[i].answer != ANSWER_STREAMED);
}

static enum err build(struct server *server)
{
	enum err err = inflight_init(&server->inflight);
	if (err == ERR_OK)
		err = listen_unless_given(server);
	if (err == ERR_OK)
		err = watcher_create(&server->watcher);
	if (err == ERR_OK)
		err = start_lanes(server);
	if (err != ERR_OK)
		return err;
	server->env.token = cancel_create(NULL);
	server->env.metrics = metrics_create(
		server->env.rules.routes, server->env.rules.routes_count);
	server->env.timers = watcher_timers(server->watcher);
	if (!server->env.token || !server->env.metrics)
		return ERR_NOMEM;
	server->daemon.env = &server->env;
	server->daemon.watcher = server->watcher;
	return mhd_daemon_start(&server->daemon, &server->settings, server->listen_fd);
}

enum err server_create(const struct server_setup *setup, struct server **ret_server)
{
	struct server *server = calloc(1, sizeof *server);
	if (!server) {
		if (setup->listen_fd > 0)
			close(setup->listen_fd);
		return ERR_NOMEM;
	}
	check_routes(setup);
	server->settings = *setup->settings;
	server->listen_fd = setup->listen_fd > 0 ? setup->listen_fd : -1;
	server->env.ready = setup->ready;
	server->env.app = setup->app;
	server->env.quiet = setup->quiet;
	server->env.stall_timeout_ms = setup->settings->stall_timeout_ms;
	server->env.inflight = &server->inflight;
	server->env.rules = (struct request_rules){
		.routes = setup->routes,
		.routes_count = setup->routes_count,
		.max_body_bytes = (size_t)setup->settings->max_body_bytes,
		.max_import_bytes = (size_t)setup->settings->max_import_bytes,
		.own_names_only = setup->own_names_only,
		.request_timeout_ms = setup->settings->request_timeout_ms,
		.stream_timeout_ms = setup->settings->stream_timeout_ms,
	};
	enum err err = build(server);
	if (err == ERR_OK)
		*ret_server = server;
	else
		server_destroy(server);
	return err;
}

const char *server_library_version(void)
{
	return mhd_daemon_version();
}

unsigned server_port(const struct server *server)
{
	return server->port;
}

/* The kernel would go on to accept for a socket that is open, but one that is shut down
 * refuses. */
static void stop_accepting(struct server *server)
{
	mhd_daemon_quiesce(&server->daemon);
	shutdown(server->listen_fd, SHUT_RDWR);
	server->quiesced = true;
}

void server_drain(struct server *server)
{
	inflight_drain(&server->inflight);
	if (!server->quiesced)
		stop_accepting(server);
}

bool server_is_draining(const struct server *server)
{
	return inflight_is_draining((struct inflight *)&server->inflight);
}

int server_idle_fd(const struct server *server)
{
	return server->inflight.idle_fd;
}

/* MHD_stop_daemon() aborts the process on a suspended connection, so: no request
 * may begin to wait for a worker any more; those that do are cancelled, and their
 * workers resume them; what is still being sent gets a moment to leave. */
static void stop_serving(struct server *server)
{
	enum { LAST_WORDS_MS = 1000 };
	server_drain(server);
	cancel_fire(server->env.token, CANCEL_SHUTDOWN);
	inflight_stop(&server->inflight);
	inflight_wait_empty(&server->inflight, LAST_WORDS_MS);
	mhd_daemon_stop(&server->daemon);
}

void server_destroy(struct server *server)
{
	if (!server)
		return;
	if (server->daemon.mhd)
		stop_serving(server);
	for (int i = 0; i < LANE_COUNT; i++)
		pool_destroy(server->env.lanes[i]);
	cancel_unref(server->env.token);
	watcher_destroy(server->watcher);
	inflight_finish(&server->inflight);
	metrics_destroy(server->env.metrics);
	if (server->listen_fd >= 0)
		close(server->listen_fd);
	free(server);
}

void server_stats(struct server *server, struct server_stats *ret_stats)
{
	struct inflight *inflight = &server->inflight;
	struct server_stats stats = { 0 };
	stats.connections = mhd_daemon_connections(&server->daemon);
	for (int i = 0; i < LANE_COUNT; i++)
		pool_stats(server->env.lanes[i], &stats.lanes[i]);
	pthread_mutex_lock(&inflight->lock);
	stats.in_flight = inflight->count;
	stats.requests = inflight->total;
	memcpy(stats.cancelled, inflight->cancelled, sizeof stats.cancelled);
	pthread_mutex_unlock(&inflight->lock);
	stats.cancelled[CANCEL_NONE] = 0;
	*ret_stats = stats;
}

enum err server_visit_requests(struct server *server, request_view_fn *fn, void *arg)
{
	return request_list_visit(&server->inflight, fn, arg);
}

unsigned server_cancel_request(struct server *server, const char *id)
{
	return request_list_cancel(&server->inflight, id, CANCEL_OPERATOR);
}

const struct metrics *server_metrics(const struct server *server)
{
	return server->env.metrics;
}
