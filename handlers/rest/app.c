#include "handlers/rest/app.h"

#include <stdlib.h>

#include "handlers/rest/openapi.h"

enum err app_init(struct app *app, const struct config *config, struct db *db,
	const char *const *openapi_parts)
{
	*app = (struct app){ .config = config, .db = db };
	app->claims = claims_create();
	app->openapi = openapi_text(openapi_parts);
	return app->claims && app->openapi ? ERR_OK : ERR_NOMEM;
}

void app_finish(struct app *app)
{
	free(app->openapi);
	claims_destroy(app->claims);
}

enum err app_ready(void *arg, struct cancel *token, const char **ret_reason)
{
	struct app *app = arg;
	return db_check(app->db, token, ret_reason);
}
