#ifndef HANGUP_SERVICE_MAIN_H
#define HANGUP_SERVICE_MAIN_H

/*
 * The frame of a program: command line, settings, log. Whoever builds a program
 * on service/ (handlers/commands.c) defines what is declared extern here, and main()
 * in main.c does the rest.
 */
#include <stddef.h>
#include <stdio.h>

#include "service/config.h"

struct command {
	const char *name;
	/* Its arguments as --help shows them, a word each: "FILE". One in brackets
	 * may be left out. "" or NULL for none. Their number is checked. */
	const char *arguments;
	const char *help; /* one line */
	/* argv[0] is the first argument, not the command. The log runs. Returns the
	 * exit status. */
	int (*run)(const struct config *config, int argc, char **argv);
};

/* For handlers/commands.c to define: */
extern const char *const program_name;
extern const struct command commands[]; /* the first one is the default */
extern const size_t commands_count;
/* Prints what else --version should tell: the versions of libraries, a line
 * each. NULL for nothing. */
extern void (*const program_print_versions)(FILE *out);

/* The same as a value, so that a test can run another program. */
struct program {
	const char *name;
	const struct command *commands;
	size_t commands_count;
	void (*print_versions)(FILE *out);
};

/* A command for the table: prints the effective settings to stdout. */
int command_config(const struct config *config, int argc, char **argv);

/* All of main(), with the streams it prints to. Returns the exit status: 0, the
 * command's own, or 2 when the command line or a setting is wrong; err then says
 * why. Starts and stops the log. Ignores SIGPIPE for the rest of the process. */
int program_main(
	const struct program *program, int argc, char **argv, FILE *out, FILE *err);

#endif
