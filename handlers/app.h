#ifndef HANGUP_HANDLERS_APP_H
#define HANGUP_HANDLERS_APP_H

/*
 * The application: what its handlers share, built in one place and taken down in
 * the other. The command line around it is in commands.c.
 */
#include "db/db.h"
#include "db/janitor.h"
#include "handlers/rest/idempotency.h"
#include "handlers/settings.h"
#include "service/http/request.h"
#include "service/http/server.h"

struct app {
	struct config config;
	struct db *db;
	char *openapi; /* the document, as text */
	struct claims *claims;
	struct janitor *janitor;
	struct server *server;
	struct server *admin; /* NULL without an admin listener */
	int64_t started_ms;   /* since 1970 */
};

/* Brings the database to this program's schema, opens it, and serves routes, which
 * must outlive the app: tests bring routes of their own. Blocks on the disk. What
 * went wrong is in the log. */
enum err app_create(const struct config *config, const struct route *app_routes,
	size_t count, struct app **ret_app);

/* Stops the admin listener, cancels what still runs, then closes server and database. NULL is a no-op. */
void app_destroy(struct app *app);

/* The first half of app_create(), for commands that do not serve. */
enum err app_migrate(const struct config *config);
enum err app_open_db(const struct config *config, struct db **ret_db);

/* The app that a handler works for. */
static inline struct app *app_of(const struct request *req)
{
	return req->app;
}

#endif
