#include "service/http/server.h"

#include <assert.h>
#include <errno.h>
#include <microhttpd.h>
#include <stdlib.h>
#include <unistd.h>

#include "service/core/log.h"
#include "service/http/exchange_body.h"
#include "service/http/exchange_events.h"
#include "service/http/inflight.h"
#include "service/http/listener.h"
#include "service/http/metrics.h"
#include "service/http/problem.h"

/*
 * Here libmicrohttpd's callbacks become calls on clients and exchanges. All of
 * them run in a network thread and hold none of libmicrohttpd's locks (read in
 * 0.9.75: new_connection_process_, MHD_cleanup_connections). For one connection
 * they come in this order:
 *
 *	client_started
 *	  request_line  on_request (headers)  on_request (body)*  on_request (complete)
 *	  request_completed              and so on, for each request
 *	client_closed                    the socket is open until it returns
 *
 * A suspended connection gets none of them: MHD_resume_connection() brings the
 * last on_request() again. A request that libmicrohttpd refuses by itself has
 * request_line and request_completed only, and its answer is libmicrohttpd's.
 */
struct server {
	struct http_settings settings;
	struct exchange_env env;
	readiness_fn *ready;
	struct inflight inflight;
	struct watcher *watcher;
	int listen_fd; /* open until libmicrohttpd has stopped */
	unsigned port;
	struct MHD_Daemon *daemon;
	bool quiesced;
};

/*
 * Callbacks.
 */

static struct client *client_of(struct MHD_Connection *connection)
{
	return *(struct client **)MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
}

/* A client that cannot be watched is not served: its requests would outlive it. */
static void client_started(
	struct server *server, struct MHD_Connection *connection, void **context)
{
	struct client *client = NULL;
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
			 ->connect_fd;
	const struct sockaddr *address = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
						 ->client_addr;
	enum err err = client_create(server->watcher, fd, address, &client);
	if (err != ERR_OK)
		log_error("cannot watch a connection", LOG_ERR(err));
	*context = client;
}

static void notify_connection(void *arg, struct MHD_Connection *connection,
	void **context, enum MHD_ConnectionNotificationCode code)
{
	if (code == MHD_CONNECTION_NOTIFY_STARTED)
		client_started(arg, connection, context);
	else
		client_destroy(*context);
}

/* libmicrohttpd hands the path on decoded, where an encoded slash looks like a real
 * one, and after an encoded NUL there is no more. */
static bool is_ambiguous(const char *uri)
{
	const char *end = uri + strcspn(uri, "?");
	for (const char *at = uri; (at = strchr(at, '%')) && at < end; at++)
		if (strncasecmp(at, "%2f", 3) == 0 || strncmp(at, "%00", 3) == 0)
			return true;
	return false;
}

/* The request's first line is there; what is returned becomes *request_context. */
static void *request_line(void *arg, const char *uri, struct MHD_Connection *connection)
{
	struct server *server = arg;
	struct client *client = client_of(connection);
	struct exchange *exchange = client
		? exchange_create(&server->env, client, connection)
		: NULL;
	if (!exchange)
		return NULL;
	exchange->req.ready = server->ready;
	exchange->req.ambiguous_path = is_ambiguous(uri);
	return exchange;
}

struct text_size {
	unsigned count;
	size_t bytes;
};

static enum MHD_Result measure_field(void *arg, enum MHD_ValueKind kind, const char *name,
	size_t name_len, const char *value, size_t value_len)
{
	struct text_size *size = arg;
	(void)kind;
	(void)name;
	(void)value;
	size->count++;
	size->bytes += name_len + value_len;
	return MHD_YES;
}

static enum MHD_Result copy_field(void *arg, enum MHD_ValueKind kind, const char *name,
	size_t name_len, const char *value, size_t value_len)
{
	enum request_field_kind ours = kind == MHD_HEADER_KIND ? REQUEST_HEADER
							       : REQUEST_QUERY;
	request_add_field(arg, ours, (struct span){ name, name_len },
		(struct span){ value, value ? value_len : 0 });
	return MHD_YES;
}

static enum err copy_request(struct MHD_Connection *connection, const char *method,
	const char *path, struct request *req)
{
	const enum MHD_ValueKind kinds[] = { MHD_HEADER_KIND, MHD_GET_ARGUMENT_KIND };
	struct text_size size = { .bytes = strlen(method) + strlen(path) };
	for (size_t i = 0; i < 2; i++)
		MHD_get_connection_values_n(connection, kinds[i], measure_field, &size);
	enum err err = request_reserve(req, size.count, size.bytes);
	if (err != ERR_OK)
		return err;
	req->method = request_keep(req, span_of(method));
	req->path = request_keep(req, span_of(path));
	for (size_t i = 0; i < 2; i++)
		MHD_get_connection_values_n(connection, kinds[i], copy_field, req);
	return ERR_OK;
}

static enum exchange_next begin(struct exchange *exchange,
	struct MHD_Connection *connection, const char *path, const char *method,
	const char *version)
{
	if (copy_request(connection, method, path, &exchange->req) != ERR_OK)
		return EXCHANGE_CLOSE;
	return exchange_begin(exchange, strcmp(version, "HTTP/1.1") == 0);
}

static unsigned seconds_of(int64_t ms)
{
	enum { MS_PER_S = 1000 };
	return (unsigned)((ms + MS_PER_S - 1) / MS_PER_S);
}

/* After a resume libmicrohttpd reads before it calls on_request() again, and gives the
 * request up when it reads a FIN. Not with a connection that has a timeout of its own:
 * with those it goes on before it looks for anything to read (MHD_epoll). So a client
 * that may finish sending before its answer comes gets one, for the time being. */
static void set_timeout(
	struct server *server, struct MHD_Connection *connection, unsigned more)
{
	MHD_set_connection_option(connection, MHD_CONNECTION_OPTION_TIMEOUT,
		seconds_of(server->settings.idle_timeout_ms) + more);
}

static bool may_half_close(const struct exchange *exchange)
{
	const struct route *route = exchange->req.route;
	return route && route->half_close_ok;
}

/* No answer follows this one when the client has sent FIN, when nobody can tell what
 * of the bytes that follow is a request (RFC 9112, 6.3), or when the service drains. */
static enum MHD_Result send_answer(
	struct exchange *exchange, struct MHD_Connection *connection)
{
	if (exchange->expected.unframed ||
		inflight_is_draining(exchange->env->inflight) ||
		client_has_left(exchange->client))
		MHD_add_response_header(exchange->answer, "Connection", "close");
	return MHD_queue_response(connection, exchange->res.status, exchange->answer);
}

/* NOLINTNEXTLINE(readability-function-size): the parameters are libmicrohttpd's */
static enum MHD_Result on_request(void *arg, struct MHD_Connection *connection,
	const char *path, const char *method, const char *version, const char *data,
	size_t *data_len, void **request_context)
{
	struct exchange *exchange = *request_context;
	enum exchange_next next = EXCHANGE_CLOSE;
	size_t taken = 0;
	if (!exchange)
		return MHD_NO; /* no memory was left at its first line */
	if (exchange_state_now(exchange) == EXCHANGE_HEAD) {
		next = begin(exchange, connection, path, method, version);
		if (next == EXCHANGE_CONTINUE && may_half_close(exchange))
			set_timeout(arg, connection, 1);
	} else if (*data_len > 0) {
		next = exchange_receive(
			exchange, (struct span){ data, *data_len }, &taken);
	} else {
		next = exchange_proceed(exchange);
	}
	*data_len -= taken;
	if (next == EXCHANGE_SEND)
		return send_answer(exchange, connection);
	return next == EXCHANGE_CLOSE ? MHD_NO : MHD_YES;
}

/* What it means for the request when libmicrohttpd has done with it. */
static enum cancel_cause cause_of(enum MHD_RequestTerminationCode how)
{
	if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
		return CANCEL_NONE;
	return how == MHD_REQUEST_TERMINATED_DAEMON_SHUTDOWN ? CANCEL_SHUTDOWN
							     : CANCEL_CLIENT_GONE;
}

static void request_completed(void *arg, struct MHD_Connection *connection,
	void **request_context, enum MHD_RequestTerminationCode how)
{
	struct exchange *exchange = *request_context;
	if (!exchange)
		return;
	if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK && may_half_close(exchange))
		set_timeout(arg, connection, 0);
	exchange_closed(exchange, cause_of(how));
	*request_context = NULL;
}

static void log_library(void *arg, const char *format, va_list args)
	__attribute__((format(printf, 2, 0)));

static void log_library(void *arg, const char *format, va_list args)
{
	char text[256];
	(void)arg;
	int len = vsnprintf(text, sizeof text, format, args);
	if (len > 0 && (size_t)len < sizeof text && text[len - 1] == '\n')
		text[len - 1] = '\0';
	log_debug("libmicrohttpd", LOG_STR("says", text));
}

/*
 * Lifecycle.
 */

/* libmicrohttpd's memory for a connection holds the request's header, the reply's
 * header, and a buffer for the body. */
static size_t connection_memory(const struct http_settings *settings)
{
	enum { REPLY_AND_BODY = 4096 };
	return (size_t)settings->max_header_bytes + REPLY_AND_BODY;
}

static enum err start_daemon(struct server *server)
{
	const struct http_settings *settings = &server->settings;
	unsigned threads = (unsigned)settings->http_threads;
	struct MHD_OptionItem options[] = {
		{ MHD_OPTION_LISTEN_SOCKET, server->listen_fd, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, settings->max_connections, NULL },
		{ MHD_OPTION_PER_IP_CONNECTION_LIMIT,
			settings->max_connections_per_address, NULL },
		{ MHD_OPTION_CONNECTION_TIMEOUT, seconds_of(settings->idle_timeout_ms),
			NULL },
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			(intptr_t)connection_memory(settings), NULL },
		/* A pool of one is a thread more than none. */
		{ threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads,
			NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	server->daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
			MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
		0, NULL, NULL, on_request, server, MHD_OPTION_EXTERNAL_LOGGER,
		log_library, NULL, MHD_OPTION_NOTIFY_CONNECTION, notify_connection,
		server, MHD_OPTION_URI_LOG_CALLBACK, request_line, server,
		MHD_OPTION_NOTIFY_COMPLETED, request_completed, server, MHD_OPTION_ARRAY,
		options, MHD_OPTION_END);
	if (server->daemon)
		return ERR_OK;
	log_error(
		"cannot start libmicrohttpd", LOG_STR("reason", strerrordesc_np(errno)));
	return ERR_IO;
}

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

static enum err listen_on(struct server *server)
{
	const struct http_settings *settings = &server->settings;
	enum err err = listener_open(settings->listen_addr, (unsigned)settings->port,
		settings->stall_timeout_ms, &server->listen_fd);
	if (err != ERR_OK)
		log_error("cannot listen", LOG_STR("addr", settings->listen_addr),
			LOG_INT("port", settings->port),
			LOG_STR("reason", strerrordesc_np(errno)));
	else
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
		err = listen_on(server);
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
	return server->env.token && server->env.metrics ? start_daemon(server)
							: ERR_NOMEM;
}

enum err server_create(const struct server_setup *setup, struct server **ret_server)
{
	struct server *server = calloc(1, sizeof *server);
	if (!server)
		return ERR_NOMEM;
	check_routes(setup);
	server->settings = *setup->settings;
	server->listen_fd = -1;
	server->ready = setup->ready;
	server->env.app = setup->app;
	server->env.quiet = setup->quiet;
	server->env.stall_timeout_ms = setup->settings->stall_timeout_ms;
	server->env.inflight = &server->inflight;
	server->env.rules = (struct request_rules){
		.routes = setup->routes,
		.routes_count = setup->routes_count,
		.max_body_bytes = (size_t)setup->settings->max_body_bytes,
		.max_import_bytes = (size_t)setup->settings->max_import_bytes,
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
	return MHD_get_version();
}

unsigned server_port(const struct server *server)
{
	return server->port;
}

/* libmicrohttpd leaves the socket open, and the kernel would go on to accept for
 * it. Closing it is not safe yet (MHD_quiesce_daemon), but a listening socket that
 * is shut down refuses. */
static void stop_accepting(struct server *server)
{
	MHD_quiesce_daemon(server->daemon);
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
	MHD_stop_daemon(server->daemon);
}

void server_destroy(struct server *server)
{
	if (!server)
		return;
	if (server->daemon)
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
	stats.connections = MHD_get_daemon_info(
		server->daemon, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
				    ->num_connections;
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
