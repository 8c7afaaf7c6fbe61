#ifndef HANGUP_HANDLERS_SETTINGS_H
#define HANGUP_HANDLERS_SETTINGS_H

/*
 * The program's settings: those of its parts, each described beside what it sets, and the
 * service's own, whose table is in settings.c.
 */
#include "db/db_settings.h"
#include "handlers/ops/admin_settings.h"
#include "service/http/http_settings.h"
#include "service/run/log_settings.h"
#include "service/run/settings.h"

struct config {
	struct http_settings http;
	struct admin_settings admin;
	struct db_settings db;
	struct log_settings log;

	/* The example. */
	int64_t import_max_ms; /* of an import's transaction, while which other writes wait */
};

/* For struct program, and for what prints them. */
extern const struct settings config_settings;

/* What config says of the database; points into config. */
struct db_config config_db(const struct config *config);

#endif
