#ifndef HANGUP_HANDLERS_OPS_METRICS_PAGE_H
#define HANGUP_HANDLERS_OPS_METRICS_PAGE_H

/*
 * All figures of the service, as Prometheus reads them.
 */
#include "service/http/router.h"

handler_fn admin_handle_metrics; /* GET /metrics */

#endif
