#ifndef HANGUP_HANDLERS_OPENAPI_PARTS_H
#define HANGUP_HANDLERS_OPENAPI_PARTS_H

/* What each resource adds to the OpenAPI document, for openapi_text(); ends with NULL. */
extern const char *const openapi_parts[];

#endif
