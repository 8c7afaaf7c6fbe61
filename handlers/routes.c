#include "handlers/routes.h"

#include "handlers/ops/health.h"
#include "handlers/rest/openapi_page.h"

/* A probe waits this long for the database. */
enum { READINESS_TIMEOUT_MS = 2000 };

const struct route routes[] = {
	{ "GET", "/healthz", ops_handle_health, .lane = LANE_INLINE },
	{ "GET", "/readyz", ops_handle_readiness, .lane = LANE_SHORT,
		.timeout_ms = READINESS_TIMEOUT_MS },

	{ "GET", "/openapi.json", openapi_handle, .lane = LANE_INLINE },

	/* The example: items, and a report on them. */
	{ "GET", "/v1/items", items_handle_list, .lane = LANE_SHORT },
	{ "POST", "/v1/items", items_handle_post, .lane = LANE_SHORT,
		.body = BODY_BUFFERED },
	{ "GET", "/v1/items/export", items_handle_export, .lane = LANE_LONG,
		.answer = ANSWER_STREAMED,
		.produces = "application/x-ndjson, application/json" },
	{ "POST", "/v1/items/import", items_handle_import, .lane = LANE_LONG,
		.body = BODY_STREAMED,
		.consumes = "application/x-ndjson, application/json" },
	{ "GET", "/v1/items/{id}", items_handle_get, .lane = LANE_SHORT, .quick = true },
	{ "PUT", "/v1/items/{id}", items_handle_put, .lane = LANE_SHORT,
		.body = BODY_BUFFERED },
	{ "PATCH", "/v1/items/{id}", items_handle_patch, .lane = LANE_SHORT,
		.body = BODY_BUFFERED,
		.consumes = "application/merge-patch+json, application/json" },
	{ "DELETE", "/v1/items/{id}", items_handle_delete, .lane = LANE_SHORT },
	{ "GET", "/v1/reports/inventory", reports_handle_inventory, .lane = LANE_LONG },
};

const size_t routes_count = sizeof routes / sizeof *routes;
