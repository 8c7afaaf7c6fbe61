#include <assert.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/run/log_settings.h"
#include "service/run/program.h"
#include "service/run/version.h"

enum { EXIT_USAGE = 2, HELP_COLUMN = 28 };

struct invocation {
	const struct program *program;
	FILE *out;
	FILE *err;
};

/*
 * Options: they answer and end.
 */

static void print_help(const struct invocation *run)
{
	const struct program *program = run->program;
	fprintf(run->out, "Usage: %s [COMMAND]\n\nCommands:\n", program->name);
	for (size_t i = 0; i < program->commands_count; i++) {
		const struct command *command = &program->commands[i];
		const char *arguments = command->arguments ? command->arguments : "";
		int width = fprintf(run->out, "  %s %s", command->name, arguments);
		fprintf(run->out, "%*s %s%s\n",
			width < HELP_COLUMN ? HELP_COLUMN - width : 0, "", command->help,
			i == 0 ? " (the default)" : "");
	}
	fprintf(run->out, "\nOptions:\n  %-*s this text\n  %-*s the version\n",
		HELP_COLUMN - 2, "--help", HELP_COLUMN - 2, "--version");
	fprintf(run->out, "\nSettings, from the environment:\n");
	settings_print_help(program->settings, run->out);
}

static void print_version(const struct invocation *run)
{
	fprintf(run->out, "%s %s", run->program->name, HANGUP_VERSION);
	if (HANGUP_COMMIT[0])
		fprintf(run->out, " (%s)", HANGUP_COMMIT);
	fprintf(run->out, "\n");
	if (run->program->print_versions)
		run->program->print_versions(run->out);
}

static const struct option {
	const char *name;
	void (*print)(const struct invocation *run);
} options[] = {
	{ "--help", print_help },
	{ "-h", print_help },
	{ "--version", print_version },
};

static const struct option *find_option(const char *name)
{
	for (size_t i = 0; i < sizeof options / sizeof options[0]; i++)
		if (strcmp(options[i].name, name) == 0)
			return &options[i];
	return NULL;
}

/*
 * Commands.
 */

static const struct command *find_command(const struct program *program, const char *name)
{
	for (size_t i = 0; i < program->commands_count; i++)
		if (strcmp(program->commands[i].name, name) == 0)
			return &program->commands[i];
	return NULL;
}

/* Whether a command that is declared with these arguments takes count. */
static bool takes(const char *arguments, int count)
{
	int least = 0;
	int most = 0;
	for (const char *at = arguments; at && *at; at += strcspn(at, " ")) {
		at += strspn(at, " ");
		most += *at != '\0';
		least += *at != '\0' && *at != '[';
	}
	return count >= least && count <= most;
}

static void start_log(const struct invocation *run, const struct config *config)
{
	const struct log_settings *log = settings_part(
		run->program->settings, &log_setting_table, config);
	assert(log);
	if (log_start(log->level, log->format, STDERR_FILENO) != ERR_OK)
		fprintf(run->err, "%s: no thread for the log\n", run->program->name);
}

static int run_command(const struct invocation *run, const struct command *command,
	int argc, char **argv)
{
	const struct program *program = run->program;
	struct config *config = calloc(1, program->settings->config_size);
	enum err err = config ? settings_load(program->settings, config, run->err)
			      : ERR_NOMEM;
	if (err == ERR_NOMEM)
		fprintf(run->err, "%s: too little memory\n", program->name);
	if (err != ERR_OK) {
		free(config);
		return EXIT_USAGE;
	}
	/* A client that leaves while it is being answered is an error of write(),
	 * not the end of the program. */
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* nor is a file that may not be larger: EFBIG */
	start_log(run, config);
	int status = command->run(config, argc, argv);
	log_stop();
	free(config);
	return status;
}

static int refuse(const struct invocation *run, const char *what, const char *name)
{
	fprintf(run->err, "%s: %s \"%s\"; see %s --help\n", run->program->name, what,
		name, run->program->name);
	return EXIT_USAGE;
}

int program_main(
	const struct program *program, int argc, char **argv, FILE *out, FILE *err)
{
	const struct invocation run = { program, out, err };
	const char *name = argc > 1 ? argv[1] : program->commands[0].name;
	const struct option *option = find_option(name);
	const struct command *command = find_command(program, name);
	int arguments = argc > 2 ? argc - 2 : 0;
	if (!option && !command)
		return refuse(&run, "no such command:", name);
	if (!takes(command ? command->arguments : "", arguments))
		return refuse(&run, "wrong number of arguments for", name);
	if (!option)
		return run_command(&run, command, arguments, argv + argc - arguments);
	option->print(&run);
	return 0;
}
