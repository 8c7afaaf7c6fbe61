
#include "service/core/activity.h"
#include "service/core/pool.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/gate.h"

static void a_thread_without_work_has_an_activity_too(void **state)
{
	(void)state;
	assert_non_null(activity_current());
	activity_wait_end(activity_wait_begin("nothing"));
}

static void the_current_activity_is_the_one_entered(void **state)
{
	(void)state;
	struct activity activity = { .waits_for = NULL };
	struct activity *scratch = activity_current();
	activity_enter(&activity);
	assert_ptr_equal(activity_current(), &activity);
	activity_enter(NULL);
	assert_ptr_equal(activity_current(), scratch);
}

static void note_current(void *arg)
{
	*(struct activity **)arg = activity_current();
}

static void threads_do_not_share_an_activity(void **state)
{
	(void)state;
	struct activity activity = { .waits_for = NULL };
	struct activity *theirs = NULL;
	struct actor actor;
	activity_enter(&activity);
	actor_start(&actor, note_current, &theirs);
	actor_join(&actor);
	activity_enter(NULL);
	assert_non_null(theirs);
	assert_ptr_not_equal(theirs, &activity);
	assert_ptr_not_equal(theirs, activity_current());
}

static void a_wait_is_named_while_it_lasts_and_summed_up(void **state)
{
	(void)state;
	struct activity activity = { .waits_for = NULL };
	activity_enter(&activity);
	assert_null(activity.waits_for);
	instant begun = activity_wait_begin("connection");
	assert_string_equal(activity.waits_for, "connection");
	assert_int_equal(activity.db_wait_ns, 0);
	activity_wait_end(begun);
	assert_null(activity.waits_for);

	/* Waits that began in the past, so that none must be waited for. */
	activity.db_wait_ns = 0;
	for (int i = 0; i < 2; i++) {
		activity_wait_begin("commit");
		activity_wait_end(instant_add_ms(instant_now(), -1000));
	}
	assert_true(activity.db_wait_ns >= 2000 * INT64_C(1000000));
	activity_enter(NULL);
}

static void waits_for_the_client_are_summed_up_apart(void **state)
{
	(void)state;
	struct activity activity = { .waits_for = NULL };
	activity_enter(&activity);
	activity_client_wait_begin();
	assert_string_equal(activity.waits_for, "client");
	activity_client_wait_end(instant_add_ms(instant_now(), -1000));
	assert_null(activity.waits_for);
	assert_true(activity.client_wait_ns >= 1000 * INT64_C(1000000));
	assert_int_equal(activity.db_wait_ns, 0);
	activity_enter(NULL);
}

struct waiting_job {
	struct job job;
	struct gate begun;
	struct gate may_end;
};

static void wait_in_lane(struct job *job)
{
	struct waiting_job *waiting = (struct waiting_job *)job;
	instant begun = activity_wait_begin("commit");
	gate_open(&waiting->begun);
	gate_wait(&waiting->may_end);
	activity_wait_end(begun);
}

static void a_wait_lends_the_place_in_the_lane(void **state)
{
	(void)state;
	const struct pool_config config = { "test", 2, 1, 2, 0 };
	struct waiting_job jobs[2] = { 0 };
	struct pool *pool;
	assert_int_equal(pool_create(&config, &pool), ERR_OK);
	for (int i = 0; i < 2; i++) {
		jobs[i].job.run = wait_in_lane;
		gate_init(&jobs[i].begun);
		gate_init(&jobs[i].may_end);
		assert_int_equal(pool_submit(pool, &jobs[i].job), ERR_OK);
	}
	for (int i = 0; i < 2; i++)
		gate_wait(&jobs[i].begun);
	struct pool_stats stats;
	pool_stats(pool, &stats);
	assert_int_equal(stats.waiting, 2);
	for (int i = 0; i < 2; i++)
		gate_open(&jobs[i].may_end);
	pool_destroy(pool);
	for (int i = 0; i < 2; i++) {
		gate_finish(&jobs[i].begun);
		gate_finish(&jobs[i].may_end);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_without_work_has_an_activity_too),
		cmocka_unit_test(the_current_activity_is_the_one_entered),
		cmocka_unit_test(threads_do_not_share_an_activity),
		cmocka_unit_test(a_wait_is_named_while_it_lasts_and_summed_up),
		cmocka_unit_test(waits_for_the_client_are_summed_up_apart),
		cmocka_unit_test(a_wait_lends_the_place_in_the_lane),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
