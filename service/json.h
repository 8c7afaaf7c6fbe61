#ifndef HANGUP_SERVICE_JSON_H
#define HANGUP_SERVICE_JSON_H

/*
 * JSON that clients send, parsed with the service's limits: no duplicate keys, no NUL,
 * valid UTF-8, JSON_DEPTH_MAX levels.
 */
#include <jansson.h>

#include "service/response.h"
#include "service/span.h"

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

/* What jansson's error means. */
enum err json_failed(const json_error_t *error, const char *where, struct response *res);

/* ERR_NOT_JSON when json is deeper than the limit. */
enum err json_check_depth(const json_t *json, const char *where, struct response *res);

#endif
