#ifndef HANGUP_HANDLERS_OWN_METRICS_H
#define HANGUP_HANDLERS_OWN_METRICS_H

/*
 * The service's own figures on the metrics page, behind those of its parts. They are the
 * process's, from its start; any thread counts.
 */
#include "service/core/prometheus.h"

/* For admin_setup::print_own. */
void own_metrics_print(struct prometheus *page);

#endif
