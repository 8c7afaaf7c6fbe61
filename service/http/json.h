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

/* Parses text. The caller gets a reference. ERR_NOT_JSON; ERR_INVALID for JSON that
 * is not taken: a number out of range, a key that is there twice, \u0000, too many levels.
 * res names the place. ERR_NOMEM. A byte-order mark before it is passed over (RFC 8259,
 * 8.1). */
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

/* What follows a byte-order mark, if text begins with one. */
static inline struct span json_without_mark(struct span text)
{
	bool marked = text.len >= 3 && memcmp(text.data, "\xef\xbb\xbf", 3) == 0;
	return marked ? (struct span){ text.data + 3, text.len - 3 } : text;
}

/* What jansson's error means. */
enum err json_failed(const json_error_t *error, const char *where, struct response *res);

/* ERR_INVALID when json is deeper than the limit. */
enum err json_check_depth(const json_t *json, const char *where, struct response *res);

#endif
