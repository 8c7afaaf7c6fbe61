#ifndef HANGUP_SERVICE_CORE_LOG_LINE_H
#define HANGUP_SERVICE_CORE_LOG_LINE_H

/*
 * How a line of the log looks: log.c decides where it goes. Uses no heap, no
 * printf and no locale: it is on the path of every request.
 */
#include <stdbool.h>
#include <stddef.h>

#include "service/core/log_field.h"

#define LOG_LINE_SIZE 8192

struct log_style {
	enum log_format format;
	bool colour; /* of text */
};

/* Writes one line, its '\n' included, and returns its length. now_ms is since
 * 1970. Any thread. */
size_t log_line_format(char ret[static LOG_LINE_SIZE], struct log_style style,
	int64_t now_ms, enum log_level level, const char *message,
	const struct log_field *fields, size_t count);

#endif
