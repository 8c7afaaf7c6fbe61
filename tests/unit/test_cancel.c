#include <poll.h>
#include <stdlib.h>

#include "service/core/cancel.h"
#include "service/core/timer.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_alloc.h"
#include "tests/support/gate.h"

static instant at(int64_t ns)
{
	return (instant){ ns };
}

/* A hook that remembers. */
struct witness {
	struct cancel_hook hook;
	int runs;
	enum cancel_cause cause;
	int *order; /* counts the runs of all witnesses */
	int place;  /* the count at its own run */
};

static void see(void *arg, enum cancel_cause cause)
{
	struct witness *witness = arg;
	witness->runs++;
	witness->cause = cause;
	if (witness->order)
		witness->place = ++*witness->order;
}

static void a_new_token_is_wanted(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	assert_int_equal(cancel_cause(token), CANCEL_NONE);
	assert_int_equal(cancel_fired_at(token).ns, INSTANT_NEVER.ns);
	assert_int_equal(cancel_deadline(token).ns, INSTANT_NEVER.ns);
	cancel_unref(token);
	cancel_unref(NULL);
}

static void every_cause_has_a_name(void **state)
{
	(void)state;
	assert_string_equal(cancel_cause_name(CANCEL_NONE), "none");
	assert_string_equal(cancel_cause_name(CANCEL_CLIENT_GONE), "client_gone");
	assert_string_equal(cancel_cause_name(CANCEL_DEADLINE), "deadline");
	assert_string_equal(cancel_cause_name(CANCEL_SHUTDOWN), "shutdown");
	assert_string_equal(cancel_cause_name(CANCEL_OPERATOR), "operator");
}

static void the_first_cause_wins(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	struct witness witness = { 0 };
	cancel_hook(token, &witness.hook, see, &witness);
	assert_true(cancel_fire(token, CANCEL_SHUTDOWN));
	instant fired_at = cancel_fired_at(token);
	assert_false(cancel_fire(token, CANCEL_CLIENT_GONE));
	assert_int_equal(cancel_cause(token), CANCEL_SHUTDOWN);
	assert_int_equal(cancel_fired_at(token).ns, fired_at.ns);
	assert_int_equal(witness.runs, 1);
	assert_int_equal(witness.cause, CANCEL_SHUTDOWN);
	cancel_unref(token);
}

static void a_token_knows_when_it_fired(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	instant before = instant_now();
	cancel_fire(token, CANCEL_OPERATOR);
	assert_false(instant_before(cancel_fired_at(token), before));
	assert_false(instant_before(instant_now(), cancel_fired_at(token)));
	cancel_unref(token);
}

static void hooks_run_once_and_the_last_one_first(void **state)
{
	(void)state;
	enum { HOOKS = 5 };
	struct cancel *token = cancel_create(NULL);
	struct witness witnesses[HOOKS] = { 0 };
	int order = 0;
	for (int i = 0; i < HOOKS; i++) {
		witnesses[i].order = &order;
		assert_true(cancel_hook(token, &witnesses[i].hook, see, &witnesses[i]));
	}
	assert_true(cancel_unhook(token, &witnesses[2].hook));
	cancel_fire(token, CANCEL_OPERATOR);
	for (int i = 0; i < HOOKS; i++)
		assert_int_equal(witnesses[i].runs, i != 2);
	assert_int_equal(witnesses[4].place, 1);
	assert_int_equal(witnesses[3].place, 2);
	assert_int_equal(witnesses[1].place, 3);
	assert_int_equal(witnesses[0].place, 4);
	cancel_unref(token);
}

static void a_hook_on_a_fired_token_runs_at_once(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	struct witness witness = { 0 };
	cancel_fire(token, CANCEL_DEADLINE);
	assert_false(cancel_hook(token, &witness.hook, see, &witness));
	assert_int_equal(witness.runs, 1);
	assert_int_equal(witness.cause, CANCEL_DEADLINE);
	assert_false(cancel_unhook(token, &witness.hook));
	assert_int_equal(witness.runs, 1);
	cancel_unref(token);
}

static void an_unhooked_hook_never_runs(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	struct witness witness = { 0 };
	cancel_hook(token, &witness.hook, see, &witness);
	assert_true(cancel_unhook(token, &witness.hook));
	assert_false(cancel_unhook(token, &witness.hook));
	cancel_fire(token, CANCEL_OPERATOR);
	assert_int_equal(witness.runs, 0);
	cancel_unref(token);
}

static void unhooking_what_was_never_hooked_does_nothing(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	struct cancel_hook hook = { 0 };
	struct cancel_waiter waiter = { 0 };
	assert_false(cancel_unhook(token, &hook));
	assert_false(cancel_unhook(NULL, &hook));
	cancel_wait_end(&waiter);
	cancel_unref(token);
}

/* A token that one actor fires, with a hook that stays in its run until it is
 * told to return. */
struct firing {
	struct cancel *fired;  /* by the actor */
	struct cancel *hooked; /* the same, or a descendant */
	struct cancel_hook hook;
	struct actor actor;
	struct gate entered;
	struct gate may_return;
	bool unhooks_itself;
	bool self_unhooked;
	bool unhooked; /* what the unhooking actor was told */
	bool detached; /* what the detaching actor was told */
};

static void stay(void *arg, enum cancel_cause cause)
{
	struct firing *firing = arg;
	(void)cause;
	gate_open(&firing->entered);
	gate_wait(&firing->may_return);
	if (firing->unhooks_itself)
		firing->self_unhooked = !cancel_unhook(firing->hooked, &firing->hook);
}

static void fire(void *arg)
{
	struct firing *firing = arg;
	cancel_fire(firing->fired, CANCEL_CLIENT_GONE);
}

/* Returns when the hook is running. */
static void firing_start(struct firing *firing)
{
	gate_init(&firing->entered);
	gate_init(&firing->may_return);
	cancel_hook(firing->hooked, &firing->hook, stay, firing);
	actor_start(&firing->actor, fire, firing);
	gate_wait(&firing->entered);
}

static void firing_finish(struct firing *firing)
{
	gate_open(&firing->may_return);
	actor_join(&firing->actor);
	gate_finish(&firing->entered);
	gate_finish(&firing->may_return);
}

static void unhook(void *arg)
{
	struct firing *firing = arg;
	firing->unhooked = cancel_unhook(firing->hooked, &firing->hook);
}

static void unhooking_waits_for_a_running_hook(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	struct firing firing = { .fired = token, .hooked = token, .unhooked = true };
	struct actor unhooker;
	firing_start(&firing);
	actor_start(&unhooker, unhook, &firing);
	bool waited = actor_blocks(&unhooker);
	gate_open(&firing.may_return);
	actor_join(&unhooker);
	firing_finish(&firing);
	assert_true(waited);
	assert_false(firing.unhooked);
	cancel_unref(token);
}

static void unhooking_does_not_wait_for_another_hook(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	struct firing firing = { .fired = token, .hooked = token };
	struct witness waiting = { 0 };
	cancel_hook(token, &waiting.hook, see, &waiting);
	firing_start(&firing); /* its hook is the later one, and so the first to run */
	assert_true(cancel_unhook(token, &waiting.hook));
	firing_finish(&firing);
	assert_int_equal(waiting.runs, 0);
	cancel_unref(token);
}

static void a_late_hook_does_not_wait_for_a_running_one(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	struct firing firing = { .fired = token, .hooked = token };
	struct witness late = { 0 };
	firing_start(&firing);
	assert_int_equal(cancel_cause(token), CANCEL_CLIENT_GONE);
	assert_false(cancel_hook(token, &late.hook, see, &late));
	assert_int_equal(late.runs, 1);
	assert_false(cancel_fire(token, CANCEL_OPERATOR));
	firing_finish(&firing);
	assert_int_equal(late.runs, 1);
	cancel_unref(token);
}

static void a_hook_may_unhook_itself_while_another_thread_does(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	struct firing firing = {
		.fired = token, .hooked = token, .unhooks_itself = true
	};
	struct actor unhooker;
	firing_start(&firing);
	actor_start(&unhooker, unhook, &firing);
	bool waited = actor_blocks(&unhooker);
	gate_open(&firing.may_return);
	actor_join(&unhooker);
	firing_finish(&firing);
	assert_true(waited);
	assert_false(firing.unhooked);
	assert_true(firing.self_unhooked);
	cancel_unref(token);
}

struct owned {
	struct cancel *token;
	struct cancel_hook hook;
	int *runs;
};

static void free_owner(void *arg, enum cancel_cause cause)
{
	struct owned *owned = arg;
	(void)cause;
	++*owned->runs;
	cancel_unhook(owned->token, &owned->hook);
	cancel_unref(owned->token);
	free(owned);
}

static void a_hook_may_free_its_memory_and_release_the_last_count(void **state)
{
	(void)state;
	int runs = 0;
	struct owned *owned = calloc(1, sizeof *owned);
	struct cancel *token = owned->token = cancel_create(NULL);
	owned->runs = &runs;
	cancel_hook(token, &owned->hook, free_owner, owned);
	assert_true(cancel_fire(token, CANCEL_CLIENT_GONE));
	assert_int_equal(runs, 1);
}

static void a_hook_may_release_its_token_in_the_firing_of_a_parent(void **state)
{
	(void)state;
	int runs = 0;
	struct cancel *parent = cancel_create(NULL);
	struct owned *owned = calloc(1, sizeof *owned);
	owned->token = cancel_create(parent);
	owned->runs = &runs;
	cancel_hook(owned->token, &owned->hook, free_owner, owned);
	assert_true(cancel_fire(parent, CANCEL_SHUTDOWN));
	assert_int_equal(runs, 1);
	cancel_unref(parent);
}

static void firing_reaches_the_descendants_only(void **state)
{
	(void)state;
	struct cancel *parent = cancel_create(NULL);
	struct cancel *child = cancel_create(parent);
	struct cancel *sibling = cancel_create(parent);
	struct cancel *grandchild = cancel_create(child);
	struct witness witness = { 0 };
	cancel_hook(grandchild, &witness.hook, see, &witness);
	cancel_fire(child, CANCEL_OPERATOR);
	assert_int_equal(cancel_cause(parent), CANCEL_NONE);
	assert_int_equal(cancel_cause(sibling), CANCEL_NONE);
	assert_int_equal(cancel_cause(grandchild), CANCEL_OPERATOR);
	assert_int_equal(witness.runs, 1);
	cancel_fire(parent, CANCEL_SHUTDOWN);
	assert_int_equal(cancel_cause(sibling), CANCEL_SHUTDOWN);
	assert_int_equal(cancel_cause(child), CANCEL_OPERATOR);
	assert_int_equal(cancel_cause(grandchild), CANCEL_OPERATOR);
	assert_int_equal(witness.runs, 1);
	cancel_unref(grandchild);
	cancel_unref(sibling);
	cancel_unref(child);
	cancel_unref(parent);
}

static void firing_passes_through_generations(void **state)
{
	(void)state;
	struct cancel *parent = cancel_create(NULL);
	struct cancel *child = cancel_create(parent);
	struct cancel *grandchild = cancel_create(child);
	struct witness witness = { 0 };
	cancel_hook(grandchild, &witness.hook, see, &witness);
	cancel_unref(child); /* the grandchild holds it */
	cancel_fire(parent, CANCEL_SHUTDOWN);
	assert_int_equal(cancel_cause(grandchild), CANCEL_SHUTDOWN);
	assert_int_equal(witness.cause, CANCEL_SHUTDOWN);
	cancel_unref(parent);
	cancel_unref(grandchild);
}

static void a_child_of_a_fired_parent_is_born_fired(void **state)
{
	(void)state;
	struct cancel *parent = cancel_create(NULL);
	cancel_fire(parent, CANCEL_DEADLINE);
	struct cancel *child = cancel_create(parent);
	assert_int_equal(cancel_cause(child), CANCEL_DEADLINE);
	cancel_unref(child);
	cancel_unref(parent);
}

static void a_detached_token_is_not_fired_from_above(void **state)
{
	(void)state;
	struct cancel *parent = cancel_create(NULL);
	struct cancel *child = cancel_create(parent);
	struct cancel *grandchild = cancel_create(child);
	assert_true(cancel_detach(child));
	assert_true(cancel_detach(child)); /* twice is as good as once */
	cancel_fire(parent, CANCEL_CLIENT_GONE);
	assert_int_equal(cancel_cause(child), CANCEL_NONE);
	assert_int_equal(cancel_cause(grandchild), CANCEL_NONE);
	cancel_fire(child, CANCEL_OPERATOR);
	assert_int_equal(cancel_cause(grandchild), CANCEL_OPERATOR);
	cancel_unref(grandchild);
	cancel_unref(child);
	cancel_unref(parent);
}

static void a_fired_token_cannot_be_detached_any_more(void **state)
{
	(void)state;
	struct cancel *parent = cancel_create(NULL);
	struct cancel *child = cancel_create(parent);
	struct cancel *root = cancel_create(NULL);
	cancel_fire(parent, CANCEL_CLIENT_GONE);
	assert_false(cancel_detach(child));
	assert_int_equal(cancel_cause(child), CANCEL_CLIENT_GONE);
	assert_true(cancel_detach(root));
	cancel_unref(root);
	cancel_unref(child);
	cancel_unref(parent);
}

static void detach(void *arg)
{
	struct firing *firing = arg;
	firing->detached = cancel_detach(firing->hooked);
}

static void detaching_waits_out_a_firing_that_passes_down(void **state)
{
	(void)state;
	struct cancel *parent = cancel_create(NULL);
	struct cancel *child = cancel_create(parent);
	struct firing firing = { .fired = parent, .hooked = child, .detached = true };
	struct actor detacher;
	firing_start(&firing);
	actor_start(&detacher, detach, &firing);
	bool waited = actor_blocks(&detacher);
	gate_open(&firing.may_return);
	actor_join(&detacher);
	firing_finish(&firing);
	assert_true(waited);
	assert_false(firing.detached);
	cancel_unref(child);
	cancel_unref(parent);
}

static void a_token_may_be_released_while_its_parent_fires_it(void **state)
{
	(void)state;
	struct cancel *parent = cancel_create(NULL);
	struct cancel *child = cancel_create(parent);
	struct firing firing = { .fired = parent, .hooked = child };
	firing_start(&firing);
	cancel_unref(child); /* the firing has a count: this neither waits nor frees */
	firing_finish(&firing);
	cancel_unref(parent);
}

static void nobody_to_wake(void *arg)
{
	(void)arg;
}

static void a_deadline_fires_the_token(void **state)
{
	struct timers *timers = *state;
	struct cancel *token = cancel_create(NULL);
	struct cancel *child = cancel_create(token);
	cancel_set_deadline(token, timers, at(10));
	assert_int_equal(timers_next(timers).ns, 10);
	timers_run(timers, at(9));
	assert_int_equal(cancel_cause(token), CANCEL_NONE);
	timers_run(timers, at(10));
	assert_int_equal(cancel_cause(token), CANCEL_DEADLINE);
	assert_int_equal(cancel_cause(child), CANCEL_DEADLINE);
	cancel_unref(child);
	cancel_unref(token);
}

static void the_earliest_deadline_of_the_line_counts(void **state)
{
	struct timers *timers = *state;
	struct cancel *parent = cancel_create(NULL);
	struct cancel *child = cancel_create(parent);
	struct cancel *grandchild = cancel_create(child);
	cancel_set_deadline(grandchild, timers, at(30));
	assert_int_equal(cancel_deadline(grandchild).ns, 30);
	cancel_set_deadline(parent, timers, at(20));
	assert_int_equal(cancel_deadline(grandchild).ns, 20);
	assert_int_equal(cancel_deadline(child).ns, 20);
	cancel_set_deadline(child, timers, at(10));
	assert_int_equal(cancel_deadline(grandchild).ns, 10);
	assert_int_equal(cancel_deadline(parent).ns, 20);
	timers_run(timers, at(10));
	assert_int_equal(cancel_cause(parent), CANCEL_NONE);
	assert_int_equal(cancel_cause(grandchild), CANCEL_DEADLINE);
	timers_run(timers, at(40));
	assert_int_equal(cancel_cause(parent), CANCEL_DEADLINE);
	cancel_unref(grandchild);
	cancel_unref(child);
	cancel_unref(parent);
}

static void a_detached_token_keeps_only_its_own_deadline(void **state)
{
	struct timers *timers = *state;
	struct cancel *parent = cancel_create(NULL);
	struct cancel *child = cancel_create(parent);
	struct cancel *grandchild = cancel_create(child);
	cancel_set_deadline(parent, timers, at(10));
	cancel_set_deadline(child, timers, at(20));
	cancel_detach(child);
	assert_int_equal(cancel_deadline(child).ns, 20);
	assert_int_equal(cancel_deadline(grandchild).ns, 20);
	timers_run(timers, at(10));
	assert_int_equal(cancel_cause(child), CANCEL_NONE);
	timers_run(timers, at(20));
	assert_int_equal(cancel_cause(child), CANCEL_DEADLINE);
	cancel_unref(grandchild);
	cancel_unref(child);
	cancel_unref(parent);
}

static void a_deadline_after_another_cause_changes_nothing(void **state)
{
	struct timers *timers = *state;
	struct cancel *token = cancel_create(NULL);
	struct witness witness = { 0 };
	cancel_hook(token, &witness.hook, see, &witness);
	cancel_set_deadline(token, timers, at(10));
	cancel_fire(token, CANCEL_CLIENT_GONE);
	timers_run(timers, at(10));
	assert_int_equal(cancel_cause(token), CANCEL_CLIENT_GONE);
	assert_int_equal(witness.runs, 1);
	cancel_unref(token);
}

static void releasing_a_token_takes_its_deadline_out(void **state)
{
	struct timers *timers = *state;
	struct cancel *token = cancel_create(NULL);
	cancel_set_deadline(token, timers, at(10));
	cancel_unref(token);
	assert_int_equal(timers_next(timers).ns, INSTANT_NEVER.ns);
}

static void a_token_whose_deadline_was_dropped_does_not_need_the_timers(void **state)
{
	struct timers *timers = timers_create(nobody_to_wake, NULL);
	struct cancel *token = cancel_create(NULL);
	(void)state;
	cancel_drop_deadline(token); /* it has none */
	cancel_set_deadline(token, timers, at(10));
	cancel_drop_deadline(token);
	assert_int_equal(cancel_deadline(token).ns, INSTANT_NEVER.ns);
	timers_run(timers, at(20));
	assert_int_equal(cancel_cause(token), CANCEL_NONE);
	timers_destroy(timers);
	assert_true(cancel_fire(token, CANCEL_OPERATOR));
	cancel_unref(token);
}

static void a_hook_may_release_its_token_in_its_deadline(void **state)
{
	struct timers *timers = *state;
	int runs = 0;
	struct owned *owned = calloc(1, sizeof *owned);
	owned->token = cancel_create(NULL);
	owned->runs = &runs;
	cancel_set_deadline(owned->token, timers, at(10));
	cancel_hook(owned->token, &owned->hook, free_owner, owned);
	timers_run(timers, at(10));
	assert_int_equal(runs, 1);
}

static bool is_readable(int fd)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };
	return poll(&entry, 1, 0) == 1 && entry.revents == POLLIN;
}

static void the_fd_becomes_readable_when_the_token_fires(void **state)
{
	(void)state;
	struct cancel *parent = cancel_create(NULL);
	struct cancel *token = cancel_create(parent);
	int fd = cancel_fd(token);
	assert_true(fd >= 0);
	assert_int_equal(cancel_fd(token), fd);
	assert_false(is_readable(fd));
	cancel_fire(parent, CANCEL_OPERATOR);
	assert_true(is_readable(fd));
	assert_int_equal(cancel_fd(token), fd);
	cancel_unref(token);
	cancel_unref(parent);
}

static void the_fd_of_a_fired_token_is_readable(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	cancel_fire(token, CANCEL_OPERATOR);
	assert_true(is_readable(cancel_fd(token)));
	cancel_unref(token);
}

static void sleeping_ends_when_its_time_has_come(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	instant until = instant_add_ms(instant_now(), 2);
	assert_int_equal(cancel_sleep(token, until), CANCEL_NONE);
	assert_false(instant_before(instant_now(), until));
	assert_int_equal(cancel_sleep(token, at(0)), CANCEL_NONE);
	cancel_unref(token);
}

static void sleeping_on_a_fired_token_ends_at_once(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	cancel_fire(token, CANCEL_SHUTDOWN);
	assert_int_equal(cancel_sleep(token, INSTANT_NEVER), CANCEL_SHUTDOWN);
	cancel_unref(token);
}

struct sleeper {
	struct cancel *token;
	enum cancel_cause cause;
	pthread_mutex_t lock;
	pthread_cond_t changed;
};

static void sleep_on_token(void *arg)
{
	struct sleeper *sleeper = arg;
	sleeper->cause = cancel_sleep(sleeper->token, INSTANT_NEVER);
}

static void wait_for_condition(void *arg)
{
	struct sleeper *sleeper = arg;
	struct cancel_waiter waiter;
	cancel_wait_begin(&waiter, sleeper->token, &sleeper->lock, &sleeper->changed);
	pthread_mutex_lock(&sleeper->lock);
	while (!cancel_cause(sleeper->token))
		pthread_cond_wait(&sleeper->changed, &sleeper->lock);
	pthread_mutex_unlock(&sleeper->lock);
	cancel_wait_end(&waiter);
	sleeper->cause = cancel_cause(sleeper->token);
}

/* Fires the token once the actor is asleep. */
static void wake_by_firing(void (*act)(void *arg))
{
	struct sleeper sleeper = { .token = cancel_create(NULL) };
	pthread_mutex_init(&sleeper.lock, NULL);
	pthread_cond_init(&sleeper.changed, NULL);
	struct actor actor;
	actor_start(&actor, act, &sleeper);
	bool slept = actor_blocks(&actor);
	cancel_fire(sleeper.token, CANCEL_SHUTDOWN);
	actor_join(&actor);
	assert_true(slept);
	assert_int_equal(sleeper.cause, CANCEL_SHUTDOWN);
	cancel_unref(sleeper.token);
	pthread_cond_destroy(&sleeper.changed);
	pthread_mutex_destroy(&sleeper.lock);
}

static void firing_ends_a_sleep(void **state)
{
	(void)state;
	wake_by_firing(sleep_on_token);
}

static void firing_wakes_who_waits_for_a_condition(void **state)
{
	(void)state;
	wake_by_firing(wait_for_condition);
}

static void fire_sleeper(void *arg)
{
	struct sleeper *sleeper = arg;
	cancel_fire(sleeper->token, CANCEL_SHUTDOWN);
}

/* Between its look at the cause and its falling asleep, that is. */
static void a_waiter_is_not_woken_before_it_sleeps(void **state)
{
	(void)state;
	struct sleeper sleeper = { .token = cancel_create(NULL) };
	struct cancel_waiter waiter;
	struct actor firer;
	pthread_mutex_init(&sleeper.lock, NULL);
	pthread_cond_init(&sleeper.changed, NULL);
	cancel_wait_begin(&waiter, sleeper.token, &sleeper.lock, &sleeper.changed);
	pthread_mutex_lock(&sleeper.lock);
	actor_start(&firer, fire_sleeper, &sleeper);
	bool waited = actor_blocks(&firer);
	pthread_mutex_unlock(&sleeper.lock);
	actor_join(&firer);
	cancel_wait_end(&waiter);
	assert_true(waited);
	cancel_unref(sleeper.token);
	pthread_cond_destroy(&sleeper.changed);
	pthread_mutex_destroy(&sleeper.lock);
}

static void a_token_that_cannot_be_had_leaves_its_parent_as_it_was(void **state)
{
	(void)state;
	if (!fault_alloc_works())
		skip();
	struct cancel *parent = cancel_create(NULL);
	fault_alloc_arm(1);
	assert_null(cancel_create(parent));
	assert_true(fault_alloc_arm(0));
	cancel_fire(parent, CANCEL_OPERATOR);
	cancel_unref(parent);
}

static int make_timers(void **state)
{
	*state = timers_create(nobody_to_wake, NULL);
	return *state ? 0 : -1;
}

static int free_timers(void **state)
{
	timers_destroy(*state);
	return 0;
}

#define with_timers(test) cmocka_unit_test_setup_teardown(test, make_timers, free_timers)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_new_token_is_wanted),
		cmocka_unit_test(every_cause_has_a_name),
		cmocka_unit_test(the_first_cause_wins),
		cmocka_unit_test(a_token_knows_when_it_fired),
		cmocka_unit_test(hooks_run_once_and_the_last_one_first),
		cmocka_unit_test(a_hook_on_a_fired_token_runs_at_once),
		cmocka_unit_test(an_unhooked_hook_never_runs),
		cmocka_unit_test(unhooking_what_was_never_hooked_does_nothing),
		cmocka_unit_test(unhooking_waits_for_a_running_hook),
		cmocka_unit_test(unhooking_does_not_wait_for_another_hook),
		cmocka_unit_test(a_late_hook_does_not_wait_for_a_running_one),
		cmocka_unit_test(a_hook_may_unhook_itself_while_another_thread_does),
		cmocka_unit_test(a_hook_may_free_its_memory_and_release_the_last_count),
		cmocka_unit_test(a_hook_may_release_its_token_in_the_firing_of_a_parent),
		cmocka_unit_test(firing_reaches_the_descendants_only),
		cmocka_unit_test(firing_passes_through_generations),
		cmocka_unit_test(a_child_of_a_fired_parent_is_born_fired),
		cmocka_unit_test(a_detached_token_is_not_fired_from_above),
		cmocka_unit_test(a_fired_token_cannot_be_detached_any_more),
		cmocka_unit_test(detaching_waits_out_a_firing_that_passes_down),
		cmocka_unit_test(a_token_may_be_released_while_its_parent_fires_it),
		with_timers(a_deadline_fires_the_token),
		with_timers(the_earliest_deadline_of_the_line_counts),
		with_timers(a_detached_token_keeps_only_its_own_deadline),
		with_timers(a_deadline_after_another_cause_changes_nothing),
		with_timers(releasing_a_token_takes_its_deadline_out),
		cmocka_unit_test(
			a_token_whose_deadline_was_dropped_does_not_need_the_timers),
		with_timers(a_hook_may_release_its_token_in_its_deadline),
		cmocka_unit_test(the_fd_becomes_readable_when_the_token_fires),
		cmocka_unit_test(the_fd_of_a_fired_token_is_readable),
		cmocka_unit_test(sleeping_ends_when_its_time_has_come),
		cmocka_unit_test(sleeping_on_a_fired_token_ends_at_once),
		cmocka_unit_test(firing_ends_a_sleep),
		cmocka_unit_test(firing_wakes_who_waits_for_a_condition),
		cmocka_unit_test(a_waiter_is_not_woken_before_it_sleeps),
		cmocka_unit_test(a_token_that_cannot_be_had_leaves_its_parent_as_it_was),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
