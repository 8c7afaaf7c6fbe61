/*
 * The table of routes: which of them a path is, and what stands in its braces.
 */
#include <string.h>

#include "service/http/router.h"
#include "tests/support/cmocka.h"

static const struct route table[] = {
	{ "GET", "/", .lane = LANE_INLINE },
	{ "GET", "/things", .lane = LANE_INLINE },
	{ "POST", "/things", .lane = LANE_INLINE },
	{ "GET", "/things/{id}", .lane = LANE_INLINE },
	{ "GET", "/things/best", .lane = LANE_INLINE },
	{ "DELETE", "/things/{id}", .lane = LANE_INLINE },
	{ "GET", "/things/{id}/parts/{part}", .lane = LANE_INLINE },
	{ "GET", "/{a}/{b}/{c}/{d}", .lane = LANE_INLINE },
	{ "PUT", "/{a}/{b}/c/8", .lane = LANE_INLINE },
	{ "GET", "/a/{b}/c/{d}", .lane = LANE_INLINE },
	{ "POST", "/things/new", .lane = LANE_INLINE },
	{ "PATCH", "/things/{other}", .lane = LANE_INLINE }, /* the same as {id} */
	{ "GET", "/many/{a}/{b}/{c}/{d}/{e}", .lane = LANE_INLINE },
};

enum { COUNT = sizeof table / sizeof *table };

static const char *find(const char *method, const char *path, struct route_match *match)
{
	enum err err = route_find(table, COUNT, method, path, match);
	assert_int_equal(err == ERR_OK, match->route != NULL);
	return match->route ? match->route->path : err_name(err);
}

static void assert_found(const char *method, const char *path, const char *expected)
{
	struct route_match match;
	assert_string_equal(find(method, path, &match), expected);
}

static void assert_param(
	const struct route_match *match, unsigned i, const char *name, const char *value)
{
	assert_true(i < match->params_count);
	assert_true(span_is(match->params[i].name, name));
	assert_true(span_is(match->params[i].value, value));
}

static void a_path_is_found_as_a_whole(void **state)
{
	(void)state;
	assert_found("GET", "/", "/");
	assert_found("GET", "/things", "/things");
	assert_found("GET", "/thing", "not_found");
	assert_found("GET", "/thingses", "not_found");
	assert_found("GET", "/things/7/parts", "not_found");
	assert_found("GET", "/things/7/parts/", "not_found");
	assert_found("GET", "/things/7/part/8", "/{a}/{b}/{c}/{d}");
	assert_found("GET", "/things/7/parts/8/9", "not_found");
	assert_found("GET", "/Things", "not_found");
}

static void an_untidy_path_is_another(void **state)
{
	(void)state;
	assert_found("GET", "", "not_found");
	assert_found("GET", "things", "not_found");
	assert_found("GET", "//", "not_found");
	assert_found("GET", "/things/", "not_found");
	assert_found("GET", "//things", "not_found");
	assert_found("GET", "/things//parts/8", "not_found");
}

static void braces_take_one_segment(void **state)
{
	struct route_match match;
	(void)state;
	find("GET", "/things/7", &match);
	assert_int_equal(match.params_count, 1);
	assert_param(&match, 0, "id", "7");
	find("GET", "/things/a{b}/parts/%2F", &match);
	assert_int_equal(match.params_count, 2);
	assert_param(&match, 0, "id", "a{b}");
	assert_param(&match, 1, "part", "%2F");
}

static void what_is_spelt_out_wins(void **state)
{
	(void)state;
	assert_found("GET", "/things/best", "/things/best");
	/* Whatever the method: what is spelt out is a resource of its own. */
	assert_found("DELETE", "/things/best", "method_not_allowed");
	assert_found("POST", "/things/new", "/things/new");
	assert_found("GET", "/things/new", "method_not_allowed");
	assert_found("HEAD", "/things/best", "/things/best");
	/* The first segment in which they differ decides, not how many braces there are. */
	assert_found("GET", "/a/7/c/8", "/a/{b}/c/{d}");
	assert_found("PUT", "/a/7/c/8", "method_not_allowed");
	assert_found("GET", "/things/7/parts/8", "/things/{id}/parts/{part}");
}

static void more_braces_than_there_is_room_for_match_nothing(void **state)
{
	(void)state;
	assert_found("GET", "/many/1/2/3/4/5", "not_found");
	assert_found("GET", "/e/b/c/d", "/{a}/{b}/{c}/{d}");
}

static void the_method_is_told_from_the_path(void **state)
{
	(void)state;
	assert_found("HEAD", "/things", "/things");
	assert_found("DELETE", "/things", "method_not_allowed");
	assert_found("get", "/things", "method_not_allowed");
	assert_found("DELETE", "/nothing", "not_found");
}

static void assert_allow(const char *path, const char *expected)
{
	char allow[64] = "x";
	route_allow(table, COUNT, path, allow, sizeof allow);
	assert_string_equal(allow, expected);
}

static void a_path_tells_its_methods(void **state)
{
	(void)state;
	assert_allow("/things", "GET, HEAD, POST, OPTIONS");
	assert_allow("/things/7", "GET, HEAD, DELETE, PATCH, OPTIONS");
	assert_allow("/things/best", "GET, HEAD, OPTIONS");
	assert_allow("/things/new", "POST, OPTIONS");
	assert_allow("/things/", "");
	assert_allow("/nothing", "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_path_is_found_as_a_whole),
		cmocka_unit_test(an_untidy_path_is_another),
		cmocka_unit_test(braces_take_one_segment),
		cmocka_unit_test(what_is_spelt_out_wins),
		cmocka_unit_test(more_braces_than_there_is_room_for_match_nothing),
		cmocka_unit_test(the_method_is_told_from_the_path),
		cmocka_unit_test(a_path_tells_its_methods),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
