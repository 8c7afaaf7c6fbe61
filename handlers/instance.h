#ifndef HANGUP_HANDLERS_INSTANCE_H
#define HANGUP_HANDLERS_INSTANCE_H

/*
 * An instance is the service as it runs: database, what handlers share, the public server
 * and the admin listener, built in one place and taken down in the other. The command line
 * around it is in commands.c. Main thread.
 */
#include "db/janitor.h"
#include "handlers/ops/admin.h"
#include "handlers/rest/app.h"
#include "handlers/settings.h"
#include "service/http/server.h"

struct instance {
	struct config config;
	int64_t started_ms; /* since 1970 */
	struct db *db;
	struct janitor *janitor;
	struct app app;
	struct server *server;
	struct admin *admin; /* NULL without an admin listener */
};

/* Brings the database to this program's schema, opens it, and serves routes, which must
 * outlive the instance: tests bring routes of their own. Blocks on the disk. What went
 * wrong is in the log. */
enum err instance_create(const struct config *config, const struct route *its_routes,
	size_t count, struct instance **ret_instance);

/* Stops the admin listener, cancels what still runs, then closes server and database. NULL
 * is a no-op. */
void instance_destroy(struct instance *instance);

#endif
