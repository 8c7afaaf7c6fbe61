/*
 * Statements: what is bound comes back, the cache finds them by their text, and one
 * that is lent again remembers nothing.
 */
#include <stdio.h>
#include <stdlib.h>

#include "db/sqlite/conn.h"
#include "db/stmt.h"
#include "tests/support/cmocka.h"
#include "tests/support/test_db.h"

struct fixture {
	struct test_db test;
	struct conn *conn;
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	struct test_db *test = &fixture->test;
	test_db_init(test);
	assert_int_equal(
		conn_open(&test->config, CONN_WRITER, test->token, &fixture->conn),
		ERR_OK);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	conn_close(fixture->conn);
	test_db_finish(&fixture->test);
	free(fixture);
	return 0;
}

static struct stmt *prepare(struct fixture *fixture, const char *sql)
{
	struct stmt *stmt = NULL;
	assert_int_equal(stmt_prepare(fixture->conn, sql, &stmt), ERR_OK);
	return stmt;
}

static void assert_row(struct stmt *stmt)
{
	bool row = false;
	assert_int_equal(stmt_step(stmt, &row), ERR_OK);
	assert_true(row);
}

static void assert_no_row(struct stmt *stmt)
{
	bool row = true;
	assert_int_equal(stmt_step(stmt, &row), ERR_OK);
	assert_false(row);
}

/* SQLite's count of the prepared statements of the connection. */
static int prepared(struct fixture *fixture)
{
	int count = 0;
	sqlite3_stmt *stmt = NULL;
	while ((stmt = sqlite3_next_stmt(fixture->conn->sqlite, stmt)))
		count++;
	return count;
}

static void what_is_bound_comes_back(void **state)
{
	struct stmt *stmt = prepare(*state, "SELECT ?, ?, ?");
	stmt_bind_int(stmt, 1, INT64_MIN);
	stmt_bind_text(stmt, 2, (struct span){ "b\xc3\xb6lt, and more", 5 });
	stmt_bind_null(stmt, 3);
	assert_row(stmt);
	assert_true(stmt_int(stmt, 0) == INT64_MIN);
	assert_true(span_is(stmt_text(stmt, 1), "b\xc3\xb6lt"));
	assert_false(stmt_is_null(stmt, 1));
	assert_true(stmt_is_null(stmt, 2));
	assert_no_row(stmt);
	stmt_release(stmt);
}

static void absent_and_empty_texts_are_told_apart(void **state)
{
	struct stmt *stmt = prepare(*state, "SELECT ?, ?");
	stmt_bind_text(stmt, 1, (struct span){ 0 });
	stmt_bind_text(stmt, 2, SPAN_LITERAL(""));
	assert_row(stmt);
	assert_true(stmt_is_null(stmt, 0));
	assert_null(stmt_text(stmt, 0).data);
	assert_false(stmt_is_null(stmt, 1));
	assert_true(span_is(stmt_text(stmt, 1), ""));
	stmt_release(stmt);
}

static void a_text_with_a_nul_inside_keeps_its_length(void **state)
{
	struct stmt *stmt = prepare(*state, "SELECT ?");
	stmt_bind_text(stmt, 1, SPAN_LITERAL("a\0b"));
	assert_row(stmt);
	assert_int_equal(stmt_text(stmt, 0).len, 3);
	assert_memory_equal(stmt_text(stmt, 0).data, "a\0b", 3);
	stmt_release(stmt);
}

static void numbers_read_as_text(void **state)
{
	struct stmt *stmt = prepare(*state, "SELECT 1234");
	assert_row(stmt);
	assert_true(span_is(stmt_text(stmt, 0), "1234"));
	stmt_release(stmt);
}

static void a_released_statement_is_lent_again(void **state)
{
	struct stmt *first = prepare(*state, "SELECT 1");
	stmt_release(first);
	char same_text[] = "SELECT 1"; /* at another address */
	struct stmt *second = prepare(*state, same_text);
	assert_ptr_equal(first, second);
	assert_int_equal(prepared(*state), 1);
	stmt_release(second);
}

static void a_statement_lent_again_remembers_nothing(void **state)
{
	struct stmt *stmt = prepare(*state, "SELECT ?, ?");
	stmt_bind_int(stmt, 1, 7);
	stmt_bind_int(stmt, 3, 7); /* there is no third one */
	bool row;
	assert_int_equal(stmt_step(stmt, &row), ERR_INTERNAL);
	stmt_release(stmt);
	stmt = prepare(*state, "SELECT ?, ?");
	assert_row(stmt);
	assert_true(stmt_is_null(stmt, 0));
	stmt_release(stmt);
}

static void the_same_text_can_be_lent_twice_at_once(void **state)
{
	struct stmt *outer = prepare(*state, "SELECT value FROM json_each('[1,2]')");
	struct stmt *inner = prepare(*state, "SELECT value FROM json_each('[1,2]')");
	assert_ptr_not_equal(outer, inner);
	assert_row(outer);
	assert_row(inner);
	assert_row(inner);
	assert_int_equal(stmt_int(outer, 0), 1);
	assert_int_equal(stmt_int(inner, 0), 2);
	stmt_release(inner);
	assert_row(outer);
	assert_int_equal(stmt_int(outer, 0), 2);
	stmt_release(outer);
}

static void the_cache_is_bounded_and_drops_what_was_used_longest_ago(void **state)
{
	struct stmt *often = prepare(*state, "SELECT 'often'");
	stmt_release(often);
	for (int i = 0; i < 500; i++) {
		char sql[32];
		snprintf(sql, sizeof sql, "SELECT %d", i);
		stmt_release(prepare(*state, sql));
		struct stmt *again = prepare(*state, "SELECT 'often'");
		assert_ptr_equal(again, often);
		stmt_release(again);
		assert_true(prepared(*state) <= 65);
	}
	assert_true(prepared(*state) >= 32);
}

static void run_can_be_repeated_with_other_values(void **state)
{
	struct fixture *fixture = *state;
	struct stmt *stmt = prepare(fixture, "INSERT INTO note (text) VALUES (?)");
	stmt_bind_text(stmt, 1, SPAN_LITERAL("one"));
	assert_int_equal(stmt_run(stmt), ERR_OK);
	assert_int_equal(stmt_run(stmt), ERR_CONFLICT); /* it is still bound */
	stmt_bind_text(stmt, 1, SPAN_LITERAL("two"));
	assert_int_equal(stmt_run(stmt), ERR_OK);
	stmt_release(stmt);
	assert_int_equal(test_db_notes(&fixture->test), 2);
}

static void finishing_goes_through_the_rows_that_are_left(void **state)
{
	struct fixture *fixture = *state;
	struct stmt *stmt = prepare(
		fixture, "INSERT INTO note (text) VALUES ('a'), ('b') RETURNING text");
	assert_row(stmt);
	assert_true(span_is(stmt_text(stmt, 0), "a"));
	assert_int_equal(stmt_finish(stmt), ERR_OK);
	stmt_release(stmt);
	assert_int_equal(test_db_notes(&fixture->test), 2);
	stmt = prepare(
		fixture, "SELECT abs(value) FROM json_each('[1, -9223372036854775808]')");
	assert_row(stmt);
	assert_int_equal(stmt_finish(stmt), ERR_INTERNAL); /* its second row */
	stmt_release(stmt);
}

static void ids_and_changes_are_told(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(add_note(fixture->conn, "one"), ERR_OK);
	assert_int_equal(add_note(fixture->conn, "two"), ERR_OK);
	assert_int_equal(conn_last_id(fixture->conn), 2);
	assert_int_equal(
		stmt_exec(fixture->conn, "UPDATE note SET text = text || '!'"), ERR_OK);
	assert_int_equal(conn_changes(fixture->conn), 2);
}

static void errors_are_told_apart(void **state)
{
	struct conn *conn = ((struct fixture *)*state)->conn;
	static const struct {
		const char *sql;
		enum err err;
	} cases[] = {
		{ "INSERT INTO note (text) VALUES (NULL)", ERR_CONFLICT },
		{ "INSERT INTO note (text) VALUES (zeroblob(2000000000))",
			ERR_TOO_LARGE },
		{ "INSERT INTO note (id, text) VALUES ('x', 'y')", ERR_CONFLICT },
		{ "SELECT no_such_column FROM note", ERR_INTERNAL },
		{ "SELECT \"a string in the wrong quotes\"", ERR_INTERNAL },
		{ "COMMIT", ERR_INTERNAL },
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
		assert_int_equal(stmt_exec(conn, cases[i].sql), cases[i].err);
	assert_int_equal(stmt_exec(conn, "SELECT 1"), ERR_OK);
}

static void a_failed_prepare_leaves_its_output_untouched(void **state)
{
	struct fixture *fixture = *state;
	struct stmt *stmt = NULL;
	assert_int_equal(stmt_prepare(fixture->conn, "SELEKT 1", &stmt), ERR_INTERNAL);
	assert_null(stmt);
	stmt_release(stmt); /* NULL is a no-op */
}

static void statements_follow_a_changing_schema(void **state)
{
	struct fixture *fixture = *state;
	assert_int_equal(add_note(fixture->conn, "before"), ERR_OK);
	sqlite3 *stranger = test_db_stranger(fixture->test.path);
	stranger_exec(stranger, "ALTER TABLE note ADD COLUMN more TEXT");
	sqlite3_close(stranger);
	assert_int_equal(add_note(fixture->conn, "after"), ERR_OK);
	assert_int_equal(test_db_notes(&fixture->test), 2);
}

static void the_token_can_be_asked_for(void **state)
{
	struct fixture *fixture = *state;
	assert_ptr_equal(conn_token(fixture->conn), fixture->test.token);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_bound_comes_back),
		TEST(absent_and_empty_texts_are_told_apart),
		TEST(a_text_with_a_nul_inside_keeps_its_length),
		TEST(numbers_read_as_text),
		TEST(a_released_statement_is_lent_again),
		TEST(a_statement_lent_again_remembers_nothing),
		TEST(the_same_text_can_be_lent_twice_at_once),
		TEST(the_cache_is_bounded_and_drops_what_was_used_longest_ago),
		TEST(run_can_be_repeated_with_other_values),
		TEST(finishing_goes_through_the_rows_that_are_left),
		TEST(ids_and_changes_are_told),
		TEST(errors_are_told_apart),
		TEST(a_failed_prepare_leaves_its_output_untouched),
		TEST(statements_follow_a_changing_schema),
		TEST(the_token_can_be_asked_for),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
