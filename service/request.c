#include "service/request.h"

#include <assert.h>
#include <microhttpd.h>

#include "service/media.h"
#include "service/problem.h"

struct span request_param(const struct request *req, const char *name)
{
	for (unsigned i = 0; i < req->match.params_count; i++)
		if (span_is(req->match.params[i].name, name))
			return req->match.params[i].value;
	assert(!"the route has this parameter");
	return (struct span){ 0 };
}

struct query_search {
	const char *name;
	struct span value;
	unsigned found;
};

static enum MHD_Result look_at_query(void *arg, enum MHD_ValueKind kind, const char *key,
	size_t key_len, const char *value, size_t value_len)
{
	struct query_search *search = arg;
	(void)kind;
	if (span_is((struct span){ key, key_len }, search->name)) {
		search->value = value ? (struct span){ value, value_len } : SPAN_LITERAL("");
		search->found++;
	}
	return MHD_YES;
}

enum err request_query(const struct request *req, const char *name, struct span *ret)
{
	struct query_search search = { .name = name };
	MHD_get_connection_values_n(req->connection, MHD_GET_ARGUMENT_KIND, look_at_query,
		&search);
	if (search.found > 1)
		return ERR_BAD_REQUEST;
	if (search.value.len > 0 && memchr(search.value.data, '\0', search.value.len))
		return ERR_BAD_REQUEST;
	*ret = search.value;
	return ERR_OK;
}

struct span request_header(const struct request *req, const char *name)
{
	struct span value = { 0 };
	MHD_lookup_connection_value_n(req->connection, MHD_HEADER_KIND, name, strlen(name),
		&value.data, &value.len);
	return value;
}

int request_accepts(const struct request *req, const char *type)
{
	return media_quality(request_header(req, "Accept"), type);
}

static bool is_deeper(const json_t *json, int levels)
{
	const char *key;
	json_t *child;
	size_t index;
	if (!json_is_object(json) && !json_is_array(json))
		return false;
	if (levels == 0)
		return true;
	json_object_foreach ((json_t *)json, key, child)
		if (is_deeper(child, levels - 1))
			return true;
	json_array_foreach (json, index, child)
		if (is_deeper(child, levels - 1))
			return true;
	return false;
}

static enum err parse_failed(const json_error_t *error, struct response *res)
{
	switch (json_error_code(error)) {
	case json_error_out_of_memory:
		return ERR_NOMEM;
	case json_error_numeric_overflow:
		return problem(res, ERR_INVALID, "Line %d, column %d: the number is out of range.",
			error->line, error->column);
	default:
		return problem(res, ERR_NOT_JSON, "Line %d, column %d: %s.", error->line,
			error->column, error->text);
	}
}

enum err json_parse(struct span text, struct response *res, json_t **ret_json)
{
	json_error_t error;
	json_t *json = json_loadb(text.data ? text.data : "", text.len,
		JSON_REJECT_DUPLICATES | JSON_DECODE_ANY, &error);
	if (!json)
		return parse_failed(&error, res);
	if (is_deeper(json, JSON_DEPTH_MAX)) {
		json_decref(json);
		return problem(res, ERR_NOT_JSON, "The body nests deeper than %d levels.",
			JSON_DEPTH_MAX);
	}
	*ret_json = json;
	return ERR_OK;
}

enum err request_json(const struct request *req, struct response *res, json_t **ret_json)
{
	return json_parse(req->body, res, ret_json);
}
