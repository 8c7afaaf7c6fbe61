#ifndef HANGUP_HANDLERS_REST_OPENAPI_PAGE_H
#define HANGUP_HANDLERS_REST_OPENAPI_PAGE_H

/*
 * The OpenAPI document, as clients get it.
 */
#include "service/http/router.h"

handler_fn openapi_handle; /* GET /openapi.json: the app's document */

#endif
