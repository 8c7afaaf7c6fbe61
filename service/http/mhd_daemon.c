#include "service/http/mhd_daemon.h"

#include <errno.h>
#include <microhttpd.h>
#include <string.h>
#include <strings.h>

#include "service/core/log.h"
#include "service/http/client.h"
#include "service/http/exchange_body.h"
#include "service/http/exchange_events.h"
#include "service/http/inflight.h"

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

static struct client *client_of(struct MHD_Connection *connection)
{
	return *(struct client **)MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
}

/* A client that cannot be watched is not served: its requests would outlive it. */
static void client_started(
	struct mhd_daemon *daemon, struct MHD_Connection *connection, void **context)
{
	struct client *client = NULL;
	int fd = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD)
			 ->connect_fd;
	const struct sockaddr *address = MHD_get_connection_info(
		connection, MHD_CONNECTION_INFO_CLIENT_ADDRESS)
						 ->client_addr;
	enum err err = client_create(daemon->watcher, fd, address, &client);
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
	struct mhd_daemon *daemon = arg;
	struct client *client = client_of(connection);
	struct exchange *exchange = client
		? exchange_create(daemon->env, client, connection)
		: NULL;
	if (exchange)
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

static enum exchange_next begin_exchange(struct exchange *exchange,
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
	struct mhd_daemon *daemon, struct MHD_Connection *connection, unsigned more)
{
	MHD_set_connection_option(
		connection, MHD_CONNECTION_OPTION_TIMEOUT, daemon->idle_timeout_s + more);
}

static bool may_half_close(const struct exchange *exchange)
{
	const struct route *route = exchange->req.route;
	return route && route->half_close_ok;
}

/* No answer follows this one when the client has sent FIN, when nobody can tell what
 * of the bytes that follow is a request (RFC 9112, 6.1 and 6.3), or when the service
 * drains. */
static enum MHD_Result send_answer(
	struct exchange *exchange, struct MHD_Connection *connection)
{
	if (exchange->expected.is_last || inflight_is_draining(exchange->env->inflight) ||
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
		next = begin_exchange(exchange, connection, path, method, version);
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
static enum cancel_cause cause_of_termination(enum MHD_RequestTerminationCode how)
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
	exchange_closed(exchange, cause_of_termination(how));
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

enum err mhd_daemon_start(
	struct mhd_daemon *daemon, const struct http_settings *settings, int listen_fd)
{
	unsigned threads = (unsigned)settings->http_threads;
	daemon->idle_timeout_s = seconds_of(settings->idle_timeout_ms);
	struct MHD_OptionItem options[] = {
		{ MHD_OPTION_LISTEN_SOCKET, listen_fd, NULL },
		{ MHD_OPTION_CONNECTION_LIMIT, settings->max_connections, NULL },
		{ MHD_OPTION_PER_IP_CONNECTION_LIMIT,
			settings->max_connections_per_address, NULL },
		{ MHD_OPTION_CONNECTION_TIMEOUT, daemon->idle_timeout_s, NULL },
		{ MHD_OPTION_CONNECTION_MEMORY_LIMIT,
			(intptr_t)connection_memory(settings), NULL },
		/* A pool of one is a thread more than none. */
		{ threads > 1 ? MHD_OPTION_THREAD_POOL_SIZE : MHD_OPTION_END, threads,
			NULL },
		{ MHD_OPTION_END, 0, NULL },
	};
	daemon->mhd = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD |
			MHD_ALLOW_SUSPEND_RESUME | MHD_USE_ERROR_LOG,
		0, NULL, NULL, on_request, daemon, MHD_OPTION_EXTERNAL_LOGGER,
		log_library, NULL, MHD_OPTION_NOTIFY_CONNECTION, notify_connection,
		daemon, MHD_OPTION_URI_LOG_CALLBACK, request_line, daemon,
		MHD_OPTION_NOTIFY_COMPLETED, request_completed, daemon, MHD_OPTION_ARRAY,
		options, MHD_OPTION_END);
	if (daemon->mhd)
		return ERR_OK;
	log_error(
		"cannot start libmicrohttpd", LOG_STR("reason", strerrordesc_np(errno)));
	return ERR_IO;
}

/* libmicrohttpd leaves the socket open, and the kernel would go on to accept for
 * it. Closing it is not safe yet (MHD_quiesce_daemon): the caller shuts it down. */
void mhd_daemon_quiesce(struct mhd_daemon *daemon)
{
	MHD_quiesce_daemon(daemon->mhd);
}

void mhd_daemon_stop(struct mhd_daemon *daemon)
{
	MHD_stop_daemon(daemon->mhd);
}

unsigned mhd_daemon_connections(const struct mhd_daemon *daemon)
{
	return MHD_get_daemon_info(daemon->mhd, MHD_DAEMON_INFO_CURRENT_CONNECTIONS)
		->num_connections;
}

const char *mhd_daemon_version(void)
{
	return MHD_get_version();
}
