/*
 * The one form of a request's head: what is brought into it, and what cannot be.
 */
#include <string.h>

#include "service/http/request_canonical.h"
#include "tests/support/cmocka.h"

struct fixture {
	struct request req;
	struct response res;
	enum err err;
};

struct line {
	const char *name;
	struct span value;
};

enum { LINES_MAX = 64 };

#define LINE(name, value)                        \
	{                                        \
		name,                            \
		{                                \
			value, sizeof(value) - 1 \
		}                                \
	}

static void canonicalize(
	struct fixture *test, const char *path, const struct line *lines, size_t count)
{
	assert_true(count <= LINES_MAX);
	memset(test, 0, sizeof *test);
	response_init(&test->res);
	assert_int_equal(request_reserve(&test->req, LINES_MAX, 8192), ERR_OK);
	test->req.path = request_keep(&test->req, span_of(path));
	for (size_t i = 0; i < count; i++)
		request_add_field(&test->req, REQUEST_HEADER, span_of(lines[i].name),
			lines[i].value);
	request_add_field(&test->req, REQUEST_QUERY, SPAN_LITERAL("Accept"),
		SPAN_LITERAL(" of the query "));
	test->err = request_canonicalize(&test->req, &test->res);
}

static void finish(struct fixture *test)
{
	request_finish(&test->req);
	response_finish(&test->res);
}

#define CANONICALIZE(test, ...)                                         \
	canonicalize((test), "/", (const struct line[]){ __VA_ARGS__ }, \
		sizeof((const struct line[]){ __VA_ARGS__ }) / sizeof(struct line))

static void assert_header(const struct fixture *test, const char *name, const char *value)
{
	struct span got = request_header(&test->req, name);
	if (!value) {
		assert_null(got.data);
		return;
	}
	assert_non_null(got.data);
	assert_string_equal(got.data, value);
	assert_int_equal(got.len, strlen(value));
	assert_int_equal(request_header_count(&test->req, name), 1);
}

static void an_absolute_target_is_its_path(void **state)
{
	static const char *const targets[][2] = {
		{ "/a/b", "/a/b" },
		{ "*", "*" },
		{ "http://host/a/b", "/a/b" },
		{ "HTTPS://user@host:1/a", "/a" },
		{ "http://host", "/" },
		{ "http://host/", "/" },
		{ "http://", "/" },
		{ "http:/a", "http:/a" },
		{ "ftp://host/a", "ftp://host/a" },
		{ "/http://host/a", "/http://host/a" },
	};
	struct fixture test;
	(void)state;
	for (size_t i = 0; i < sizeof targets / sizeof *targets; i++) {
		canonicalize(&test, targets[i][0], NULL, 0);
		assert_string_equal(test.req.path, targets[i][1]);
		finish(&test);
	}
}

static void values_have_no_blanks_around_them(void **state)
{
	struct fixture test;
	struct span value;
	(void)state;
	CANONICALIZE(&test, LINE("A", " \tx y\t "), LINE("B", ""), LINE("C", " \t "));
	assert_int_equal(test.err, ERR_OK);
	assert_header(&test, "a", "x y");
	assert_header(&test, "b", "");
	assert_header(&test, "c", "");
	assert_int_equal(request_query(&test.req, "Accept", &value), ERR_OK);
	assert_string_equal(value.data, " of the query ");
	finish(&test);
}

static void a_list_in_several_lines_is_one(void **state)
{
	struct fixture test;
	(void)state;
	CANONICALIZE(&test, LINE("Accept", "a"), LINE("If-Match", "\"1\" "),
		LINE("X", "first"), LINE("accept", " b , c"), LINE("IF-MATCH", "\"2\""),
		LINE("ACCEPT", ""), LINE("X", "second"));
	assert_int_equal(test.err, ERR_OK);
	assert_header(&test, "Accept", "a, b , c, ");
	assert_header(&test, "If-Match", "\"1\", \"2\"");
	assert_int_equal(request_header_count(&test.req, "X"), 2);
	assert_int_equal(test.req.fields_count, 5); /* and the one of the query */
	finish(&test);
}

static void many_lines_are_one_list(void **state)
{
	struct line lines[LINES_MAX - 1];
	struct fixture test;
	(void)state;
	for (size_t i = 0; i < LINES_MAX - 1; i++)
		lines[i] = (struct line)LINE("If-None-Match", "\"1\"");
	canonicalize(&test, "/", lines, LINES_MAX - 1);
	assert_int_equal(request_header_count(&test.req, "If-None-Match"), 1);
	assert_int_equal(
		request_header(&test.req, "If-None-Match").len, (LINES_MAX - 1) * 5 - 2);
	finish(&test);
}

static void what_is_no_list_has_one_answer_when_it_comes_twice(void **state)
{
	struct fixture test;
	(void)state;
	CANONICALIZE(&test, LINE("traceparent", "a"), LINE("X-Request-Id", "b"),
		LINE("Traceparent", "c"), LINE("X-Request-ID", "b"), LINE("Y", "d"));
	assert_int_equal(test.err, ERR_OK);
	assert_header(&test, "traceparent", NULL);
	assert_header(&test, "X-Request-Id", NULL);
	assert_header(&test, "Y", "d");
	finish(&test);
	CANONICALIZE(&test, LINE("Content-Type", "a/b"), LINE("content-type", "a/b"));
	assert_int_equal(test.err, ERR_BAD_REQUEST);
	finish(&test);
	CANONICALIZE(&test, LINE("Authorization", "a"), LINE("Authorization", "b"));
	assert_int_equal(test.err, ERR_BAD_REQUEST);
	finish(&test);
}

static void what_can_be_misread_is_refused(void **state)
{
	static const struct line lines[] = {
		LINE("", "x"),
		LINE(" A", "x"),
		LINE("A ", "x"),
		LINE("A\t", "x"),
		LINE("A B", "x"),
		LINE("A:", "x"),
		LINE("A(", "x"),
		LINE("\xc3\xa4", "x"),
		LINE("A\x7f", "x"),
		LINE("A", "x\0y"),
		LINE("A", "x\0"),
		LINE("A", "x\ry"),
		LINE("A", "x\ny"),
		LINE("Content-Length ", "1"),
		LINE("Content-Length\x0b", "1"),
		LINE("Content-Lengthx", "1"),
		LINE("content-length-", "1"),
		LINE("Transfer-Encoding2", "chunked"),
		LINE("Content-Length", " 1"),
		LINE("Content-Length", "1 "),
		LINE("Transfer-Encoding", "chunked\t"),
	};
	struct fixture test;
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		canonicalize(&test, "/", &lines[i], 1);
		if (test.err != ERR_BAD_REQUEST)
			fail_msg("line %zu, \"%s\", is taken", i, lines[i].name);
		assert_true(test.res.detail[0]);
		finish(&test);
	}
}

static void every_character_of_a_token_is_taken(void **state)
{
	struct fixture test;
	(void)state;
	CANONICALIZE(&test, LINE("!#$%&'*+-.^_`|~09azAZ", "x\x80\t\xff"));
	assert_int_equal(test.err, ERR_OK);
	assert_header(&test, "!#$%&'*+-.^_`|~09AZaz", "x\x80\t\xff");
	finish(&test);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_absolute_target_is_its_path),
		cmocka_unit_test(values_have_no_blanks_around_them),
		cmocka_unit_test(a_list_in_several_lines_is_one),
		cmocka_unit_test(many_lines_are_one_list),
		cmocka_unit_test(what_is_no_list_has_one_answer_when_it_comes_twice),
		cmocka_unit_test(what_can_be_misread_is_refused),
		cmocka_unit_test(every_character_of_a_token_is_taken),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
