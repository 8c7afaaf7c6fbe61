#ifndef HANGUP_TESTS_SUPPORT_HTTP_H
#define HANGUP_TESTS_SUPPORT_HTTP_H

/*
 * An ordinary HTTP client, which is libcurl: a request and its whole answer, in one
 * call or in a thread of its own, from which one can hang up midway. Each request
 * has a connection of its own unless it is said otherwise. For what an ordinary
 * client does not do there is raw.h.
 */
#include <jansson.h>
#include <stdbool.h>
#include <stddef.h>

enum { HTTP_FIELDS_MAX = 32 };

struct http_field {
	const char *name; /* points into http_response::head */
	const char *value;
};

struct http_response {
	unsigned status; /* 0: no answer came */
	char *head;      /* owned */
	struct http_field fields[HTTP_FIELDS_MAX];
	unsigned fields_count;
	char *body; /* owned, NUL-terminated; NULL when there was none */
	size_t body_len;
	bool whole; /* it came to its proper end */
};

/* The first field of that name, case aside; NULL when there is none. */
const char *http_header(const struct http_response *res, const char *name);

/* Fills in status and fields from head, a NUL-terminated header section with its
 * status line, which it takes. */
void http_response_take_head(struct http_response *res, char *head);

void http_response_finish(struct http_response *res); /* safe on a zeroed one */

/* The body as JSON, without which the test fails; the caller gets a reference. */
json_t *http_json(const struct http_response *res);

/* Fails the test unless res is a whole problem document of that status and type, with
 * everything that each of them must have; returns it, for the caller to release. */
json_t *http_problem(const struct http_response *res, unsigned status, const char *type);
void http_assert_problem(
	const struct http_response *res, unsigned status, const char *type);

struct http_request {
	const char *method; /* NULL: GET, or POST with a body */
	const char *path;
	const char *const *headers; /* "Name: value"; NULL, or ends with NULL */
	const char *body;           /* NULL: none */
	size_t body_len;            /* 0: strlen(body) */
};

/* Blocks until the answer is there. Fails the test when none comes. */
void http_perform(
	unsigned port, const struct http_request *req, struct http_response *ret);
void http_get(unsigned port, const char *path, struct http_response *ret);

/* The status of GET path. */
unsigned http_get_status(unsigned port, const char *path);

/* Fails the test unless GET path is answered with 200 and that body. */
void http_get_expecting(unsigned port, const char *path, const char *body);

/* Several requests over one connection, as long as the server keeps it. */
struct http_session;
struct http_session *http_session_create(unsigned port);
void http_session_destroy(struct http_session *session);
void http_session_perform(struct http_session *session, const struct http_request *req,
	struct http_response *ret);
/* How many connections it has had to open. */
unsigned http_session_connections(const struct http_session *session);

/* A request in a thread of its own. */
struct http_call;
struct http_call *http_start(unsigned port, const struct http_request *req);
struct http_call *http_start_get(unsigned port, const char *path);

/* Waits for the answer and frees the call. ret may be NULL. */
void http_join(struct http_call *call, struct http_response *ret);

/* The same, and fails the test unless the answer is 200 with that body. */
void http_join_expecting(struct http_call *call, const char *body);

/* Closes the connection, whatever has come, and frees the call. */
void http_hang_up(struct http_call *call);

#endif
