#include "service/core/error.h"

static const char *const names[ERR_COUNT] = {
	[ERR_OK] = "ok",
	[ERR_NOT_JSON] = "not_json",
	[ERR_BAD_REQUEST] = "bad_request",
	[ERR_NOT_FOUND] = "not_found",
	[ERR_METHOD] = "method_not_allowed",
	[ERR_NOT_ACCEPTABLE] = "not_acceptable",
	[ERR_IN_FLIGHT] = "in_flight",
	[ERR_CONFLICT] = "conflict",
	[ERR_PRECONDITION] = "precondition",
	[ERR_TOO_LARGE] = "too_large",
	[ERR_MEDIA_TYPE] = "media_type",
	[ERR_INVALID] = "validation",
	[ERR_KEY_REUSED] = "key_reused",
	[ERR_TOO_MANY] = "too_many",
	[ERR_CLIENT_GONE] = "client_gone",
	[ERR_DEADLINE] = "deadline",
	[ERR_SHUTDOWN] = "shutdown",
	[ERR_OPERATOR] = "operator",
	[ERR_BUSY] = "busy",
	[ERR_DISK_FULL] = "disk_full",
	[ERR_NOMEM] = "no_memory",
	[ERR_IO] = "io",
	[ERR_CORRUPT] = "corrupt",
	[ERR_INTERNAL] = "internal",
	[ERR_WOULD_WAIT] = "would_wait",
};

static const enum err of_cause[CANCEL_CAUSES] = {
	[CANCEL_NONE] = ERR_OK,
	[CANCEL_CLIENT_GONE] = ERR_CLIENT_GONE,
	[CANCEL_DEADLINE] = ERR_DEADLINE,
	[CANCEL_SHUTDOWN] = ERR_SHUTDOWN,
	[CANCEL_OPERATOR] = ERR_OPERATOR,
};

const char *err_name(enum err err)
{
	return names[err];
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
