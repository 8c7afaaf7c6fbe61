#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/reports.h"
#include "handlers/seed.h"
#include "tests/support/cmocka.h"
#include "tests/support/items_db.h"

enum { GROUPS_MAX = 300, CATEGORY_SIZE = 80 };

/* A report as a value. */
struct report {
	size_t count;
	struct group {
		char category[CATEGORY_SIZE]; /* JSON */
		struct inventory_group numbers;
	} groups[GROUPS_MAX];
	size_t stop_after; /* groups; then the token fires */
	struct cancel *token;
	enum err fail_with;
};

static enum err note_group(const struct inventory_group *numbers, void *arg)
{
	struct report *report = arg;
	struct group *group = &report->groups[report->count++];
	assert_true(report->count < GROUPS_MAX);
	snprintf(group->category, CATEGORY_SIZE, "%.*s", (int)numbers->category_json.len,
		numbers->category_json.data);
	group->numbers = *numbers;
	if (report->count == report->stop_after)
		cancel_fire(report->token, CANCEL_CLIENT_GONE);
	return report->fail_with;
}

static enum err make_report(struct items_db *test, struct report *ret)
{
	AUTO_CONN *conn = NULL;
	enum err err = db_read(test->db, test->token, &conn);
	ret->token = test->token;
	return err == ERR_OK ? report_inventory(conn, note_group, ret) : err;
}

static int compare_prices(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

/* The naive way: all the prices of a category in memory, sorted. */
static void assert_group(
	const struct group *group, const struct item *items, size_t count)
{
	static int64_t prices[5000];
	size_t found = 0;
	int64_t quantity = 0;
	wide_uint value = 0;
	for (size_t i = 0; i < count; i++) {
		char json[CATEGORY_SIZE];
		snprintf(json, sizeof json, "\"%.*s\"", (int)items[i].category.len,
			items[i].category.data);
		if (strcmp(json, group->category) != 0)
			continue;
		prices[found++] = items[i].price_cents;
		quantity += items[i].quantity;
		value += (wide_uint)items[i].quantity * (wide_uint)items[i].price_cents;
	}
	qsort(prices, found, sizeof *prices, compare_prices);
	assert_true(found > 0);
	assert_int_equal(group->numbers.count, found);
	assert_true(group->numbers.total_quantity == quantity);
	assert_true(group->numbers.total_value_cents == value);
	assert_true(group->numbers.median_price_twice ==
		prices[(found - 1) / 2] + prices[found / 2]);
}

static void an_empty_inventory_has_no_groups(void **state)
{
	struct report report = { 0 };
	assert_int_equal(make_report(*state, &report), ERR_OK);
	assert_int_equal(report.count, 0);
}

static void the_median_is_exact(void **state)
{
	const struct item items[] = {
		ITEM("a", "one", 3, 7),
		ITEM("a", "two", 1, 2),
		ITEM("b", "two", 1, 5),
		ITEM("a", "three", 0, 9),
		ITEM("b", "three", 0, 1),
		ITEM("c", "three", 0, 4),
		ITEM("a", "same", 0, 4),
		ITEM("b", "same", 0, 4),
	};
	struct report report = { 0 };
	items_db_add(*state, items, sizeof items / sizeof *items);
	assert_int_equal(make_report(*state, &report), ERR_OK);
	assert_int_equal(report.count, 4);
	assert_string_equal(report.groups[0].category, "\"one\"");
	assert_int_equal(report.groups[0].numbers.median_price_twice, 14);
	assert_int_equal(report.groups[0].numbers.total_value_cents, 21);
	assert_string_equal(report.groups[1].category, "\"same\"");
	assert_int_equal(report.groups[1].numbers.median_price_twice, 8);
	assert_string_equal(report.groups[2].category, "\"three\"");
	assert_int_equal(report.groups[2].numbers.median_price_twice, 8);
	assert_string_equal(report.groups[3].category, "\"two\"");
	assert_int_equal(report.groups[3].numbers.median_price_twice, 7); /* 3.5 */
}

/* What another program may have stored: JSON is UTF-8 all the same. */
static void a_category_that_is_not_utf8_is_json(void **state)
{
	const struct item items[] = { ITEM("a", "caf\xe9", 1, 1),
		ITEM("b", "q\"", 1, 1) };
	struct report report = { 0 };
	items_db_add(*state, items, sizeof items / sizeof *items);
	assert_int_equal(make_report(*state, &report), ERR_OK);
	assert_int_equal(report.count, 2);
	assert_string_equal(report.groups[0].category, "\"caf\xef\xbf\xbd\"");
	assert_string_equal(report.groups[1].category, "\"q\\\"\"");
}

static void groups_agree_with_a_naive_computation(void **state)
{
	static const char *const categories[] = { "a", "B", "b", "\u00fc", "z z", "a b",
		"a!" };
	enum { COUNT = 5000 };
	static struct item items[COUNT];
	struct report report = { 0 };
	uint32_t random = 1;
	for (size_t i = 0; i < COUNT; i++) {
		random = random * 1664525 + 1013904223;
		items[i] = ITEM("n", "", random >> 8 & 1023, random >> 18 & 255);
		items[i].category = span_of(categories[(random >> 4) % 7]);
	}
	items_db_add(*state, items, COUNT);
	assert_int_equal(make_report(*state, &report), ERR_OK);
	assert_int_equal(report.count, 7);
	for (size_t i = 0; i < report.count; i++)
		assert_group(&report.groups[i], items, COUNT);
}

static void groups_are_in_order_of_code_points(void **state)
{
	static const char *const expected[] = { "\"B\"", "\"a\"", "\"a b\"", "\"b\"",
		"\"\u00fc\"" };
	const struct item items[] = { ITEM("n", "\u00fc", 0, 0), ITEM("n", "b", 0, 0),
		ITEM("n", "a", 0, 0), ITEM("n", "a b", 0, 0), ITEM("n", "B", 0, 0) };
	struct report report = { 0 };
	items_db_add(*state, items, 5);
	assert_int_equal(make_report(*state, &report), ERR_OK);
	assert_int_equal(report.count, 5);
	for (size_t i = 0; i < 5; i++)
		assert_string_equal(report.groups[i].category, expected[i]);
}

static void a_category_is_a_json_string(void **state)
{
	const struct item item = ITEM("n", "\"5\\\" \xc3\xbc", 1, 1);
	struct report report = { 0 };
	items_db_add(*state, &item, 1);
	assert_int_equal(make_report(*state, &report), ERR_OK);
	assert_string_equal(report.groups[0].category, "\"\\\"5\\\\\\\" \xc3\xbc\"");
}

static void totals_beyond_64_bits_are_exact(void **state)
{
	enum { COUNT = 3000 };
	static struct item items[COUNT];
	struct report report = { 0 };
	char text[WIDE_UINT_SIZE];
	for (size_t i = 0; i < COUNT; i++)
		items[i] = ITEM("n", "c", ITEM_QUANTITY_MAX, ITEM_PRICE_MAX);
	items_db_add(*state, items, COUNT);
	assert_int_equal(make_report(*state, &report), ERR_OK);
	const struct inventory_group *group = &report.groups[0].numbers;
	assert_true(group->total_quantity == 3000 * ITEM_QUANTITY_MAX);
	assert_true(group->median_price_twice == 2 * ITEM_PRICE_MAX);
	wide_uint_format(group->total_value_cents, text);
	assert_string_equal(text, "58028439314480596179222531000"); /* 3000 * max * max */
}

static void wide_integers_are_written_whole(void **state)
{
	char text[WIDE_UINT_SIZE];
	(void)state;
	wide_uint_format(0, text);
	assert_string_equal(text, "0");
	wide_uint_format(UINT64_MAX, text);
	assert_string_equal(text, "18446744073709551615");
	wide_uint_format(~(wide_uint)0, text);
	assert_string_equal(text, "340282366920938463463374607431768211455");
}

static void a_report_cancelled_midway_stops_there(void **state)
{
	struct items_db *test = *state;
	struct report report = { .stop_after = 2 };
	int64_t added;
	assert_int_equal(seed_items(test->db, 1000, &added), ERR_OK);
	assert_int_equal(make_report(test, &report), ERR_CLIENT_GONE);
	assert_int_equal(report.count, 2);
}

static void the_next_report_is_whole(void **state)
{
	struct items_db *test = *state;
	struct report stopped = { .stop_after = 2 };
	struct report report = { 0 };
	int64_t added;
	assert_int_equal(seed_items(test->db, 1000, &added), ERR_OK);
	assert_int_equal(make_report(test, &stopped), ERR_CLIENT_GONE);
	cancel_unref(test->token);
	test->token = cancel_create(NULL);
	assert_int_equal(make_report(test, &report), ERR_OK);
	assert_int_equal(report.count, 11); /* ids 1 to 99, 100 to 199, ..., and 1000 */
}

static void an_error_of_the_callers_ends_the_report(void **state)
{
	struct items_db *test = *state;
	struct report report = { .fail_with = ERR_NOMEM };
	int64_t added;
	assert_int_equal(seed_items(test->db, 1000, &added), ERR_OK);
	assert_int_equal(make_report(test, &report), ERR_NOMEM);
	assert_int_equal(report.count, 1);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, items_db_setup, items_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_empty_inventory_has_no_groups),
		TEST(the_median_is_exact),
		TEST(a_category_that_is_not_utf8_is_json),
		TEST(groups_agree_with_a_naive_computation),
		TEST(groups_are_in_order_of_code_points),
		TEST(a_category_is_a_json_string),
		TEST(totals_beyond_64_bits_are_exact),
		TEST(wide_integers_are_written_whole),
		TEST(a_report_cancelled_midway_stops_there),
		TEST(the_next_report_is_whole),
		TEST(an_error_of_the_callers_ends_the_report),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
