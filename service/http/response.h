#ifndef HANGUP_SERVICE_HTTP_RESPONSE_H
#define HANGUP_SERVICE_HTTP_RESPONSE_H

/*
 * The answer that a handler writes. It belongs to the thread that runs the
 * handler, and to the server once the handler has returned. Everything is
 * copied unless said otherwise. An error of any call can be handed up as the
 * handler's own; it leaves the response as it was.
 */
#include <jansson.h>

#include "service/core/buffer.h"
#include "service/core/error.h"
#include "service/core/span.h"

enum { RESPONSE_HEADERS_MAX = 16 };

struct response_header {
	const char *name; /* a literal */
	char *value;      /* owned */
};

struct response;

/* Where the body goes when it is streamed: sends what it holds and empties it. */
struct response_sink {
	enum err (*flush)(struct response_sink *sink, struct response *res);
};

struct response {
	unsigned status; /* 200 unless set */
	struct response_header headers[RESPONSE_HEADERS_MAX];
	unsigned headers_count;
	struct buffer body;         /* of a streamed answer: what is not yet sent */
	struct response_sink *sink; /* the server's, for a streamed answer; else NULL */
	const char *instance;       /* the request id, for problem documents; not owned */

	/* What problem() and problem_field() were told. */
	char detail[256];
	json_t *fields; /* NULL or an array */
};

void response_init(struct response *res);
void response_finish(struct response *res); /* safe on a zeroed one */

/* Sets a header field: name is a literal, and replaces one of the same name
 * (case does not matter).
 * ERR_NOMEM; ERR_INTERNAL for a value with a line break (RFC 9110, 5.5). */
enum err response_header(struct response *res, const char *name, const char *value);

/* The value of the header field of that name (case does not matter: RFC 9110, 5.1), until
 * it is set anew; NULL when there is none. */
const char *response_find_header(const struct response *res, const char *name);

/* Drops the header fields of these names, of which NULL is the last. */
void response_drop_headers(struct response *res, const char *const names[]);

/* Appends to the body. ERR_NOMEM. A streamed answer is sent on the way: then this
 * waits for a client that reads slowly, and the token's error ends it. */
enum err response_write(struct response *res, struct span data);

/* Makes room for size more bytes, to spare copies. ERR_NOMEM. */
enum err response_reserve(struct response *res, size_t size);

/* Back to what it was at first, for an answer that takes its place. */
void response_reset(struct response *res);

#endif
