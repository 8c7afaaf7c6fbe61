#ifndef HANGUP_SERVICE_CORE_SETTING_H
#define HANGUP_SERVICE_CORE_SETTING_H

/*
 * A setting is an environment variable that sets one field of a struct: its name, what
 * values it may have, its default and its help. Each part of the program has a struct of
 * settings and, beside it, the table that describes them; service/run/settings.h reads the
 * environment by these tables, and prints them. To add one is a field, a line in the table
 * beside it, and a line in tests/unit/test_config.c.
 *
 * The kind says what the field is: an int64_t for a number, an enum for a word, a
 * char[SETTING_ADDR_SIZE] for an address. A struct of settings is a plain value that may be
 * copied and owns nothing.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#define SETTING_ADDR_SIZE sizeof "ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255"

/* What many durations are limited to. */
enum { SETTING_DAY_MS = 24 * 60 * 60 * 1000 };

struct setting {
	const char *name;
	const struct setting_kind *kind;
	size_t offset;        /* of the field in its part's struct */
	const char *fallback; /* the default; or in words, what derive() takes it from */
	const char *help;

	bool basic; /* what is served and where, not how much of it: shown first */

	int64_t min, max;         /* numbers */
	const char *const *words; /* words, in the order of their enum; ends with NULL */

	/* A default that depends on the machine, or on what is above it in the table:
	 * sets the field. part is the part's struct. NULL: fallback says all. */
	void (*derive)(void *part);
	/* A number whose default is the value of another number, which may be another
	 * part's: that one's name, in place of a fallback. It must be shown earlier. */
	const char *follows;
};

/* What a kind of setting can do; field is where offset says. */
struct setting_kind {
	/* False when text is not allowed; field is untouched then. */
	bool (*read)(const struct setting *setting, const char *text, void *field);
	void (*print)(const struct setting *setting, const void *field, FILE *out);
	/* What is allowed, to stand behind "is not". */
	void (*print_allowed)(const struct setting *setting, FILE *out);
	/* Prints a text that was refused, without what is secret. NULL: as it is. */
	void (*print_refused)(const char *text, FILE *out);
};

extern const struct setting_kind setting_number;  /* an int64_t from min to max */
extern const struct setting_kind setting_word;    /* one of words, in any case */
extern const struct setting_kind setting_address; /* IPv4 or IPv6, numeric */

/* A part's settings. */
struct setting_table {
	const struct setting *settings; /* ends with one that has no name */
	/* What they must be to each other: false, and a line in complaints for each that
	 * is not. NULL: anything. */
	bool (*agree)(const void *part, FILE *complaints);
};

#endif
