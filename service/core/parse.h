#ifndef HANGUP_SERVICE_CORE_PARSE_H
#define HANGUP_SERVICE_CORE_PARSE_H

/*
 * Numbers out of texts that come from outside. Pure functions: any thread, no memory.
 */
#include <stdint.h>

#include "service/core/span.h"

/* Reads an integer from 1 to max that is written in digits and nothing else.
 * False, and *ret untouched, when it is not that. */
bool parse_positive(struct span text, int64_t max, int64_t *ret);

#endif
