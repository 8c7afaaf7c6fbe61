#ifndef HANGUP_SERVICE_CORE_ERROR_H
#define HANGUP_SERVICE_CORE_ERROR_H

/*
 * The one error type. Functions return it, the edge renders it: problem.c
 * holds the HTTP status and title of each, the log line its name. A function
 * that returns anything but ERR_OK has left its outputs untouched.
 */
#include "service/core/cancel.h"

enum err {
	ERR_OK,

	/* What the client sent. */
	ERR_NOT_JSON,       /* 400: the body is not the JSON it claims to be */
	ERR_BAD_REQUEST,    /* 400: a parameter or header has a bad value */
	ERR_NOT_FOUND,      /* 404 */
	ERR_METHOD,         /* 405 */
	ERR_NOT_ACCEPTABLE, /* 406 */
	ERR_IN_FLIGHT,      /* 409: its idempotency key is being worked on */
	ERR_CONFLICT,       /* 409: a constraint of the database says no */
	ERR_PRECONDITION,   /* 412 */
	ERR_TOO_LARGE,      /* 413 */
	ERR_MEDIA_TYPE,     /* 415 */
	ERR_INVALID,        /* 422: well-formed, breaks a rule */
	ERR_KEY_REUSED,     /* 422: idempotency key with another request */
	ERR_TOO_MANY,       /* 429 */

	/* Why the work was stopped: one for each cancellation cause. */
	ERR_CLIENT_GONE, /* 499 in the log; nobody is left to answer */
	ERR_DEADLINE,    /* 504 */
	ERR_SHUTDOWN,    /* 503 */
	ERR_OPERATOR,    /* 503 */

	/* What the service lacked. */
	ERR_BUSY,       /* 503: a limit was reached; try again later */
	ERR_DISK_FULL,  /* 507 */
	ERR_NOMEM,      /* 503 */
	ERR_IO,         /* 500: the disk, the network or the system failed */
	ERR_CORRUPT,    /* 500: the database file is damaged */
	ERR_INTERNAL,   /* 500: our own fault */
	ERR_WOULD_WAIT, /* nobody sees it: the work must go on where it may wait */

	ERR_COUNT,
};

/* "not_found", "client_gone", ...: static, stable, for logs and metrics. */
const char *err_name(enum err err);

/* The error that a cancelled piece of work returns: ERR_OK for CANCEL_NONE. */
enum err err_of_cause(enum cancel_cause cause);

/* Whether err is one of the four that a cancelled token gives. */
bool err_is_cancelled(enum err err);

/* err_of_cause(cancel_cause(token)); ERR_OK for NULL. */
enum err err_of_token(const struct cancel *token);

#endif
