#ifndef HANGUP_SERVICE_TEXT_H
#define HANGUP_SERVICE_TEXT_H

/*
 * Looking at texts that clients send. Pure functions: any thread, no memory.
 */
#include <stdint.h>
#include <stdio.h>

#include "service/span.h"

/* How many bytes the character has that text begins with: 1 to 4; 0 when it is empty
 * or begins with none (RFC 3629, as below). */
size_t text_character(struct span text);

/* The number of characters (code points, not bytes) of text; -1 when it is not
 * UTF-8 (RFC 3629: no surrogates, nothing overlong, nothing above U+10FFFF). */
int64_t text_length(struct span text);

/* Whether valid UTF-8 holds a control character: U+0000 to U+001F, U+007F to U+009F. */
bool text_has_control(struct span text);

/* Reads an integer from 1 to max that is written in digits and nothing else.
 * False, and *ret untouched, when it is not that. */
bool text_to_positive(struct span text, int64_t max, int64_t *ret);

/* Writes text for a place in a URL's query: everything but unreserved characters
 * percent-encoded (RFC 3986, 2.3). Errors stay in out. */
void text_print_encoded(struct span text, FILE *out);

#endif
