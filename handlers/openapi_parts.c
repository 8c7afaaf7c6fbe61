#include "handlers/openapi_parts.h"

#include <stddef.h>

#include "handlers/openapi_items_json.h"
#include "handlers/openapi_items_transfer_json.h"
#include "handlers/openapi_reports_json.h"

/* A tag is described in one of them. */
const char *const openapi_parts[] = {
	openapi_items_json,
	openapi_reports_json,
	openapi_items_transfer_json,
	NULL,
};
