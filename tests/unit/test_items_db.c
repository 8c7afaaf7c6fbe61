#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <sqlite3.h>

#include "db/items_transfer.h"
#include "db/sqlite/conn.h"
#include "tests/support/cmocka.h"
#include "tests/support/items_db.h"

enum { ITEMS = 120, ALL_MAX = 400 };

/* What a list should hold: a copy of the table, sorted and filtered by hand. */
struct entry {
	int64_t id;
	char name[32];
	char category[16];
	int64_t price;
};

static const char *const categories[] = { "bolts", "nuts", "nuts & bolts" };
static const char *const names[] = { "Hex", "hex", "100%", "a_b", "a\\b", "\u00fcber",
	"\u00dcber" };

static void make_entry(int64_t number, struct entry *ret)
{
	snprintf(ret->name, sizeof ret->name, "%s %d", names[number % 7],
		(int)(number / 21 % 3));
	snprintf(ret->category, sizeof ret->category, "%s", categories[number / 2 % 3]);
	ret->price = number % 5 * (number % 3);
}

static int64_t add_entry(struct items_db *test, int64_t number)
{
	struct entry entry;
	make_entry(number, &entry);
	const struct item item = {
		.name = span_of(entry.name),
		.category = span_of(entry.category),
		.price_cents = entry.price,
	};
	return items_db_add(test, &item, 1);
}

static int setup(void **state)
{
	items_db_setup(state);
	for (int64_t i = 1; i <= ITEMS; i++)
		assert_int_equal(add_entry(*state, i), i);
	return 0;
}

/*
 * All the lists there are.
 */

struct list {
	struct items_query query;
	const char *category;
	const char *q;
	const char *index; /* that it must follow */
};

static const char *const indexes[ITEMS_SORTS][2] = {
	[ITEMS_BY_ID] = { "PRIMARY KEY", "items_by_category " },
	[ITEMS_BY_NAME] = { "items_by_name", "items_by_category_name" },
	[ITEMS_BY_PRICE] = { "items_by_price", "items_by_category_price" },
};

static void for_each_list(
	struct items_db *test, void (*fn)(struct items_db *, struct list *))
{
	static const char *const qs[] = { NULL, "", "HEX", "%", "_", "\\", "\u00fc",
		"none" };
	for (int sort = 0; sort < ITEMS_SORTS; sort++)
		for (int variant = 0; variant < 4; variant++)
			for (size_t q = 0; q < sizeof qs / sizeof *qs; q++) {
				struct list list = {
					.category = variant & 1 ? "nuts" : NULL,
					.q = qs[q],
					.index = indexes[sort][variant & 1],
				};
				list.query = (struct items_query){
					.sort = (enum items_sort)sort,
					.descending = variant & 2,
					.category = span_of(list.category),
					.q = span_of(list.q),
				};
				fn(test, &list);
			}
}

/* Reads a page from where the last one ended, through the cursor's text, as a client
 * has it. Returns how many rows it had; the ids are appended to ret. */
static size_t read_page(struct items_db *test, const struct list *list, size_t limit,
	char cursor[static CURSOR_SIZE], int64_t *ret)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *rows = NULL;
	struct items_query query = list->query;
	struct cursor after;
	char key[CURSOR_KEY_MAX];
	struct item_row row;
	size_t count = 0;
	if (cursor[0]) {
		assert_int_equal(
			cursor_read(span_of(cursor), items_list(&query), key, &after),
			ERR_OK);
		query.after = &after;
	}
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	assert_int_equal(items_page(conn, &query, (unsigned)limit, &rows), ERR_OK);
	while (items_next(rows, &row) == ERR_OK && row.json.data) {
		assert_int_equal(
			cursor_write(&row.place, items_list(&query), cursor), ERR_OK);
		ret[count++] = row.id;
	}
	return count;
}

static int order(
	const struct items_query *query, const struct entry *a, const struct entry *b)
{
	int result = 0;
	if (query->sort == ITEMS_BY_NAME)
		result = strcmp(a->name, b->name);
	else if (query->sort == ITEMS_BY_PRICE)
		result = (a->price > b->price) - (a->price < b->price);
	if (result == 0)
		result = (a->id > b->id) - (a->id < b->id);
	return query->descending ? -result : result;
}

/* Without regard to the case of A to Z, and of nothing else. */
static bool contains(const char *name, const char *part)
{
	char lower_name[32] = "";
	char lower_part[32] = "";
	for (size_t i = 0; name[i]; i++)
		lower_name[i] = name[i] >= 'A' && name[i] <= 'Z' ? name[i] + 32 : name[i];
	for (size_t i = 0; part[i]; i++)
		lower_part[i] = part[i] >= 'A' && part[i] <= 'Z' ? part[i] + 32 : part[i];
	return strstr(lower_name, lower_part) != NULL;
}

static bool belongs(const struct list *list, const struct entry *entry)
{
	return (!list->category || strcmp(entry->category, list->category) == 0) &&
		(!list->q || contains(entry->name, list->q));
}

/* The ids that the list has of items 1 to ITEMS, in order. */
static size_t expect(const struct list *list, struct entry *ret)
{
	size_t count = 0;
	for (int64_t id = 1; id <= ITEMS; id++) {
		struct entry entry = { .id = id };
		make_entry(id, &entry);
		if (!belongs(list, &entry))
			continue;
		size_t at = count++;
		for (; at > 0 && order(&list->query, &ret[at - 1], &entry) > 0; at--)
			ret[at] = ret[at - 1];
		ret[at] = entry;
	}
	return count;
}

static void check_pages(struct items_db *test, struct list *list)
{
	static const size_t limits[] = { 1, 2, 7, ITEMS, 1000 };
	static struct entry expected[ALL_MAX];
	size_t count = expect(list, expected);
	for (size_t i = 0; i < sizeof limits / sizeof *limits; i++) {
		int64_t ids[ALL_MAX];
		char cursor[CURSOR_SIZE] = "";
		size_t read = 0, got;
		while ((got = read_page(test, list, limits[i], cursor, ids + read)) > 0)
			read += got;
		assert_int_equal(read, count);
		for (size_t n = 0; n < count; n++)
			assert_int_equal(ids[n], expected[n].id);
	}
}

static void pages_make_up_the_list(void **state)
{
	for_each_list(*state, check_pages);
}

/*
 * Rows that come and go.
 */

static void delete_item(struct items_db *test, int64_t id)
{
	char sql[64];
	snprintf(sql, sizeof sql, "DELETE FROM items WHERE id = %lld", (long long)id);
	items_db_exec(test, sql);
}

static void restore(struct items_db *test)
{
	items_db_exec(test, "DELETE FROM items");
	items_db_exec(test, "DELETE FROM sqlite_sequence");
	for (int64_t i = 1; i <= ITEMS; i++)
		add_entry(test, i);
}

static size_t find(const int64_t *ids, size_t count, int64_t id)
{
	size_t found = 0;
	for (size_t i = 0; i < count; i++)
		found += ids[i] == id;
	return found;
}

/* After each page the row it ended with goes, one read before it goes, and two new
 * ones come, anywhere in the order. Whatever was there all the time is seen once. */
static void check_pages_of_a_changing_list(struct items_db *test, struct list *list)
{
	static struct entry expected[ALL_MAX];
	size_t count = expect(list, expected);
	int64_t ids[ALL_MAX];
	char cursor[CURSOR_SIZE] = "";
	size_t read = 0, got;
	for (int64_t page = 0; (got = read_page(test, list, 3, cursor, ids + read)) > 0;
		page++) {
		read += got;
		delete_item(test, ids[read - 1]);
		delete_item(test, ids[read / 2]);
		if (page < 40) {
			add_entry(test, 1000 + 11 * page);
			add_entry(test, 2000 + 4 * page);
		}
	}
	for (size_t i = 0; i < count; i++)
		assert_int_equal(find(ids, read, expected[i].id), 1);
	for (size_t i = 0; i < read; i++)
		assert_int_equal(find(ids, read, ids[i]), 1);
	restore(test);
}

static void no_row_is_skipped_or_repeated_when_rows_come_and_go(void **state)
{
	for_each_list(*state, check_pages_of_a_changing_list);
}

/*
 * Plans.
 */

/* Whether stmt is the one that is bound to a limit of 4711; those at rest have none. */
static bool is_in_use(sqlite3_stmt *stmt)
{
	char *sql = sqlite3_expanded_sql(stmt);
	bool in_use = strstr(sql, " LIMIT 4711") != NULL;
	sqlite3_free(sql);
	return in_use;
}

static void explain(
	struct items_db *test, const struct items_query *query, char *ret, size_t size)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *rows = NULL;
	char sql[4096];
	sqlite3_stmt *plan;
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	assert_int_equal(items_page(conn, query, 4711, &rows), ERR_OK);
	sqlite3_stmt *stmt = sqlite3_next_stmt(conn->sqlite, NULL);
	while (stmt && !is_in_use(stmt))
		stmt = sqlite3_next_stmt(conn->sqlite, stmt);
	snprintf(sql, sizeof sql, "EXPLAIN QUERY PLAN %s", sqlite3_sql(stmt));
	assert_int_equal(
		sqlite3_prepare_v2(conn->sqlite, sql, -1, &plan, NULL), SQLITE_OK);
	ret[0] = '\0';
	while (sqlite3_step(plan) == SQLITE_ROW) {
		const char *detail = (const char *)sqlite3_column_text(plan, 3);
		snprintf(ret + strlen(ret), size - strlen(ret), "%s \n", detail);
	}
	sqlite3_finalize(plan);
}

static size_t count_of(const char *text, const char *part)
{
	size_t count = 0;
	while ((text = strstr(text, part))) {
		count++;
		text += strlen(part);
	}
	return count;
}

static void assert_plan(
	struct items_db *test, const struct list *list, const struct items_query *query)
{
	char plan[2048];
	explain(test, query, plan, sizeof plan);
	bool resumed = query->after;
	bool two = resumed && query->sort != ITEMS_BY_ID;
	bool whole = !resumed && query->sort == ITEMS_BY_ID && !list->category;
	assert_int_equal(count_of(plan, "TEMP B-TREE"), 0);
	if (whole)
		assert_int_equal(count_of(plan, "SCAN items \n"), 1);
	else
		assert_int_equal(count_of(plan, list->index), two ? 2 : 1);
	/* A page that goes on starts in the middle of the index. */
	assert_int_equal(count_of(plan, "SEARCH"), two ? 2 : resumed || list->category);
	if (two) /* equal keys: by id, which is the rowid unless it is spelt out */
		assert_int_equal(
			count_of(plan, "=? AND rowid") + count_of(plan, "=? AND id"), 1);
}

static void check_plan(struct items_db *test, struct list *list)
{
	const struct cursor after = { 17, 3, SPAN_LITERAL("hex") };
	struct items_query query = list->query;
	assert_plan(test, list, &query);
	query.after = &after;
	assert_plan(test, list, &query);
}

static void every_list_follows_an_index_and_is_never_sorted(void **state)
{
	for_each_list(*state, check_plan);
}

/* In the middle of many equal keys a page takes as little as anywhere else. */
static void equal_keys_are_not_walked_through(void **state)
{
	struct items_db *test = *state;
	enum { MANY = 20000 / HANGUP_SLOWDOWN };
	struct item *items = calloc(MANY, sizeof *items);
	for (size_t i = 0; i < MANY; i++)
		items[i] = ITEM("same", "same", 0, 77);
	int64_t last = items_db_add(test, items, MANY);
	free(items);
	AUTO_CONN *conn = NULL;
	AUTO_STMT *rows = NULL;
	const struct cursor after = { .id = last - 10, .number = 77 };
	const struct items_query query = { .sort = ITEMS_BY_PRICE, .after = &after };
	struct item_row row;
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	assert_int_equal(items_page(conn, &query, 5, &rows), ERR_OK);
	while (items_next(rows, &row) == ERR_OK && row.json.data)
		;
	sqlite3_stmt *stmt = sqlite3_next_stmt(conn->sqlite, NULL);
	assert_true(sqlite3_stmt_status(stmt, SQLITE_STMTSTATUS_VM_STEP, 0) < 1000);
}

/*
 * Cursors and one item.
 */

static void a_cursor_serves_its_own_list_only(void **state)
{
	const struct span nuts = SPAN_LITERAL("nuts");
	const struct items_query lists[] = { { 0 }, { .descending = true },
		{ .category = nuts }, { .q = nuts }, { .q = SPAN_LITERAL("") },
		{ .sort = ITEMS_BY_NAME }, { .sort = ITEMS_BY_PRICE },
		{ .category = nuts, .q = nuts } };
	enum { COUNT = sizeof lists / sizeof *lists };
	(void)state;
	for (size_t a = 0; a < COUNT; a++)
		for (size_t b = 0; b < COUNT; b++) {
			char text[CURSOR_SIZE];
			char key[CURSOR_KEY_MAX];
			struct cursor cursor = { .id = 1 };
			cursor_write(&cursor, items_list(&lists[a]), text);
			assert_int_equal(cursor_read(span_of(text), items_list(&lists[b]),
						 key, &cursor),
				a == b ? ERR_OK : ERR_BAD_REQUEST);
		}
}

static void an_item_comes_as_json(void **state)
{
	struct items_db *test = *state;
	AUTO_CONN *conn = NULL;
	AUTO_STMT *rows = NULL;
	struct item_row row;
	const struct item item = ITEM("5\" \\ \xc3\xbc", "c", 2147483647, ITEM_PRICE_MAX);
	int64_t id = items_db_add(test, &item, 1);
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	assert_int_equal(items_get(conn, id, &rows, &row), ERR_OK);
	assert_int_equal(row.id, ITEMS + 1);
	assert_int_equal(row.version, 1);
	assert_true(span_is(row.json,
		"{\"id\":121,\"name\":\"5\\\" \\\\ \xc3\xbc\",\"category\":\"c\","
		"\"quantity\":2147483647,\"price_cents\":9007199254740991,"
		"\"created_at\":\"2020-01-01T00:00:00.000Z\","
		"\"updated_at\":\"2020-01-01T00:00:00.000Z\",\"version\":1}"));
}

static void an_item_that_is_not_there_is_not_found(void **state)
{
	static const int64_t ids[] = { 0, -1, ITEMS + 1, INT64_MAX };
	struct items_db *test = *state;
	AUTO_CONN *conn = NULL;
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	for (size_t i = 0; i < sizeof ids / sizeof *ids; i++) {
		struct stmt *rows = NULL;
		struct item_row row;
		assert_int_equal(items_get(conn, ids[i], &rows, &row), ERR_NOT_FOUND);
		assert_null(rows);
	}
}

static void an_id_is_never_given_twice(void **state)
{
	struct items_db *test = *state;
	AUTO_CONN *conn = NULL;
	int64_t last;
	delete_item(test, ITEMS);
	assert_int_equal(add_entry(test, 1), ITEMS + 1);
	delete_item(test, ITEMS + 1);
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	assert_int_equal(items_last_id(conn, &last), ERR_OK);
	assert_int_equal(last, ITEMS + 1);
}

struct handed_out {
	int64_t id;
	int64_t version;
	char json[512];
};

static enum err keep_row(
	struct stmt *rows, const struct item_row *row, struct handed_out *ret)
{
	ret->id = row->id;
	ret->version = row->version;
	snprintf(ret->json, sizeof ret->json, "%.*s", (int)row->json.len, row->json.data);
	return stmt_finish(rows);
}

static enum err insert_and_keep(struct conn *conn, void *arg)
{
	AUTO_STMT *rows = NULL;
	struct item_row row;
	const struct item item = ITEM("bolt", "m8", 5, 120);
	enum err err = items_insert(conn, &item, INT64_C(1577836800000), &rows, &row);
	return err == ERR_OK ? keep_row(rows, &row, arg) : err;
}

static enum err replace_and_keep(struct conn *conn, void *arg)
{
	AUTO_STMT *rows = NULL;
	struct item_row row;
	struct handed_out *out = arg;
	const struct item item = ITEM("nut", "m8", 4, 110);
	enum err err = items_replace(
		conn, out->id, &item, INT64_C(1577836800001), &rows, &row);
	return err == ERR_OK ? keep_row(rows, &row, out) : err;
}

static void assert_is_what_a_get_gives(
	struct items_db *test, const struct handed_out *out)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *rows = NULL;
	struct item_row row;
	assert_int_equal(db_read(test->db, test->token, &conn), ERR_OK);
	assert_int_equal(items_get(conn, out->id, &rows, &row), ERR_OK);
	assert_true(span_is(row.json, out->json));
	assert_int_equal(row.version, out->version);
}

static void a_change_hands_out_the_row_that_it_leaves(void **state)
{
	struct items_db *test = *state;
	struct handed_out out;
	assert_int_equal(db_write(test->db, test->token, insert_and_keep, &out), ERR_OK);
	assert_int_equal(out.id, ITEMS + 1);
	assert_int_equal(out.version, 1);
	assert_is_what_a_get_gives(test, &out);
	assert_int_equal(db_write(test->db, test->token, replace_and_keep, &out), ERR_OK);
	assert_int_equal(out.version, 2);
	assert_is_what_a_get_gives(test, &out);
	out.id++;
	assert_int_equal(
		db_write(test->db, test->token, replace_and_keep, &out), ERR_NOT_FOUND);
}

struct attempt {
	const struct item *item;
	int64_t now_ms;
};

static enum err try_insert(struct conn *conn, void *arg)
{
	const struct attempt *attempt = arg;
	return items_add(conn, attempt->item, attempt->now_ms);
}

static void the_table_checks_for_itself(void **state)
{
	struct items_db *test = *state;
	char long_name[ITEM_NAME_MAX + 2];
	memset(long_name, 'x', sizeof long_name);
	const struct item good = ITEM("n", "c", 0, 0);
	struct item bad[] = { good, good, good, good, good, good, good, good, good };
	bad[0].name = SPAN_LITERAL("");
	bad[1].name = (struct span){ 0 };
	bad[2].name = (struct span){ long_name, ITEM_NAME_MAX + 1 };
	bad[3].category = SPAN_LITERAL("");
	bad[4].category = (struct span){ long_name, ITEM_CATEGORY_MAX + 1 };
	bad[5].quantity = -1;
	bad[6].quantity = ITEM_QUANTITY_MAX + 1;
	bad[7].price_cents = -1;
	bad[8].price_cents = ITEM_PRICE_MAX + 1;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		struct attempt attempt = { &bad[i], 0 };
		assert_int_equal(db_write(test->db, test->token, try_insert, &attempt),
			ERR_CONFLICT);
	}
	struct attempt in_10000 = { &good, INT64_C(253402300800000) };
	assert_int_equal(
		db_write(test->db, test->token, try_insert, &in_10000), ERR_CONFLICT);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, items_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(pages_make_up_the_list),
		TEST(no_row_is_skipped_or_repeated_when_rows_come_and_go),
		TEST(every_list_follows_an_index_and_is_never_sorted),
		TEST(equal_keys_are_not_walked_through),
		TEST(a_cursor_serves_its_own_list_only),
		TEST(an_item_comes_as_json),
		TEST(an_item_that_is_not_there_is_not_found),
		TEST(an_id_is_never_given_twice),
		TEST(a_change_hands_out_the_row_that_it_leaves),
		TEST(the_table_checks_for_itself),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
