#ifndef HANGUP_SERVICE_HTTP_MEDIA_H
#define HANGUP_SERVICE_HTTP_MEDIA_H

/*
 * Media types as the Content-Type and Accept headers spell them (RFC 9110,
 * 8.3.1 and 12.5.1). Pure functions: any thread, no memory.
 */
#include "service/core/span.h"

/* Whether the media type of a Content-Type value is among types, a list such as
 * "application/json, text/csv". Parameters such as charset are ignored, and case
 * does not matter. */
bool media_is_among(struct span content_type, const char *types);

/* How much an Accept value wants type, in thousandths: 1000 when nothing is said
 * or the value has no data, 0 when type is refused or not mentioned. The most
 * specific range decides. */
int media_quality(struct span accept, const char *type);

/* Whether an Accept value wants any of types, a list as above. */
bool media_is_wanted(struct span accept, const char *types);

#endif
