#ifndef HANGUP_HANDLERS_OPENAPI_H
#define HANGUP_HANDLERS_OPENAPI_H

/* The OpenAPI document, put together from its parts; the caller frees it. NULL when
 * out of memory. */
char *openapi_text(void);

#endif
