#include "service/http/problem.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct problem_kind {
	unsigned status;
	const char *type;
	const char *title;
	const char *detail; /* when the handler said nothing */
	bool retry;         /* the same request may succeed in a second */
};

static const struct problem_kind kinds[ERR_COUNT] = {
	[ERR_OK] = { 200, "", "", "", false },
	[ERR_NOT_JSON] = { 400, "/problems/not-json", "Not JSON",
		"The body is not valid JSON.", false },
	[ERR_BAD_REQUEST] = { 400, "/problems/bad-request", "Bad request",
		"The request cannot be understood.", false },
	[ERR_NOT_FOUND] = { 404, "/problems/not-found", "No such resource",
		"There is nothing at this address.", false },
	[ERR_METHOD] = { 405, "/problems/method-not-allowed", "Method not allowed",
		"The Allow header names the methods of this resource.", false },
	[ERR_NOT_ACCEPTABLE] = { 406, "/problems/not-acceptable", "Not acceptable",
		"None of the media types in the Accept header can be had.", false },
	[ERR_IN_FLIGHT] = { 409, "/problems/in-flight", "Request in flight",
		"A request with this idempotency key is being worked on.", true },
	[ERR_CONFLICT] = { 409, "/problems/conflict", "Conflict",
		"The change conflicts with what is stored.", false },
	[ERR_PRECONDITION] = { 412, "/problems/precondition-failed",
		"Precondition failed",
		"The resource is not at the version that the request names.", false },
	[ERR_TOO_LARGE] = { 413, "/problems/too-large", "Body too large",
		"The body is larger than this resource takes.", false },
	[ERR_MEDIA_TYPE] = { 415, "/problems/unsupported-media-type",
		"Unsupported media type",
		"The Content-Type is not one that this resource takes.", false },
	[ERR_INVALID] = { 422, "/problems/validation", "Validation failed",
		"The body breaks the rules of this resource.", false },
	[ERR_KEY_REUSED] = { 422, "/problems/idempotency-key-reused",
		"Idempotency key reused",
		"This idempotency key was used with another request.", false },
	[ERR_TOO_MANY] = { 429, "/problems/too-many-requests", "Too many requests",
		"Slow down.", true },
	[ERR_CLIENT_GONE] = { 499, "/problems/client-gone", "Client left",
		"The client left before the answer was ready.", false },
	[ERR_DEADLINE] = { 504, "/problems/deadline", "Ran out of time",
		"The request did not finish before its deadline.", false },
	[ERR_SHUTDOWN] = { 503, "/problems/shutdown", "Shutting down",
		"The service is shutting down.", true },
	[ERR_OPERATOR] = { 503, "/problems/cancelled", "Cancelled",
		"An operator cancelled the request.", false },
	[ERR_BUSY] = { 503, "/problems/busy", "Busy",
		"The service has as much work as it takes on. Try again later.", true },
	[ERR_DISK_FULL] = { 507, "/problems/disk-full", "Disk full",
		"There is no space left to store this.", false },
	[ERR_NOMEM] = { 503, "/problems/no-memory", "Out of memory",
		"The service is short of memory. Try again later.", true },
	[ERR_IO] = { 500, "/problems/storage", "Storage failed",
		"The service could not read or write its data.", false },
	[ERR_CORRUPT] = { 500, "/problems/storage", "Storage failed",
		"The service could not read or write its data.", false },
	[ERR_INTERNAL] = { 500, "/problems/internal", "Internal error",
		"The service failed to answer. This is its own fault.", false },
	[ERR_WOULD_WAIT] = { 503, "/problems/busy", "Busy",
		"The service has as much work as it takes on. Try again later.", true },
};

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
	return kinds[err].status;
}

static json_t *document(const struct response *res, const struct problem_kind *kind)
{
	const char *detail = res->detail[0] ? res->detail : kind->detail;
	json_t *doc = json_pack("{ss, ss, si, ss}", "type", kind->type, "title",
		kind->title, "status", (int)kind->status, "detail", detail);
	if (res->instance && res->instance[0])
		json_object_set_new(doc, "instance", json_string(res->instance));
	if (res->fields && kind->status == 422)
		json_object_set(doc, "errors", res->fields);
	return doc;
}

void problem_render(struct response *res, enum err err)
{
	const struct problem_kind *kind = &kinds[err];
	/* A 405 says what is allowed, a 406 what the answer depends on. */
	response_keep_headers(res, (const char *const[]){ "Allow", "Vary", NULL });
	res->status = kind->status;
	buffer_clear(&res->body);
	response_header(res, "Content-Type", "application/problem+json");
	if (kind->retry)
		response_header(res, "Retry-After", "1");
	json_t *doc = document(res, kind);
	char *text = json_dumps(doc, JSON_COMPACT | JSON_PRESERVE_ORDER);
	json_decref(doc);
	if (text)
		response_write(res, span_of(text));
	free(text);
}
