#include "handlers/app.h"

#include <errno.h>
#include <libgen.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "db/migrate.h"
#include "handlers/openapi.h"
#include "handlers/ops/admin.h"
#include "service/core/log.h"

/* The commonest reason has a clearer name than SQLite's. */
static enum err check_folder(const char *path)
{
	char copy[DATABASE_URL_SIZE];
	snprintf(copy, sizeof copy, "%s", path);
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): it works on our copy */
	const char *folder = dirname(copy);
	if (access(folder, W_OK | X_OK) == 0)
		return ERR_OK;
	log_error("cannot use the database's folder", LOG_STR("folder", folder),
		LOG_STR("reason", strerrordesc_np(errno)));
	return ERR_IO;
}

enum err app_migrate(const struct config *config)
{
	struct db_config settings = config_db(config);
	struct migrate_report report;
	enum err err = check_folder(settings.path);
	if (err != ERR_OK)
		return err;
	err = db_migrate(&settings, &report);
	if (err != ERR_OK)
		log_error("cannot migrate the database", LOG_STR("path", settings.path),
			LOG_STR("reason", report.message), LOG_ERR(err));
	else if (report.from != report.to)
		log_info("migrated the database", LOG_STR("path", settings.path),
			LOG_INT("from", report.from), LOG_INT("to", report.to));
	return err;
}

enum err app_open_db(const struct config *config, struct db **ret_db)
{
	struct db_config settings = config_db(config);
	enum err err = app_migrate(config);
	if (err != ERR_OK)
		return err;
	err = db_open(&settings, ret_db);
	if (err != ERR_OK)
		log_error("cannot open the database", LOG_STR("path", settings.path),
			LOG_ERR(err));
	return err;
}

static enum err build(struct app *app, const struct config *config,
	const struct route *app_routes, size_t count)
{
	app->config = *config;
	app->started_ms = wall_ms();
	enum err err = app_open_db(config, &app->db);
	if (err != ERR_OK)
		return err;
	err = janitor_create(app->db, &app->janitor);
	if (err != ERR_OK)
		return err;
	app->claims = claims_create();
	app->openapi = openapi_text();
	if (!app->claims || !app->openapi)
		return ERR_NOMEM;
	const struct server_setup setup = { .settings = &config->http,
		.routes = app_routes,
		.routes_count = count,
		.app = app };
	err = server_create(&setup, &app->server);
	return err == ERR_OK ? admin_create(app, &app->admin) : err;
}

enum err app_create(const struct config *config, const struct route *app_routes,
	size_t count, struct app **ret_app)
{
	struct app *app = calloc(1, sizeof *app);
	enum err err = app ? build(app, config, app_routes, count) : ERR_NOMEM;
	if (err == ERR_OK)
		*ret_app = app;
	else
		app_destroy(app);
	return err;
}

void app_destroy(struct app *app)
{
	if (!app)
		return;
	server_destroy(app->admin); /* it looks at the other */
	server_destroy(app->server);
	free(app->openapi);
	claims_destroy(app->claims);
	janitor_destroy(app->janitor);
	db_close(app->db);
	free(app);
}
