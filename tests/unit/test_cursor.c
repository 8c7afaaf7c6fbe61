
#include <stdlib.h>
#include <string.h>

#include "db/cursor.h"
#include "tests/support/cmocka.h"

static const uint64_t list = 42;

static void assert_round_trip(const struct cursor *cursor)
{
	char text[CURSOR_SIZE];
	char key[CURSOR_KEY_MAX];
	struct cursor read;
	assert_int_equal(cursor_write(cursor, list, text), ERR_OK);
	assert_int_equal(strspn(text,
				 "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
				 "0123456789-_"),
		strlen(text));
	assert_int_equal(cursor_read(span_of(text), list, key, &read), ERR_OK);
	assert_true(read.id == cursor->id);
	assert_true(read.number == cursor->number);
	assert_int_equal(read.text.len, cursor->text.len);
	if (cursor->text.len > 0)
		assert_memory_equal(read.text.data, cursor->text.data, read.text.len);
}

static void a_place_comes_back_as_it_went(void **state)
{
	char text[CURSOR_KEY_MAX];
	(void)state;
	for (size_t i = 0; i < sizeof text; i++)
		text[i] = (char)(i * 7);
	assert_round_trip(&(struct cursor){ 0 });
	assert_round_trip(&(struct cursor){ .id = INT64_MAX, .number = INT64_MIN });
	for (size_t len = 0; len <= sizeof text; len++)
		assert_round_trip(&(struct cursor){ 1, 2, { text, len } });
}

static void a_key_that_is_too_long_has_no_cursor(void **state)
{
	char text[CURSOR_SIZE];
	const struct cursor cursor = { .text = { "x", CURSOR_KEY_MAX + 1 } };
	(void)state;
	assert_int_equal(cursor_write(&cursor, list, text), ERR_INTERNAL);
}

static void assert_refused(struct span text, uint64_t its_list)
{
	char key[CURSOR_KEY_MAX];
	struct cursor cursor;
	assert_int_equal(cursor_read(text, its_list, key, &cursor), ERR_BAD_REQUEST);
}

static void every_changed_character_is_noticed(void **state)
{
	char text[CURSOR_SIZE];
	const struct cursor cursor = { 17, 0, SPAN_LITERAL("hex bolt") };
	(void)state;
	cursor_write(&cursor, list, text);
	for (size_t i = 0; i < strlen(text); i++) {
		char kept = text[i];
		for (int c = 1; c < 256; c++) {
			text[i] = (char)c;
			if (text[i] != kept)
				assert_refused((struct span){ text, strlen(text) }, list);
		}
		text[i] = kept;
	}
}

static void a_cursor_cut_or_prolonged_is_noticed(void **state)
{
	char text[2 * CURSOR_SIZE];
	const struct cursor cursor = { 17, 0, SPAN_LITERAL("hex bolt") };
	(void)state;
	cursor_write(&cursor, list, text);
	size_t len = strlen(text);
	for (size_t cut = 0; cut < len; cut++)
		assert_refused((struct span){ text, cut }, list);
	for (size_t more = 1; more < CURSOR_SIZE; more++) {
		memset(text + len, 'A', more);
		assert_refused((struct span){ text, len + more }, list);
	}
	assert_refused(SPAN_LITERAL("="), list);
}

static void a_cursor_of_another_list_is_noticed(void **state)
{
	char text[CURSOR_SIZE];
	(void)state;
	cursor_write(&(struct cursor){ .id = 1 }, list, text);
	assert_refused(span_of(text), list + 1);
}

static void lists_differ_in_any_part(void **state)
{
	const struct span a = SPAN_LITERAL("a");
	const struct span ab = SPAN_LITERAL("ab");
	const struct span empty = SPAN_LITERAL("");
	const struct span absent = { 0 };
	(void)state;
	uint64_t lists[] = {
		cursor_list_add(cursor_list_add(CURSOR_LIST, ab), a),
		cursor_list_add(cursor_list_add(CURSOR_LIST, a), ab),
		cursor_list_add(cursor_list_add(CURSOR_LIST, a), empty),
		cursor_list_add(cursor_list_add(CURSOR_LIST, a), absent),
		cursor_list_add(CURSOR_LIST, a),
		CURSOR_LIST,
	};
	for (size_t i = 0; i < sizeof lists / sizeof *lists; i++)
		for (size_t other = 0; other < i; other++)
			assert_true(lists[i] != lists[other]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_place_comes_back_as_it_went),
		cmocka_unit_test(a_key_that_is_too_long_has_no_cursor),
		cmocka_unit_test(every_changed_character_is_noticed),
		cmocka_unit_test(a_cursor_cut_or_prolonged_is_noticed),
		cmocka_unit_test(a_cursor_of_another_list_is_noticed),
		cmocka_unit_test(lists_differ_in_any_part),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
