#ifndef HANGUP_HANDLERS_REST_APP_H
#define HANGUP_HANDLERS_REST_APP_H

/*
 * What handlers share: request::app of the public server. It is there before the first
 * request and after the last; any thread may read it.
 */
#include "db/db.h"
#include "handlers/rest/idempotency.h"
#include "service/http/request.h"

struct config;

struct app {
	const struct config *config; /* the program's; only what knows it looks inside */
	struct db *db;
	struct claims *claims;
	char *openapi; /* the document, as text */
};

/* Makes what is not given: config and db remain the caller's, and must outlive it.
 * openapi_parts: see openapi.h. ERR_NOMEM; app_finish() is safe then, and on a zeroed
 * one. */
enum err app_init(struct app *app, const struct config *config, struct db *db,
	const char *const *openapi_parts);
void app_finish(struct app *app);

/* For server_setup::ready: whether its database answers, see db_check(). */
readiness_fn app_ready;

/* The app that a handler works for. */
static inline struct app *app_of(const struct request *req)
{
	return req->app;
}

#endif
