/*
 * How settings are read and shown, with a program of two parts made for it. What the
 * service's own are is in test_config.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/run/settings.h"
#include "tests/support/cmocka.h"

enum color { RED, GREEN };

struct shop {
	int64_t size;
	int64_t half;
	char addr[SETTING_ADDR_SIZE];
};

struct yard {
	int64_t places; /* as many as the shop's size */
	enum color color;
	char key[16];
};

struct config {
	int64_t before;
	struct shop shop;
	struct yard yard;
};

static void derive_half(void *part)
{
	struct shop *shop = part;
	shop->half = shop->size / 2;
}

/* A kind of its own: a text that begins with "key-" and must not be seen. */
static bool read_key(const struct setting *setting, const char *text, void *field)
{
	(void)setting;
	if (strncmp(text, "key-", 4) != 0 || strlen(text) >= 16)
		return false;
	strcpy(field, text);
	return true;
}

static void print_key(const struct setting *setting, const void *field, FILE *out)
{
	(void)setting;
	fprintf(out, "%zu characters", strlen(field));
}

static void allow_key(const struct setting *setting, FILE *out)
{
	(void)setting;
	fputs("a key", out);
}

static void mask(const char *text, FILE *out)
{
	(void)text;
	fputs("***", out);
}

static const struct setting_kind key_kind = { read_key, print_key, allow_key, mask };

static const char *const colors[] = { [RED] = "red", [GREEN] = "green", NULL };

static const struct setting shop_settings[] = {
	{ "TRY_SIZE", &setting_number, offsetof(struct shop, size), "8", "how big",
		.min = 1, .max = 100 },
	{ "TRY_HALF", &setting_number, offsetof(struct shop, half), "half of TRY_SIZE",
		"half of it", .min = 0, .max = 100, .derive = derive_half },
	{ "TRY_ADDR", &setting_address, offsetof(struct shop, addr), "::1", "where",
		.basic = true },
	{ 0 },
};

static const struct setting yard_settings[] = {
	{ "TRY_PLACES", &setting_number, offsetof(struct yard, places), NULL, "room",
		.min = 1, .max = 100, .follows = "TRY_SIZE" },
	{ "TRY_COLOR", &setting_word, offsetof(struct yard, color), "green", "which",
		.basic = true, .words = colors },
	{ "TRY_KEY", &key_kind, offsetof(struct yard, key), "key-0", "secret",
		.basic = false },
	{ 0 },
};

static bool shop_agrees(const void *part, FILE *complaints)
{
	const struct shop *shop = part;
	if (shop->half <= shop->size)
		return true;
	fputs("TRY_HALF: too much\n", complaints);
	return false;
}

static bool parts_agree(const struct config *config, FILE *complaints)
{
	if (config->yard.places >= config->shop.size)
		return true;
	fputs("TRY_PLACES: too few\n", complaints);
	return false;
}

static const struct setting_table shop_table = { shop_settings, shop_agrees };
static const struct setting_table yard_table = { yard_settings, NULL };
static const struct setting_table strange_table = { yard_settings, NULL };

static const struct settings_part parts[] = {
	{ &shop_table, offsetof(struct config, shop) },
	{ &yard_table, offsetof(struct config, yard) },
};

static const struct settings settings = { parts, 2, sizeof(struct config), parts_agree };

static char said[4096];

static FILE *listen_to(void)
{
	memset(said, 0, sizeof said);
	return fmemopen(said, sizeof said - 1, "w");
}

static enum err load(struct config *ret_config)
{
	FILE *complaints = listen_to();
	enum err err = settings_load(&settings, ret_config, complaints);
	fclose(complaints);
	return err;
}

static int clear_environment(void **state)
{
	(void)state;
	for (size_t i = 0; i < 2; i++)
		for (const struct setting *at = parts[i].table->settings; at->name; at++)
			unsetenv(at->name);
	return 0;
}

static void each_part_gets_its_own(void **state)
{
	(void)state;
	struct config config;
	setenv("TRY_SIZE", "20", 1);
	setenv("TRY_ADDR", "10.0.0.1", 1);
	setenv("TRY_COLOR", "Red", 1);
	setenv("TRY_KEY", "key-12", 1);
	assert_int_equal(load(&config), ERR_OK);
	assert_int_equal(config.shop.size, 20);
	assert_string_equal(config.shop.addr, "10.0.0.1");
	assert_int_equal(config.yard.color, RED);
	assert_string_equal(config.yard.key, "key-12");
	assert_int_equal(config.before, 0);
	assert_ptr_equal(settings_part(&settings, &shop_table, &config), &config.shop);
	assert_ptr_equal(settings_part(&settings, &yard_table, &config), &config.yard);
	assert_null(settings_part(&settings, &strange_table, &config));
}

static void a_default_may_depend_on_others(void **state)
{
	(void)state;
	struct config config;
	assert_int_equal(load(&config), ERR_OK);
	assert_int_equal(config.shop.half, 4);
	assert_int_equal(config.yard.places, 8);
	setenv("TRY_SIZE", "20", 1);
	assert_int_equal(load(&config), ERR_OK);
	assert_int_equal(config.shop.half, 10);
	assert_int_equal(config.yard.places, 20);
	setenv("TRY_HALF", "3", 1);
	setenv("TRY_PLACES", "30", 1);
	assert_int_equal(load(&config), ERR_OK);
	assert_int_equal(config.shop.half, 3);
	assert_int_equal(config.yard.places, 30);
	settings_default(&settings, &config);
	assert_int_equal(config.shop.half, 4);
	assert_int_equal(config.yard.places, 8);
}

static void what_is_refused_is_named_in_their_order_and_nothing_is_written(void **state)
{
	(void)state;
	struct config config;
	memset(&config, 0x5a, sizeof config);
	struct config before = config;
	setenv("TRY_KEY", "geheim", 1);
	setenv("TRY_SIZE", "x", 1);
	setenv("TRY_COLOR", "blue", 1);
	setenv("TRY_PLACES", "1", 1); /* breaks a rule as well, if TRY_SIZE were 8 */
	assert_int_equal(load(&config), ERR_INVALID);
	assert_string_equal(said,
		"TRY_COLOR: \"blue\" is not one of red, green\n"
		"TRY_SIZE: \"x\" is not a whole number from 1 to 100\n"
		"TRY_KEY: \"***\" is not a key\n");
	assert_memory_equal(&config, &before, sizeof config);
}

static void rules_across_parts_and_inside_of_them_are_checked(void **state)
{
	(void)state;
	struct config config;
	setenv("TRY_HALF", "9", 1);
	assert_int_equal(load(&config), ERR_INVALID);
	assert_string_equal(said, "TRY_HALF: too much\n");
	setenv("TRY_PLACES", "7", 1);
	assert_int_equal(load(&config), ERR_INVALID);
	assert_string_equal(said, "TRY_PLACES: too few\nTRY_HALF: too much\n");
	unsetenv("TRY_HALF");
	assert_int_equal(load(&config), ERR_INVALID);
	assert_string_equal(said, "TRY_PLACES: too few\n");
}

static void the_basic_ones_are_shown_first(void **state)
{
	(void)state;
	struct config config;
	settings_default(&settings, &config);
	FILE *out = listen_to();
	settings_print(&settings, &config, out);
	fclose(out);
	assert_string_equal(said,
		"TRY_ADDR=::1\nTRY_COLOR=green\n"
		"TRY_SIZE=8\nTRY_HALF=4\nTRY_PLACES=8\nTRY_KEY=5 characters\n");
}

static void help_says_what_each_may_be(void **state)
{
	(void)state;
	FILE *out = listen_to();
	settings_print_help(&settings, out);
	fclose(out);
	assert_string_equal(said,
		"  TRY_ADDR\n      where\n"
		"      a numeric IPv4 or IPv6 address; default: ::1\n"
		"  TRY_COLOR\n      which\n"
		"      one of red, green; default: green\n"
		"  TRY_SIZE\n      how big\n"
		"      a whole number from 1 to 100; default: 8\n"
		"  TRY_HALF\n      half of it\n"
		"      a whole number from 0 to 100; default: half of TRY_SIZE\n"
		"  TRY_PLACES\n      room\n"
		"      a whole number from 1 to 100; default: TRY_SIZE\n"
		"  TRY_KEY\n      secret\n"
		"      a key; default: key-0\n");
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, clear_environment, clear_environment)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(each_part_gets_its_own),
		TEST(a_default_may_depend_on_others),
		TEST(what_is_refused_is_named_in_their_order_and_nothing_is_written),
		TEST(rules_across_parts_and_inside_of_them_are_checked),
		TEST(the_basic_ones_are_shown_first),
		TEST(help_says_what_each_may_be),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
