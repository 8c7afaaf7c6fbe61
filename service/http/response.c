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
	buffer_finish(&res->body);
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
	buffer_clear(&res->body);
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
	return buffer_reserve(&res->body, size);
}

enum err response_write(struct response *res, struct span data)
{
	enum { FLUSH_AT = 32 * 1024 };
	enum err err = buffer_append(&res->body, data);
	if (err == ERR_OK && res->sink && res->body.len >= FLUSH_AT)
		return res->sink->flush(res->sink, res);
	return err;
}
