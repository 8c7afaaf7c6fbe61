/*
 * kill -9 at a random moment, again and again, under the load of sixteen clients who
 * make, change and delete items and remember what they were told. What was acknowledged
 * is there afterwards, as it was acknowledged; what was not is there whole or not at all,
 * and not twice; and whoever asks again under the same key gets the first answer.
 */
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/cmocka.h"
#include "tests/support/process.h"
#include "tests/support/raw.h"
#include "tests/support/test_db.h"

enum {
	CLIENTS = 16,
	ROUNDS = 200 / HANGUP_SLOWDOWN,
	LOAD_MS = 60 * HANGUP_SLOWDOWN,  /* at most, before the kill */
	START_MS = 10 * HANGUP_SLOWDOWN, /* of a service that is killed while it starts */
	ITEMS_MAX = 20000, /* of one client, from one clearing to the next */
	ROWS_MAX = 1000,   /* then all is cleared: the checks read all of it */
};

enum action { NOTHING, POST, PUT, PATCH, DELETE };

/* What a client knows of an item of his. Its name is "CLIENT-NUMBER", and so is the
 * key that it was made under. */
struct known {
	int64_t id; /* 0: not acknowledged */
	int64_t version;
	int64_t quantity;
	bool deleted;
};

struct client {
	unsigned number;
	unsigned port;
	unsigned seed;
	pthread_t thread;
	struct raw raw;
	struct known *items;
	unsigned count;
	char *first_answer; /* to the last POST that was acknowledged; owned */
	unsigned first_answer_of;

	enum action pending; /* what he was not told the end of */
	unsigned pending_of;
	const char *wrong; /* an answer that must not be; NULL: none */
	unsigned wrong_status;
};

static struct fixture {
	char dir[TEST_DIR_SIZE];
	char path[96];
	char url[128];
	struct process process;
	sqlite3 *stranger;
	struct client clients[CLIENTS];
	unsigned seed;
	atomic_uint acknowledged; /* totals, to be told */
	unsigned kept_unseen;
	unsigned lost_unseen;
} fixture;

/*
 * Clients.
 */

static unsigned random_below(unsigned *seed, unsigned limit)
{
	return (unsigned)rand_r(seed) % limit;
}

/* The next contents: every change counts up. */
static int print_item(const struct client *client, unsigned number, int64_t quantity,
	char *text, size_t size)
{
	return snprintf(text, size,
		"{\"name\":\"%u-%u\",\"category\":\"of %u\",\"quantity\":%d}",
		client->number, number, client->number, (int)quantity);
}

static void send_post(struct raw *raw, const struct client *client, unsigned number)
{
	char body[128];
	int len = print_item(client, number, 1, body, sizeof body);
	raw_sendf(raw,
		"POST /v1/items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		"Idempotency-Key: %u-%u\r\nContent-Length: %d\r\n\r\n%s",
		client->number, number, len, body);
}

static void send_change(struct client *client, const char *method, const char *body)
{
	const struct known *item = &client->items[client->pending_of];
	raw_sendf(&client->raw,
		"%s /v1/items/%d HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
		"If-Match: \"%d\"\r\nContent-Length: %zu\r\n\r\n%s",
		method, (int)item->id, (int)item->version, strlen(body), body);
}

static void send_pending(struct client *client)
{
	char body[128] = "";
	const struct known *item = &client->items[client->pending_of];
	switch (client->pending) {
	case POST:
		send_post(&client->raw, client, client->pending_of);
		break;
	case PUT:
		print_item(client, client->pending_of, item->quantity + 1, body,
			sizeof body);
		send_change(client, "PUT", body);
		break;
	case PATCH:
		snprintf(body, sizeof body, "{\"quantity\":%d}", (int)item->quantity + 1);
		send_change(client, "PATCH", body);
		break;
	default:
		send_change(client, "DELETE", body);
	}
}

static bool can_change(const struct client *client, unsigned number)
{
	return number < client->count && client->items[number].id > 0 &&
		!client->items[number].deleted;
}

static void decide(struct client *client)
{
	static const enum action actions[] = { POST, POST, POST, POST, PUT, PUT, PATCH,
		DELETE };
	unsigned number = random_below(&client->seed, client->count + 1);
	client->pending = actions[random_below(&client->seed, 8)];
	if (client->pending != POST && !can_change(client, number))
		client->pending = POST;
	client->pending_of = number;
	if (client->pending == POST) {
		client->pending_of = client->count++;
		client->items[client->pending_of] = (struct known){ .version = 1,
			.quantity = 1 };
	}
}

static int64_t id_of(const struct http_response *res)
{
	const char *location = http_header(res, "Location");
	long id = 0;
	return location && sscanf(location, "/v1/items/%ld", &id) == 1 ? id : 0;
}

static void keep_first_answer(struct client *client, const struct http_response *res)
{
	free(client->first_answer);
	client->first_answer = strdup(res->body);
	client->first_answer_of = client->pending_of;
}

/* What he was told is true from now on. */
static void believe(struct client *client, const struct http_response *res)
{
	static const unsigned expected[] = { 0, 201, 200, 200, 204 };
	struct known *item = &client->items[client->pending_of];
	if (res->status != expected[client->pending]) {
		client->wrong = "status";
		client->wrong_status = res->status;
		return;
	}
	if (client->pending == POST) {
		item->id = id_of(res);
		keep_first_answer(client, res);
	} else if (client->pending == DELETE) {
		item->deleted = true;
	} else {
		item->version++;
		item->quantity++;
	}
	client->pending = NOTHING;
	atomic_fetch_add(&fixture.acknowledged, 1);
}

static void *write_until_killed(void *arg)
{
	struct client *client = arg;
	bool told = raw_try_connect(&client->raw, client->port);
	while (told && !client->wrong && client->count < ITEMS_MAX) {
		struct http_response res;
		decide(client);
		send_pending(client);
		raw_read(&client->raw, &res);
		told = res.whole;
		if (told)
			believe(client, &res);
		http_response_finish(&res);
	}
	raw_close(&client->raw);
	return NULL;
}

/*
 * What is there afterwards.
 */

static void prepare(sqlite3_stmt **ret_stmt, const char *sql)
{
	int code = sqlite3_prepare_v2(fixture.stranger, sql, -1, ret_stmt, NULL);
	assert_int_equal(code, SQLITE_OK);
}

/* Whether the item is there, at most once, and what it is. */
static bool look_up(const struct client *client, unsigned number, struct known *ret)
{
	sqlite3_stmt *stmt;
	char name[32];
	snprintf(name, sizeof name, "%u-%u", client->number, number);
	prepare(&stmt, "SELECT id, version, quantity FROM items WHERE name = ?");
	sqlite3_bind_text(stmt, 1, name, -1, SQLITE_STATIC);
	bool there = sqlite3_step(stmt) == SQLITE_ROW;
	if (there) {
		*ret = (struct known){ .id = sqlite3_column_int64(stmt, 0),
			.version = sqlite3_column_int64(stmt, 1),
			.quantity = sqlite3_column_int64(stmt, 2) };
		assert_int_equal(sqlite3_step(stmt), SQLITE_DONE);
	}
	sqlite3_finalize(stmt);
	return there;
}

static void repeat(const struct client *client, unsigned number, bool replayed,
	struct http_response *ret)
{
	struct raw raw;
	raw_connect(&raw, fixture.process.port);
	send_post(&raw, client, number);
	raw_read(&raw, ret);
	raw_close(&raw);
	assert_true(ret->whole);
	assert_int_equal(ret->status, 201);
	const char *header = http_header(ret, "Idempotency-Replayed");
	assert_true(replayed == (header && strcmp(header, "true") == 0));
}

/* He asks again, and is told what he would have been told. */
static void settle_post(struct client *client)
{
	struct http_response res;
	struct known there;
	struct known *item = &client->items[client->pending_of];
	bool kept = look_up(client, client->pending_of, &there);
	repeat(client, client->pending_of, kept, &res);
	item->id = id_of(&res);
	keep_first_answer(client, &res);
	http_response_finish(&res);
	assert_true(look_up(client, client->pending_of, &there));
	assert_int_equal(there.id, item->id);
	fixture.kept_unseen += kept;
	fixture.lost_unseen += !kept;
}

/* It was made or not: there is nothing between. */
static void settle_change(struct client *client)
{
	struct known there;
	struct known *item = &client->items[client->pending_of];
	assert_true(look_up(client, client->pending_of, &there));
	bool kept = there.version == item->version + 1;
	item->version += kept;
	item->quantity += kept;
	fixture.kept_unseen += kept;
	fixture.lost_unseen += !kept;
}

static void settle(struct client *client)
{
	struct known there;
	if (client->wrong)
		fail_msg("client %u, action %d: %s %u", client->number, client->pending,
			client->wrong, client->wrong_status);
	if (client->pending == POST) {
		settle_post(client);
	} else if (client->pending == DELETE) {
		bool kept = !look_up(client, client->pending_of, &there);
		client->items[client->pending_of].deleted = kept;
	} else if (client->pending != NOTHING) {
		settle_change(client);
	}
	client->pending = NOTHING;
}

static void ask_again(const struct client *client)
{
	struct http_response res;
	if (!client->first_answer)
		return;
	repeat(client, client->first_answer_of, true, &res);
	assert_string_equal(res.body, client->first_answer);
	http_response_finish(&res);
}

/* The row is one that a client knows of, just as he knows it. */
static void check_row(sqlite3_stmt *row)
{
	unsigned number;
	unsigned item_number;
	const char *name = (const char *)sqlite3_column_text(row, 1);
	assert_int_equal(sscanf(name, "%u-%u", &number, &item_number), 2);
	assert_true(number < CLIENTS);
	const struct client *client = &fixture.clients[number];
	assert_true(can_change(client, item_number));
	const struct known *item = &client->items[item_number];
	assert_int_equal(sqlite3_column_int64(row, 0), item->id);
	assert_int_equal(sqlite3_column_int64(row, 2), item->quantity);
	assert_int_equal(sqlite3_column_int64(row, 3), item->version);
	assert_int_equal(item->quantity, item->version); /* each change counted up */
}

static unsigned known_items(void)
{
	unsigned count = 0;
	for (unsigned i = 0; i < CLIENTS; i++)
		for (unsigned j = 0; j < fixture.clients[i].count; j++)
			count += can_change(&fixture.clients[i], j);
	return count;
}

/* Each row is known, and so many are known as there are rows, and no id is there
 * twice: nothing is lost, nothing is double. */
static unsigned check_rows(void)
{
	sqlite3_stmt *rows;
	unsigned count = 0;
	prepare(&rows,
		"SELECT id, name, quantity, version FROM items"
		" WHERE category = 'of ' || substr(name, 1, instr(name, '-') - 1)");
	for (; sqlite3_step(rows) == SQLITE_ROW; count++)
		check_row(rows);
	sqlite3_finalize(rows);
	assert_int_equal(
		stranger_int(fixture.stranger, "SELECT count(*) FROM items"), count);
	assert_int_equal(known_items(), count);
	return count;
}

static void forget_all(void)
{
	stranger_exec(fixture.stranger, "DELETE FROM items");
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *client = &fixture.clients[i];
		memset(client->items, 0, client->count * sizeof *client->items);
	}
}

/*
 * Rounds.
 */

/* With no more threads than there are clients: it is started often. */
static const char *const *settings(void)
{
	static const char *settings[] = { NULL, "SHORT_THREADS=16", "LONG_THREADS=2",
		"DB_READERS=2", NULL };
	settings[0] = fixture.url;
	return settings;
}

static void sleep_at_random(unsigned most_ms)
{
	usleep(random_below(&fixture.seed, most_ms * 1000));
}

static void kill_now(void)
{
	assert_int_equal(process_end(&fixture.process, SIGKILL), 128 + SIGKILL);
	process_finish(&fixture.process);
}

/* Also while it is still recovering from the last time. */
static void kill_while_it_starts(void)
{
	process_launch(&fixture.process, settings());
	sleep_at_random(START_MS);
	kill_now();
}

static void kill_under_load(void)
{
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *client = &fixture.clients[i];
		client->port = fixture.process.port;
		int failed = pthread_create(
			&client->thread, NULL, write_until_killed, client);
		assert_int_equal(failed, 0);
	}
	sleep_at_random(LOAD_MS);
	kill_now();
	for (unsigned i = 0; i < CLIENTS; i++)
		pthread_join(fixture.clients[i].thread, NULL);
}

static void check(void)
{
	fixture.stranger = test_db_stranger(fixture.path);
	for (unsigned i = 0; i < CLIENTS; i++) {
		settle(&fixture.clients[i]);
		ask_again(&fixture.clients[i]);
	}
	if (check_rows() > ROWS_MAX)
		forget_all();
	sqlite3_close(fixture.stranger);
	assert_true(test_db_is_sound(fixture.path));
}

static void what_was_acknowledged_survives_being_killed(void **state)
{
	(void)state;
	process_start(&fixture.process, settings());
	for (int round = 0; round < ROUNDS; round++) {
		kill_under_load();
		if (round % 8 == 7)
			kill_while_it_starts();
		process_start(&fixture.process, settings());
		check();
	}
	assert_int_equal(process_end(&fixture.process, SIGTERM), 0);
	print_message("%d rounds: %u acknowledged; of the others %u kept, %u not\n",
		ROUNDS, fixture.acknowledged, fixture.kept_unseen, fixture.lost_unseen);
	assert_true(fixture.acknowledged > ROUNDS);
	assert_true(fixture.lost_unseen > 0);
}

/* In memory where that can be had: a process that is killed leaves to the system what
 * it has written, whether it is on the disk or not. */
static int set_up(void **state)
{
	(void)state;
	signal(SIGPIPE, SIG_IGN);
	fixture = (struct fixture){ .seed = (unsigned)getpid() };
	test_dir_make_in_memory(fixture.dir);
	snprintf(fixture.path, sizeof fixture.path, "%s/test.db", fixture.dir);
	snprintf(fixture.url, sizeof fixture.url, "DATABASE_URL=sqlite:%s", fixture.path);
	for (unsigned i = 0; i < CLIENTS; i++) {
		struct client *client = &fixture.clients[i];
		client->number = i;
		client->seed = fixture.seed + i;
		client->raw.fd = -1;
		client->items = calloc(ITEMS_MAX, sizeof *client->items);
		assert_non_null(client->items);
	}
	return 0;
}

static int tear_down(void **state)
{
	(void)state;
	process_finish(&fixture.process);
	for (unsigned i = 0; i < CLIENTS; i++) {
		free(fixture.clients[i].items);
		free(fixture.clients[i].first_answer);
	}
	test_dir_remove(fixture.dir);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			what_was_acknowledged_survives_being_killed, set_up, tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
