#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/items_json.h"
#include "service/http/problem.h"
#include "service/http/request.h"
#include "tests/support/cmocka.h"

/* What became of a body. */
struct outcome {
	enum err err;
	struct item item;
	struct response res;
	json_t *json; /* what the item's texts point into */
};

static void read_body(struct span body, struct outcome *ret)
{
	*ret = (struct outcome){ .item = { .quantity = -1 } };
	response_init(&ret->res);
	ret->err = json_parse(body, &ret->res, &ret->json);
	if (ret->err == ERR_OK)
		ret->err = item_from_json(ret->json, &ret->res, &ret->item);
}

static void outcome_finish(struct outcome *outcome)
{
	response_finish(&outcome->res);
	json_decref(outcome->json);
}

static void assert_taken(
	const char *body, const char *name, int64_t quantity, int64_t price)
{
	struct outcome outcome;
	read_body(span_of(body), &outcome);
	assert_int_equal(outcome.err, ERR_OK);
	assert_null(outcome.res.fields);
	assert_true(span_is(outcome.item.name, name));
	assert_true(span_is(outcome.item.category, "c"));
	assert_true(outcome.item.quantity == quantity);
	assert_true(outcome.item.price_cents == price);
	outcome_finish(&outcome);
}

/* pointers: those that are complained about, each behind a space. */
static void assert_refused(const char *body, const char *pointers)
{
	struct outcome outcome;
	char seen[512] = "";
	size_t index;
	json_t *field;
	read_body(span_of(body), &outcome);
	json_array_foreach(outcome.res.fields, index, field) {
		strcat(seen, " ");
		strcat(seen, json_string_value(json_object_get(field, "pointer")));
		assert_true(json_string_length(json_object_get(field, "detail")) > 0);
	}
	assert_string_equal(seen, pointers);
	assert_int_equal(outcome.err, ERR_INVALID);
	assert_true(outcome.item.quantity == -1); /* untouched */
	outcome_finish(&outcome);
}

static void assert_error(struct span body, enum err err)
{
	struct outcome outcome;
	read_body(body, &outcome);
	assert_int_equal(outcome.err, err);
	assert_true(outcome.res.detail[0] != '\0' || err == ERR_INVALID);
	outcome_finish(&outcome);
}

static void what_is_left_out_is_zero(void **state)
{
	(void)state;
	assert_taken("{\"name\":\"n\",\"category\":\"c\"}", "n", 0, 0);
	assert_taken("{\"category\":\"c\",\"price_cents\":5,\"name\":\"n\"}", "n", 0, 5);
}

static void what_is_required_may_not_be_left_out(void **state)
{
	(void)state;
	assert_refused("{}", " /name /category");
	assert_refused("{\"name\":\"n\"}", " /category");
	assert_refused("{\"category\":\"c\"}", " /name");
}

static void the_limits_themselves_are_taken(void **state)
{
	(void)state;
	assert_taken("{\"name\":\"n\",\"category\":\"c\",\"quantity\":2147483647,"
		     "\"price_cents\":9007199254740991}",
		"n", 2147483647, 9007199254740991);
	assert_taken(
		"{\"name\":\"n\",\"category\":\"c\",\"quantity\":-0,\"price_cents\":0}",
		"n", 0, 0);
}

static void only_integers_in_range_are_numbers(void **state)
{
	static const char *const values[] = { "2147483648", "-1", "1.0", "1e2", "0.5",
		"1E0", "\"1\"", "true", "null", "[]", "{}", "9223372036854775807" };
	(void)state;
	for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
		char body[256];
		snprintf(body, sizeof body,
			"{\"name\":\"n\",\"category\":\"c\",\"quantity\":%s}", values[i]);
		assert_refused(body, " /quantity");
	}
	assert_refused(
		"{\"name\":\"n\",\"category\":\"c\",\"price_cents\":9007199254740992}",
		" /price_cents");
}

/* A body whose name is count times character. */
static void write_body(char *ret, size_t size, const char *character, int count)
{
	size_t len = (size_t)snprintf(ret, size, "{\"category\":\"c\",\"name\":\"");
	while (count-- > 0)
		len += (size_t)snprintf(ret + len, size - len, "%s", character);
	snprintf(ret + len, size - len, "\"}");
}

static void lengths_are_counted_in_characters(void **state)
{
	static const char *const characters[] = { "a", "\u00fc", "\u20ac", "\U0001f529",
		"\\u20ac", "\\ud83d\\udd29", "\\\"" };
	(void)state;
	for (size_t i = 0; i < sizeof characters / sizeof *characters; i++) {
		char body[4096];
		struct outcome outcome;
		write_body(body, sizeof body, characters[i], 200);
		read_body(span_of(body), &outcome);
		assert_int_equal(outcome.err, ERR_OK);
		outcome_finish(&outcome);
		write_body(body, sizeof body, characters[i], 201);
		assert_refused(body, " /name");
	}
	assert_refused("{\"category\":\"\",\"name\":\"\"}", " /name /category");
}

static void a_category_has_64_characters_at_most(void **state)
{
	char body[256];
	(void)state;
	snprintf(body, sizeof body, "{\"name\":\"n\",\"category\":\"%065d\"}", 1);
	assert_refused(body, " /category");
	snprintf(body, sizeof body, "{\"name\":\"%065d\",\"category\":\"%064d\"}", 1, 1);
	struct outcome outcome;
	read_body(span_of(body), &outcome);
	assert_int_equal(outcome.err, ERR_OK);
	outcome_finish(&outcome);
}

static void control_characters_are_refused(void **state)
{
	static const char *const names[] = { "\\n", "a\\u0001", "\\u001f", "\\u007f",
		"\x7f", "\\u0080", "\xc2\x9f", "ok\\u0085ok" };
	(void)state;
	for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
		char body[128];
		snprintf(body, sizeof body, "{\"name\":\"%s\",\"category\":\"c\"}",
			names[i]);
		assert_refused(body, " /name");
	}
	assert_taken("{\"name\":\"\\u00a0\",\"category\":\"c\"}", "\u00a0", 0, 0);
}

static void texts_are_strings(void **state)
{
	(void)state;
	assert_refused("{\"name\":1,\"category\":null}", " /name /category");
	assert_refused("{\"name\":[\"n\"],\"category\":{\"c\":1}}", " /name /category");
}

static void what_the_server_sets_is_refused(void **state)
{
	(void)state;
	assert_refused("{\"name\":\"n\",\"category\":\"c\",\"id\":1,\"version\":1,"
		       "\"created_at\":\"2026-11-23T06:07:08.123Z\",\"updated_at\":null}",
		" /id /created_at /updated_at /version");
}

static void unknown_fields_are_named_with_their_pointer(void **state)
{
	(void)state;
	assert_refused(
		"{\"name\":\"n\",\"category\":\"c\",\"Name\":1,\"a/b~c\":2,\"\":3}",
		" /Name /a~1b~0c /");
}

static void all_that_is_wrong_is_told_at_once(void **state)
{
	(void)state;
	assert_refused("{\"colour\":\"red\",\"quantity\":-1,\"price_cents\":0.5,\"id\":3,"
		       "\"category\":\"\"}",
		" /name /category /quantity /price_cents /id /colour");
}

static void a_flood_of_unknown_fields_is_cut(void **state)
{
	char body[8192] = "{\"name\":\"n\",\"category\":\"c\"";
	struct outcome outcome;
	(void)state;
	for (unsigned i = 0; i < 500; i++)
		snprintf(body + strlen(body), 24, ",\"x%u\":0", i);
	strcat(body, "}");
	read_body(span_of(body), &outcome);
	assert_int_equal(outcome.err, ERR_INVALID);
	assert_int_equal(json_array_size(outcome.res.fields), 101);
	outcome_finish(&outcome);
}

static void an_item_is_an_object(void **state)
{
	static const char *const bodies[] = { "[]", "[{}]", "null", "true", "1",
		"\"name\"" };
	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		assert_refused(bodies[i], " ");
}

static void what_is_not_json_is_not_validated(void **state)
{
	const struct span bodies[] = { SPAN_LITERAL(""), SPAN_LITERAL("{"),
		SPAN_LITERAL("{\"name\""), SPAN_LITERAL("{\"name\":\"n\",}"),
		SPAN_LITERAL("{} {}"), SPAN_LITERAL("{'name':1}"),
		SPAN_LITERAL("{\"name\":\"\0\",\"category\":\"c\"}"),
		SPAN_LITERAL("{\"name\":\"\xff\"}"),
		SPAN_LITERAL("{\"name\":\"\xed\xa0\x80\"}"),
		SPAN_LITERAL("{\"name\":\"\\ud800\"}"), SPAN_LITERAL("{\"name\":NaN}"),
		SPAN_LITERAL("{\"name\":01}"), SPAN_LITERAL("\xef\xbb\xbf\xef\xbb\xbf{}"),
		SPAN_LITERAL("{\"name\":\"a\nb\"}") };
	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		assert_error(bodies[i], ERR_NOT_JSON);
}

/* It is JSON (RFC 8259, 4 and 7), so nobody is told that it is not. */
static void json_that_is_not_taken_is_invalid(void **state)
{
	const struct span bodies[] = {
		SPAN_LITERAL("{\"name\":\"n\",\"name\":\"n\"}"),
		SPAN_LITERAL("{\"name\":\"\\u0000\",\"category\":\"c\"}"),
		SPAN_LITERAL("{\"a\\u0000b\":1}"),
		SPAN_LITERAL(
			"\xef\xbb\xbf{}"), /* the mark is passed over: RFC 8259, 8.1 */
	};
	(void)state;
	for (size_t i = 0; i < sizeof bodies / sizeof *bodies; i++)
		assert_error(bodies[i], ERR_INVALID);
}

static void deep_nesting_is_refused(void **state)
{
	char deep[4096];
	(void)state;
	memset(deep, '[', sizeof deep);
	assert_error((struct span){ deep, sizeof deep }, ERR_INVALID);
	memset(deep + 33, ']', 33);
	assert_error((struct span){ deep, 66 }, ERR_INVALID);
	memset(deep + 32, ']', 32);
	assert_error((struct span){ deep, 64 }, ERR_INVALID); /* an array is no item */
}

static void numbers_beyond_64_bits_are_invalid(void **state)
{
	(void)state;
	assert_error(SPAN_LITERAL("{\"name\":\"n\",\"category\":\"c\",\"quantity\":"
				  "99999999999999999999}"),
		ERR_INVALID);
	assert_error(SPAN_LITERAL("{\"price_cents\":1e999}"), ERR_INVALID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(what_is_left_out_is_zero),
		cmocka_unit_test(what_is_required_may_not_be_left_out),
		cmocka_unit_test(the_limits_themselves_are_taken),
		cmocka_unit_test(only_integers_in_range_are_numbers),
		cmocka_unit_test(lengths_are_counted_in_characters),
		cmocka_unit_test(a_category_has_64_characters_at_most),
		cmocka_unit_test(control_characters_are_refused),
		cmocka_unit_test(texts_are_strings),
		cmocka_unit_test(what_the_server_sets_is_refused),
		cmocka_unit_test(unknown_fields_are_named_with_their_pointer),
		cmocka_unit_test(all_that_is_wrong_is_told_at_once),
		cmocka_unit_test(a_flood_of_unknown_fields_is_cut),
		cmocka_unit_test(an_item_is_an_object),
		cmocka_unit_test(what_is_not_json_is_not_validated),
		cmocka_unit_test(json_that_is_not_taken_is_invalid),
		cmocka_unit_test(deep_nesting_is_refused),
		cmocka_unit_test(numbers_beyond_64_bits_are_invalid),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
