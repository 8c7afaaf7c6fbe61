#include "handlers/ops/admin_settings.h"

#define FIELD(field) offsetof(struct admin_settings, field)

static const struct setting admin_setting_list[] = {
	{ "ADMIN_ADDR", &setting_address, FIELD(addr), "127.0.0.1",
		"address of the listener for metrics and operators", .basic = true },
	{ "ADMIN_PORT", &setting_number, FIELD(port), "8081", "its port; 0 turns it off",
		.basic = true, .min = 0, .max = 65535 },
	{ 0 },
};

const struct setting_table admin_setting_table = { admin_setting_list, NULL };
