#ifndef HANGUP_SERVICE_HTTP_REQUEST_H
#define HANGUP_SERVICE_HTTP_REQUEST_H

/*
 * A request as its handler sees it: a copy of its own, so that nothing of it
 * goes away when the connection does. It belongs to the thread that runs the
 * handler, until the handler returns; so does every span it hands out.
 */
#include <sys/queue.h>

#include "service/core/cancel.h"
#include "service/http/json.h"
#include "service/http/router.h"

enum { REQUEST_ID_SIZE = 129, TRACE_ID_SIZE = 33 };

enum request_field_kind { REQUEST_HEADER, REQUEST_QUERY };

/* A header field or a query parameter; texts live in request::text. */
struct request_field {
	enum request_field_kind kind;
	struct span name;
	struct span value;
};

/* Whether app can do its work; if not, *ret_reason is a literal that says why. Blocks, but
 * not once token has fired. */
typedef enum err readiness_fn(void *app, struct cancel *token, const char **ret_reason);

struct request {
	struct cancel *cancel; /* fires when nobody wants the answer any more */
	void *app;             /* what the server was given */
	readiness_fn *ready;   /* what it was given to ask app; NULL for nothing */
	const char *method;
	const char *path; /* percent-decoded */
	const struct route *route;
	struct span body;        /* BODY_BUFFERED: all of it; empty otherwise */
	struct stream *incoming; /* BODY_STREAMED: see request_read(); else NULL */
	bool draining;           /* the service was shutting down when it began */

	char id[REQUEST_ID_SIZE];     /* X-Request-Id, the client's or made here */
	char trace_id[TRACE_ID_SIZE]; /* of traceparent; empty without one */

	/* For the functions below and the server. */
	struct route_match match;
	bool ambiguous_path;          /* an encoded slash or NUL was in it */
	struct request_field *fields; /* owned */
	unsigned fields_count;
	unsigned fields_max;
	char *text; /* owned: what fields, method and path point into */
	SLIST_HEAD(, request_text) more_texts; /* owned; likewise */
	size_t text_used;
	size_t text_size;
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

/* Reads on in a body that is streamed: at least a byte; *ret_len is 0 at its end.
 * Blocks until the client sends, or the token fires. ERR_TOO_LARGE past the
 * route's limit. */
enum err request_read(
	const struct request *req, char *buffer, size_t size, size_t *ret_len);

/* json_parse() of the body, see json.h. */
enum err request_json(const struct request *req, struct response *res, json_t **ret_json);

/*
 * Making one: the server's, before the handler runs.
 */

/* Makes room for count fields and text_size bytes of their names and values. */
enum err request_reserve(struct request *req, unsigned count, size_t text_size);

/* Copies a text, NUL-terminated, or a field into the room made. */
const char *request_keep(struct request *req, struct span text);
void request_add_field(struct request *req, enum request_field_kind kind,
	struct span name, struct span value);

/* Memory of size bytes that lives as long as the request, for a text that was made of
 * others. NULL when there is none. */
char *request_keep_more(struct request *req, size_t size);

/* How often a header field of that name is there. */
unsigned request_header_count(const struct request *req, const char *name);

void request_finish(struct request *req); /* safe on a zeroed one */

#endif
