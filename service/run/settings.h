#ifndef HANGUP_SERVICE_RUN_SETTINGS_H
#define HANGUP_SERVICE_RUN_SETTINGS_H

/*
 * The settings of a program, read once from the environment. A program has a struct config,
 * which it alone knows, composed of the structs of its parts; here is what all of them are
 * read, checked and shown by. service/core/setting.h says what a setting is.
 *
 * The order is the same everywhere: the basic ones of each part, then the others of each.
 */
#include "service/core/error.h"
#include "service/core/setting.h"

struct config;

struct settings_part {
	const struct setting_table *table;
	size_t offset; /* of the part's struct in struct config */
};

struct settings {
	const struct settings_part *parts;
	size_t parts_count;
	size_t config_size; /* of struct config */
	/* As setting_table::agree, for what parts must be to each other. May be NULL. */
	bool (*agree)(const struct config *config, FILE *complaints);
};

/* The defaults, whatever the environment says. */
void settings_default(const struct settings *settings, struct config *ret_config);

/* Reads the environment; an empty variable counts as unset. ERR_INVALID when a value is
 * refused: complaints then has a line for every bad one, each naming the variable, the
 * value and what is allowed. Not while another thread calls setenv(). */
enum err settings_load(
	const struct settings *settings, struct config *ret_config, FILE *complaints);

/* The struct in config of the part that has this table; NULL when no part has. */
const void *settings_part(const struct settings *settings,
	const struct setting_table *table, const struct config *config);

/* A NAME=value line for each setting; what is secret shows as ***. */
void settings_print(
	const struct settings *settings, const struct config *config, FILE *out);

/* Name, help, range and default of each setting, for --help. */
void settings_print_help(const struct settings *settings, FILE *out);

#endif
