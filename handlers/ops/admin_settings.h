#ifndef HANGUP_HANDLERS_OPS_ADMIN_SETTINGS_H
#define HANGUP_HANDLERS_OPS_ADMIN_SETTINGS_H

/*
 * The settings of the admin listener: where it listens.
 */
#include "service/core/setting.h"

struct admin_settings {
	char addr[SETTING_ADDR_SIZE]; /* ADMIN_ADDR: IPv4 or IPv6, numeric */
	int64_t port;                 /* ADMIN_PORT; 0: no admin listener */
};

extern const struct setting_table admin_setting_table;

#endif
