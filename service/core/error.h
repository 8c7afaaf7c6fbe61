#ifndef HANGUP_SERVICE_CORE_ERROR_H
#define HANGUP_SERVICE_CORE_ERROR_H

/*
 * The one error type. Functions return it, the edge renders it: what a client, the log and
 * the metrics see of an error stands in one table in error.c. A function that returns
 * anything but ERR_OK has left its outputs untouched.
 *
 * A new error is a line below and one in the table; unit/error fails without the second.
 */
#include "service/core/cancel.h"

enum err {
	ERR_OK,

	/* What the client sent. */
	ERR_NOT_JSON,       /* the body is not the JSON it claims to be */
	ERR_BAD_REQUEST,    /* a parameter or header has a bad value */
	ERR_MISDIRECTED,    /* it names a host that is not this one */
	ERR_NOT_FOUND,      /* no such path, or nothing at it */
	ERR_METHOD,         /* the path is there, for other methods */
	ERR_NOT_ACCEPTABLE, /* none of the media types it wants can be had */
	ERR_IN_FLIGHT,      /* its idempotency key is being worked on */
	ERR_CONFLICT,       /* a constraint of the database says no */
	ERR_PRECONDITION,   /* If-Match names another version */
	ERR_TOO_LARGE,      /* a body, line or element above its limit */
	ERR_MEDIA_TYPE,     /* the body is of a type that is not taken */
	ERR_INVALID,        /* well-formed, breaks a rule */
	ERR_KEY_REUSED,     /* idempotency key with another request */

	/* Why the work was stopped: one for each cancellation cause. */
	ERR_CLIENT_GONE, /* nobody is left to answer */
	ERR_DEADLINE,
	ERR_SHUTDOWN,
	ERR_OPERATOR,

	/* What the service lacked. */
	ERR_BUSY,       /* a limit was reached; try again later */
	ERR_DISK_FULL,  /* more cannot be stored: see err_of_errno() in os.h */
	ERR_NOMEM,      /* memory */
	ERR_IO,         /* the disk, the network or the system failed */
	ERR_READ_ONLY,  /* the database's file, or its folder, may not be written */
	ERR_CORRUPT,    /* the database file is damaged */
	ERR_INTERNAL,   /* our own fault */
	ERR_WOULD_WAIT, /* nobody sees it: the work must go on where it may wait */

	ERR_COUNT,
};

/* What is seen of an error. All texts are static, and stable: programs read name and type.
 * The HTTP status and the words stand here, in a room that knows nothing of HTTP, because
 * to this room they are data; what is made of them is in service/http/problem.c. */
struct err_info {
	const char *name;   /* "not_found": for logs and metrics */
	unsigned status;    /* of HTTP: 400 to 599; ERR_OK 200 */
	const char *type;   /* "/problems/not-found": RFC 9457, 3.1.1 */
	const char *title;  /* for people; the same for each occurrence of type */
	const char *detail; /* a sentence for when whoever raised it said nothing */
	bool retry;         /* the same request may succeed in a second */
};

const struct err_info *err_info(enum err err);

/* The same as err_info(err)->name. */
const char *err_name(enum err err);

/* The error that a cancelled piece of work returns: ERR_OK for CANCEL_NONE. */
enum err err_of_cause(enum cancel_cause cause);

/* Whether err is one of the four that a cancelled token gives. */
bool err_is_cancelled(enum err err);

/* err_of_cause(cancel_cause(token)); ERR_OK for NULL. */
enum err err_of_token(const struct cancel *token);

#endif
