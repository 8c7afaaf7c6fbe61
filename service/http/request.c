#include "service/http/request.h"

#include <assert.h>
#include <stdlib.h>
#include <strings.h>

#include "service/core/stream.h"
#include "service/http/media.h"

struct span request_param(const struct request *req, const char *name)
{
	for (unsigned i = 0; i < req->match.params_count; i++)
		if (span_is(req->match.params[i].name, name))
			return req->match.params[i].value;
	assert(!"the route has this parameter");
	return (struct span){ 0 };
}

static const struct request_field *find_field(const struct request *req,
	enum request_field_kind kind, const char *name, unsigned *ret_found)
{
	const struct request_field *first = NULL;
	*ret_found = 0;
	for (unsigned i = 0; i < req->fields_count; i++) {
		const struct request_field *field = &req->fields[i];
		/* Names of header fields know no case, those of parameters do. */
		if (field->kind != kind ||
			(kind == REQUEST_HEADER ? strcasecmp : strcmp)(
				field->name.data, name))
			continue;
		first = first ? first : field;
		(*ret_found)++;
	}
	return first;
}

enum err request_query(const struct request *req, const char *name, struct span *ret)
{
	unsigned found;
	const struct request_field *field = find_field(req, REQUEST_QUERY, name, &found);
	if (found > 1)
		return ERR_BAD_REQUEST;
	if (field && memchr(field->value.data, '\0', field->value.len))
		return ERR_BAD_REQUEST;
	*ret = field ? field->value : (struct span){ 0 };
	return ERR_OK;
}

struct span request_header(const struct request *req, const char *name)
{
	unsigned found;
	const struct request_field *field = find_field(req, REQUEST_HEADER, name, &found);
	return field ? field->value : (struct span){ 0 };
}

unsigned request_header_count(const struct request *req, const char *name)
{
	unsigned found;
	find_field(req, REQUEST_HEADER, name, &found);
	return found;
}

int request_accepts(const struct request *req, const char *type)
{
	return media_quality(request_header(req, "Accept"), type);
}

enum err request_read(
	const struct request *req, char *buffer, size_t size, size_t *ret_len)
{
	return stream_read(req->incoming, buffer, size, ret_len);
}

enum err request_json(const struct request *req, struct response *res, json_t **ret_json)
{
	return json_parse(req->body, res, ret_json);
}

enum err request_reserve(struct request *req, unsigned count, size_t text_size)
{
	/* Each kept text gets a NUL; a field keeps two. */
	enum { OTHER_TEXTS = 4 };
	req->text_size = text_size + 2 * (size_t)count + OTHER_TEXTS;
	req->fields_max = count;
	req->fields = calloc(count ? count : 1, sizeof *req->fields);
	req->text = malloc(req->text_size);
	return req->fields && req->text ? ERR_OK : ERR_NOMEM;
}

const char *request_keep(struct request *req, struct span text)
{
	assert(req->text_used + text.len < req->text_size);
	char *kept = req->text + req->text_used;
	if (text.len > 0)
		memcpy(kept, text.data, text.len);
	kept[text.len] = '\0';
	req->text_used += text.len + 1;
	return kept;
}

void request_add_field(struct request *req, enum request_field_kind kind,
	struct span name, struct span value)
{
	assert(req->fields_count < req->fields_max);
	req->fields[req->fields_count++] = (struct request_field){
		.kind = kind,
		.name = { request_keep(req, name), name.len },
		.value = { request_keep(req, value), value.len },
	};
}

struct request_text {
	SLIST_ENTRY(request_text) link; /* request::more_texts */
	char text[];
};

char *request_keep_more(struct request *req, size_t size)
{
	struct request_text *more = malloc(sizeof *more + size);
	if (!more)
		return NULL;
	SLIST_INSERT_HEAD(&req->more_texts, more, link);
	return more->text;
}

static void free_more_texts(struct request *req)
{
	struct request_text *more;
	while ((more = SLIST_FIRST(&req->more_texts))) {
		SLIST_REMOVE_HEAD(&req->more_texts, link);
		free(more);
	}
}

void request_finish(struct request *req)
{
	free_more_texts(req);
	free(req->fields);
	free(req->text);
	*req = (struct request){ 0 };
}
