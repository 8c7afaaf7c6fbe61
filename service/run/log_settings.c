#include "service/run/log_settings.h"

#include <assert.h>
#include <unistd.h>

static_assert(sizeof(enum log_level) == sizeof(unsigned) &&
		sizeof(enum log_format) == sizeof(unsigned),
	"words are stored as unsigned");

static const char *const level_words[] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
	[LOG_LEVELS] = NULL,
};

static const char *const format_words[] = {
	[LOG_FORMAT_TEXT] = "text",
	[LOG_FORMAT_JSON] = "json",
	[LOG_FORMATS] = NULL,
};

static void derive_format(void *part)
{
	struct log_settings *log = part;
	log->format = isatty(STDERR_FILENO) ? LOG_FORMAT_TEXT : LOG_FORMAT_JSON;
}

#define FIELD(field) offsetof(struct log_settings, field)

static const struct setting log_setting_list[] = {
	{ "LOG_LEVEL", &setting_word, FIELD(level), "info",
		"the least level that is logged", .basic = true, .words = level_words },
	{ "LOG_FORMAT", &setting_word, FIELD(format), "text on a terminal, else json",
		"lines for people or for machines", .basic = true, .words = format_words,
		.derive = derive_format },
	{ 0 },
};

const struct setting_table log_setting_table = { log_setting_list, NULL };
