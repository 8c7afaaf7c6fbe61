/*
 * Idempotency-Key: whatever becomes of a POST and of the client that sent it, the same
 * request can be sent again, and there is one item.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/routes.h"
#include "tests/support/app_server.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/raw.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

#define BOLT  "{\"name\":\"bolt\",\"category\":\"m8\"}"
#define NUT   "{\"name\":\"nut\",\"category\":\"m8\"}"
#define KEY   "Idempotency-Key: 7b0e1c4e"
#define OTHER "Idempotency-Key: 7b0e1c4f"

static void post(struct app_server *test, const char *const *headers, const char *body,
	struct http_response *ret)
{
	app_server_perform(test, "POST", "/v1/items", headers, body, ret);
}

/* Makes item number id. */
static void assert_made(
	struct app_server *test, const char *const *headers, const char *body, int id)
{
	struct http_response res;
	char location[32];
	snprintf(location, sizeof location, "/v1/items/%d", id);
	post(test, headers, body, &res);
	assert_int_equal(res.status, 201);
	assert_string_equal(http_header(&res, "Location"), location);
	assert_null(http_header(&res, "Idempotency-Replayed"));
	http_response_finish(&res);
	assert_int_equal(app_server_rows(test, "items"), id);
}

/* first was made before. */
static void assert_replayed(struct app_server *test, const char *const *headers,
	const char *body, const struct http_response *first)
{
	static const char *const same[] = { "Location", "ETag", "Content-Type",
		"Cache-Control", "X-Content-Type-Options" };
	struct http_response res;
	post(test, headers, body, &res);
	assert_int_equal(res.status, 201);
	assert_string_equal(http_header(&res, "Idempotency-Replayed"), "true");
	for (size_t i = 0; first && i < sizeof same / sizeof *same; i++)
		assert_string_equal(
			http_header(&res, same[i]), http_header(first, same[i]));
	if (first)
		assert_string_equal(res.body, first->body);
	http_response_finish(&res);
}

/*
 * Repeating.
 */

static void a_repeat_gets_the_first_answer_and_makes_nothing(void **state)
{
	struct app_server *test = *state;
	struct http_response first;
	post(test, HEADERS(JSON_BODY, KEY), BOLT, &first);
	assert_int_equal(first.status, 201);
	assert_string_equal(http_header(&first, "Location"), "/v1/items/1");
	assert_null(http_header(&first, "Idempotency-Replayed"));
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, &first);
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, &first);
	assert_int_equal(app_server_rows(test, "items"), 1);
	http_response_finish(&first);
}

/* It is the answer that is kept, not the item. */
static void the_answer_outlives_changes_of_the_item(void **state)
{
	struct app_server *test = *state;
	struct http_response first;
	post(test, HEADERS(JSON_BODY, KEY), BOLT, &first);
	assert_int_equal(
		app_server_status(test, "PUT", "/v1/items/1", HEADERS(JSON_BODY), NUT),
		200);
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, &first);
	assert_int_equal(
		app_server_status(test, "DELETE", "/v1/items/1", NULL, NULL), 204);
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, &first);
	assert_int_equal(app_server_rows(test, "items"), 0);
	http_response_finish(&first);
}

static void the_answer_outlives_the_service(void **state)
{
	struct app_server *test = *state;
	struct http_response first;
	post(test, HEADERS(JSON_BODY, KEY), BOLT, &first);
	app_server_restart(test);
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, &first);
	assert_int_equal(app_server_rows(test, "items"), 1);
	http_response_finish(&first);
}

static void each_key_and_no_key_make_an_item_each(void **state)
{
	struct app_server *test = *state;
	assert_made(test, HEADERS(JSON_BODY, KEY), BOLT, 1);
	assert_made(test, HEADERS(JSON_BODY, OTHER), BOLT, 2);
	assert_made(test, HEADERS(JSON_BODY), BOLT, 3);
	assert_made(test, HEADERS(JSON_BODY), BOLT, 4);
}

static void a_key_is_for_one_request(void **state)
{
	static const char *const others[] = { NUT, BOLT " " }; /* byte by byte */
	struct app_server *test = *state;
	assert_made(test, HEADERS(JSON_BODY, KEY), BOLT, 1);
	struct http_response res;
	for (size_t i = 0; i < 2; i++) {
		post(test, HEADERS(JSON_BODY, KEY), others[i], &res);
		http_assert_problem(&res, 422, "/problems/idempotency-key-reused");
		assert_null(http_header(&res, "Idempotency-Replayed"));
		assert_null(http_header(&res, "ETag"));
		http_response_finish(&res);
	}
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, NULL);
	assert_int_equal(app_server_rows(test, "items"), 1);
}

static void a_key_is_kept_for_a_day(void **state)
{
	struct app_server *test = *state;
	assert_made(test, HEADERS(JSON_BODY, KEY), BOLT, 1);
	stranger_exec(test->stranger,
		"UPDATE kept_answers SET kept_at = kept_at - 24 * 3600 * 1000 + 60000");
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, NULL);
	stranger_exec(
		test->stranger, "UPDATE kept_answers SET kept_at = kept_at - 60000");
	assert_made(test, HEADERS(JSON_BODY, KEY), NUT, 2); /* for another request, too */
	assert_replayed(test, HEADERS(JSON_BODY, KEY), NUT, NULL);
}

/*
 * Keys.
 */

static void a_malformed_key_is_refused(void **state)
{
	static const char *const keys[] = { "Idempotency-Key;", "Idempotency-Key: a b",
		"Idempotency-Key: a\tb", "Idempotency-Key: caf\xc3\xa9",
		"Idempotency-Key: \x7f" };
	struct app_server *test = *state;
	struct http_response res;
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		post(test, HEADERS(JSON_BODY, keys[i]), BOLT, &res);
		http_assert_problem(&res, 400, "/problems/bad-request");
		http_response_finish(&res);
	}
	post(test, HEADERS(JSON_BODY, KEY, OTHER), BOLT, &res);
	http_assert_problem(&res, 400, "/problems/bad-request");
	http_response_finish(&res);
	post(test, HEADERS(JSON_BODY, KEY, KEY), BOLT, &res);
	json_t *problem = http_problem(&res, 400, "/problems/bad-request");
	assert_string_equal(json_string_value(json_object_get(problem, "detail")),
		"Idempotency-Key must be there once, with 1 to 255 visible ASCII characters.");
	json_decref(problem);
	http_response_finish(&res);
	assert_int_equal(app_server_rows(test, "items"), 0);
}

static void a_key_has_255_characters_at_most(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	char header[300] = "Idempotency-Key: ";
	size_t start = strlen(header);
	memset(header + start, '~', 256);
	post(test, HEADERS(JSON_BODY, header), BOLT, &res);
	http_assert_problem(&res, 400, "/problems/bad-request");
	http_response_finish(&res);
	header[start + 255] = '\0';
	assert_made(test, HEADERS(JSON_BODY, header), BOLT, 1);
	assert_replayed(test, HEADERS(JSON_BODY, header), BOLT, NULL);
}

/*
 * Failing.
 */

static void a_request_that_fails_leaves_the_key_free(void **state)
{
	struct app_server *test = *state;
	assert_int_equal(app_server_status(test, "POST", "/v1/items",
				 HEADERS(JSON_BODY, KEY), "{}"),
		422);
	assert_int_equal(app_server_status(
				 test, "POST", "/v1/items", HEADERS(JSON_BODY, KEY), "{"),
		400);
	assert_int_equal(app_server_status(test, "POST", "/v1/items",
				 HEADERS("Content-Type: text/plain", KEY), BOLT),
		415);
	assert_made(test, HEADERS(JSON_BODY, KEY), BOLT, 1);
}

static void a_full_disk_leaves_the_key_free(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	fault_vfs_set_full(true);
	post(test, HEADERS(JSON_BODY, KEY), BOLT, &res);
	http_assert_problem(&res, 507, "/problems/disk-full");
	http_response_finish(&res);
	fault_vfs_set_full(false);
	assert_made(test, HEADERS(JSON_BODY, KEY), BOLT, 1);
}

static void a_commit_that_fails_once_keeps_one_answer(void **state)
{
	struct app_server *test = *state;
	struct http_response res;
	assert_made(test, HEADERS(JSON_BODY), BOLT, 1);
	fault_vfs_arm(FAULT_SYNC, 1); /* then it is made again, alone, and succeeds */
	assert_made(test, HEADERS(JSON_BODY, KEY), BOLT, 2);
	assert_true(fault_vfs_struck());
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, NULL);
	post(test, HEADERS(JSON_BODY, KEY), NUT, &res);
	http_assert_problem(&res, 422, "/problems/idempotency-key-reused");
	http_response_finish(&res);
}

/*
 * In flight.
 */

static struct http_call *start_post(
	struct app_server *test, const char *const *headers, const char *body)
{
	const struct http_request req = {
		.method = "POST", .path = "/v1/items", .headers = headers, .body = body
	};
	unsigned waiting = test_db_stats(&test->server).writes_waiting;
	struct http_call *call = http_start(test->server.port, &req);
	WAIT_UNTIL(test_db_stats(&test->server).writes_waiting == waiting + 1);
	return call;
}

static void assert_in_flight(struct app_server *test, const char *body)
{
	struct http_response res;
	post(test, HEADERS(JSON_BODY, KEY), body, &res);
	http_assert_problem(&res, 409, "/problems/in-flight");
	assert_string_equal(http_header(&res, "Retry-After"), "1");
	http_response_finish(&res);
}

static void a_key_in_flight_is_refused_until_its_request_is_answered(void **state)
{
	struct app_server *test = *state;
	struct http_response first;
	app_server_lock(test);
	struct http_call *call = start_post(test, HEADERS(JSON_BODY, KEY), BOLT);
	assert_in_flight(test, BOLT);
	assert_in_flight(test, NUT);
	struct http_call *other = start_post(test, HEADERS(JSON_BODY, OTHER), BOLT);
	app_server_unlock(test);
	http_join(call, &first);
	http_join(other, NULL);
	assert_int_equal(first.status, 201);
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, &first);
	assert_int_equal(app_server_rows(test, "items"), 2);
	http_response_finish(&first);
}

static void a_refused_repeat_does_not_free_the_key(void **state)
{
	struct app_server *test = *state;
	app_server_lock(test);
	struct http_call *call = start_post(test, HEADERS(JSON_BODY, KEY), BOLT);
	for (int i = 0; i < 3; i++)
		assert_in_flight(test, BOLT);
	app_server_unlock(test);
	http_join(call, NULL);
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, NULL);
	assert_int_equal(app_server_rows(test, "items"), 1);
}

/*
 * Leaving.
 */

static void a_client_that_leaves_before_the_commit_leaves_the_key_free(void **state)
{
	struct app_server *test = *state;
	const char *const *headers = HEADERS(JSON_BODY, KEY, "X-Request-Id: left");
	app_server_lock(test);
	http_hang_up(start_post(test, headers, BOLT));
	json_t *line = test_server_log_line(&test->server, "left"); /* locked still */
	assert_int_equal(log_int(line, "status"), 499);
	assert_string_equal(log_text(line, "cause"), "client_gone");
	assert_null(json_object_get(line, "committed"));
	json_decref(line);
	app_server_unlock(test);
	assert_int_equal(app_server_rows(test, "items"), 0);
	assert_made(test, HEADERS(JSON_BODY, KEY), NUT, 1); /* nothing was kept of it */
}

/*
 * Leaving while the disk syncs: the request is past the point of no return. A handler
 * in front of the real one shows the token, so that the test knows when it has fired.
 */

static _Atomic(struct cancel *) token_of_post; /* counted */

static enum err show_token(struct request *req, struct response *res)
{
	struct cancel *last = atomic_exchange(&token_of_post, cancel_ref(req->cancel));
	cancel_unref(last);
	return items_handle_post(req, res);
}

static const struct route shown_routes[] = {
	{ "POST", "/v1/items", show_token, .lane = LANE_SHORT, .body = BODY_BUFFERED },
};

struct shown {
	struct app_server *test;
	struct gate syncing;
	struct gate synced;
};

static int set_up_shown(void **state)
{
	struct shown *shown = calloc(1, sizeof *shown);
	gate_init(&shown->syncing);
	gate_init(&shown->synced);
	shown->test = app_server_create();
	app_server_start(shown->test, shown_routes, 1);
	*state = shown;
	return 0;
}

static int tear_down_shown(void **state)
{
	struct shown *shown = *state;
	void *test = shown->test;
	cancel_unref(atomic_exchange(&token_of_post, NULL));
	app_server_teardown(&test);
	gate_finish(&shown->syncing);
	gate_finish(&shown->synced);
	free(shown);
	return 0;
}

static void assert_logged_as_committed(struct app_server *test)
{
	json_t *line = test_server_log_line(&test->server, "left");
	assert_int_equal(log_int(line, "status"), 499);
	assert_string_equal(log_text(line, "cause"), "client_gone");
	assert_string_equal(log_text(line, "cancelled_while"), "running");
	assert_true(json_is_true(json_object_get(line, "committed")));
	json_decref(line);
}

static void leave_during_the_commit(struct shown *shown, void (*leave)(struct raw *raw))
{
	struct app_server *test = shown->test;
	struct raw raw;
	fault_vfs_gate_sync(&shown->syncing, &shown->synced);
	raw_connect(&raw, test->server.port);
	raw_sendf(&raw,
		"POST /v1/items HTTP/1.1\r\nHost: x\r\n" JSON_BODY "\r\n" KEY
		"\r\nX-Request-Id: left\r\nContent-Length: %zu\r\n\r\n%s",
		strlen(BOLT), BOLT);
	gate_wait(&shown->syncing);
	leave(&raw);
	WAIT_UNTIL(cancel_cause(atomic_load(&token_of_post)) == CANCEL_CLIENT_GONE);
	gate_open(&shown->synced);
	assert_logged_as_committed(test);
	assert_int_equal(app_server_rows(test, "items"), 1);
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, NULL);
	assert_int_equal(app_server_rows(test, "items"), 1);
}

static void one_who_leaves_during_the_commit_finds_his_answer_kept(void **state)
{
	leave_during_the_commit(*state, raw_close);
}

static void one_who_is_torn_away_during_the_commit_finds_it_too(void **state)
{
	leave_during_the_commit(*state, raw_reset);
}

static void a_deadline_during_the_commit_is_too_late(void **state)
{
	struct shown *shown = *state;
	struct app_server *test = shown->test;
	struct http_response res;
	fault_vfs_gate_sync(&shown->syncing, &shown->synced);
	const struct http_request req = { .method = "POST",
		.path = "/v1/items",
		.body = BOLT,
		.headers = HEADERS(JSON_BODY, KEY, "X-Request-Id: late") };
	struct http_call *call = http_start(test->server.port, &req);
	gate_wait(&shown->syncing);
	assert_true(cancel_fire(atomic_load(&token_of_post), CANCEL_DEADLINE));
	gate_open(&shown->synced);
	http_join(call, &res);
	assert_int_equal(res.status, 201); /* it is done: saying 504 would be a lie */
	http_response_finish(&res);
	json_t *line = test_server_log_line(&test->server, "late");
	assert_int_equal(log_int(line, "status"), 201);
	assert_true(json_is_true(json_object_get(line, "committed")));
	json_decref(line);
	assert_replayed(test, HEADERS(JSON_BODY, KEY), BOLT, NULL);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, app_server_setup, app_server_teardown)
#define TEST_SHOWN(name) \
	cmocka_unit_test_setup_teardown(name, set_up_shown, tear_down_shown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_repeat_gets_the_first_answer_and_makes_nothing),
		TEST(the_answer_outlives_changes_of_the_item),
		TEST(the_answer_outlives_the_service),
		TEST(each_key_and_no_key_make_an_item_each),
		TEST(a_key_is_for_one_request),
		TEST(a_key_is_kept_for_a_day),
		TEST(a_malformed_key_is_refused),
		TEST(a_key_has_255_characters_at_most),
		TEST(a_request_that_fails_leaves_the_key_free),
		TEST(a_full_disk_leaves_the_key_free),
		TEST(a_commit_that_fails_once_keeps_one_answer),
		TEST(a_key_in_flight_is_refused_until_its_request_is_answered),
		TEST(a_refused_repeat_does_not_free_the_key),
		TEST(a_client_that_leaves_before_the_commit_leaves_the_key_free),
		TEST_SHOWN(one_who_leaves_during_the_commit_finds_his_answer_kept),
		TEST_SHOWN(one_who_is_torn_away_during_the_commit_finds_it_too),
		TEST_SHOWN(a_deadline_during_the_commit_is_too_late),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
