#ifndef HANGUP_SERVICE_RUN_HEALTHCHECK_H
#define HANGUP_SERVICE_RUN_HEALTHCHECK_H

/*
 * Asks a service on this machine whether it is alive, for a container that has
 * neither a shell nor curl.
 */
#include <stdint.h>

#include "service/core/error.h"

/* GET /healthz on addr, or on loopback when that is "all addresses", and port.
 * ERR_OK when it is answered 200 within timeout_ms; else ERR_IO, ERR_DEADLINE,
 * or ERR_BUSY for another answer. Blocks. */
enum err healthcheck(const char *addr, unsigned port, int64_t timeout_ms);

#endif
