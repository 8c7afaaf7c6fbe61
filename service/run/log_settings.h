#ifndef HANGUP_SERVICE_RUN_LOG_SETTINGS_H
#define HANGUP_SERVICE_RUN_LOG_SETTINGS_H

/*
 * The settings of the log: what program_main() starts it with. Every program's settings
 * must have this part.
 */
#include "service/core/log.h"
#include "service/core/setting.h"

struct log_settings {
	enum log_level level;
	enum log_format format;
};

extern const struct setting_table log_setting_table;

#endif
