#include "service/run/settings.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

/*
 * Going through all of them.
 */

struct walk {
	const struct settings *settings;
	bool past_basic;
	size_t part;
	size_t next; /* in the part's table */
	size_t part_offset;
	size_t field_offset; /* of the last one, both in struct config */
};

static struct walk walk_over(const struct settings *settings)
{
	return (struct walk){ .settings = settings };
}

/* The next of those that are basic, or of those that are not; NULL after the last. */
static const struct setting *next_alike(struct walk *walk)
{
	for (; walk->part < walk->settings->parts_count; walk->part++, walk->next = 0) {
		const struct settings_part *part = &walk->settings->parts[walk->part];
		const struct setting *setting;
		while ((setting = &part->table->settings[walk->next])->name) {
			walk->next++;
			if (setting->basic == walk->past_basic)
				continue;
			walk->part_offset = part->offset;
			walk->field_offset = part->offset + setting->offset;
			return setting;
		}
	}
	return NULL;
}

/* NULL after the last. */
static const struct setting *next_setting(struct walk *walk)
{
	const struct setting *setting = next_alike(walk);
	if (setting || walk->past_basic)
		return setting;
	*walk = (struct walk){ .settings = walk->settings, .past_basic = true };
	return next_alike(walk);
}

static void *at(struct config *config, size_t offset)
{
	return (char *)config + offset;
}

static const void *const_at(const struct config *config, size_t offset)
{
	return (const char *)config + offset;
}

/*
 * Loading.
 */

static int64_t followed_number(const struct settings *settings,
	const struct config *config, const struct setting *follower)
{
	struct walk walk = walk_over(settings);
	const struct setting *setting;
	int64_t number;
	while ((setting = next_setting(&walk)) != follower)
		if (strcmp(setting->name, follower->follows) == 0)
			break;
	assert(setting != follower && setting->kind == &setting_number);
	memcpy(&number, const_at(config, walk.field_offset), sizeof number);
	return number;
}

static void set_default(
	const struct walk *walk, const struct setting *setting, struct config *config)
{
	void *field = at(config, walk->field_offset);
	if (setting->follows) {
		int64_t number = followed_number(walk->settings, config, setting);
		memcpy(field, &number, sizeof number);
	} else if (setting->derive) {
		setting->derive(at(config, walk->part_offset));
	} else if (!setting->kind->read(setting, setting->fallback, field)) {
		assert(!"every default is allowed");
	}
}

static void complain(const struct setting *setting, const char *value, FILE *complaints)
{
	fprintf(complaints, "%s: \"", setting->name);
	if (setting->kind->print_refused)
		setting->kind->print_refused(value, complaints);
	else
		fputs(value, complaints);
	fputs("\" is not ", complaints);
	setting->kind->print_allowed(setting, complaints);
	fputc('\n', complaints);
}

/* False when the environment's value was refused. */
static bool load(const struct walk *walk, const struct setting *setting,
	struct config *config, FILE *complaints)
{
	/* NOLINTNEXTLINE(concurrency-mt-unsafe): the header says when not to. */
	const char *value = getenv(setting->name);
	set_default(walk, setting, config);
	if (!value || !value[0])
		return true;
	if (setting->kind->read(setting, value, at(config, walk->field_offset)))
		return true;
	complain(setting, value, complaints);
	return false;
}

static bool load_all(
	const struct settings *settings, struct config *config, FILE *complaints)
{
	struct walk walk = walk_over(settings);
	const struct setting *setting;
	bool good = true;
	while ((setting = next_setting(&walk)))
		good &= load(&walk, setting, config, complaints);
	return good;
}

static bool all_agree(
	const struct settings *settings, const struct config *config, FILE *complaints)
{
	bool good = !settings->agree || settings->agree(config, complaints);
	for (size_t i = 0; i < settings->parts_count; i++) {
		const struct settings_part *part = &settings->parts[i];
		if (part->table->agree)
			good &= part->table->agree(
				const_at(config, part->offset), complaints);
	}
	return good;
}

void settings_default(const struct settings *settings, struct config *ret_config)
{
	struct walk walk = walk_over(settings);
	const struct setting *setting;
	memset(ret_config, 0, settings->config_size);
	while ((setting = next_setting(&walk)))
		set_default(&walk, setting, ret_config);
}

enum err settings_load(
	const struct settings *settings, struct config *ret_config, FILE *complaints)
{
	struct config *config = calloc(1, settings->config_size);
	if (!config)
		return ERR_NOMEM;
	/* With a default in the place of a bad value the rules would mislead. */
	bool good = load_all(settings, config, complaints) &&
		all_agree(settings, config, complaints);
	if (good)
		memcpy(ret_config, config, settings->config_size);
	free(config);
	return good ? ERR_OK : ERR_INVALID;
}

const void *settings_part(const struct settings *settings,
	const struct setting_table *table, const struct config *config)
{
	for (size_t i = 0; i < settings->parts_count; i++)
		if (settings->parts[i].table == table)
			return const_at(config, settings->parts[i].offset);
	return NULL;
}

/*
 * Showing.
 */

void settings_print(
	const struct settings *settings, const struct config *config, FILE *out)
{
	struct walk walk = walk_over(settings);
	const struct setting *setting;
	while ((setting = next_setting(&walk))) {
		fprintf(out, "%s=", setting->name);
		setting->kind->print(setting, const_at(config, walk.field_offset), out);
		fputc('\n', out);
	}
}

void settings_print_help(const struct settings *settings, FILE *out)
{
	struct walk walk = walk_over(settings);
	const struct setting *setting;
	while ((setting = next_setting(&walk))) {
		fprintf(out, "  %s\n      %s\n      ", setting->name, setting->help);
		setting->kind->print_allowed(setting, out);
		fprintf(out, "; default: %s\n",
			setting->follows ? setting->follows : setting->fallback);
	}
}
