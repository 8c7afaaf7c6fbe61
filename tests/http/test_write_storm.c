/*
 * A storm of clients who post and leave whenever they like. Afterwards the rows are just
 * those that somebody was told of, and those that the log says were committed for a
 * client that had left; and the service is as it was before.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handlers/routes.h"
#include "tests/support/app_server.h"
#include "tests/support/cmocka.h"
#include "tests/support/raw.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

enum {
	CLIENTS = 16,
	POSTS = 1500 / HANGUP_SLOWDOWN,           /* of each */
	LEAVE_WITHIN_US = 3000 * HANGUP_SLOWDOWN, /* some before the commit, some after */
};

/* What the log says of a post. */
enum logged { UNLOGGED, ANSWERED, COMMITTED, GONE, OTHER };

struct client {
	struct app_server *test;
	unsigned number;
	unsigned seed;
	pthread_t thread;
	bool told[POSTS];               /* he has read a 201 */
	_Atomic enum logged log[POSTS]; /* set by the reader of the log */
	unsigned wrong;
};

static struct client clients[CLIENTS];
static atomic_bool last_line_read;

/*
 * The log.
 */

static enum logged meaning_of(const json_t *line)
{
	int64_t status = log_int(line, "status");
	bool committed = json_is_true(json_object_get(line, "committed"));
	if (status == 201)
		return committed ? ANSWERED : OTHER;
	if (status == 499)
		return committed ? COMMITTED : GONE;
	return OTHER;
}

static void read_line(void *arg, const char *text)
{
	unsigned client;
	unsigned number;
	(void)arg;
	json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	const char *id = log_text(line, "id");
	if (strcmp(id, "last") == 0)
		atomic_store(&last_line_read, true);
	else if (sscanf(id, "storm-%u-%u", &client, &number) == 2)
		atomic_store(&clients[client].log[number], meaning_of(line));
	json_decref(line);
}

/*
 * The clients.
 */

static void send_post(struct raw *raw, const struct client *client, unsigned number)
{
	char body[96];
	int len = snprintf(body, sizeof body,
		"{\"name\":\"%u-%u\",\"category\":\"storm\"}", client->number, number);
	raw_sendf(raw,
		"POST /v1/items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		"X-Request-Id: storm-%u-%u\r\nContent-Length: %d\r\n\r\n%s",
		client->number, number, len, body);
}

static void leave_at_random(struct client *client, struct raw *raw)
{
	if (rand_r(&client->seed) % 4 > 0)
		usleep((unsigned)rand_r(&client->seed) % LEAVE_WITHIN_US);
	if (rand_r(&client->seed) % 2)
		raw_close(raw);
	else
		raw_reset(raw);
}

static void wait_for_answer(struct client *client, struct raw *raw, unsigned number)
{
	struct http_response res;
	raw_read(raw, &res);
	client->told[number] = res.whole && res.status == 201;
	client->wrong += !client->told[number];
	http_response_finish(&res);
}

static void *post_and_leave(void *arg)
{
	struct client *client = arg;
	struct raw raw = { .fd = -1 };
	for (unsigned i = 0; i < POSTS; i++) {
		if (raw.fd < 0)
			raw_connect(&raw, client->test->server.port);
		send_post(&raw, client, i);
		if (rand_r(&client->seed) % 2)
			wait_for_answer(client, &raw, i);
		else
			leave_at_random(client, &raw);
	}
	raw_close(&raw);
	return NULL;
}

/* Those of requests that have ended come before the line of one that begins now. */
static void wait_for_all_lines(struct app_server *test)
{
	unsigned status = app_server_status(
		test, "GET", "/healthz", HEADERS("X-Request-Id: last"), NULL);
	assert_int_equal(status, 200);
	WAIT_UNTIL(atomic_load(&last_line_read));
}

/*
 * The sum.
 */

/* By name; each at most once. */
static void mark_rows(struct app_server *test, bool (*there)[POSTS])
{
	sqlite3_stmt *rows;
	assert_int_equal(sqlite3_prepare_v2(test->stranger, "SELECT name FROM items", -1,
				 &rows, NULL),
		SQLITE_OK);
	while (sqlite3_step(rows) == SQLITE_ROW) {
		unsigned client;
		unsigned number;
		const char *name = (const char *)sqlite3_column_text(rows, 0);
		assert_int_equal(sscanf(name, "%u-%u", &client, &number), 2);
		assert_true(client < CLIENTS && number < POSTS);
		assert_false(there[client][number]);
		there[client][number] = true;
	}
	sqlite3_finalize(rows);
}

/* A request that did not arrive has no line, or one without its id. */
static void check_post(const struct client *client, unsigned number, bool there,
	unsigned (*counts)[OTHER + 1])
{
	enum logged logged = atomic_load(&client->log[number]);
	if (there != (logged == ANSWERED || logged == COMMITTED))
		fail_msg("%u-%u is %s, and the log says %d", client->number, number,
			there ? "there" : "not there", logged);
	if (client->told[number])
		assert_int_equal(logged, ANSWERED);
	(*counts)[logged]++;
}

static void rows_are_those_told_and_those_committed_after_their_client_left(void **state)
{
	static bool there[CLIENTS][POSTS];
	struct app_server *test = *state;
	unsigned counts[OTHER + 1] = { 0 };
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_int_equal(pthread_create(&clients[i].thread, NULL, post_and_leave,
					 &clients[i]),
			0);
	}
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(clients[i].thread, NULL);
	test_server_wait_at_rest(&test->server);
	struct server_stats stats = test_server_stats(&test->server);
	struct db_stats db_stats = test_db_stats(&test->server);
	mark_rows(test, there);
	wait_for_all_lines(test);
	for (unsigned i = 0; i < CLIENTS; i++) {
		assert_int_equal(clients[i].wrong, 0);
		for (unsigned j = 0; j < POSTS; j++)
			check_post(&clients[i], j, there[i][j], &counts);
	}
	print_message(
		"%d posts: %u answered, %u committed for nobody, %u undone, %u not begun;"
		" %u commits\n",
		CLIENTS * POSTS, counts[ANSWERED], counts[COMMITTED], counts[GONE],
		counts[UNLOGGED], (unsigned)db_stats.commits);
	assert_int_equal(counts[OTHER], 0);
	assert_int_equal(
		app_server_rows(test, "items"), counts[ANSWERED] + counts[COMMITTED]);
	assert_int_equal(db_stats.writes_committed, counts[ANSWERED] + counts[COMMITTED]);
	assert_true(counts[COMMITTED] > 0 && counts[GONE] > 0);
	assert_true(
		stats.cancelled[CANCEL_CLIENT_GONE] >= counts[COMMITTED] + counts[GONE]);
}

static int set_up(void **state)
{
	struct app_server *test = app_server_create();
	test->server.log_sink = read_line;
	for (unsigned i = 0; i < CLIENTS; i++)
		clients[i] = (struct client){ .test = test, .number = i, .seed = i + 1 };
	app_server_start(test, routes, routes_count);
	*state = test;
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		/* The teardown sees to it that all counts are back where they were. */
		cmocka_unit_test_setup_teardown(
			rows_are_those_told_and_those_committed_after_their_client_left,
			set_up, app_server_teardown),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
