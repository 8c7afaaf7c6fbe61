/*
 * The command line, with a program of three commands that only note how they
 * were called.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/settings.h"
#include "service/run/program.h"
#include "tests/support/cmocka.h"

/* What the last run printed, and how a command was called in it. */
static struct {
	char out[16384];
	char err[16384];
	char called[64]; /* its arguments, each behind a comma */
	int64_t port;
} seen;

static int note(const char *name, const struct config *config, int argc, char **argv)
{
	strcpy(seen.called, name);
	for (int i = 0; i < argc; i++)
		strcat(strcat(seen.called, ","), argv[i]);
	assert_null(argv[argc]);
	seen.port = config->http.port;
	return 0;
}

static int serve(const struct config *config, int argc, char **argv)
{
	return note("serve", config, argc, argv);
}

static int seed(const struct config *config, int argc, char **argv)
{
	return note("seed", config, argc, argv);
}

static int fails(const struct config *config, int argc, char **argv)
{
	note("fail", config, argc, argv);
	return 1;
}

static void print_versions(FILE *out)
{
	fputs("sqlite 3\n", out);
}

static const struct command table[] = {
	{ "serve", NULL, "serves", serve },
	{ "seed", "N [NAME]", "makes N items", seed },
	{ "fail", "", "fails", fails },
};

static const struct program program = { "tryout", &config_settings, table,
	sizeof table / sizeof table[0], print_versions };

/* Runs the program with up to four words behind its name. */
static int run(const char *a, const char *b, const char *c, const char *d)
{
	char *argv[] = { (char *)"tryout", (char *)a, (char *)b, (char *)c, (char *)d,
		NULL };
	int argc = 0;
	while (argv[argc])
		argc++;
	memset(&seen, 0, sizeof seen);
	FILE *out = fmemopen(seen.out, sizeof seen.out - 1, "w");
	FILE *err = fmemopen(seen.err, sizeof seen.err - 1, "w");
	int status = program_main(&program, argc, argv, out, err);
	fclose(out);
	fclose(err);
	return status;
}

static void no_argument_runs_the_first_command(void **state)
{
	(void)state;
	assert_int_equal(run(NULL, NULL, NULL, NULL), 0);
	assert_string_equal(seen.called, "serve");
	assert_string_equal(seen.out, "");
	assert_string_equal(seen.err, "");
}

static void a_command_gets_its_arguments_and_the_settings(void **state)
{
	(void)state;
	setenv("PORT", "1234", 1);
	assert_int_equal(run("seed", "12", NULL, NULL), 0);
	assert_string_equal(seen.called, "seed,12");
	assert_int_equal(seen.port, 1234);
	assert_int_equal(run("seed", "12", "bolt", NULL), 0);
	assert_string_equal(seen.called, "seed,12,bolt");
	assert_int_equal(run("serve", NULL, NULL, NULL), 0);
	assert_string_equal(seen.called, "serve");
	unsetenv("PORT");
}

static void the_status_of_a_command_is_the_programs(void **state)
{
	(void)state;
	assert_int_equal(run("fail", NULL, NULL, NULL), 1);
	assert_string_equal(seen.called, "fail");
}

static void assert_refused(int status, const char *err)
{
	assert_int_equal(status, 2);
	assert_string_equal(seen.called, "");
	assert_string_equal(seen.out, "");
	assert_string_equal(seen.err, err);
}

static void an_unknown_command_is_refused(void **state)
{
	(void)state;
	assert_refused(run("sevre", NULL, NULL, NULL),
		"tryout: no such command: \"sevre\"; see tryout --help\n");
	assert_refused(run("", NULL, NULL, NULL),
		"tryout: no such command: \"\"; see tryout --help\n");
	assert_refused(run("--port", "80", NULL, NULL),
		"tryout: no such command: \"--port\"; see tryout --help\n");
}

static void missing_and_stray_arguments_are_refused(void **state)
{
	(void)state;
#define WRONG(name) \
	"tryout: wrong number of arguments for \"" name "\"; see tryout --help\n"
	assert_refused(run("serve", "now", NULL, NULL), WRONG("serve"));
	assert_refused(run("fail", "", NULL, NULL), WRONG("fail"));
	assert_refused(run("seed", NULL, NULL, NULL), WRONG("seed"));
	assert_refused(run("seed", "1", "2", "3"), WRONG("seed"));
	assert_refused(run("--help", "serve", NULL, NULL), WRONG("--help"));
	assert_refused(run("--version", "1", NULL, NULL), WRONG("--version"));
}

static void a_bad_setting_is_refused_before_the_command(void **state)
{
	(void)state;
	setenv("PORT", "80x", 1);
	assert_refused(run("serve", NULL, NULL, NULL),
		"PORT: \"80x\" is not a whole number from 0 to 65535\n");
	/* Help must not need what it explains. */
	assert_int_equal(run("--help", NULL, NULL, NULL), 0);
	unsetenv("PORT");
}

static void help_shows_commands_and_settings(void **state)
{
	(void)state;
	static const char begin[] = "Usage: tryout [COMMAND]\n\nCommands:\n"
				    "  serve                      serves (the default)\n"
				    "  seed N [NAME]              makes N items\n"
				    "  fail                       fails\n";
	assert_int_equal(run("--help", NULL, NULL, NULL), 0);
	assert_memory_equal(seen.out, begin, sizeof begin - 1);
	assert_non_null(strstr(seen.out, "\n  --version "));
	assert_non_null(strstr(seen.out, "\n  SHORT_THREADS\n"));
	assert_string_equal(seen.err, "");
	assert_int_equal(run("-h", NULL, NULL, NULL), 0);
}

static void version_names_program_and_libraries(void **state)
{
	(void)state;
	assert_int_equal(run("--version", NULL, NULL, NULL), 0);
	assert_memory_equal(seen.out, "tryout ", 7);
	assert_non_null(strstr(seen.out, "\nsqlite 3\n"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_argument_runs_the_first_command),
		cmocka_unit_test(a_command_gets_its_arguments_and_the_settings),
		cmocka_unit_test(the_status_of_a_command_is_the_programs),
		cmocka_unit_test(an_unknown_command_is_refused),
		cmocka_unit_test(missing_and_stray_arguments_are_refused),
		cmocka_unit_test(a_bad_setting_is_refused_before_the_command),
		cmocka_unit_test(help_shows_commands_and_settings),
		cmocka_unit_test(version_names_program_and_libraries),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
