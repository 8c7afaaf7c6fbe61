#include "service/core/setting.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/*
 * Numbers.
 */

static bool read_number(const struct setting *setting, const char *text, void *field)
{
	if (text[strspn(text, "0123456789")] != '\0')
		return false;
	errno = 0;
	int64_t number = strtoll(text, NULL, 10);
	if (errno != 0 || number < setting->min || number > setting->max)
		return false;
	memcpy(field, &number, sizeof number);
	return true;
}

static void print_number(const struct setting *setting, const void *field, FILE *out)
{
	int64_t number;
	(void)setting;
	memcpy(&number, field, sizeof number);
	fprintf(out, "%" PRId64, number);
}

static void allow_number(const struct setting *setting, FILE *out)
{
	fprintf(out, "a whole number from %" PRId64 " to %" PRId64, setting->min,
		setting->max);
}

const struct setting_kind setting_number = { read_number, print_number, allow_number,
	NULL };

/*
 * Words: one of a few. The field is an enum, which gcc and clang make an unsigned when
 * none of its values is negative.
 */

static bool read_word(const struct setting *setting, const char *text, void *field)
{
	for (unsigned i = 0; setting->words[i]; i++) {
		if (strcasecmp(setting->words[i], text) == 0) {
			memcpy(field, &i, sizeof i);
			return true;
		}
	}
	return false;
}

static void print_word(const struct setting *setting, const void *field, FILE *out)
{
	unsigned i;
	memcpy(&i, field, sizeof i);
	fputs(setting->words[i], out);
}

static void allow_word(const struct setting *setting, FILE *out)
{
	fputs("one of ", out);
	for (unsigned i = 0; setting->words[i]; i++)
		fprintf(out, "%s%s", i > 0 ? ", " : "", setting->words[i]);
}

const struct setting_kind setting_word = { read_word, print_word, allow_word, NULL };

/*
 * Addresses.
 */

static bool read_address(const struct setting *setting, const char *text, void *field)
{
	(void)setting;
	struct in6_addr ignored;
	if (strlen(text) >= SETTING_ADDR_SIZE ||
		(inet_pton(AF_INET, text, &ignored) != 1 &&
			inet_pton(AF_INET6, text, &ignored) != 1))
		return false;
	memcpy(field, text, strlen(text) + 1);
	return true;
}

static void print_address(const struct setting *setting, const void *field, FILE *out)
{
	(void)setting;
	fputs(field, out);
}

static void allow_address(const struct setting *setting, FILE *out)
{
	(void)setting;
	fputs("a numeric IPv4 or IPv6 address", out);
}

const struct setting_kind setting_address = { read_address, print_address, allow_address,
	NULL };
