#include <stdlib.h>

#include "service/core/timer.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_alloc.h"
#include "tests/support/gate.h"
#include "tests/support/shake.h"

/* A set that the test itself drives, with instants of its own making. */
struct set {
	struct timers *timers;
	atomic_int wakes;
};

static void count_wake(void *arg)
{
	struct set *set = arg;
	set->wakes++;
}

static int set_up(void **state)
{
	struct set *set = calloc(1, sizeof *set);
	set->timers = timers_create(count_wake, set);
	*state = set;
	return set->timers ? 0 : -1;
}

static int tear_down(void **state)
{
	struct set *set = *state;
	timers_destroy(set->timers);
	free(set);
	return 0;
}

static instant at(int64_t ns)
{
	return (instant){ ns };
}

static void count(void *arg)
{
	++*(int *)arg;
}

static void a_timer_runs_once_when_it_is_due(void **state)
{
	struct set *set = *state;
	struct timer timer = { 0 };
	int runs = 0;
	timer_add(set->timers, &timer, at(10), count, &runs);
	timers_run(set->timers, at(9));
	assert_int_equal(runs, 0);
	timers_run(set->timers, at(10));
	timers_run(set->timers, at(11));
	assert_int_equal(runs, 1);
	assert_false(timer_remove(set->timers, &timer));
}

static void a_removed_timer_never_runs(void **state)
{
	struct set *set = *state;
	struct timer timer = { 0 };
	int runs = 0;
	timer_add(set->timers, &timer, at(10), count, &runs);
	assert_true(timer_remove(set->timers, &timer));
	assert_false(timer_remove(set->timers, &timer));
	timers_run(set->timers, at(20));
	assert_int_equal(runs, 0);
}

static void a_timer_that_was_never_added_can_be_removed(void **state)
{
	struct set *set = *state;
	struct timer timer = { 0 };
	assert_false(timer_remove(set->timers, &timer));
}

static void the_driver_is_told_the_earliest(void **state)
{
	struct set *set = *state;
	struct timer early = { 0 }, late = { 0 };
	int runs = 0;
	assert_int_equal(timers_next(set->timers).ns, INSTANT_NEVER.ns);
	timer_add(set->timers, &late, at(20), count, &runs);
	assert_int_equal(timers_next(set->timers).ns, 20);
	timer_add(set->timers, &early, at(10), count, &runs);
	assert_int_equal(timers_next(set->timers).ns, 10);
	timer_remove(set->timers, &early);
	assert_int_equal(timers_next(set->timers).ns, 20);
	timer_remove(set->timers, &late);
	assert_int_equal(timers_next(set->timers).ns, INSTANT_NEVER.ns);
}

static void only_an_earlier_timer_wakes_the_driver(void **state)
{
	struct set *set = *state;
	struct timer timers[5] = { 0 };
	int runs = 0;
	timers_next(set->timers); /* the driver sleeps for ever */
	timer_add(set->timers, &timers[0], at(20), count, &runs);
	assert_int_equal(set->wakes, 1);
	timers_next(set->timers); /* sleeps until 20 */
	timer_add(set->timers, &timers[1], at(30), count, &runs);
	timer_add(set->timers, &timers[2], at(20), count, &runs);
	assert_int_equal(set->wakes, 1);
	timer_add(set->timers, &timers[3], at(10), count, &runs);
	assert_int_equal(set->wakes, 2);
	timer_add(set->timers, &timers[4], at(15), count, &runs);
	assert_int_equal(set->wakes, 2); /* it comes at 10 already */
	timers_run(set->timers, at(30));
	assert_int_equal(runs, 5);
}

static void a_timer_wakes_the_driver_after_others_have_run(void **state)
{
	struct set *set = *state;
	struct timer first = { 0 }, second = { 0 };
	int runs = 0;
	timer_add(set->timers, &first, at(10), count, &runs);
	timers_next(set->timers); /* sleeps until 10 */
	timers_run(set->timers, at(10));
	timers_next(set->timers); /* sleeps for ever */
	timer_add(set->timers, &second, at(20), count, &runs);
	assert_int_equal(set->wakes, 2);
	timers_run(set->timers, at(20));
	assert_int_equal(runs, 2);
}

static void removing_the_earliest_leaves_the_driver_asleep(void **state)
{
	struct set *set = *state;
	struct timer early = { 0 }, later = { 0 };
	int runs = 0;
	timer_add(set->timers, &early, at(10), count, &runs);
	timers_next(set->timers); /* sleeps until 10 */
	timer_remove(set->timers, &early);
	timer_add(set->timers, &later, at(12), count, &runs);
	assert_int_equal(set->wakes, 1); /* it comes at 10, and then learns of 12 */
	timers_run(set->timers, at(10));
	assert_int_equal(timers_next(set->timers).ns, 12);
	timers_run(set->timers, at(12));
	assert_int_equal(runs, 1);
}

static void a_timer_that_never_comes_does_not_wake_the_driver(void **state)
{
	struct set *set = *state;
	struct timer timer = { 0 };
	int runs = 0;
	timer_add(set->timers, &timer, INSTANT_NEVER, count, &runs);
	assert_int_equal(set->wakes, 0);
	assert_int_equal(timers_next(set->timers).ns, INSTANT_NEVER.ns);
	assert_true(timer_remove(set->timers, &timer));
}

struct freed {
	struct set *set;
	struct timer timer;
	int *runs;
};

static void remove_and_free(void *arg)
{
	struct freed *freed = arg;
	assert_false(timer_remove(freed->set->timers, &freed->timer));
	++*freed->runs;
	free(freed);
}

static void a_function_may_remove_its_timer_and_free_it(void **state)
{
	struct set *set = *state;
	int runs = 0;
	struct freed *freed = calloc(1, sizeof *freed);
	freed->set = set;
	freed->runs = &runs;
	timer_add(set->timers, &freed->timer, at(10), remove_and_free, freed);
	timers_run(set->timers, at(10));
	assert_int_equal(runs, 1);
}

struct chain {
	struct set *set;
	struct timer first, second;
	int runs;
};

static void remove_the_second(void *arg)
{
	struct chain *chain = arg;
	assert_true(timer_remove(chain->set->timers, &chain->second));
}

static void a_function_may_remove_another_that_is_due(void **state)
{
	struct chain chain = { .set = *state };
	timer_add(chain.set->timers, &chain.first, at(10), remove_the_second, &chain);
	timer_add(chain.set->timers, &chain.second, at(11), count, &chain.runs);
	timers_run(chain.set->timers, at(20));
	assert_int_equal(chain.runs, 0);
}

static void add_the_second(void *arg)
{
	struct chain *chain = arg;
	timer_add(chain->set->timers, &chain->second, at(15), count, &chain->runs);
}

static void a_function_may_add_another_that_is_due(void **state)
{
	struct chain chain = { .set = *state };
	timer_add(chain.set->timers, &chain.first, at(10), add_the_second, &chain);
	timers_run(chain.set->timers, at(20));
	assert_int_equal(chain.runs, 1);
}

/* A timer that one actor runs while another removes it. */
struct gated {
	struct timers *timers;
	struct timer timer;
	struct gate entered;
	struct gate may_return;
	bool again; /* adds itself anew */
	bool removed;
};

static void run_gated(void *arg)
{
	struct gated *gated = arg;
	gate_open(&gated->entered);
	gate_wait(&gated->may_return);
	if (gated->again)
		timer_add(gated->timers, &gated->timer, at(1000), run_gated, gated);
}

static void drive(void *arg)
{
	struct gated *gated = arg;
	timers_run(gated->timers, at(10));
}

static void remove_gated(void *arg)
{
	struct gated *gated = arg;
	gated->removed = timer_remove(gated->timers, &gated->timer);
}

static void remove_while_it_runs(struct gated *gated)
{
	struct actor driver, remover;
	gate_init(&gated->entered);
	gate_init(&gated->may_return);
	timer_add(gated->timers, &gated->timer, at(10), run_gated, gated);
	actor_start(&driver, drive, gated);
	gate_wait(&gated->entered);
	actor_start(&remover, remove_gated, gated);
	bool waited = actor_blocks(&remover);
	gate_open(&gated->may_return);
	actor_join(&remover);
	actor_join(&driver);
	assert_true(waited);
	assert_int_equal(timers_next(gated->timers).ns, INSTANT_NEVER.ns);
	gate_finish(&gated->entered);
	gate_finish(&gated->may_return);
}

static void removing_waits_while_the_function_runs(void **state)
{
	struct set *set = *state;
	struct gated gated = { .timers = set->timers };
	remove_while_it_runs(&gated);
	assert_false(gated.removed);
}

static void removing_takes_out_what_the_function_adds_again(void **state)
{
	struct set *set = *state;
	struct gated gated = { .timers = set->timers, .again = true };
	remove_while_it_runs(&gated);
	assert_true(gated.removed);
}

/* The heap against the simplest thing that could be right. */
enum { MODEL_TIMERS = 200, MODEL_STEPS = 20000, MODEL_SPAN = 500 };

struct model {
	struct set *set;
	struct timer timers[MODEL_TIMERS];
	int64_t when[MODEL_TIMERS]; /* 0: not in the set */
	struct model_entry {
		struct model *model;
		int index;
	} entries[MODEL_TIMERS];
	int64_t now;
	int64_t last; /* when of the one that ran last */
	uint64_t seed;
};

static unsigned pick(struct model *model, unsigned below)
{
	model->seed = model->seed * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(model->seed >> 33) % below;
}

static void run_entry(void *arg)
{
	struct model_entry *entry = arg;
	struct model *model = entry->model;
	int64_t when = model->when[entry->index];
	assert_in_range(when, 1, model->now);
	assert_true(when >= model->last);
	model->last = when;
	model->when[entry->index] = 0;
}

static int64_t earliest(const struct model *model)
{
	int64_t when = INT64_MAX;
	for (int i = 0; i < MODEL_TIMERS; i++)
		if (model->when[i] && model->when[i] < when)
			when = model->when[i];
	return when;
}

static void step(struct model *model)
{
	int i = (int)pick(model, MODEL_TIMERS);
	unsigned what = pick(model, 20);
	if (what == 0) {
		model->now += pick(model, MODEL_SPAN / 5);
		model->last = 0;
		timers_run(model->set->timers, at(model->now));
		assert_true(earliest(model) > model->now);
	} else if (model->when[i]) {
		assert_true(timer_remove(model->set->timers, &model->timers[i]));
		model->when[i] = 0;
	} else {
		model->when[i] = model->now + 1 + pick(model, MODEL_SPAN);
		timer_add(model->set->timers, &model->timers[i], at(model->when[i]),
			run_entry, &model->entries[i]);
	}
	assert_int_equal(timers_next(model->set->timers).ns, earliest(model));
}

static void timers_run_in_the_order_of_their_instants(void **state)
{
	struct model model = { .set = *state, .now = 1, .seed = 1 };
	for (int i = 0; i < MODEL_TIMERS; i++)
		model.entries[i] = (struct model_entry){ &model, i };
	for (int i = 0; i < MODEL_STEPS; i++)
		step(&model);
	model.now += MODEL_SPAN;
	model.last = 0;
	timers_run(model.set->timers, at(model.now));
	assert_int_equal(earliest(&model), INT64_MAX);
}

/* Several threads add and remove while one drives. */
enum { STORM_THREADS = 3, STORM_ROUNDS = 10000 };

struct storm {
	struct timers *timers;
	atomic_bool over;
};

static void drive_until_over(void *arg)
{
	struct storm *storm = arg;
	shake(2);
	for (int64_t now = 1; !storm->over; now++) {
		timers_next(storm->timers);
		timers_run(storm->timers, at(now % 64));
	}
}

static void add_and_remove(void *arg)
{
	struct storm *storm = arg;
	shake(1);
	for (int i = 0; i < STORM_ROUNDS; i++) {
		struct timer timer = { 0 };
		int runs = 0;
		timer_add(storm->timers, &timer, at(i % 100), count, &runs);
		bool removed = timer_remove(storm->timers, &timer);
		if (runs != !removed)
			abort();
	}
}

static void a_timer_has_run_or_was_removed_in_time(void **state)
{
	struct set *set = *state;
	struct storm storm = { .timers = set->timers };
	struct actor driver, actors[STORM_THREADS];
	actor_start(&driver, drive_until_over, &storm);
	for (int i = 0; i < STORM_THREADS; i++)
		actor_start(&actors[i], add_and_remove, &storm);
	for (int i = 0; i < STORM_THREADS; i++)
		actor_join(&actors[i]);
	storm.over = true;
	actor_join(&driver);
}

static void a_set_that_cannot_be_had_is_null(void **state)
{
	(void)state;
	timers_destroy(NULL);
	if (!fault_alloc_works())
		skip();
	fault_alloc_arm(1);
	assert_null(timers_create(count_wake, NULL));
	fault_alloc_arm(0);
}

#define with_set(test) cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_set(a_timer_runs_once_when_it_is_due),
		with_set(a_removed_timer_never_runs),
		with_set(a_timer_that_was_never_added_can_be_removed),
		with_set(the_driver_is_told_the_earliest),
		with_set(only_an_earlier_timer_wakes_the_driver),
		with_set(a_timer_wakes_the_driver_after_others_have_run),
		with_set(removing_the_earliest_leaves_the_driver_asleep),
		with_set(a_timer_that_never_comes_does_not_wake_the_driver),
		with_set(a_function_may_remove_its_timer_and_free_it),
		with_set(a_function_may_remove_another_that_is_due),
		with_set(a_function_may_add_another_that_is_due),
		with_set(removing_waits_while_the_function_runs),
		with_set(removing_takes_out_what_the_function_adds_again),
		with_set(timers_run_in_the_order_of_their_instants),
		with_set(a_timer_has_run_or_was_removed_in_time),
		cmocka_unit_test(a_set_that_cannot_be_had_is_null),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
