#ifndef HANGUP_SERVICE_REQUEST_H
#define HANGUP_SERVICE_REQUEST_H

/*
 * A request as its handler sees it. It belongs to the thread that runs the
 * handler, until the handler returns; so does every span it hands out.
 */
#include <jansson.h>

#include "service/cancel.h"
#include "service/router.h"

enum { REQUEST_ID_SIZE = 129, TRACE_ID_SIZE = 33 };

struct request {
	struct cancel *cancel; /* fires when nobody wants the answer any more */
	void *app;             /* what the server was given */
	const char *method;
	const char *path;      /* percent-decoded */
	const struct route *route;
	struct span body;      /* BODY_BUFFERED: all of it; empty otherwise */
	bool draining;         /* the service was shutting down when it began */

	char id[REQUEST_ID_SIZE];     /* X-Request-Id, the client's or made here */
	char trace_id[TRACE_ID_SIZE]; /* of traceparent; empty without one */

	/* The server's own. */
	struct route_match match;
	struct MHD_Connection *connection;
};

/* The value of {name} in the route's path. The route must have it. */
struct span request_param(const struct request *req, const char *name);

/* The query parameter name, percent-decoded: without data when it is absent,
 * empty when it has no value. ERR_BAD_REQUEST when it is there twice, or holds
 * a NUL. */
enum err request_query(const struct request *req, const char *name, struct span *ret);

/* The first header field of that name (case does not matter); without data
 * when there is none. */
struct span request_header(const struct request *req, const char *name);

/* How much the client wants the media type, in thousandths: 0 is not at all. For
 * handlers that offer several; the server has checked that one will do. */
int request_accepts(const struct request *req, const char *type);

/* Parses text as JSON with the service's limits: no duplicate keys, no NUL, valid
 * UTF-8, JSON_DEPTH_MAX levels. The caller gets a reference. ERR_NOT_JSON or, for a
 * number out of range, ERR_INVALID, with the place named in res; ERR_NOMEM. */
enum err json_parse(struct span text, struct response *res, json_t **ret_json);

/* json_parse() of the body. */
enum err request_json(const struct request *req, struct response *res, json_t **ret_json);

enum { JSON_DEPTH_MAX = 32 };

#endif
