/*
 * Answers kept under keys, at times of the test's choice.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "db/kept_answers.h"
#include "tests/support/cmocka.h"
#include "tests/support/items_db.h"
#include "tests/support/test_db.h"

#define NOON INT64_C(1700000000000)

/* One call inside a change. */
struct call {
	enum err (*make)(struct conn *conn, struct call *call);
	const char *key;
	unsigned char fingerprint; /* all of its bytes */
	int64_t now_ms;
	struct kept_answer answer; /* to add */
	int64_t limit;             /* of a purge */

	bool found;
	unsigned status;   /* found */
	char texts[3][64]; /* found: location, etag, body; "-" for none */
	int64_t purged;
};

static struct answer_key key_of(const struct call *call)
{
	struct answer_key key = { .key = span_of(call->key) };
	memset(key.fingerprint, call->fingerprint, sizeof key.fingerprint);
	return key;
}

static void copy(char *text, struct span span)
{
	snprintf(text, 64, "%.*s", span.data ? (int)span.len : 1,
		span.data ? span.data : "-");
}

static enum err find(struct conn *conn, struct call *call)
{
	AUTO_STMT *rows = NULL;
	struct kept_answer answer;
	struct answer_key key = key_of(call);
	enum err err = kept_answer_find(conn, &key, call->now_ms, &rows, &answer);
	call->found = rows != NULL;
	if (!rows)
		return err;
	call->status = answer.status;
	copy(call->texts[0], answer.location);
	copy(call->texts[1], answer.etag);
	copy(call->texts[2], answer.body);
	return err;
}

static enum err add(struct conn *conn, struct call *call)
{
	struct answer_key key = key_of(call);
	return kept_answer_add(conn, &key, call->now_ms, &call->answer);
}

static enum err purge(struct conn *conn, struct call *call)
{
	return kept_answers_purge(conn, call->now_ms, call->limit, &call->purged);
}

static enum err make(struct conn *conn, void *arg)
{
	struct call *call = arg;
	return call->make(conn, call);
}

static enum err change(struct items_db *test, struct call *call)
{
	return db_write(test->db, test->token, make, call);
}

static enum err add_at(struct items_db *test, const char *key, int64_t now_ms)
{
	struct call call = {
		.make = add, .key = key, .fingerprint = 1, .now_ms = now_ms
	};
	call.answer = (struct kept_answer){ .status = 201,
		.location = SPAN_LITERAL("/v1/items/7"),
		.etag = SPAN_LITERAL("\"1\""),
		.body = SPAN_LITERAL("{\"id\":7}") };
	return change(test, &call);
}

static struct call find_at(struct items_db *test, const char *key, int64_t now_ms)
{
	struct call call = {
		.make = find, .key = key, .fingerprint = 1, .now_ms = now_ms
	};
	assert_int_equal(change(test, &call), ERR_OK);
	return call;
}

static int64_t purge_at(struct items_db *test, int64_t now_ms, int64_t limit)
{
	struct call call = { .make = purge, .now_ms = now_ms, .limit = limit };
	assert_int_equal(change(test, &call), ERR_OK);
	return call.purged;
}

static int64_t ask(struct items_db *test, const char *sql)
{
	sqlite3 *stranger = test_db_stranger(test->path);
	int64_t number = stranger_int(stranger, sql);
	sqlite3_close(stranger);
	return number;
}

static int64_t rows(struct items_db *test)
{
	return ask(test, "SELECT count(*) FROM kept_answers");
}

/*
 * Finding.
 */

static void an_answer_is_found_as_it_was_kept(void **state)
{
	assert_int_equal(add_at(*state, "key", NOON), ERR_OK);
	struct call call = find_at(*state, "key", NOON + 1);
	assert_true(call.found);
	assert_int_equal(call.status, 201);
	assert_string_equal(call.texts[0], "/v1/items/7");
	assert_string_equal(call.texts[1], "\"1\"");
	assert_string_equal(call.texts[2], "{\"id\":7}");
}

static void a_header_that_was_not_there_is_not_there(void **state)
{
	struct call call = {
		.make = add, .key = "key", .fingerprint = 1, .now_ms = NOON
	};
	call.answer = (struct kept_answer){ .status = 200, .body = SPAN_LITERAL("") };
	assert_int_equal(change(*state, &call), ERR_OK);
	call = find_at(*state, "key", NOON);
	assert_int_equal(call.status, 200);
	assert_string_equal(call.texts[0], "-");
	assert_string_equal(call.texts[1], "-");
	assert_string_equal(call.texts[2], "");
}

static void under_another_key_there_is_none(void **state)
{
	add_at(*state, "key", NOON);
	assert_false(find_at(*state, "Key", NOON).found);
	assert_false(find_at(*state, "key ", NOON).found);
	assert_false(find_at(*state, "ke", NOON).found);
}

static void a_key_stands_for_one_request(void **state)
{
	struct call other = {
		.make = find, .key = "key", .fingerprint = 2, .now_ms = NOON
	};
	add_at(*state, "key", NOON);
	assert_int_equal(change(*state, &other), ERR_KEY_REUSED);
	assert_false(other.found);
	assert_true(find_at(*state, "key", NOON).found);
}

static void a_key_that_is_taken_cannot_be_taken_again(void **state)
{
	assert_int_equal(add_at(*state, "key", NOON), ERR_OK);
	assert_int_equal(add_at(*state, "key", NOON), ERR_CONFLICT);
	assert_int_equal(rows(*state), 1);
}

/*
 * Time.
 */

static void an_answer_is_kept_for_24_hours(void **state)
{
	add_at(*state, "key", NOON);
	assert_true(find_at(*state, "key", NOON + 24 * 3600 * 1000 - 1).found);
	assert_int_equal(rows(*state), 1);
	assert_false(find_at(*state, "key", NOON + 24 * 3600 * 1000).found);
	assert_int_equal(rows(*state), 0); /* thrown away on the way */
	assert_int_equal(add_at(*state, "key", NOON + 24 * 3600 * 1000), ERR_OK);
	assert_true(find_at(*state, "key", NOON + 47 * 3600 * 1000).found);
}

static void a_key_past_its_time_is_free_for_any_request(void **state)
{
	struct call other = { .make = find,
		.key = "key",
		.fingerprint = 2,
		.now_ms = NOON + KEPT_ANSWER_MS };
	add_at(*state, "key", NOON);
	assert_int_equal(change(*state, &other), ERR_OK);
	assert_false(other.found);
	assert_int_equal(rows(*state), 0);
}

static void the_oldest_are_thrown_away_first(void **state)
{
	struct items_db *test = *state;
	for (int i = 0; i < 10; i++) {
		char key[16];
		int order = (i * 7) % 10; /* not in order of the keys */
		snprintf(key, sizeof key, "key %d", i);
		add_at(test, key, NOON + order);
	}
	assert_int_equal(purge_at(test, NOON + KEPT_ANSWER_MS + 7, 3), 3);
	assert_int_equal(rows(test), 7);
	assert_int_equal(ask(test, "SELECT min(kept_at) FROM kept_answers"), NOON + 3);
	assert_int_equal(purge_at(test, NOON + KEPT_ANSWER_MS + 7, 100), 5);
	assert_int_equal(ask(test, "SELECT min(kept_at) FROM kept_answers"), NOON + 8);
	assert_int_equal(purge_at(test, NOON + KEPT_ANSWER_MS + 7, 100), 0);
	assert_int_equal(rows(test), 2);
}

static void nothing_is_thrown_away_before_its_time(void **state)
{
	add_at(*state, "key", NOON);
	assert_int_equal(purge_at(*state, NOON + KEPT_ANSWER_MS - 1, 100), 0);
	assert_int_equal(purge_at(*state, NOON - 1000, 100), 0); /* a clock set back */
	assert_int_equal(purge_at(*state, NOON + KEPT_ANSWER_MS, 100), 1);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, items_db_setup, items_db_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(an_answer_is_found_as_it_was_kept),
		TEST(a_header_that_was_not_there_is_not_there),
		TEST(under_another_key_there_is_none),
		TEST(a_key_stands_for_one_request),
		TEST(a_key_that_is_taken_cannot_be_taken_again),
		TEST(an_answer_is_kept_for_24_hours),
		TEST(a_key_past_its_time_is_free_for_any_request),
		TEST(the_oldest_are_thrown_away_first),
		TEST(nothing_is_thrown_away_before_its_time),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
