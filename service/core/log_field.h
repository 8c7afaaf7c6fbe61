#ifndef HANGUP_SERVICE_CORE_LOG_FIELD_H
#define HANGUP_SERVICE_CORE_LOG_FIELD_H

/*
 * What a line of the log is made of: its level, its format and its typed fields. It is
 * what log.c, which takes lines, and log_line.c, which writes them, both know; whoever
 * logs includes log.h.
 */
#include <stdint.h>

#include "service/core/error.h"
#include "service/core/span.h"

enum log_level {
	LOG_LEVEL_DEBUG,
	LOG_LEVEL_INFO,
	LOG_LEVEL_WARN,
	LOG_LEVEL_ERROR,
	LOG_LEVELS,
};

enum log_format {
	LOG_FORMAT_TEXT,
	LOG_FORMAT_JSON,
	LOG_FORMATS,
};

/*
 * A field. A key is a string literal and is written as it stands: letters,
 * digits, underscores; not time, level or message, which every line has. A text
 * that is absent (NULL) leaves its field out. Texts are read during the call
 * that gets the field, and not after.
 */
enum log_kind {
	LOG_KIND_NONE, /* leaves the field out */
	LOG_KIND_NAME,
	LOG_KIND_TEXT,
	LOG_KIND_INT,
	LOG_KIND_MS,
	LOG_KIND_BOOL,
};

struct log_field {
	const char *key;
	unsigned key_len;
	enum log_kind kind;
	union {
		struct span text;
		int64_t number; /* LOG_KIND_MS: nanoseconds */
	};
};

#define LOG_FIELD(name, its_kind, ...)       \
	((struct log_field){ .key = "" name, \
		.key_len = sizeof(name) - 1, \
		.kind = (its_kind),          \
		__VA_ARGS__ })

/* One of our own names, such as those of states and errors: nothing in it needs
 * escaping, which saves looking. */
#define LOG_NAME(key, chars) LOG_FIELD(key, LOG_KIND_NAME, .text = span_of(chars))
/* A text from anywhere: invalid UTF-8 is replaced, control characters escaped,
 * and an overlong one cut. */
#define LOG_STR(key, chars) LOG_FIELD(key, LOG_KIND_TEXT, .text = span_of(chars))
#define LOG_SPAN(key, span) LOG_FIELD(key, LOG_KIND_TEXT, .text = (span))
#define LOG_INT(key, value) LOG_FIELD(key, LOG_KIND_INT, .number = (value))
/* Nanoseconds, written as milliseconds with three decimals. */
#define LOG_MS(key, ns)      LOG_FIELD(key, LOG_KIND_MS, .number = (ns))
#define LOG_BOOL(key, value) LOG_FIELD(key, LOG_KIND_BOOL, .number = (value) != 0)
/* The name of an enum err. */
#define LOG_ERR(err) LOG_NAME("error", err_name(err))

#endif
