#include "handlers/rest/openapi.h"

#include <jansson.h>
#include <stdbool.h>
#include <stdlib.h>

#include "handlers/rest/openapi_json.h"
#include "service/run/version.h"

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

char *openapi_text(const char *const *parts)
{
	json_t *doc = json_loads(openapi_json, 0, NULL);
	bool complete = doc != NULL;
	for (; *parts; parts++) {
		json_t *part = json_loads(*parts, 0, NULL);
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
