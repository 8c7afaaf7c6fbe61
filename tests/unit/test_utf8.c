#include <stdlib.h>
#include <string.h>

#include "service/core/parse.h"
#include "service/core/utf8.h"
#include "service/http/percent.h"
#include "tests/support/cmocka.h"

#define TEXT(literal) SPAN_LITERAL(literal)

static void the_first_character_has_its_bytes(void **state)
{
	(void)state;
	assert_int_equal(utf8_character(TEXT("")), 0);
	assert_int_equal(utf8_character(TEXT("bolt")), 1);
	assert_int_equal(utf8_character(TEXT("\u00fcb")), 2);
	assert_int_equal(utf8_character(TEXT("\u20acb")), 3);
	assert_int_equal(utf8_character(TEXT("\U0001f529b")), 4);
	assert_int_equal(utf8_character(TEXT("\xf0\x9f\x94")), 0); /* and no more */
	assert_int_equal(utf8_character(TEXT("\xed\xa0\x80")), 0);
	assert_int_equal(utf8_character(TEXT("\x80")), 0);
}

static void characters_are_counted_not_bytes(void **state)
{
	(void)state;
	assert_int_equal(utf8_length(TEXT("")), 0);
	assert_int_equal(utf8_length(TEXT("bolt")), 4);
	assert_int_equal(utf8_length(TEXT("a\0b")), 3);
	assert_int_equal(utf8_length(TEXT("\u00fc\u20ac\U0001f529")), 3);
	assert_int_equal(
		utf8_length(TEXT("\xf4\x8f\xbf\xbf\xed\x9f\xbf\xee\x80\x80")), 3);
}

static void what_is_not_utf_8_has_no_length(void **state)
{
	const struct span cases[] = {
		TEXT("\x80"),
		TEXT("\xff"),
		TEXT("\xfe"), /* no first byte */
		TEXT("\xc0\x80"),
		TEXT("\xc1\xbf"), /* overlong */
		TEXT("\xe0\x9f\xbf"),
		TEXT("\xf0\x8f\xbf\xbf"),
		TEXT("\xed\xa0\x80"),
		TEXT("\xed\xbf\xbf"), /* surrogates */
		TEXT("\xf4\x90\x80\x80"),
		TEXT("\xf5\x80\x80\x80"), /* above U+10FFFF */
		TEXT("\xc3"),
		TEXT("\xe2\x82"),
		TEXT("\xf0\x9f\x94"), /* cut */
		TEXT("\xc3("),
		TEXT("\xe2\x82("),
		TEXT("\xf0\x9f\x94("),
		TEXT("ok\xc3"),
	};
	(void)state;
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(utf8_length(cases[i]), -1);
}

static void control_characters_are_c0_delete_and_c1(void **state)
{
	const struct span with[] = { TEXT("a\0"), TEXT("\n"), TEXT("x\x1f"), TEXT("\x7f"),
		TEXT("\xc2\x80"), TEXT("ok\xc2\x9f") };
	const struct span without[] = { TEXT(""), TEXT(" ~"), TEXT("\u00a0"),
		TEXT("\u0100\u0480"), TEXT("\xc3\x80"), TEXT("\U0001f529") };
	(void)state;
	for (size_t i = 0; i < sizeof with / sizeof *with; i++)
		assert_true(utf8_has_control(with[i]));
	for (size_t i = 0; i < sizeof without / sizeof *without; i++)
		assert_false(utf8_has_control(without[i]));
}

static void a_positive_integer_is_digits_and_nothing_else(void **state)
{
	const struct span bad[] = { TEXT(""), TEXT("0"), TEXT("000"), TEXT("-1"),
		TEXT("+1"), TEXT(" 1"), TEXT("1 "), TEXT("1.0"), TEXT("1e2"), TEXT("0x1"),
		TEXT("9223372036854775808"), TEXT("99999999999999999999"),
		TEXT("\xd9\xa1") };
	int64_t value = 7;
	(void)state;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		assert_false(parse_positive(bad[i], INT64_MAX, &value));
	assert_int_equal(value, 7);
	assert_true(parse_positive(TEXT("9223372036854775807"), INT64_MAX, &value));
	assert_true(value == INT64_MAX);
	assert_true(parse_positive(TEXT("0042"), 42, &value));
	assert_int_equal(value, 42);
	assert_false(parse_positive(TEXT("43"), 42, &value));
}

static void all_but_unreserved_characters_are_encoded(void **state)
{
	struct buffer out = { 0 };
	(void)state;
	assert_int_equal(percent_append(&out, TEXT("aZ09-._~ &=+/%\0\xc3\xbc")), ERR_OK);
	assert_string_equal(buffer_text(&out), "aZ09-._~%20%26%3D%2B%2F%25%00%C3%BC");
	buffer_finish(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_first_character_has_its_bytes),
		cmocka_unit_test(characters_are_counted_not_bytes),
		cmocka_unit_test(what_is_not_utf_8_has_no_length),
		cmocka_unit_test(control_characters_are_c0_delete_and_c1),
		cmocka_unit_test(a_positive_integer_is_digits_and_nothing_else),
		cmocka_unit_test(all_but_unreserved_characters_are_encoded),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
