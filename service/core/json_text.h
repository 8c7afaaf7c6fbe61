#ifndef HANGUP_SERVICE_CORE_JSON_TEXT_H
#define HANGUP_SERVICE_CORE_JSON_TEXT_H

/*
 * Strings of JSON (RFC 8259, 7), written into memory whose room the caller has seen to:
 * for what is written by hand because it is written a million times. Pure functions: any
 * thread, no memory of their own.
 *
 * Escaped is what must be, and in the short form where there is one: '"', '\' and U+0000
 * to U+001F. That is also how SQLite's json_object() does it. What is not UTF-8 is
 * written all the same, as UTF-8: JSON is nothing else (RFC 8259, 8.1).
 */
#include "service/core/span.h"

enum {
	JSON_ESCAPE_MAX = 6, /* bytes that json_escape() writes: \u001f */
};

/* Writes the escape of an ASCII character, any of them, to out; returns its end. */
char *json_escape(char *out, unsigned char c);

/* Writes text as a string with its quotes to out, which has room for JSON_ESCAPE_MAX of
 * each of its bytes and the quotes; returns its end. Each byte that belongs to no
 * character (RFC 3629) becomes U+FFFD. */
char *json_print_string(char *out, struct span text);

#endif
