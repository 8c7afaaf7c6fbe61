#ifndef HANGUP_HANDLERS_COMMANDS_H
#define HANGUP_HANDLERS_COMMANDS_H

/*
 * Commands for the table in main.c (service/run/program.h says what a command is).
 */
#include "service/run/program.h"

int command_serve(const struct config *config, int argc, char **argv);
int command_migrate(const struct config *config, int argc, char **argv);
int command_backup(const struct config *config, int argc, char **argv);

/* Asks the service that runs with the same settings whether it is alive, and says on
 * stderr why it is not. */
int command_healthcheck(const struct config *config, int argc, char **argv);

/* Prints the settings in effect to stdout. */
int command_config(const struct config *config, int argc, char **argv);

#endif
