#include "handlers/ops/requests_page.h"

#include <stdlib.h>
#include <string.h>

#include "handlers/ops/admin_context.h"
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
		err = server_visit_requests(admin_of(req)->watched, list_one, &listing);
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
	unsigned count = server_cancel_request(admin_of(req)->watched, id);
	if (count == 0)
		return problem(res, ERR_NOT_FOUND, "No request with this id is running.");
	res->status = 202;
	snprintf(text, sizeof text, "{\"cancelled\":%u}", count);
	return response_write(res, span_of(text));
}
