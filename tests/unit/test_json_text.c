#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "service/core/json_text.h"
#include "tests/support/cmocka.h"

enum { LONGEST = 40, SIZE = JSON_ESCAPE_MAX * LONGEST + 2 };

/* Writes text at the end of the memory there is, so that a sanitizer hears of a byte too
 * much; ret gets it NUL-terminated. */
static void print(struct span text, char ret[static SIZE + 1])
{
	char *copy = malloc(text.len + 1); /* nor may more than that be read */
	memcpy(copy, text.data, text.len);
	char *out = malloc(JSON_ESCAPE_MAX * text.len + 2);
	char *end = json_print_string(out, (struct span){ copy, text.len });
	memcpy(ret, out, (size_t)(end - out));
	ret[end - out] = '\0';
	free(out);
	free(copy);
}

static void each_character_is_escaped_as_rfc_8259_wants_it(void **state)
{
	(void)state;
	for (int c = 0; c < 0x80; c++) {
		const char *shorts = "\b\f\n\r\t\"\\";
		const char *names = "bfnrt\"\\";
		char text = (char)c;
		char expected[16], actual[SIZE + 1];
		const char *at = c ? strchr(shorts, c) : NULL;
		if (at)
			snprintf(expected, sizeof expected, "\"\\%c\"",
				names[at - shorts]);
		else if (c < ' ')
			snprintf(expected, sizeof expected, "\"\\u%04x\"", (unsigned)c);
		else
			snprintf(expected, sizeof expected, "\"%c\"", c);
		print((struct span){ &text, 1 }, actual);
		assert_string_equal(actual, expected);
	}
}

static void delete_has_an_escape_too_for_who_wants_it(void **state)
{
	char out[JSON_ESCAPE_MAX + 1] = "";
	(void)state;
	assert_ptr_equal(json_escape(out, 0x7f), out + JSON_ESCAPE_MAX);
	assert_string_equal(out, "\\u007f");
}

/* The bytes are looked at eight at a time: so each at each place in texts of each length
 * up to five eights, between bytes of which some are nearly special themselves. */
static void what_is_escaped_does_not_depend_on_where_it_stands(void **state)
{
	static const unsigned char fill[] = { 'x', '!', '#', '[', ']', ' ', 0x7f };
	char text[LONGEST], expected[SIZE + 1], actual[SIZE + 1];
	(void)state;
	for (size_t len = 1; len <= LONGEST; len++)
		for (size_t at = 0; at < len; at++)
			for (int c = 0; c < 0x100; c += c < 0x80 ? 1 : 0x15) {
				for (size_t i = 0; i < len; i++)
					text[i] = (char)fill[(i + len) % sizeof fill];
				text[at] = (char)c;
				char *end = expected;
				*end++ = '"';
				for (size_t i = 0; i < len; i++) {
					unsigned char byte = (unsigned char)text[i];
					if (byte < ' ' || byte == '"' || byte == '\\')
						end = json_escape(end, byte);
					else if (byte < 0x80)
						*end++ = text[i];
					else
						end = stpcpy(end, "\xef\xbf\xbd");
				}
				strcpy(end, "\"");
				print((struct span){ text, len }, actual);
				assert_string_equal(actual, expected);
			}
}

static void assert_printed(const char *text, const char *expected)
{
	char actual[SIZE + 1];
	print(span_of(text), actual);
	assert_string_equal(actual, expected);
}

static void characters_stay_and_what_is_none_is_replaced(void **state)
{
	(void)state;
	assert_printed("z\xc3\xb6lf \xe6\xbc\xa2\xf0\x9f\x99\x82",
		"\"z\xc3\xb6lf \xe6\xbc\xa2\xf0\x9f\x99\x82\"");
	assert_printed("caf\xe9", "\"caf\xef\xbf\xbd\"");
	assert_printed("\xe9t\xe9", "\"\xef\xbf\xbdt\xef\xbf\xbd\"");
	assert_printed("caf\xe9 and a \"caf\xc3\xa9\"\n",
		"\"caf\xef\xbf\xbd and a \\\"caf\xc3\xa9\\\"\\n\"");
	assert_printed("cut \xe6\xbc", "\"cut \xef\xbf\xbd\xef\xbf\xbd\"");
	assert_printed("\xc0\x80", "\"\xef\xbf\xbd\xef\xbf\xbd\""); /* overlong */
	assert_printed("\xed\xa0\x80",                              /* a surrogate */
		"\"\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\"");
}

static void a_parser_reads_it_back(void **state)
{
	static const char text[] = "two \"bolts\"\n\t12 \\ 5 mm, \x01\x1f zw\xc3\xb6lf";
	char printed[SIZE + 1];
	(void)state;
	print(span_of(text), printed);
	json_t *json = json_loads(printed, JSON_DECODE_ANY, NULL);
	assert_string_equal(json_string_value(json), text);
	json_decref(json);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(each_character_is_escaped_as_rfc_8259_wants_it),
		cmocka_unit_test(delete_has_an_escape_too_for_who_wants_it),
		cmocka_unit_test(what_is_escaped_does_not_depend_on_where_it_stands),
		cmocka_unit_test(characters_stay_and_what_is_none_is_replaced),
		cmocka_unit_test(a_parser_reads_it_back),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
