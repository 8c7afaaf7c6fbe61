#ifndef HANGUP_SERVICE_RUN_PROGRAM_H
#define HANGUP_SERVICE_RUN_PROGRAM_H

/*
 * The frame of a program: command line, settings, log. main() says which commands and
 * settings there are, and program_main() does the rest.
 */
#include <stddef.h>
#include <stdio.h>

#include "service/run/settings.h"

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

struct program {
	const char *name;
	const struct settings *settings; /* log_settings.h must be among the parts */
	const struct command *commands;  /* the first one is the default */
	size_t commands_count;
	/* Prints what else --version should tell: the versions of libraries, a line
	 * each. NULL for nothing. */
	void (*print_versions)(FILE *out);
};

/* All of main(), with the streams it prints to. Returns the exit status: 0, the
 * command's own, or 2 when the command line or a setting is wrong; err then says
 * why. Starts and stops the log. Ignores SIGPIPE and SIGXFSZ for the rest
 * of the process. */
int program_main(
	const struct program *program, int argc, char **argv, FILE *out, FILE *err);

#endif
