#ifndef HANGUP_SERVICE_HTTP_JSON_H
#define HANGUP_SERVICE_HTTP_JSON_H

/*
 * JSON that clients send, parsed with the service's limits: no duplicate keys, no NUL,
 * valid UTF-8, JSON_DEPTH_MAX levels.
 */
#include <jansson.h>

#include "service/core/span.h"
#include "service/http/response.h"

enum { JSON_DEPTH_MAX = 32 };

/* jansson's flags for that, but for the levels, which json_check_depth() counts. */
#define JSON_LIMITS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY)

/* Parses text. The caller gets a reference. ERR_NOT_JSON or, for a number out of
 * range, ERR_INVALID, with the place named in res; ERR_NOMEM. */
enum err json_parse(struct span text, struct response *res, json_t **ret_json);

/*
 * The two halves of that, for who calls jansson himself; where names the place, as a
 * sentence begins: "Line 1".
 */

/* Whether there is a NUL in text, which is no JSON then. jansson 2.14 passes over one
 * behind a number, and counts its place wrong from there on. */
static inline bool json_has_nul(struct span text)
{
	return text.len > 0 && memchr(text.data, '\0', text.len);
}

/* What jansson's error means. */
enum err json_failed(const json_error_t *error, const char *where, struct response *res);

/* ERR_NOT_JSON when json is deeper than the limit. */
enum err json_check_depth(const json_t *json, const char *where, struct response *res);

#endif
