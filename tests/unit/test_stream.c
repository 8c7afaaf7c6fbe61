/*
 * A stream passes bytes on in order, in whatever pieces, and no wait at it outlives its
 * reason. The test is the network thread; the worker is an actor.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/core/activity.h"
#include "service/core/stream.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/shake.h"
#include "tests/support/wait.h"

enum { NEVER_MS = 0, STALL_MS = 50, PATIENT_MS = 5000, MORE = STREAM_CAPACITY + 1000 };

struct fixture {
	struct stream *stream;
	struct cancel *token;
	atomic_int wakes;
	struct gate woken;
	void (*at_wake)(struct fixture *fixture); /* NULL: nothing */

	struct actor worker;
	struct span data; /* that it writes */
	size_t size;      /* that it reads at most */
	size_t len;       /* that it has read */
	enum err err;     /* of its call */
	struct activity activity;
};

static char pattern[4 * STREAM_CAPACITY];
static char buffer[4 * STREAM_CAPACITY];

static void wake(void *arg)
{
	struct fixture *fixture = arg;
	atomic_fetch_add(&fixture->wakes, 1);
	gate_open(&fixture->woken);
	if (fixture->at_wake)
		fixture->at_wake(fixture);
}

static void start(struct fixture *fixture, int64_t stall_ms)
{
	fixture->stream = stream_create(fixture->token, stall_ms, wake, fixture);
	assert_non_null(fixture->stream);
}

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	fixture->token = cancel_create(NULL);
	gate_init(&fixture->woken);
	for (size_t i = 0; i < sizeof pattern; i++)
		pattern[i] = (char)(i * 31 + i / 251);
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	stream_destroy(fixture->stream);
	cancel_unref(fixture->token);
	gate_finish(&fixture->woken);
	free(fixture);
	return 0;
}

/*
 * The worker.
 */

static void write_data(void *arg)
{
	struct fixture *fixture = arg;
	activity_enter(&fixture->activity);
	fixture->err = stream_write(fixture->stream, fixture->data);
	activity_enter(NULL);
}

static void read_some(void *arg)
{
	struct fixture *fixture = arg;
	activity_enter(&fixture->activity);
	fixture->err = stream_read(fixture->stream, buffer, fixture->size, &fixture->len);
	activity_enter(NULL);
}

static void start_writing(struct fixture *fixture, size_t len)
{
	fixture->data = (struct span){ pattern, len };
	actor_start(&fixture->worker, write_data, fixture);
}

static void start_reading(struct fixture *fixture)
{
	fixture->size = sizeof buffer;
	actor_start(&fixture->worker, read_some, fixture);
}

static void assert_worker_blocks(struct fixture *fixture)
{
	assert_true(actor_blocks(&fixture->worker));
}

static void assert_worker_got(struct fixture *fixture, enum err err)
{
	actor_join(&fixture->worker);
	assert_int_equal(fixture->err, err);
}

/*
 * The network thread.
 */

static size_t take(struct fixture *fixture, size_t size)
{
	bool ended;
	enum err err;
	size_t len = stream_take(fixture->stream, buffer, size, &ended, &err);
	assert_false(ended);
	assert_int_equal(err, ERR_OK);
	return len;
}

static void assert_empty(struct fixture *fixture)
{
	assert_int_equal(take(fixture, sizeof buffer), 0);
}

static void assert_ended(struct fixture *fixture, bool expected, enum err expected_err)
{
	bool ended;
	enum err err;
	assert_int_equal(
		stream_take(fixture->stream, buffer, sizeof buffer, &ended, &err), 0);
	assert_int_equal(ended, expected);
	assert_int_equal(err, expected_err);
}

/*
 * Answers: the worker writes.
 */

static void what_is_written_comes_out(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, NEVER_MS);
	assert_int_equal(stream_write(fixture->stream, SPAN_LITERAL("abc")), ERR_OK);
	assert_int_equal(stream_write(fixture->stream, SPAN_LITERAL("")), ERR_OK);
	assert_int_equal(stream_write(fixture->stream, SPAN_LITERAL("def")), ERR_OK);
	assert_int_equal(take(fixture, 4), 4);
	assert_memory_equal(buffer, "abcd", 4);
	assert_int_equal(take(fixture, 4), 2);
	assert_memory_equal(buffer, "ef", 2);
	assert_empty(fixture);
	assert_int_equal(stream_bytes(fixture->stream), 6);
	stream_end(fixture->stream);
	assert_ended(fixture, true, ERR_OK);
}

static void a_full_stream_holds_its_writer_until_there_is_room(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, NEVER_MS);
	start_writing(fixture, MORE);
	assert_worker_blocks(fixture);
	assert_int_equal(take(fixture, 999), 999);
	assert_worker_blocks(fixture);
	assert_int_equal(take(fixture, 1), 1);
	assert_worker_got(fixture, ERR_OK);
	assert_int_equal(take(fixture, sizeof buffer), STREAM_CAPACITY);
	assert_memory_equal(buffer, pattern + 1000, STREAM_CAPACITY);
	assert_true(atomic_load(&fixture->activity.client_wait_ns) > 0);
}

static void a_network_thread_that_found_nothing_is_woken_once_it_is_worth_it(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, NEVER_MS);
	assert_empty(fixture);
	stream_write(fixture->stream, (struct span){ pattern, STREAM_CAPACITY / 2 - 1 });
	assert_int_equal(fixture->wakes, 0);
	stream_write(fixture->stream, (struct span){ pattern, 1 });
	assert_int_equal(fixture->wakes, 1);
	stream_write(fixture->stream, (struct span){ pattern, 1 });
	assert_int_equal(fixture->wakes, 1); /* it knows */
}

static void the_end_wakes_the_network_thread_however_little_there_is(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, NEVER_MS);
	assert_empty(fixture);
	stream_write(fixture->stream, SPAN_LITERAL("x"));
	stream_end(fixture->stream);
	assert_int_equal(fixture->wakes, 1);
	assert_int_equal(take(fixture, sizeof buffer), 1);
	assert_ended(fixture, true, ERR_OK);
}

static void a_failure_comes_before_what_was_written(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, NEVER_MS);
	stream_write(fixture->stream, SPAN_LITERAL("x"));
	stream_fail(fixture->stream, ERR_IO);
	stream_end(fixture->stream); /* too late */
	stream_fail(fixture->stream, ERR_NOMEM);
	assert_ended(fixture, false, ERR_IO);
	assert_int_equal(stream_write(fixture->stream, SPAN_LITERAL("x")), ERR_IO);
}

/* While the worker wakes the network thread that takes everything: then there is room,
 * and nobody will say so again. */
static void take_everything(struct fixture *fixture)
{
	while (take(fixture, sizeof buffer) > 0)
		;
}

static void a_writer_sees_the_room_that_was_made_while_it_woke_the_network(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, PATIENT_MS);
	fixture->at_wake = take_everything;
	assert_empty(fixture);
	start_writing(fixture, 3 * STREAM_CAPACITY);
	assert_worker_got(fixture, ERR_OK);
}

/*
 * Bodies: the worker reads.
 */

static void an_empty_stream_holds_its_reader_until_something_comes(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, NEVER_MS);
	start_reading(fixture);
	assert_worker_blocks(fixture);
	assert_int_equal(stream_offer(fixture->stream, SPAN_LITERAL("abc")), 3);
	assert_worker_got(fixture, ERR_OK);
	assert_int_equal(fixture->len, 3);
	assert_memory_equal(buffer, "abc", 3);
}

static void a_reader_is_told_the_end_after_what_came_before(void **state)
{
	struct fixture *fixture = *state;
	size_t len = 1;
	start(fixture, NEVER_MS);
	stream_offer(fixture->stream, SPAN_LITERAL("abc"));
	stream_end(fixture->stream);
	assert_int_equal(stream_read(fixture->stream, buffer, 2, &len), ERR_OK);
	assert_int_equal(len, 2);
	assert_int_equal(stream_read(fixture->stream, buffer, 2, &len), ERR_OK);
	assert_int_equal(len, 1);
	assert_int_equal(stream_read(fixture->stream, buffer, 2, &len), ERR_OK);
	assert_int_equal(len, 0);
}

static void a_waiting_reader_hears_the_end_and_a_failure(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, NEVER_MS);
	start_reading(fixture);
	assert_worker_blocks(fixture);
	stream_end(fixture->stream);
	assert_worker_got(fixture, ERR_OK);
	assert_int_equal(fixture->len, 0);

	stream_destroy(fixture->stream);
	start(fixture, NEVER_MS);
	start_reading(fixture);
	assert_worker_blocks(fixture);
	stream_fail(fixture->stream, ERR_TOO_LARGE);
	assert_worker_got(fixture, ERR_TOO_LARGE);
}

static void a_network_thread_that_found_no_room_is_woken_once_it_is_worth_it(void **state)
{
	struct fixture *fixture = *state;
	size_t len;
	start(fixture, NEVER_MS);
	assert_int_equal(stream_offer(fixture->stream, (struct span){ pattern, MORE }),
		STREAM_CAPACITY);
	stream_read(fixture->stream, buffer, STREAM_CAPACITY / 2 - 1, &len);
	assert_int_equal(fixture->wakes, 0);
	stream_read(fixture->stream, buffer, 1, &len);
	assert_int_equal(fixture->wakes, 1);
	assert_int_equal(buffer[0], pattern[STREAM_CAPACITY / 2 - 1]);
	stream_read(fixture->stream, buffer, 1, &len);
	assert_int_equal(fixture->wakes, 1);
}

/*
 * Every wait has an end.
 */

static void the_token_ends_every_wait(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, NEVER_MS);
	start_reading(fixture);
	assert_worker_blocks(fixture);
	cancel_fire(fixture->token, CANCEL_CLIENT_GONE);
	assert_worker_got(fixture, ERR_CLIENT_GONE);
	stream_offer(fixture->stream, SPAN_LITERAL("abc"));
	size_t len;
	assert_int_equal(stream_read(fixture->stream, buffer, 3, &len), ERR_CLIENT_GONE);
	assert_int_equal(
		stream_write(fixture->stream, SPAN_LITERAL("x")), ERR_CLIENT_GONE);
}

static void the_token_ends_the_wait_of_a_writer(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, NEVER_MS);
	start_writing(fixture, MORE);
	assert_worker_blocks(fixture);
	cancel_fire(fixture->token, CANCEL_OPERATOR);
	assert_worker_got(fixture, ERR_OPERATOR);
}

static void a_stalled_client_fires_the_token_with_deadline(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, STALL_MS);
	instant begun = instant_now();
	start_reading(fixture);
	assert_worker_got(fixture, ERR_DEADLINE);
	assert_int_equal(cancel_cause(fixture->token), CANCEL_DEADLINE);
	assert_true(instant_diff_ns(begun, instant_now()) >= STALL_MS * INT64_C(1000000));
}

static void a_client_that_does_not_read_fires_it_too(void **state)
{
	struct fixture *fixture = *state;
	start(fixture, STALL_MS);
	start_writing(fixture, MORE);
	assert_worker_got(fixture, ERR_DEADLINE);
	assert_int_equal(cancel_cause(fixture->token), CANCEL_DEADLINE);
}

/*
 * All at once: pieces of all sizes in both directions, by a worker and a network thread
 * that sleeps whenever it is told to, and is lost if it is not woken.
 */

struct race {
	struct stream *stream;
	pthread_mutex_t lock;
	pthread_cond_t changed;
	bool woken; /* lock */
	unsigned seed;
};

static void wake_racer(void *arg)
{
	struct race *race = arg;
	pthread_mutex_lock(&race->lock);
	race->woken = true;
	pthread_cond_signal(&race->changed);
	pthread_mutex_unlock(&race->lock);
}

static void sleep_until_woken(struct race *race)
{
	instant until = instant_add_ms(instant_now(), 10000 * HANGUP_SLOWDOWN);
	struct timespec when = instant_timespec(until);
	pthread_mutex_lock(&race->lock);
	while (!race->woken)
		if (pthread_cond_clockwait(
			    &race->changed, &race->lock, CLOCK_MONOTONIC, &when)) {
			fprintf(stderr, "a wake-up was lost\n");
			abort();
		}
	race->woken = false;
	pthread_mutex_unlock(&race->lock);
}

static size_t next_size(unsigned *seed)
{
	static const size_t sizes[] = { 1, 7, 1000, 32768, 32769, 65535, 65536, 65537,
		200000 };
	return sizes[(unsigned)rand_r(seed) % (sizeof sizes / sizeof *sizes)];
}

enum { RACE_BYTES = 8 << 20 };

static char byte_at(size_t at)
{
	return (char)(at * 31 + at / 251);
}

static void *take_all(void *arg)
{
	struct race *race = arg;
	static char taken[STREAM_CAPACITY];
	unsigned seed = race->seed;
	size_t at = 0;
	shake(seed);
	for (;;) {
		bool ended;
		enum err err;
		size_t size = next_size(&seed);
		size_t len = stream_take(race->stream, taken,
			size < sizeof taken ? size : sizeof taken, &ended, &err);
		for (size_t i = 0; i < len; i++, at++)
			if (taken[i] != byte_at(at))
				abort();
		if (ended)
			break;
		if (len == 0)
			sleep_until_woken(race);
	}
	shake(0);
	return at == RACE_BYTES ? NULL : race;
}

static void *offer_all(void *arg)
{
	struct race *race = arg;
	static char offered[200000];
	unsigned seed = race->seed;
	shake(seed);
	for (size_t at = 0; at < RACE_BYTES;) {
		size_t size = next_size(&seed);
		size = size < RACE_BYTES - at ? size : RACE_BYTES - at;
		for (size_t i = 0; i < size; i++)
			offered[i] = byte_at(at + i);
		for (size_t done = 0; done < size;) {
			done += stream_offer(race->stream,
				(struct span){ offered + done, size - done });
			if (done < size)
				sleep_until_woken(race);
		}
		at += size;
	}
	stream_end(race->stream);
	shake(0);
	return NULL;
}

static void race_init(struct race *race, struct cancel *token, unsigned seed)
{
	*race = (struct race){ .seed = seed };
	pthread_mutex_init(&race->lock, NULL);
	pthread_cond_init(&race->changed, NULL);
	race->stream = stream_create(token, NEVER_MS, wake_racer, race);
}

static void race_finish(struct race *race)
{
	stream_destroy(race->stream);
	pthread_cond_destroy(&race->changed);
	pthread_mutex_destroy(&race->lock);
}

static void write_all(struct race *race)
{
	static char written[200000];
	unsigned seed = race->seed + 1;
	for (size_t at = 0; at < RACE_BYTES;) {
		size_t size = next_size(&seed);
		size = size < RACE_BYTES - at ? size : RACE_BYTES - at;
		for (size_t i = 0; i < size; i++)
			written[i] = byte_at(at + i);
		assert_int_equal(
			stream_write(race->stream, (struct span){ written, size }),
			ERR_OK);
		at += size;
	}
	stream_end(race->stream);
}

static void read_all(struct race *race)
{
	unsigned seed = race->seed + 1;
	size_t at = 0;
	size_t len;
	do {
		assert_int_equal(
			stream_read(race->stream, buffer, next_size(&seed), &len),
			ERR_OK);
		for (size_t i = 0; i < len; i++, at++)
			assert_int_equal(buffer[i], byte_at(at));
	} while (len > 0);
	assert_int_equal(at, RACE_BYTES);
}

enum { ROUNDS = 8 };

static void no_wake_up_is_lost_and_no_byte(void **state)
{
	struct fixture *fixture = *state;
	for (unsigned round = 1; round <= ROUNDS; round++) {
		struct race race;
		pthread_t network;
		void *wrong;
		race_init(&race, fixture->token, round);
		pthread_create(&network, NULL, round % 2 ? take_all : offer_all, &race);
		shake(round + 100);
		if (round % 2)
			write_all(&race);
		else
			read_all(&race);
		shake(0);
		pthread_join(network, &wrong);
		assert_null(wrong);
		race_finish(&race);
	}
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(what_is_written_comes_out),
		TEST(a_full_stream_holds_its_writer_until_there_is_room),
		TEST(a_network_thread_that_found_nothing_is_woken_once_it_is_worth_it),
		TEST(the_end_wakes_the_network_thread_however_little_there_is),
		TEST(a_failure_comes_before_what_was_written),
		TEST(a_writer_sees_the_room_that_was_made_while_it_woke_the_network),
		TEST(an_empty_stream_holds_its_reader_until_something_comes),
		TEST(a_reader_is_told_the_end_after_what_came_before),
		TEST(a_waiting_reader_hears_the_end_and_a_failure),
		TEST(a_network_thread_that_found_no_room_is_woken_once_it_is_worth_it),
		TEST(the_token_ends_every_wait),
		TEST(the_token_ends_the_wait_of_a_writer),
		TEST(a_stalled_client_fires_the_token_with_deadline),
		TEST(a_client_that_does_not_read_fires_it_too),
		TEST(no_wake_up_is_lost_and_no_byte),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
