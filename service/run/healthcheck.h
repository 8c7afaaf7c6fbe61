#ifndef HANGUP_SERVICE_RUN_HEALTHCHECK_H
#define HANGUP_SERVICE_RUN_HEALTHCHECK_H

/*
 * Asks a service on this machine whether it is alive, for a container that has
 * neither a shell nor curl.
 */
#include "service/run/config.h"

/* GET /healthz on addr, or on loopback when that is "all addresses", and port.
 * ERR_OK when it is answered 200 within timeout_ms; else ERR_IO, ERR_DEADLINE,
 * or ERR_BUSY for another answer. Blocks. */
enum err healthcheck(const char *addr, unsigned port, int64_t timeout_ms);

/* A command for the table of main.h: asks the service that runs with the same
 * settings, and says on stderr why it is not healthy. 0 or 1. */
int command_healthcheck(const struct config *config, int argc, char **argv);

#endif
