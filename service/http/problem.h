#ifndef HANGUP_SERVICE_HTTP_PROBLEM_H
#define HANGUP_SERVICE_HTTP_PROBLEM_H

/*
 * Problem documents (RFC 9457): the only error bodies that the service sends.
 * The table in core/error.c gives each error its status, type and title; handlers
 * add what only they know. Nothing here reveals SQL, file paths or memory.
 */
#include "service/http/response.h"

/* Notes in res what is wrong, in words for the client, and returns err, so that
 * a handler can say: return problem(res, ERR_BAD_REQUEST, "limit must be …"). */
enum err problem(struct response *res, enum err err, const char *format, ...)
	__attribute__((format(printf, 3, 4)));

/* Notes that one field of the body breaks a rule; pointer is a JSON pointer
 * (RFC 6901). All of them are shown together. Returns ERR_INVALID, or ERR_NOMEM. */
enum err problem_field(struct response *res, const char *pointer, const char *detail);

/* ERR_INVALID when problem_field() was called for res, else ERR_OK. */
enum err problem_fields(const struct response *res);

/* The status that err is answered and logged with: 499 for ERR_CLIENT_GONE. */
unsigned problem_status(enum err err);

/* Makes res the problem document of err, in place of whatever it held. Cannot
 * fail: without memory the body is empty. */
void problem_render(struct response *res, enum err err);

#endif
