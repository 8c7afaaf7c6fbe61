/*
 * json_row() writes what json_object() writes.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "db/sqlite/sql_functions.h"
#include "tests/support/cmocka.h"

static int set_up(void **state)
{
	sqlite3 *sqlite;
	assert_int_equal(sqlite3_open(":memory:", &sqlite), SQLITE_OK);
	assert_int_equal(sql_functions_add(sqlite), SQLITE_OK);
	*state = sqlite;
	return 0;
}

static int tear_down(void **state)
{
	sqlite3_close(*state);
	return 0;
}

/* Runs both on the same arguments; text is what ?1 is. */
static void assert_same(sqlite3 *sqlite, const char *arguments, const char *text, int len)
{
	char sql[512];
	sqlite3_stmt *stmt;
	snprintf(sql, sizeof sql, "SELECT json_row(%s), json_object(%s)", arguments,
		arguments);
	assert_int_equal(sqlite3_prepare_v2(sqlite, sql, -1, &stmt, NULL), SQLITE_OK);
	sqlite3_bind_text(stmt, 1, text, len, SQLITE_STATIC);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(stmt, 0),
		(const char *)sqlite3_column_text(stmt, 1));
	sqlite3_finalize(stmt);
}

static void every_kind_of_value_is_written_as_json_object_does(void **state)
{
	static const char *const arguments[] = {
		"'a', 1",
		"'a', 1, 'b', 'text', 'c', NULL",
		"'a', 0, 'b', -1, 'c', 10, 'd', -10, 'e', 1234567890",
		"'a', 9223372036854775807, 'b', -9223372036854775808",
		"'a', 1.5, 'b', -0.25, 'c', 1e100, 'd', 3.0",
		"'', ''",
		"'quoted \" name', 'back\\slash'",
	};
	for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++)
		assert_same(*state, arguments[i], "", 0);
}

static void every_character_is_written_as_json_object_does(void **state)
{
	for (int c = 1; c < 0x80; c++) {
		char text[] = { 'x', (char)c, 'y' };
		assert_same(*state, "'a', ?1, ?1, 1", text, sizeof text);
	}
	assert_same(*state, "'a', ?1", "zwölf Ω 漢字 🙂", -1);
}

/* Across the size up to which it needs no memory, and with the most escapes. */
static void long_texts_are_written_whole(void **state)
{
	enum { MOST = 2000 };
	char text[MOST];
	memset(text, '\x01', sizeof text);
	for (int len = 600; len < MOST; len += 7)
		assert_same(*state, "'a', ?1, 'b', 2", text, len);
}

static void assert_row(sqlite3 *sqlite, const char *arguments, const char *expected)
{
	char sql[128];
	sqlite3_stmt *stmt;
	snprintf(sql, sizeof sql, "SELECT json_row(%s)", arguments);
	assert_int_equal(sqlite3_prepare_v2(sqlite, sql, -1, &stmt, NULL), SQLITE_OK);
	assert_int_equal(sqlite3_step(stmt), SQLITE_ROW);
	assert_string_equal((const char *)sqlite3_column_text(stmt, 0), expected);
	sqlite3_finalize(stmt);
}

static void a_value_alone_is_written_as_json(void **state)
{
	assert_row(*state, "'two \"bolts\"'", "\"two \\\"bolts\\\"\"");
	assert_row(*state, "-7", "-7");
	assert_row(*state, "NULL", "null");
}

static void what_is_not_utf_8_is_written_as_utf_8(void **state)
{
	assert_row(*state, "CAST(x'636166e9' AS TEXT)", "\"caf\xef\xbf\xbd\"");
	assert_row(*state, "'a', CAST(x'610062' AS TEXT)", "{\"a\":\"a\\u0000b\"}");
}

static void what_it_cannot_write_is_an_error(void **state)
{
	static const char *const arguments[] = { "", "x'00'", "'a', x'00'",
		"'a', 1, 'b'" };
	for (size_t i = 0; i < sizeof arguments / sizeof *arguments; i++) {
		char sql[128];
		snprintf(sql, sizeof sql, "SELECT json_row(%s)", arguments[i]);
		assert_int_equal(
			sqlite3_exec(*state, sql, NULL, NULL, NULL), SQLITE_ERROR);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_kind_of_value_is_written_as_json_object_does),
		TEST(every_character_is_written_as_json_object_does),
		TEST(long_texts_are_written_whole),
		TEST(a_value_alone_is_written_as_json),
		TEST(what_is_not_utf_8_is_written_as_utf_8),
		TEST(what_it_cannot_write_is_an_error),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
