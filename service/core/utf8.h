#ifndef HANGUP_SERVICE_CORE_UTF8_H
#define HANGUP_SERVICE_CORE_UTF8_H

/*
 * UTF-8 (RFC 3629): what texts that come from outside are made of. Pure functions: any
 * thread, no memory.
 */
#include <stdint.h>

#include "service/core/span.h"

/* How many bytes the character has that text begins with: 1 to 4; 0 when it is empty
 * or begins with none (RFC 3629, as below). */
size_t utf8_character(struct span text);

/* The number of characters (code points, not bytes) of text; -1 when it is not
 * UTF-8 (RFC 3629: no surrogates, nothing overlong, nothing above U+10FFFF). */
int64_t utf8_length(struct span text);

/* Whether valid UTF-8 holds a control character: U+0000 to U+001F, U+007F to U+009F. */
bool utf8_has_control(struct span text);

#endif
