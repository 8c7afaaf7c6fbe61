/*
 * The reader finds the same values in a body, however it comes in pieces.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/http/json_reader.h"
#include "tests/support/cmocka.h"

enum { VALUE_MAX = 1000 };

struct source {
	struct span body;
	size_t piece;    /* bytes at a time */
	size_t fails_at; /* the offset; 0: never */
	size_t at;
};

static enum err fill(void *arg, char *buffer, size_t size, size_t *ret_len)
{
	struct source *source = arg;
	size_t len = source->body.len - source->at;
	if (source->fails_at > 0 && source->at >= source->fails_at)
		return ERR_CLIENT_GONE;
	len = len < source->piece ? len : source->piece;
	len = len < size ? len : size;
	memcpy(buffer, source->body.data + source->at, len);
	source->at += len;
	*ret_len = len;
	return ERR_OK;
}

struct outcome {
	char values[4096]; /* each with a ; behind it */
	enum err err;
	char detail[256];
};

static void read_all(
	struct json_reader *reader, struct response *res, struct outcome *ret)
{
	json_t *json;
	while ((ret->err = json_reader_next(reader, res, &json)) == ERR_OK && json) {
		char *text = json_dumps(json, JSON_COMPACT | JSON_ENCODE_ANY);
		strcat(strcat(ret->values, text), ";");
		free(text);
		json_decref(json);
	}
}

static void read_body(enum json_form form, struct source *source, struct outcome *ret)
{
	struct json_reader reader;
	struct response res;
	response_init(&res);
	*ret = (struct outcome){ 0 };
	assert_int_equal(
		json_reader_init(&reader, form, VALUE_MAX, fill, source), ERR_OK);
	read_all(&reader, &res, ret);
	memcpy(ret->detail, res.detail, sizeof ret->detail);
	json_reader_finish(&reader);
	response_finish(&res);
}

struct row {
	const char *body;
	const char *values;
	enum err err;
	const char *detail;
};

static void assert_row(enum json_form form, const struct row *row)
{
	static const size_t pieces[] = { 1, 2, 3, 5, 7, 1000000 };
	for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
		struct outcome outcome;
		struct source source = { span_of(row->body), pieces[i], 0, 0 };
		read_body(form, &source, &outcome);
		assert_string_equal(outcome.values, row->values);
		assert_int_equal(outcome.err, row->err);
		assert_string_equal(outcome.detail, row->detail);
	}
}

#define MARK "\xef\xbb\xbf"

static const struct row lines[] = {
	{ "", "", ERR_OK, "" },
	{ MARK, "", ERR_OK, "" },
	{ "1\n2\n", "1;2;", ERR_OK, "" },
	{ "1\n2", "1;2;", ERR_OK, "" },
	{ "1\r\n2\r\n", "1;2;", ERR_OK, "" },
	{ "\n\r\n \t\r\n1\n\n\n2\n\n", "1;2;", ERR_OK, "" },
	{ MARK "{\"a\":1}\n", "{\"a\":1};", ERR_OK, "" },
	{ "1\n2 3\n", "1;", ERR_NOT_JSON,
		"Line 2, column 3: something follows the value; there can be only one." },
	{ "1\n\n{\n", "1;", ERR_NOT_JSON,
		"Line 3, column 1: string or '}' expected near end of file." },
	{ "1\n" MARK "2\n", "1;", ERR_NOT_JSON,
		"Line 2, column 1: invalid token near '" MARK "'." },
	{ "{\"a\":1,\"a\":2}\n", "", ERR_INVALID,
		"Line 1, column 10: duplicate object key near '\"a\"'." },
	{ "1\n99999999999999999999\n", "1;", ERR_INVALID,
		"Line 2, column 20: the number is out of range." },
	{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
		"[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]];",
		ERR_OK, "" },
	{ "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "",
		ERR_INVALID, "Line 1 nests deeper than 32 levels." },
};

static const struct row arrays[] = {
	{ "[]", "", ERR_OK, "" },
	{ MARK " [ ] \r\n", "", ERR_OK, "" },
	{ "[1]", "1;", ERR_OK, "" },
	{ "[1,2]", "1;2;", ERR_OK, "" },
	{ "[12345,\"]\",[1,[2]],{\"a\":[3]},null,true]",
		"12345;\"]\";[1,[2]];{\"a\":[3]};null;true;", ERR_OK, "" },
	{ "\n[\n {\"a\": 1} ,\r\n\t{\"b\": 2}\n]\n", "{\"a\":1};{\"b\":2};", ERR_OK, "" },
	{ "", "", ERR_NOT_JSON, "The body must be one array." },
	{ " ]", "", ERR_NOT_JSON, "The body must be one array." },
	{ "{\"a\":1}", "", ERR_INVALID, "The body must be one array." },
	{ "\"[\"", "", ERR_INVALID, "The body must be one array." },
	{ "[", "", ERR_NOT_JSON,
		"Item 0 of the array: unexpected token near end of file." },
	{ "[1", "1;", ERR_NOT_JSON,
		"Item 0 of the array is not followed by a comma or a bracket." },
	{ "[1,", "1;", ERR_NOT_JSON,
		"Item 1 of the array: unexpected token near end of file." },
	{ "[1,{\"a\":", "1;", ERR_NOT_JSON,
		"Item 1 of the array: unexpected token near end of file." },
	{ "[1,]", "1;", ERR_NOT_JSON, "Item 1 of the array: unexpected token near ']'." },
	{ "[,1]", "", ERR_NOT_JSON, "Item 0 of the array: unexpected token near ','." },
	{ "[1 2]", "1;", ERR_NOT_JSON,
		"Item 0 of the array is not followed by a comma or a bracket." },
	{ "[1;2]", "1;", ERR_NOT_JSON,
		"Item 0 of the array is not followed by a comma or a bracket." },
	{ "[1é]", "1;", ERR_NOT_JSON,
		"Item 0 of the array is not followed by a comma or a bracket." },
	{ "[1漢]", "1;", ERR_NOT_JSON,
		"Item 0 of the array is not followed by a comma or a bracket." },
	{ "[1\xdc]", "1;", ERR_NOT_JSON,
		"Item 0 of the array is not followed by a comma or a bracket." },
	{ "[1]x", "1;", ERR_NOT_JSON, "Something follows the array." },
	{ "[1][2]", "1;", ERR_NOT_JSON, "Something follows the array." },
	{ "[1,{\"a\":1,\"a\":2}]", "1;", ERR_INVALID,
		"Item 1 of the array: duplicate object key near '\"a\"'." },
	{ "[99999999999999999999]", "", ERR_INVALID,
		"Item 0 of the array: the number is out of range." },
	{ "[0,[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]", "0;",
		ERR_INVALID, "Item 1 of the array nests deeper than 32 levels." },
};

static void lines_are_taken_apart_whatever_the_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++)
		assert_row(JSON_FORM_LINES, &lines[i]);
}

static void arrays_are_taken_apart_whatever_the_pieces(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
		assert_row(JSON_FORM_ARRAY, &arrays[i]);
}

/* jansson would pass over it. */
static void a_nul_is_no_json_wherever_it_is(void **state)
{
	static const char *const bodies[] = { "1\n[7]\n", " [[7],{\"a\":7}] " };
	(void)state;
	for (int form = JSON_FORM_LINES; form <= JSON_FORM_ARRAY; form++)
		for (size_t at = 0; at <= strlen(bodies[form]); at++) {
			char body[64];
			struct outcome outcome;
			size_t len = strlen(bodies[form]);
			memcpy(body, bodies[form], at);
			body[at] = '\0';
			memcpy(body + at + 1, bodies[form] + at, len - at);
			struct source source = { { body, len + 1 }, 3, 0, 0 };
			read_body((enum json_form)form, &source, &outcome);
			assert_int_equal(outcome.err, ERR_NOT_JSON);
		}
}

/* Nor does one make up for a bracket that is missing. */
static void an_array_with_a_nul_that_is_cut_is_no_array(void **state)
{
	struct outcome outcome;
	struct source source = { SPAN_LITERAL("[[7\0]"), 100, 0, 0 };
	(void)state;
	read_body(JSON_FORM_ARRAY, &source, &outcome);
	assert_int_equal(outcome.err, ERR_NOT_JSON);
}

/* A string of size bytes, its quotes included, between two others. */
static void read_value_of_size(
	enum json_form form, size_t size, size_t piece, struct outcome *ret)
{
	char body[2 * VALUE_MAX];
	bool is_array = form == JSON_FORM_ARRAY;
	char filler[VALUE_MAX + 2];
	memset(filler, 'x', sizeof filler);
	snprintf(body, sizeof body, is_array ? "[0,\"%.*s\",0]" : "0\n\"%.*s\"\n0",
		(int)size - 2, filler);
	struct source source = { span_of(body), piece, 0, 0 };
	read_body(form, &source, ret);
}

static void the_limit_of_a_value_is_exact(void **state)
{
	static const size_t pieces[] = { 1, 100, 255, 256, 257, 10000 };
	(void)state;
	for (int form = JSON_FORM_LINES; form <= JSON_FORM_ARRAY; form++)
		for (size_t i = 0; i < sizeof pieces / sizeof *pieces; i++) {
			struct outcome outcome;
			read_value_of_size(
				(enum json_form)form, VALUE_MAX, pieces[i], &outcome);
			assert_int_equal(outcome.err, ERR_OK);
			read_value_of_size(
				(enum json_form)form, VALUE_MAX + 1, pieces[i], &outcome);
			assert_int_equal(outcome.err, ERR_TOO_LARGE);
			assert_string_equal(outcome.detail,
				form == JSON_FORM_LINES
					? "Line 2 is longer than 1000 bytes."
					: "Item 1 of the array is longer than 1000 bytes.");
		}
}

/* One that never ends is refused once it is over the limit, not kept on reading. */
static void an_endless_value_is_not_read_on(void **state)
{
	enum { ENDLESS = 10000000, READ_MAX = 200000 };
	char *body = malloc(ENDLESS);
	(void)state;
	memset(body, 'x', ENDLESS);
	memcpy(body, "[\"", 2);
	for (int form = JSON_FORM_LINES; form <= JSON_FORM_ARRAY; form++) {
		struct outcome outcome;
		struct source source = { { body, ENDLESS }, ENDLESS, 0, 0 };
		read_body((enum json_form)form, &source, &outcome);
		assert_int_equal(outcome.err, ERR_TOO_LARGE);
		assert_true(source.at < READ_MAX);
	}
	free(body);
}

/* Wherever the client leaves, that is the answer, and not a complaint about the JSON. */
static void an_error_of_the_source_is_handed_up(void **state)
{
	static const char *const bodies[] = { "{\"a\":1}\n{\"b\":\"é\"}\n",
		"[{\"a\":1}, {\"b\":\"é\"}] " };
	(void)state;
	for (int form = JSON_FORM_LINES; form <= JSON_FORM_ARRAY; form++)
		for (size_t at = 1; at < strlen(bodies[form]); at++) {
			struct outcome outcome;
			struct source source = { span_of(bodies[form]), 1, at, 0 };
			read_body((enum json_form)form, &source, &outcome);
			assert_int_equal(outcome.err, ERR_CLIENT_GONE);
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(lines_are_taken_apart_whatever_the_pieces),
		cmocka_unit_test(arrays_are_taken_apart_whatever_the_pieces),
		cmocka_unit_test(a_nul_is_no_json_wherever_it_is),
		cmocka_unit_test(an_array_with_a_nul_that_is_cut_is_no_array),
		cmocka_unit_test(the_limit_of_a_value_is_exact),
		cmocka_unit_test(an_endless_value_is_not_read_on),
		cmocka_unit_test(an_error_of_the_source_is_handed_up),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
