#ifndef HANGUP_SERVICE_HTTP_ROUTER_H
#define HANGUP_SERVICE_HTTP_ROUTER_H

/*
 * A service's routes are one table: what is answered, by which function, on
 * which lane, with what limits, and what a hang-up does to it. The table is
 * constant; the router only finds things in it.
 */
#include "service/core/error.h"
#include "service/core/span.h"

struct request;
struct response;

/* Answers a request. Blocking is fine, except on LANE_INLINE. Returns ERR_OK once
 * the response is complete; an error becomes a problem document, with what
 * problem() was told about it. */
typedef enum err handler_fn(struct request *req, struct response *res);

enum lane {
	LANE_SHORT, /* point reads and writes */
	LANE_LONG,  /* reports, imports, exports */
	LANE_COUNT,
	LANE_INLINE, /* in the network thread: must neither block nor compute for long */
};

/* "short", "long", "inline": static. */
const char *lane_name(enum lane lane);

enum body {
	BODY_NONE,     /* one that comes all the same is read and ignored */
	BODY_BUFFERED, /* all of it is in request::body before the handler runs */
	BODY_STREAMED, /* the handler runs while it arrives: request_read() */
};

enum answer {
	ANSWER_BUFFERED, /* sent when the handler has returned */
	ANSWER_STREAMED, /* sent while the handler writes, once it has written a lot; an
			  * error before that is still a problem document, one after it cuts
			  * the connection. Not with BODY_STREAMED */
};

enum hang_up {
	HANG_UP_CANCELS,  /* the request's token fires with CANCEL_CLIENT_GONE */
	HANG_UP_DETACHES, /* the handler goes on to its end; the answer is dropped */
};

struct route {
	const char *method; /* "GET" also answers HEAD */
	const char *path;   /* "/v1/things/{id}": a name in braces takes one segment */
	handler_fn *handle;
	enum lane lane;
	bool quick; /* a read so short that it is tried on the network thread
			      * first, which saves two changes of thread. There it may
			      * neither wait nor take more than a few dozen microseconds of
			      * SQL; if it would, it is done over on its lane */
	enum body body;
	enum answer answer;
	size_t body_max;    /* bytes; 0: MAX_BODY_BYTES, streamed MAX_IMPORT_BYTES */
	int64_t timeout_ms; /* 0: REQUEST_TIMEOUT_MS, streamed STREAM_TIMEOUT_MS;
			      * negative: none */
	enum hang_up hang_up;
	bool half_close_ok; /* a client that only finished sending has not hung up */
	const char *
		consumes; /* media types of the body, "a/b, c/d"; NULL: application/json */
	const char *produces; /* media types of the answer; NULL: application/json */
};

enum { ROUTE_PARAMS_MAX = 4 };

struct route_param {
	struct span name;
	struct span value; /* points into the path that was looked up */
};

struct route_match {
	const struct route *route; /* NULL unless ERR_OK */
	struct route_param params[ROUTE_PARAMS_MAX];
	unsigned params_count;
};

/* Finds the route for method and path, which must outlive the match. The path is
 * looked for first, and a segment spelt out wins over one in braces, whatever the
 * methods: so a path is one resource. ERR_NOT_FOUND; ERR_METHOD when the resource has
 * other methods. *ret_match is always written. */
enum err route_find(const struct route *routes, size_t count, const char *method,
	const char *path, struct route_match *ret_match);

/* Writes the methods that path answers to, as an Allow header has them ("GET,
 * HEAD, OPTIONS"); empty when there is no such path. */
void route_allow(const struct route *routes, size_t count, const char *path, char *ret,
	size_t size);

#endif
