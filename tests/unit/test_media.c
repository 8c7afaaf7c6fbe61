/*
 * Media types in Content-Type and Accept, and how much a client wants one.
 */
#include <stdio.h>

#include "service/http/media.h"
#include "tests/support/cmocka.h"

static int wanted(const char *accept)
{
	return media_quality(span_of(accept), "application/json");
}

static void the_most_specific_range_decides(void **state)
{
	(void)state;
	assert_int_equal(wanted(NULL), 1000);
	assert_int_equal(wanted(""), 1000);
	assert_int_equal(wanted(" \t"), 1000);
	assert_int_equal(wanted("application/json"), 1000);
	assert_int_equal(wanted("APPLICATION/Json"), 1000);
	assert_int_equal(wanted("text/html"), 0);
	assert_int_equal(wanted("application/jsonp"), 0);
	assert_int_equal(wanted("*/*;q=0.9, application/*;q=0.5"), 500);
	assert_int_equal(wanted("application/json;q=0.25, */*"), 250);
	assert_int_equal(wanted("*/*, application/json;q=0"), 0);
	assert_int_equal(wanted("text/html, application/json;charset=utf-8;q=0.3"), 300);
}

/* What RFC 9110, 12.4.2 allows, and what is sent besides. */
static void only_a_zero_refuses(void **state)
{
	(void)state;
	const struct {
		const char *weight;
		int quality;
	} weights[] = {
		{ "0", 0 },
		{ "0.", 0 },
		{ "0.0", 0 },
		{ "0.000", 0 },
		{ "0.001", 1 },
		{ "0.0001", 1 },
		{ "0.5", 500 },
		{ "0.999", 999 },
		{ "1", 1000 },
		{ "1.", 1000 },
		{ "1.000", 1000 },
		{ ".2", 200 },
		{ ".0", 0 },
		{ ".", 1000 },
		{ "", 1000 },
		{ "2", 1000 },
		{ "1.5", 1000 },
		{ "99999999999999999999", 1000 },
		{ "0.25 ", 250 },
		{ "-1", 1000 },
		{ "0.2.5", 1000 },
		{ "high", 1000 },
		{ "0x1", 1000 },
		{ "\"0.5\"", 1000 },
	};
	for (size_t i = 0; i < sizeof weights / sizeof *weights; i++) {
		char accept[64];
		snprintf(accept, sizeof accept, "*/*; q=%s", weights[i].weight);
		if (wanted(accept) != weights[i].quality)
			fail_msg("%s is %d", accept, wanted(accept));
	}
	assert_int_equal(
		wanted("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2"), 200);
}

static void a_list_is_wanted_for_any_of_it(void **state)
{
	(void)state;
	const char *types = "application/x-ndjson, application/json";
	assert_true(media_is_wanted(span_of("application/json"), types));
	assert_true(media_is_wanted(span_of("application/x-ndjson;q=.1"), types));
	assert_false(media_is_wanted(span_of("text/csv"), types));
	assert_false(media_is_wanted(span_of("*/*;q=0"), types));
}

static void parameters_and_case_of_a_type_do_not_matter(void **state)
{
	(void)state;
	const char *types = "application/json, text/csv";
	assert_true(media_is_among(span_of("Application/JSON ; charset=utf-8"), types));
	assert_true(media_is_among(span_of("text/csv"), types));
	assert_false(media_is_among(span_of("text"), types));
	assert_false(media_is_among(span_of("application/json2"), types));
	assert_false(media_is_among(span_of(""), types));
	assert_false(media_is_among(span_of(NULL), types));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_most_specific_range_decides),
		cmocka_unit_test(only_a_zero_refuses),
		cmocka_unit_test(a_list_is_wanted_for_any_of_it),
		cmocka_unit_test(parameters_and_case_of_a_type_do_not_matter),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
