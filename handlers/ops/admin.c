#include "handlers/ops/admin.h"

#include <stdlib.h>
#include <string.h>

#include "service/http/problem.h"

/*
 * GET /requests
 */

/* A path holds whatever bytes the client sent; JSON is UTF-8. */
static json_t *any_text(const char *text)
{
	json_t *string = json_string(text);
	if (string)
		return string;
	char *copy = strdup(text);
	for (char *at = copy; at && *at; at++)
		if ((unsigned char)*at > 0x7e)
			*at = '?';
	string = json_string(copy);
	free(copy);
	return string;
}

static json_t *text_or_null(const char *text)
{
	return text && text[0] ? any_text(text) : json_null();
}

static int64_t whole_ms(int64_t ns)
{
	enum { NS_PER_MS = 1000000 };
	return ns > 0 ? ns / NS_PER_MS : 0;
}

static json_t *time_left(const struct request_view *view, instant now)
{
	if (view->deadline.ns == INSTANT_NEVER.ns)
		return json_null();
	return json_integer(whole_ms(instant_diff_ns(now, view->deadline)));
}

static json_t *describe(const struct request_view *view, instant now)
{
	const struct route *route = view->route;
	const char *lane = route ? lane_name(route->lane) : NULL;
	int64_t age_ms = whole_ms(instant_diff_ns(view->began, now));
	const struct {
		const char *name;
		json_t *value; /* NULL when there was no memory */
	} members[] = {
		{ "id", text_or_null(view->id) },
		{ "method", text_or_null(view->method) },
		{ "route", text_or_null(route ? route->path : NULL) },
		{ "path", text_or_null(view->path) },
		{ "state", text_or_null(view->state) },
		{ "lane", text_or_null(lane) },
		{ "client", text_or_null(view->client) },
		{ "age_ms", json_integer(age_ms) },
		{ "time_left_ms", time_left(view, now) },
		{ "waits_for", text_or_null(view->waits_for) },
		{ "rows", json_integer((json_int_t)view->rows) },
		{ "bytes", json_integer((json_int_t)view->bytes) },
	};
	json_t *json = json_object();
	bool whole = true;
	for (size_t i = 0; i < sizeof members / sizeof *members; i++)
		whole &= json_object_set_new(json, members[i].name, members[i].value) ==
			0;
	if (whole)
		return json;
	json_decref(json);
	return NULL;
}

struct listing {
	struct response *res;
	instant now;
	bool follows; /* another one comes before */
};

static enum err list_one(void *arg, const struct request_view *view)
{
	struct listing *listing = arg;
	json_t *json = describe(view, listing->now);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;
	enum err err = text ? ERR_OK : ERR_NOMEM;
	if (err == ERR_OK && listing->follows)
		err = response_write(listing->res, SPAN_LITERAL(","));
	if (err == ERR_OK)
		err = response_write(listing->res, span_of(text));
	listing->follows = true;
	free(text);
	json_decref(json);
	return err;
}

enum err admin_handle_list(struct request *req, struct response *res)
{
	struct listing listing = { .res = res, .now = instant_now() };
	enum err err = response_write(res, SPAN_LITERAL("{\"requests\":["));
	if (err == ERR_OK)
		err = server_visit_requests(app_of(req)->server, list_one, &listing);
	return err == ERR_OK ? response_write(res, SPAN_LITERAL("]}")) : err;
}

/*
 * DELETE /requests/{id}
 */

/* Clients choose the ids, and two may have chosen the same: all of them are cancelled,
 * and the answer says how many. */
enum err admin_handle_cancel(struct request *req, struct response *res)
{
	char id[REQUEST_ID_SIZE];
	char text[64];
	struct span param = request_param(req, "id");
	if (param.len >= sizeof id)
		return ERR_NOT_FOUND;
	memcpy(id, param.data, param.len);
	id[param.len] = '\0';
	unsigned count = server_cancel_request(app_of(req)->server, id);
	if (count == 0)
		return problem(res, ERR_NOT_FOUND, "No request with this id is running.");
	res->status = 202;
	snprintf(text, sizeof text, "{\"cancelled\":%u}", count);
	return response_write(res, span_of(text));
}

/*
 * The listener.
 */

struct http_settings admin_http_settings(const struct config *config)
{
	enum { CONNECTIONS = 32, BODY_BYTES = 4096, TIMEOUT_MS = 10000 };
	struct http_settings http = config->http;
	memcpy(http.listen_addr, config->admin.addr, sizeof http.listen_addr);
	http.port = config->admin.port;
	http.max_connections = CONNECTIONS;
	http.max_connections_per_address = 0;
	http.max_body_bytes = BODY_BYTES;
	http.request_timeout_ms = TIMEOUT_MS;
	http.http_threads = 1;
	http.short_threads = http.short_running = 1; /* no route is on a lane */
	http.long_threads = http.long_running = 1;
	return http;
}

enum err admin_create(struct app *app, struct server **ret_server)
{
	struct http_settings http = admin_http_settings(&app->config);
	const struct server_setup setup = { .settings = &http,
		.routes = admin_routes,
		.routes_count = admin_routes_count,
		.app = app,
		.quiet = true };
	if (http.port != 0)
		return server_create(&setup, ret_server);
	*ret_server = NULL;
	return ERR_OK;
}
