#include "handlers/ops/admin.h"
#include "service/core/prometheus.h"

/* All in the network thread, which waits for nobody: what is asked for is in memory. */
const struct route admin_routes[] = {
	{ "GET", "/metrics", admin_handle_metrics, .lane = LANE_INLINE,
		.produces = PROMETHEUS_MEDIA },
	{ "GET", "/requests", admin_handle_list, .lane = LANE_INLINE },
	{ "DELETE", "/requests/{id}", admin_handle_cancel, .lane = LANE_INLINE },
};

const size_t admin_routes_count = sizeof admin_routes / sizeof *admin_routes;
