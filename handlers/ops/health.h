#ifndef HANGUP_HANDLERS_OPS_HEALTH_H
#define HANGUP_HANDLERS_OPS_HEALTH_H

/*
 * What a platform asks a service: whether to restart it, and whether to send it requests.
 */
#include "service/http/router.h"

handler_fn ops_handle_health;    /* GET /healthz */
handler_fn ops_handle_readiness; /* GET /readyz: asks server_setup::ready */

#endif
