#include "db/db_current.h"

#include <errno.h>
#include <libgen.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "db/db_settings.h"
#include "db/migrate.h"
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

enum err db_make_current(const struct db_config *config)
{
	struct migrate_report report;
	enum err err = check_folder(config->path);
	if (err != ERR_OK)
		return err;
	err = db_migrate(config, &report);
	if (err != ERR_OK)
		log_error("cannot migrate the database", LOG_STR("path", config->path),
			LOG_STR("reason", report.message), LOG_ERR(err));
	else if (report.from != report.to)
		log_info("migrated the database", LOG_STR("path", config->path),
			LOG_INT("from", report.from), LOG_INT("to", report.to));
	return err;
}

enum err db_open_current(const struct db_config *config, struct db **ret_db)
{
	enum err err = db_make_current(config);
	if (err != ERR_OK)
		return err;
	err = db_open(config, ret_db);
	if (err != ERR_OK)
		log_error("cannot open the database", LOG_STR("path", config->path),
			LOG_ERR(err));
	return err;
}
