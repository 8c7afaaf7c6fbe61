#include "handlers/instance.h"

#include <stdlib.h>
#include <unistd.h>

#include "db/db_current.h"
#include "handlers/openapi_parts.h"
#include "handlers/own_metrics.h"
#include "service/core/clock.h"

static enum err open_database(struct instance *instance)
{
	struct db_config config = config_db(&instance->config);
	enum err err = db_open_current(&config, &instance->db);
	return err == ERR_OK ? janitor_create(instance->db, &instance->janitor) : err;
}

static enum err start_server(
	struct instance *instance, const struct route *its_routes, size_t count)
{
	const struct server_setup setup = { .settings = &instance->config.http,
		.routes = its_routes,
		.routes_count = count,
		.app = &instance->app,
		.ready = app_ready };
	return server_create(&setup, &instance->server);
}

static enum err start_admin(struct instance *instance, int listen_fd)
{
	const struct admin_setup setup = { .settings = &instance->config.admin,
		.listen_fd = listen_fd,
		.watched_settings = &instance->config.http,
		.watched = instance->server,
		.db = instance->db,
		.started_ms = instance->started_ms,
		.print_own = own_metrics_print };
	return setup.settings->port != 0 ? admin_create(&setup, &instance->admin)
					 : ERR_OK;
}

/* Who finds the one listening finds the other one listening as well. */
static enum err start_servers(
	struct instance *instance, const struct route *its_routes, size_t count)
{
	const struct config *config = &instance->config;
	int admin_fd = 0;
	enum err err = ERR_OK;
	if (config->admin.port != 0)
		err = admin_listen(&config->admin, &config->http, &admin_fd);
	if (err != ERR_OK)
		return err;
	err = start_server(instance, its_routes, count);
	if (err == ERR_OK)
		return start_admin(instance, admin_fd);
	if (admin_fd > 0)
		close(admin_fd);
	return err;
}

static enum err build_instance(struct instance *instance, const struct config *config,
	const struct route *its_routes, size_t count)
{
	instance->config = *config;
	instance->started_ms = wall_ms();
	enum err err = open_database(instance);
	if (err == ERR_OK)
		err = app_init(
			&instance->app, &instance->config, instance->db, openapi_parts);
	return err == ERR_OK ? start_servers(instance, its_routes, count) : err;
}

enum err instance_create(const struct config *config, const struct route *its_routes,
	size_t count, struct instance **ret_instance)
{
	struct instance *instance = calloc(1, sizeof *instance);
	enum err err = instance ? build_instance(instance, config, its_routes, count)
				: ERR_NOMEM;
	if (err == ERR_OK)
		*ret_instance = instance;
	else
		instance_destroy(instance);
	return err;
}

void instance_destroy(struct instance *instance)
{
	if (!instance)
		return;
	admin_destroy(instance->admin); /* it looks at the other */
	server_destroy(instance->server);
	app_finish(&instance->app);
	janitor_destroy(instance->janitor);
	db_close(instance->db);
	free(instance);
}
