#ifndef HANGUP_SERVICE_HTTP_PERCENT_H
#define HANGUP_SERVICE_HTTP_PERCENT_H

/*
 * Percent-encoding (RFC 3986, 2.1). Any thread.
 */
#include "service/core/buffer.h"

/* Appends text for a place in a URL's query: everything but unreserved characters
 * percent-encoded (RFC 3986, 2.3). */
enum err percent_append(struct buffer *out, struct span text);

#endif
