#ifndef HANGUP_SERVICE_HTTP_ETAG_H
#define HANGUP_SERVICE_HTTP_ETAG_H

/*
 * Entity tags and the header fields that carry them (RFC 9110, 8.8.3 and 13.1).
 * A resource's tag is its version in quotes, and strong. Pure functions: any
 * thread, no memory.
 */
#include <stdint.h>

#include "service/core/span.h"

#define ETAG_SIZE sizeof "\"-9223372036854775808\""

void etag_of_version(int64_t version, char ret[static ETAG_SIZE]);

/* Whether a client that sends this If-None-Match has etag already: it says * or
 * lists it, weak or not (13.1.2). False for an absent or malformed value. */
bool etag_is_known(struct span if_none_match, const char *etag);

/* Whether an If-Match that is there is about etag: it says * or lists it, and a weak
 * tag is about nothing (13.1.1). False for a malformed value. */
bool etag_is_meant(struct span if_match, const char *etag);

#endif
