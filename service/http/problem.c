#include "service/http/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A detail may quote what the client sent, and may have been cut inside of a
 * character; JSON is UTF-8. */
static void replace_non_ascii(char *text)
{
	for (; *text; text++)
		if ((unsigned char)*text > 0x7e)
			*text = '?';
}

static bool is_utf8(const char *text)
{
	json_t *string = json_string(text);
	json_decref(string);
	return string != NULL;
}

enum err problem(struct response *res, enum err err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	vsnprintf(res->detail, sizeof res->detail, format, args);
	va_end(args);
	if (!is_utf8(res->detail))
		replace_non_ascii(res->detail);
	return err;
}

enum err problem_field(struct response *res, const char *pointer, const char *detail)
{
	if (!res->fields)
		res->fields = json_array();
	json_t *field = json_pack("{ss, ss}", "pointer", pointer, "detail", detail);
	return json_array_append_new(res->fields, field) == 0 ? ERR_INVALID : ERR_NOMEM;
}

enum err problem_fields(const struct response *res)
{
	return json_array_size(res->fields) > 0 ? ERR_INVALID : ERR_OK;
}

unsigned problem_status(enum err err)
{
	return err_info(err)->status;
}

static json_t *document(const struct response *res, const struct err_info *info)
{
	const char *detail = res->detail[0] ? res->detail : info->detail;
	json_t *doc = json_pack("{ss, ss, si, ss}", "type", info->type, "title",
		info->title, "status", (int)info->status, "detail", detail);
	if (res->instance && res->instance[0])
		json_object_set_new(doc, "instance", json_string(res->instance));
	if (res->fields && info->status == 422)
		json_object_set(doc, "errors", res->fields);
	return doc;
}

/* What was said of an answer that is not sent. All else that a handler has set stays: what
 * is allowed, how to come in, what the answer depends on. */
static const char *const of_representation[] = { "Cache-Control", "Content-Disposition",
	"Content-Encoding", "Content-Language", "Content-Location", "Content-Range",
	"Content-Type", "ETag", "Expires", "Idempotency-Replayed", "Last-Modified",
	"Link", "Location", NULL };

void problem_render(struct response *res, enum err err)
{
	const struct err_info *info = err_info(err);
	response_drop_headers(res, of_representation);
	res->status = info->status;
	buffer_clear(&res->body);
	response_header(res, "Content-Type", "application/problem+json");
	if (info->retry)
		response_header(res, "Retry-After", "1");
	json_t *doc = document(res, info);
	char *text = json_dumps(doc, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(doc);
	if (text)
		response_write(res, span_of(text));
	free(text);
}
