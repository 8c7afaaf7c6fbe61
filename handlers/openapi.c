#include "handlers/openapi.h"

#include <stdlib.h>

#include "handlers/app.h"
#include "handlers/openapi_items_json.h"
#include "handlers/openapi_items_transfer_json.h"
#include "handlers/openapi_json.h"
#include "handlers/openapi_reports_json.h"
#include "handlers/routes.h"
#include "service/run/version.h"

/* The document comes in parts, so that a resource can be added or taken out with its
 * own: openapi.json has what is the service's. A tag is described in one of them. */
static const char *const parts[] = { openapi_json, openapi_items_json,
	openapi_reports_json, openapi_items_transfer_json };

static bool merge_array(json_t *into, json_t *from)
{
	return !from || json_array_extend(into, from) == 0;
}

/* Adds part's tags, paths and components to doc. */
static bool add_part(json_t *doc, json_t *part)
{
	bool added = merge_array(
		json_object_get(doc, "tags"), json_object_get(part, "tags"));
	json_object_del(part, "tags");
	return added && json_object_update_recursive(doc, part) == 0;
}

char *openapi_text(void)
{
	json_t *doc = json_loads(parts[0], 0, NULL);
	bool complete = doc != NULL;
	for (size_t i = 1; i < sizeof parts / sizeof *parts; i++) {
		json_t *part = json_loads(parts[i], 0, NULL);
		complete = complete && part && add_part(doc, part);
		json_decref(part);
	}
	json_t *version = json_string(HANGUP_VERSION);
	complete = json_object_set_new(
			   json_object_get(doc, "info"), "version", version) == 0 &&
		complete;
	char *text = complete ? json_dumps(doc, JSON_COMPACT) : NULL;
	json_decref(doc);
	return text;
}

enum err openapi_handle(struct request *req, struct response *res)
{
	return response_write(res, span_of(app_of(req)->openapi));
}
