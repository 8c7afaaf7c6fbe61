#include <stdio.h>
#include <string.h>

#include "service/http/problem.h"
#include "service/http/response.h"
#include "tests/support/cmocka.h"

static int set_up(void **state)
{
	static struct response res;
	response_init(&res);
	*state = &res;
	return 0;
}

static int tear_down(void **state)
{
	response_finish(*state);
	return 0;
}

static void a_header_is_found_whatever_its_case(void **state)
{
	struct response *res = *state;
	assert_null(response_find_header(res, "ETag"));
	assert_int_equal(response_header(res, "ETag", "\"1\""), ERR_OK);
	assert_string_equal(response_find_header(res, "ETag"), "\"1\"");
	assert_string_equal(response_find_header(res, "etag"), "\"1\"");
	assert_null(response_find_header(res, "ETa"));
	assert_null(response_find_header(res, "ETags"));
}

static void a_header_replaces_its_like_whatever_the_case(void **state)
{
	struct response *res = *state;
	response_header(res, "content-type", "text/plain");
	response_header(res, "Content-Type", "text/html");
	assert_int_equal(res->headers_count, 1);
	assert_string_equal(response_find_header(res, "content-type"), "text/html");
}

static void there_is_room_for_so_many_headers(void **state)
{
	static char names[RESPONSE_HEADERS_MAX + 1][16];
	struct response *res = *state;
	for (int i = 0; i <= RESPONSE_HEADERS_MAX; i++) {
		snprintf(names[i], sizeof names[i], "X-%d", i);
		enum err err = response_header(res, names[i], "a");
		assert_int_equal(err, i < RESPONSE_HEADERS_MAX ? ERR_OK : ERR_INTERNAL);
	}
	assert_int_equal(response_header(res, "x-0", "b"), ERR_OK);
	assert_string_equal(response_find_header(res, "X-0"), "b");
	assert_int_equal(res->headers_count, RESPONSE_HEADERS_MAX);
}

static void a_value_with_a_line_break_is_refused(void **state)
{
	struct response *res = *state;
	assert_int_equal(
		response_header(res, "Link", "a\r\nSet-Cookie: b"), ERR_INTERNAL);
	assert_int_equal(response_header(res, "Link", "a\nb"), ERR_INTERNAL);
	assert_null(response_find_header(res, "Link"));
}

static void a_problem_keeps_only_what_its_status_speaks_of(void **state)
{
	struct response *res = *state;
	response_header(res, "ETag", "\"1\"");
	response_header(res, "allow", "GET, HEAD");
	response_header(res, "Location", "/v1/items/1");
	response_header(res, "Vary", "Accept");
	response_write(res, SPAN_LITERAL("half of an answer"));
	problem_render(res, ERR_METHOD);
	assert_string_equal(response_find_header(res, "Allow"), "GET, HEAD");
	assert_string_equal(response_find_header(res, "Vary"), "Accept");
	assert_string_equal(
		response_find_header(res, "Content-Type"), "application/problem+json");
	assert_int_equal(res->headers_count, 3);
	assert_int_equal(res->body.data[0], '{');
}

static void a_reset_leaves_nothing(void **state)
{
	struct response *res = *state;
	res->status = 201;
	response_header(res, "ETag", "\"1\"");
	response_write(res, SPAN_LITERAL("[]"));
	problem_field(res, "/name", "must be there");
	problem(res, ERR_INVALID, "no");
	response_reset(res);
	assert_int_equal(res->status, 200);
	assert_int_equal(res->headers_count, 0);
	assert_int_equal(res->body.len, 0);
	assert_int_equal(problem_fields(res), ERR_OK);
	assert_string_equal(res->detail, "");
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_header_is_found_whatever_its_case),
		TEST(a_header_replaces_its_like_whatever_the_case),
		TEST(there_is_room_for_so_many_headers),
		TEST(a_value_with_a_line_break_is_refused),
		TEST(a_problem_keeps_only_what_its_status_speaks_of),
		TEST(a_reset_leaves_nothing),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
