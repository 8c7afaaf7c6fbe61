#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/seed.h"
#include "tests/support/cmocka.h"
#include "tests/support/items_db.h"

static void seed(struct items_db *test, int64_t count)
{
	int64_t added = -1;
	assert_int_equal(seed_items(test->db, count, &added), ERR_OK);
	assert_true(added == count);
}

static void assert_item(struct items_db *test, int64_t id, const char *json)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *rows = NULL;
	struct item_row row;
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	assert_int_equal(items_get(conn, id, &rows, &row), ERR_OK);
	assert_int_equal(row.json.len, strlen(json));
	assert_memory_equal(row.json.data, json, row.json.len);
}

static void samples_are_always_the_same(void **state)
{
	seed(*state, 1);
	assert_item(*state, 1,
		"{\"id\":1,\"name\":\"Aluminium bolt M18 no. 1\",\"category\":\"Aluminium bolts\","
		"\"quantity\":602,\"price_cents\":8903,\"created_at\":\"2020-01-01T00:00:01.000Z\","
		"\"updated_at\":\"2020-01-01T00:00:01.000Z\",\"version\":1}");
}

static int64_t count(struct items_db *test, const char *sql)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *stmt = NULL;
	bool row;
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	assert_int_equal(stmt_prepare(conn, sql, &stmt), ERR_OK);
	assert_int_equal(stmt_step(stmt, &row), ERR_OK);
	return stmt_int(stmt, 0);
}

static void more_samples_come_behind_what_is_there(void **state)
{
	const struct item mine = ITEM("mine", "mine", 0, 0);
	seed(*state, 10);
	assert_int_equal(items_db_add(*state, &mine, 1), 11);
	items_db_exec(*state, "DELETE FROM items WHERE id = 11");
	seed(*state, 10);
	assert_int_equal(count(*state, "SELECT count(*) FROM items"), 20);
	assert_int_equal(count(*state, "SELECT max(id) FROM items"), 21);
	assert_int_equal(count(*state,
				 "SELECT count(*) FROM items"
				 " WHERE name LIKE '% no. ' || id"),
		20);
}

static void twenty_thousand_go_through_all_the_categories(void **state)
{
	seed(*state, 20000);
	assert_int_equal(count(*state, "SELECT count(DISTINCT category) FROM items"),
		SEED_CATEGORIES);
}

static void a_failure_tells_how_many_were_added(void **state)
{
	struct items_db *test = *state;
	int64_t added = -1;
	items_db_exec(test,
		"CREATE TRIGGER no BEFORE INSERT ON items"
		" BEGIN SELECT raise(ABORT, 'no'); END");
	assert_int_equal(seed_items(test->db, 10, &added), ERR_CONFLICT);
	assert_int_equal(added, 0);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, items_db_setup, items_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(samples_are_always_the_same),
		TEST(more_samples_come_behind_what_is_there),
		TEST(twenty_thousand_go_through_all_the_categories),
		TEST(a_failure_tells_how_many_were_added),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
