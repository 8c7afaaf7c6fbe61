
#include <stdlib.h>
#include <string.h>

#include "service/http/etag.h"
#include "tests/support/cmocka.h"

static void a_version_in_quotes_is_the_tag(void **state)
{
	char etag[ETAG_SIZE];
	(void)state;
	etag_of_version(12, etag);
	assert_string_equal(etag, "\"12\"");
	etag_of_version(INT64_MIN, etag);
	assert_string_equal(etag, "\"-9223372036854775808\"");
}

static void a_client_knows_what_it_lists(void **state)
{
	static const char *const values[] = { "\"12\"", "W/\"12\"", "*", " * ",
		"\"1\", \"12\"", "\"a,b\",W/\"12\"", "\"\" ,, \"12\"", "\t\"12\" ",
		"W/\"3\"\t,\t\"12\",\"4\"" };
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		assert_true(etag_is_known(span_of(values[i]), "\"12\""));
}

static void a_client_does_not_know_the_rest(void **state)
{
	static const char *const values[] = { NULL, "", " ", "12", "\"1\"", "\"12",
		"12\"", "\"123\"", "\"1\",\"2\"", "w/\"12\"", "W/ \"12\"", "W/", "W",
		"\"", "*x", "**", "\"1\" x \"12\"", "\"a, \\\"12\\\"\"", "\"x\"12\"" };
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++)
		assert_false(etag_is_known(span_of(values[i]), "\"12\""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_version_in_quotes_is_the_tag),
		cmocka_unit_test(a_client_knows_what_it_lists),
		cmocka_unit_test(a_client_does_not_know_the_rest),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
