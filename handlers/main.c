#include <jansson.h>

#include "db/db.h"
#include "handlers/commands.h"
#include "handlers/seed.h"
#include "handlers/settings.h"
#include "service/http/server.h"
#include "service/run/program.h"
#include "service/run/version.h"

static const struct command commands[] = {
	{ "serve", "", "answer requests until SIGTERM, SIGINT or SIGHUP", command_serve },
	{ "migrate", "", "bring the database to this version's schema", command_migrate },
	{ "seed", "N", "add N sample items", command_seed },
	{ "backup", "FILE", "copy the database to a new file, while it is served",
		command_backup },
	{ "healthcheck", "", "ask the running service whether it is alive",
		command_healthcheck },
	{ "config", "", "print the settings in effect", command_config },
};

static void print_versions(FILE *out)
{
	fprintf(out, "libmicrohttpd %s, SQLite %s, jansson %s\n",
		server_library_version(), db_library_version(), jansson_version_str());
}

int main(int argc, char **argv)
{
	const struct program program = {
		.name = HANGUP_NAME,
		.settings = &config_settings,
		.commands = commands,
		.commands_count = sizeof commands / sizeof *commands,
		.print_versions = print_versions,
	};
	return program_main(&program, argc, argv, stdout, stderr);
}
