
#include "service/core/clock.h"
#include "tests/support/cmocka.h"

static void the_clock_never_goes_back(void **state)
{
	(void)state;
	instant last = instant_now();
	for (int i = 0; i < 1000; i++) {
		instant now = instant_now();
		assert_false(instant_before(now, last));
		last = now;
	}
}

static void adding_milliseconds_moves_an_instant(void **state)
{
	(void)state;
	instant when = { 5000000 };
	assert_int_equal(instant_add_ms(when, 3).ns, 8000000);
	assert_int_equal(instant_add_ms(when, -3).ns, 2000000);
	assert_int_equal(instant_diff_ns(when, instant_add_ms(when, 7)), 7000000);
	assert_int_equal(instant_diff_ns(instant_add_ms(when, 5), when), -5000000);
}

static void adding_stops_at_never_and_at_the_beginning(void **state)
{
	(void)state;
	instant when = { 5000000 };
	assert_int_equal(instant_add_ms(when, INT64_MAX).ns, INSTANT_NEVER.ns);
	assert_int_equal(instant_add_ms(when, INT64_MAX / 1000000).ns, INSTANT_NEVER.ns);
	assert_int_equal(instant_add_ms(INSTANT_NEVER, 1).ns, INSTANT_NEVER.ns);
	assert_int_equal(instant_add_ms(when, INT64_MIN).ns, 0);
	assert_int_equal(instant_add_ms(when, -6).ns, 0);
}

static void the_earlier_of_two_instants_is_their_minimum(void **state)
{
	(void)state;
	instant early = { 1 }, late = { 2 };
	assert_true(instant_before(early, late));
	assert_false(instant_before(early, early));
	assert_int_equal(instant_min(early, late).ns, 1);
	assert_int_equal(instant_min(late, early).ns, 1);
	assert_int_equal(instant_min(INSTANT_NEVER, late).ns, 2);
}

static void a_timespec_has_seconds_and_the_rest(void **state)
{
	(void)state;
	struct timespec when = instant_timespec((instant){ 12000000034 });
	assert_int_equal(when.tv_sec, 12);
	assert_int_equal(when.tv_nsec, 34);
}

static void a_timed_wait_ends_when_its_instant_has_come(void **state)
{
	(void)state;
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t cond;
	clock_cond_init(&cond);
	pthread_mutex_lock(&lock);
	assert_false(clock_cond_wait(&cond, &lock, (instant){ 0 }));
	instant until = instant_add_ms(instant_now(), 2);
	while (clock_cond_wait(&cond, &lock, until))
		;
	assert_false(instant_before(instant_now(), until));
	pthread_mutex_unlock(&lock);
	pthread_cond_destroy(&cond);
}

static void times_are_written_as_rfc_3339(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *text;
	} cases[] = {
		{ 0, "1970-01-01T00:00:00.000Z" },
		{ 1795414028123, "2026-11-23T06:07:08.123Z" },
		{ 951782400007, "2000-02-29T00:00:00.007Z" },
		{ -1, "1969-12-31T23:59:59.999Z" },
		{ -1000, "1969-12-31T23:59:59.000Z" },
		{ 253402300799999, "9999-12-31T23:59:59.999Z" },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		char text[RFC3339_SIZE];
		rfc3339_format(cases[i].ms, text);
		assert_string_equal(text, cases[i].text);
	}
}

static void the_wall_clock_is_past_2020(void **state)
{
	(void)state;
	assert_true(wall_ms() > 1577836800000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_clock_never_goes_back),
		cmocka_unit_test(adding_milliseconds_moves_an_instant),
		cmocka_unit_test(adding_stops_at_never_and_at_the_beginning),
		cmocka_unit_test(the_earlier_of_two_instants_is_their_minimum),
		cmocka_unit_test(a_timespec_has_seconds_and_the_rest),
		cmocka_unit_test(a_timed_wait_ends_when_its_instant_has_come),
		cmocka_unit_test(times_are_written_as_rfc_3339),
		cmocka_unit_test(the_wall_clock_is_past_2020),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
