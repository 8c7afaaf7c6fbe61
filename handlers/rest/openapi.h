#ifndef HANGUP_HANDLERS_REST_OPENAPI_H
#define HANGUP_HANDLERS_REST_OPENAPI_H

/*
 * The OpenAPI document. It comes in parts, JSON texts, so that a resource can be added or
 * taken out with its own; openapi.json is what all of them begin with: the routes of the
 * service itself, and what resources refer to.
 */
/* The whole document: openapi.json, and what parts, which end with NULL, add to its tags,
 * paths and components; what an earlier one has as well becomes the later one's. The caller
 * frees it. NULL when out of memory or a part is not JSON. */
char *openapi_text(const char *const *parts);

#endif
