#include "service/core/error.h"

static const struct err_info infos[ERR_COUNT] = {
	[ERR_OK] = { "ok", 200, "", "", "", false },
	[ERR_NOT_JSON] = { "not_json", 400, "/problems/not-json", "Not JSON",
		"The body is not valid JSON.", false },
	[ERR_BAD_REQUEST] = { "bad_request", 400, "/problems/bad-request", "Bad request",
		"The request cannot be understood.", false },
	[ERR_MISDIRECTED] = { "misdirected", 421, "/problems/misdirected",
		"Misdirected request", "This is not the host that the request names.",
		false },
	[ERR_NOT_FOUND] = { "not_found", 404, "/problems/not-found", "No such resource",
		"There is nothing at this address.", false },
	[ERR_METHOD] = { "method_not_allowed", 405, "/problems/method-not-allowed",
		"Method not allowed",
		"The Allow header names the methods of this resource.", false },
	[ERR_NOT_ACCEPTABLE] = { "not_acceptable", 406, "/problems/not-acceptable",
		"Not acceptable",
		"None of the media types in the Accept header can be had.", false },
	[ERR_IN_FLIGHT] = { "in_flight", 409, "/problems/in-flight", "Request in flight",
		"A request with this idempotency key is being worked on.", true },
	[ERR_CONFLICT] = { "conflict", 409, "/problems/conflict", "Conflict",
		"The change conflicts with what is stored.", false },
	[ERR_PRECONDITION] = { "precondition", 412, "/problems/precondition-failed",
		"Precondition failed",
		"The resource is not at the version that the request names.", false },
	[ERR_TOO_LARGE] = { "too_large", 413, "/problems/too-large", "Body too large",
		"The body is larger than this resource takes.", false },
	[ERR_MEDIA_TYPE] = { "media_type", 415, "/problems/unsupported-media-type",
		"Unsupported media type",
		"The Content-Type is not one that this resource takes.", false },
	[ERR_INVALID] = { "validation", 422, "/problems/validation", "Validation failed",
		"The body breaks the rules of this resource.", false },
	[ERR_KEY_REUSED] = { "key_reused", 422, "/problems/idempotency-key-reused",
		"Idempotency key reused",
		"This idempotency key was used with another request.", false },
	[ERR_CLIENT_GONE] = { "client_gone", 499, "/problems/client-gone", "Client left",
		"The client left before the answer was ready.", false },
	[ERR_DEADLINE] = { "deadline", 504, "/problems/deadline", "Ran out of time",
		"The request did not finish before its deadline.", false },
	[ERR_SHUTDOWN] = { "shutdown", 503, "/problems/shutdown", "Shutting down",
		"The service is shutting down.", true },
	[ERR_OPERATOR] = { "operator", 503, "/problems/cancelled", "Cancelled",
		"An operator cancelled the request.", false },
	[ERR_BUSY] = { "busy", 503, "/problems/busy", "Busy",
		"The service has as much work as it takes on. Try again later.", true },
	[ERR_DISK_FULL] = { "disk_full", 507, "/problems/disk-full", "Disk full",
		"There is no space left to store this.", false },
	[ERR_NOMEM] = { "no_memory", 503, "/problems/no-memory", "Out of memory",
		"The service is short of memory. Try again later.", true },
	[ERR_IO] = { "io", 500, "/problems/storage", "Storage failed",
		"The service could not read or write its data.", false },
	[ERR_READ_ONLY] = { "read_only", 500, "/problems/storage", "Storage failed",
		"The service could not read or write its data.", false },
	[ERR_CORRUPT] = { "corrupt", 500, "/problems/storage", "Storage failed",
		"The service could not read or write its data.", false },
	[ERR_INTERNAL] = { "internal", 500, "/problems/internal", "Internal error",
		"The service failed to answer. This is its own fault.", false },
	[ERR_WOULD_WAIT] = { "would_wait", 503, "/problems/busy", "Busy",
		"The service has as much work as it takes on. Try again later.", true },
};

static const enum err of_cause[CANCEL_CAUSES] = {
	[CANCEL_NONE] = ERR_OK,
	[CANCEL_CLIENT_GONE] = ERR_CLIENT_GONE,
	[CANCEL_DEADLINE] = ERR_DEADLINE,
	[CANCEL_SHUTDOWN] = ERR_SHUTDOWN,
	[CANCEL_OPERATOR] = ERR_OPERATOR,
};

const struct err_info *err_info(enum err err)
{
	return &infos[err];
}

const char *err_name(enum err err)
{
	return infos[err].name;
}

enum err err_of_cause(enum cancel_cause cause)
{
	return of_cause[cause];
}

bool err_is_cancelled(enum err err)
{
	return err >= ERR_CLIENT_GONE && err <= ERR_OPERATOR;
}

enum err err_of_token(const struct cancel *token)
{
	return token ? err_of_cause(cancel_cause(token)) : ERR_OK;
}
