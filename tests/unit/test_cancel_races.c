#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/core/cancel.h"
#include "service/core/timer.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/shake.h"
#include "tests/support/wait.h"

/*
 * Every pair of operations on a token, run against each other by two threads.
 *
 * A world is what one round needs: a parent, its child (the token), the child's
 * hooks. Both threads walk through the same row of worlds; before each they wait
 * for one another, dawdle for a random moment, and do their operation on it.
 * Afterwards the main thread checks what must hold whoever came first. The
 * threads hold the only counts of the token, so that the last one is released
 * within the race when both operations release, or when one of them does and the
 * other comes from above or from a timer, and needs no count.
 *
 * The sanitizers look for what the checks cannot see.
 */
enum { WORLDS = 64, ROUNDS = 48 / (HANGUP_SLOWDOWN + 1) };

/* A hook, and what must be true of it. */
struct watched {
	struct cancel_hook hook;
	atomic_int runs;
	_Atomic enum cancel_cause cause;
	atomic_bool retired; /* cancel_unhook() has returned */
	atomic_bool hooked;
	atomic_bool unhooked; /* cancel_unhook() returned true */
	atomic_bool ran_late; /* after it was retired */
};

static void see(void *arg, enum cancel_cause cause)
{
	struct watched *watched = arg;
	if (watched->retired)
		watched->ran_late = true;
	watched->cause = cause;
	watched->runs++;
}

static void hook(struct cancel *token, struct watched *watched)
{
	watched->hooked = true;
	bool waits = cancel_hook(token, &watched->hook, see, watched);
	if (!waits && watched->runs != 1)
		abort(); /* it says that it ran at once */
}

/* Two threads may unhook the same hook: one of them at most is told true. */
static void unhook(struct cancel *token, struct watched *watched)
{
	if (cancel_unhook(token, &watched->hook))
		if (atomic_exchange(&watched->unhooked, true))
			abort();
	watched->retired = true;
}

struct world;

/* Done by side 0 or 1. */
typedef void operate(struct world *world, int side);

struct operation {
	operate *run;
	bool releases;     /* the side's count of the token is gone */
	bool from_outside; /* needs no count of the token */
	bool drives;       /* runs the timers: one thread only */
	bool detaches;
};

struct world {
	const struct operation *operations[2];
	struct cancel *parent; /* counted by the main thread */
	struct cancel *token;  /* counted once by each side */
	struct timers *timers;
	struct watched shared; /* hooked before the race */
	struct watched own[2];
	atomic_int arrived;
	atomic_int fired; /* how often cancel_fire(token) returned true */
	bool must_fire;
};

static void do_fire(struct world *world, int side)
{
	world->fired += cancel_fire(world->token, CANCEL_SHUTDOWN + side);
}

static void do_fire_parent(struct world *world, int side)
{
	(void)side;
	cancel_fire(world->parent, CANCEL_CLIENT_GONE);
}

static void do_hook(struct world *world, int side)
{
	hook(world->token, &world->own[side]);
}

static void do_unhook(struct world *world, int side)
{
	(void)side;
	unhook(world->token, &world->shared);
}

static void do_hook_and_unhook(struct world *world, int side)
{
	hook(world->token, &world->own[side]);
	unhook(world->token, &world->own[side]);
}

static void do_derive(struct world *world, int side)
{
	(void)side;
	struct watched watched = { 0 };
	struct cancel *child = cancel_create(world->token);
	struct cancel *grandchild = cancel_create(child);
	hook(grandchild, &watched);
	enum cancel_cause cause = cancel_cause(child);
	cancel_unref(child);
	unhook(grandchild, &watched);
	if (watched.runs + watched.unhooked != 1 || watched.ran_late)
		abort();
	if (cause != CANCEL_NONE && cause != cancel_cause(world->token))
		abort();
	cancel_unref(grandchild);
}

static void do_release(struct world *world, int side)
{
	(void)side;
	cancel_unref(world->token);
}

static void do_count(struct world *world, int side)
{
	(void)side;
	cancel_unref(cancel_ref(world->token));
}

/* Once a token: the other side does it to the parent. */
static void do_set_deadline(struct world *world, int side)
{
	struct cancel *token = side == 0 ? world->token : world->parent;
	cancel_set_deadline(token, world->timers, (instant){ 1 });
}

static void do_run_timers(struct world *world, int side)
{
	(void)side;
	timers_run(world->timers, (instant){ 2 });
}

static void do_detach(struct world *world, int side)
{
	(void)side;
	bool in_time = cancel_detach(world->token);
	if (!in_time && cancel_cause(world->token) == CANCEL_NONE)
		abort();
}

static bool is_readable(int fd)
{
	struct pollfd entry = { .fd = fd, .events = POLLIN };
	return poll(&entry, 1, 0) == 1;
}

static void do_fd(struct world *world, int side)
{
	(void)side;
	int fd = cancel_fd(world->token);
	bool fired = cancel_cause(world->token) != CANCEL_NONE;
	if (world->must_fire) {
		struct pollfd entry = { .fd = fd, .events = POLLIN };
		if (poll(&entry, 1, PATIENCE_MS) != 1)
			abort();
	} else if (!fired && is_readable(fd) &&
		cancel_cause(world->token) == CANCEL_NONE) {
		abort();
	}
}

static instant patience(const struct world *world)
{
	return world->must_fire ? instant_add_ms(instant_now(), PATIENCE_MS)
				: (instant){ 0 };
}

static void do_sleep(struct world *world, int side)
{
	(void)side;
	enum cancel_cause cause = cancel_sleep(world->token, patience(world));
	if (world->must_fire && cause == CANCEL_NONE)
		abort();
}

static void do_wait(struct world *world, int side)
{
	(void)side;
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	pthread_cond_t changed;
	clock_cond_init(&changed);
	instant until = patience(world);
	bool in_time = true;
	struct cancel_waiter waiter;
	cancel_wait_begin(&waiter, world->token, &lock, &changed);
	pthread_mutex_lock(&lock);
	while (in_time && !cancel_cause(world->token))
		in_time = clock_cond_wait(&changed, &lock, until);
	pthread_mutex_unlock(&lock);
	cancel_wait_end(&waiter);
	if (world->must_fire && !in_time)
		abort();
	pthread_cond_destroy(&changed);
	pthread_mutex_destroy(&lock);
}

static void do_ask(struct world *world, int side)
{
	(void)side;
	enum cancel_cause cause = cancel_cause(world->token);
	bool has_instant = cancel_fired_at(world->token).ns != INSTANT_NEVER.ns;
	cancel_deadline(world->token);
	if (cause != CANCEL_NONE && (!has_instant || cancel_cause(world->token) != cause))
		abort();
}

static const struct operation operations[] = {
	{ .run = do_fire },
	{ .run = do_fire_parent, .from_outside = true },
	{ .run = do_hook },
	{ .run = do_unhook },
	{ .run = do_hook_and_unhook },
	{ .run = do_derive },
	{ .run = do_release, .releases = true },
	{ .run = do_count },
	{ .run = do_set_deadline },
	{ .run = do_run_timers, .from_outside = true, .drives = true },
	{ .run = do_detach, .detaches = true },
	{ .run = do_fd },
	{ .run = do_sleep },
	{ .run = do_wait },
	{ .run = do_ask },
};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static bool has_count(const struct operation *operation, const struct operation *other)
{
	return !operation->from_outside || !other->releases;
}

static bool is_held_after(
	const struct operation *operation, const struct operation *other)
{
	return has_count(operation, other) && !operation->releases;
}

/* Whether the token will have fired, whoever comes first. */
static bool must_fire(const struct operation *a, const struct operation *b)
{
	bool from_above = a->run == do_fire_parent || b->run == do_fire_parent;
	bool set_late = a->run == do_set_deadline || b->run == do_set_deadline;
	bool from_timer = a->drives || b->drives;
	if (a->run == do_fire || b->run == do_fire)
		return true;
	if (from_above)
		return !a->detaches && !b->detaches;
	return from_timer && !set_late;
}

static void nobody_to_wake(void *arg)
{
	(void)arg;
}

static void world_begin(struct world *world, const struct operation *a,
	const struct operation *b, struct timers *timers)
{
	*world = (struct world){ .operations = { a, b }, .timers = timers };
	world->parent = cancel_create(NULL);
	world->token = cancel_create(world->parent);
	if (has_count(a, b) && has_count(b, a))
		cancel_ref(world->token);
	world->must_fire = must_fire(a, b);
	/* A token that may be gone after the race has no hook of ours. */
	if (is_held_after(a, b) || is_held_after(b, a))
		hook(world->token, &world->shared);
	bool sets = a->run == do_set_deadline || b->run == do_set_deadline;
	if ((a->drives || b->drives) && !sets)
		cancel_set_deadline(world->token, timers, (instant){ 1 });
}

static void check_hook(const struct watched *watched, enum cancel_cause cause)
{
	int expected = watched->hooked && cause != CANCEL_NONE && !watched->unhooked;
	assert_false(watched->ran_late);
	if (watched->retired && !watched->unhooked)
		expected = 1; /* told false: it has run */
	assert_int_equal(watched->runs, watched->hooked ? expected : 0);
	if (watched->runs)
		assert_int_equal(watched->cause, cause);
}

static void check(struct world *world)
{
	struct cancel *token = world->token;
	enum cancel_cause cause = cancel_cause(token);
	if (world->must_fire)
		assert_int_not_equal(cause, CANCEL_NONE);
	assert_true(world->fired <= 1);
	if (world->fired)
		assert_true(cause == CANCEL_SHUTDOWN || cause == CANCEL_OPERATOR);
	check_hook(&world->shared, cause);
	check_hook(&world->own[0], cause);
	check_hook(&world->own[1], cause);
	assert_int_equal(cancel_fire(token, CANCEL_OPERATOR), cause == CANCEL_NONE);
	unhook(token, &world->shared);
	unhook(token, &world->own[0]);
	unhook(token, &world->own[1]);
}

/* What must hold whoever came first. The timers have all run by now, except where
 * nobody was to run them. */
static void world_end(struct world *world)
{
	const struct operation *a = world->operations[0], *b = world->operations[1];
	if (is_held_after(a, b) || is_held_after(b, a))
		check(world);
	if (is_held_after(a, b))
		cancel_unref(world->token);
	if (is_held_after(b, a))
		cancel_unref(world->token);
	cancel_unref(world->parent);
}

struct race {
	struct world worlds[WORLDS];
	pthread_barrier_t barrier; /* both sides and the main thread */
	bool over;
};

struct side {
	struct race *race;
	int number;
	uint32_t seed;
};

/* Short enough to be spun through, for different lengths on both sides. */
static void dawdle(struct side *side)
{
	side->seed = side->seed * 1664525u + 1013904223u;
	for (unsigned i = side->seed >> 22; i > 0; i--)
		atomic_signal_fence(memory_order_seq_cst);
}

static void meet(struct world *world)
{
	enum { SPINS = 2000 };
	world->arrived++;
	for (int i = 0; i < SPINS && world->arrived < 2; i++)
		if (i % 64 == 63)
			sched_yield(); /* there may be one processor only */
}

static void race_through(void *arg)
{
	struct side *side = arg;
	shake(side->seed);
	for (;;) {
		pthread_barrier_wait(&side->race->barrier);
		if (side->race->over)
			return;
		for (int i = 0; i < WORLDS; i++) {
			struct world *world = &side->race->worlds[i];
			meet(world);
			dawdle(side);
			world->operations[side->number]->run(world, side->number);
		}
		pthread_barrier_wait(&side->race->barrier);
	}
}

static void race(struct race *race, const struct operation *a, const struct operation *b)
{
	struct timers *timers[WORLDS];
	for (int i = 0; i < WORLDS; i++) {
		timers[i] = timers_create(nobody_to_wake, NULL);
		world_begin(&race->worlds[i], a, b, timers[i]);
	}
	pthread_barrier_wait(&race->barrier);
	pthread_barrier_wait(&race->barrier);
	for (int i = 0; i < WORLDS; i++) {
		if (a->drives || b->drives)
			timers_run(timers[i], (instant){ 2 });
		world_end(&race->worlds[i]);
		timers_destroy(timers[i]);
	}
}

static void every_two_operations_may_meet(void **state)
{
	(void)state;
	struct race *the_race = calloc(1, sizeof *the_race);
	struct side sides[2] = { { the_race, 0, 1 }, { the_race, 1, 2 } };
	struct actor actors[2];
	pthread_barrier_init(&the_race->barrier, NULL, 3);
	for (int i = 0; i < 2; i++)
		actor_start(&actors[i], race_through, &sides[i]);
	for (int round = 0; round < ROUNDS; round++)
		for (int a = 0; a < OPERATIONS; a++)
			for (int b = 0; b <= a; b++)
				if (!operations[a].drives || a != b)
					race(the_race, &operations[a], &operations[b]);
	the_race->over = true;
	pthread_barrier_wait(&the_race->barrier);
	for (int i = 0; i < 2; i++)
		actor_join(&actors[i]);
	pthread_barrier_destroy(&the_race->barrier);
	free(the_race);
}

/*
 * All at once: several threads do random things to one tree, which is replaced
 * from time to time, while another runs its deadlines.
 */
enum { CROWD = 4, TREES = 2000 / HANGUP_SLOWDOWN, DEEDS = 8 };

struct crowd {
	struct timers *timers;
	struct cancel *root;
	struct cancel *middle;
	struct watched hooks[CROWD];
	pthread_barrier_t barrier; /* the crowd and the main thread */
	atomic_bool over;          /* read by the driver at any time */
};

struct member {
	struct crowd *crowd;
	int number;
	uint32_t seed;
};

static unsigned pick(struct member *member, unsigned below)
{
	member->seed = member->seed * 1664525u + 1013904223u;
	return (member->seed >> 16) % below;
}

/* A life of a token such as a request's. */
static void live(struct member *member, struct cancel *token)
{
	struct watched watched = { 0 };
	hook(token, &watched);
	for (int i = 0; i < DEEDS; i++) {
		switch (pick(member, 12)) {
		case 0:
			cancel_fire(token, CANCEL_CLIENT_GONE);
			break;
		case 1:
			cancel_detach(token);
			break;
		case 2:
			cancel_fd(token);
			break;
		case 3:
			cancel_sleep(token, (instant){ 0 });
			break;
		case 4:
			cancel_unref(cancel_create(token));
			break;
		case 5:
			cancel_deadline(token);
			break;
		case 6:
			if (pick(member, 8) == 0)
				cancel_fire(member->crowd->middle, CANCEL_OPERATOR);
			break;
		case 7:
			if (pick(member, 16) == 0)
				cancel_fire(member->crowd->root, CANCEL_SHUTDOWN);
			break;
		default:
			sched_yield();
		}
	}
	unhook(token, &watched);
	if (watched.runs + watched.unhooked != 1 || watched.ran_late)
		abort();
}

static void mill_about(void *arg)
{
	struct member *member = arg;
	struct crowd *crowd = member->crowd;
	shake(member->seed + 1);
	for (;;) {
		pthread_barrier_wait(&crowd->barrier);
		if (crowd->over)
			return;
		struct cancel *token = cancel_create(crowd->middle);
		cancel_set_deadline(token, crowd->timers, (instant){ pick(member, 4) });
		live(member, token);
		cancel_unref(token);
		pthread_barrier_wait(&crowd->barrier);
	}
}

static void drive(void *arg)
{
	struct crowd *crowd = arg;
	while (!crowd->over) {
		timers_next(crowd->timers);
		timers_run(crowd->timers, (instant){ 1 });
		sched_yield();
	}
}

static void plant(struct crowd *crowd)
{
	crowd->root = cancel_create(NULL);
	crowd->middle = cancel_create(crowd->root);
	pthread_barrier_wait(&crowd->barrier);
	pthread_barrier_wait(&crowd->barrier);
	cancel_unref(crowd->root);
	cancel_unref(crowd->middle);
	assert_int_equal(timers_next(crowd->timers).ns, INSTANT_NEVER.ns);
}

static void a_crowd_leaves_nothing_behind(void **state)
{
	(void)state;
	struct crowd crowd = { .timers = timers_create(nobody_to_wake, NULL) };
	struct member members[CROWD];
	struct actor actors[CROWD], driver;
	pthread_barrier_init(&crowd.barrier, NULL, CROWD + 1);
	actor_start(&driver, drive, &crowd);
	for (int i = 0; i < CROWD; i++) {
		members[i] = (struct member){ &crowd, i, (uint32_t)i };
		actor_start(&actors[i], mill_about, &members[i]);
	}
	for (int tree = 0; tree < TREES; tree++)
		plant(&crowd);
	crowd.over = true;
	pthread_barrier_wait(&crowd.barrier);
	for (int i = 0; i < CROWD; i++)
		actor_join(&actors[i]);
	actor_join(&driver);
	pthread_barrier_destroy(&crowd.barrier);
	timers_destroy(crowd.timers);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_two_operations_may_meet),
		cmocka_unit_test(a_crowd_leaves_nothing_behind),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
