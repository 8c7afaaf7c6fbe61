#ifndef HANGUP_SERVICE_CORE_SPAN_H
#define HANGUP_SERVICE_CORE_SPAN_H

/*
 * A run of bytes that somebody else owns: not NUL-terminated unless whoever
 * hands it out says so. data may be NULL, which says "absent"; an empty
 * span with data is "present and empty".
 */
#include <stdbool.h>
#include <stddef.h>
#include <string.h>

struct span {
	const char *data;
	size_t len;
};

#define SPAN_LITERAL(text) ((struct span){ (text), sizeof(text) - 1 })

static inline struct span span_of(const char *text)
{
	return (struct span){ text, text ? strlen(text) : 0 };
}

static inline bool span_is(struct span span, const char *text)
{
	size_t len = strlen(text);
	return span.data && span.len == len && memcmp(span.data, text, len) == 0;
}

#endif
