#ifndef HANGUP_SERVICE_HTTP_PERCENT_H
#define HANGUP_SERVICE_HTTP_PERCENT_H

/*
 * Percent-encoding (RFC 3986, 2.1). Any thread.
 */
#include <stdio.h>

#include "service/core/span.h"

/* Writes text for a place in a URL's query: everything but unreserved characters
 * percent-encoded (RFC 3986, 2.3). Errors stay in out. */
void percent_print(struct span text, FILE *out);

#endif
