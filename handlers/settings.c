#include "handlers/settings.h"

#include <inttypes.h>
#include <string.h>

/* The service's own. A new one is a field in struct config, a line here, and a line in
 * tests/unit/test_config.c. */
static const struct setting own_setting_list[] = {
	/* The example. */
	{ "IMPORT_MAX_MS", &setting_number, offsetof(struct config, import_max_ms),
		"60000",
		"ms that an import may take to write, once it has arrived: other writes "
		"wait meanwhile",
		.min = 1, .max = SETTING_DAY_MS },
	{ 0 },
};

static const struct setting_table own_setting_table = { own_setting_list, NULL };

/*
 * All of them.
 */

static const struct settings_part parts[] = {
	{ &http_setting_table, offsetof(struct config, http) },
	{ &admin_setting_table, offsetof(struct config, admin) },
	{ &db_setting_table, offsetof(struct config, db) },
	{ &log_setting_table, offsetof(struct config, log) },
	{ &own_setting_table, 0 }, /* its fields are struct config's */
};

/* What parts must be to each other. */
static bool ports_differ(const struct config *config, FILE *complaints)
{
	if (config->http.port == 0 || config->http.port != config->admin.port ||
		strcmp(config->http.listen_addr, config->admin.addr) != 0)
		return true;
	fprintf(complaints, "ADMIN_PORT: %" PRId64 " is not another port than PORT\n",
		config->admin.port);
	return false;
}

const struct settings config_settings = {
	.parts = parts,
	.parts_count = sizeof parts / sizeof *parts,
	.config_size = sizeof(struct config),
	.agree = ports_differ,
};

struct db_config config_db(const struct config *config)
{
	return db_config_of(&config->db, config->http.long_threads);
}
