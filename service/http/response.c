#include "service/http/response.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

void response_init(struct response *res)
{
	*res = (struct response){ .status = 200 };
}

static void drop_headers(struct response *res)
{
	for (unsigned i = 0; i < res->headers_count; i++)
		free(res->headers[i].value);
	res->headers_count = 0;
}

void response_finish(struct response *res)
{
	drop_headers(res);
	free(res->body);
	json_decref(res->fields);
	*res = (struct response){ 0 };
}

void response_reset(struct response *res)
{
	drop_headers(res);
	json_decref(res->fields);
	res->fields = NULL;
	res->detail[0] = '\0';
	res->status = 200;
	res->body_len = 0;
}

static struct response_header *header_slot(struct response *res, const char *name)
{
	for (unsigned i = 0; i < res->headers_count; i++)
		if (strcasecmp(res->headers[i].name, name) == 0)
			return &res->headers[i];
	if (res->headers_count == RESPONSE_HEADERS_MAX)
		return NULL;
	return &res->headers[res->headers_count];
}

enum err response_header(struct response *res, const char *name, const char *value)
{
	struct response_header *slot = header_slot(res, name);
	if (!slot || strpbrk(value, "\r\n"))
		return ERR_INTERNAL;
	char *copy = strdup(value);
	if (!copy)
		return ERR_NOMEM;
	if (slot == &res->headers[res->headers_count])
		res->headers_count++;
	else
		free(slot->value);
	*slot = (struct response_header){ .name = name, .value = copy };
	return ERR_OK;
}

enum err response_reserve(struct response *res, size_t size)
{
	enum { SMALLEST = 512 };
	size_t needed = res->body_len + size;
	if (needed <= res->body_size)
		return ERR_OK;
	size_t grown = res->body_size ? 2 * res->body_size : SMALLEST;
	if (grown < needed)
		grown = needed;
	char *body = realloc(res->body, grown);
	if (!body)
		return ERR_NOMEM;
	res->body = body;
	res->body_size = grown;
	return ERR_OK;
}

enum err response_write(struct response *res, struct span data)
{
	enum { FLUSH_AT = 32 * 1024 };
	enum err err = response_reserve(res, data.len);
	if (err != ERR_OK || data.len == 0)
		return err;
	memcpy(res->body + res->body_len, data.data, data.len);
	res->body_len += data.len;
	if (res->sink && res->body_len >= FLUSH_AT)
		return res->sink->flush(res->sink, res);
	return ERR_OK;
}
