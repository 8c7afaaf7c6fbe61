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

/* Where the header field of that name is; headers_count when it is not. */
static unsigned header_index(const struct response *res, const char *name)
{
	unsigned i = 0;
	while (i < res->headers_count && strcasecmp(res->headers[i].name, name) != 0)
		i++;
	return i;
}

const char *response_find_header(const struct response *res, const char *name)
{
	unsigned index = header_index(res, name);
	return index < res->headers_count ? res->headers[index].value : NULL;
}

enum err response_header(struct response *res, const char *name, const char *value)
{
	unsigned index = header_index(res, name);
	if (index == RESPONSE_HEADERS_MAX || strpbrk(value, "\r\n"))
		return ERR_INTERNAL;
	char *copy = strdup(value);
	if (!copy)
		return ERR_NOMEM;
	if (index == res->headers_count)
		res->headers_count++;
	else
		free(res->headers[index].value);
	res->headers[index] = (struct response_header){ .name = name, .value = copy };
	return ERR_OK;
}

static bool is_among(const char *const names[], const char *name)
{
	while (*names && strcasecmp(*names, name) != 0)
		names++;
	return *names != NULL;
}

void response_drop_headers(struct response *res, const char *const names[])
{
	unsigned kept = 0;
	for (unsigned i = 0; i < res->headers_count; i++)
		if (!is_among(names, res->headers[i].name))
			res->headers[kept++] = res->headers[i];
		else
			free(res->headers[i].value);
	res->headers_count = kept;
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
