#include <sched.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "service/core/pool.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_alloc.h"
#include "tests/support/gate.h"
#include "tests/support/shake.h"

/* A job that goes through gates: it starts, waits if it is one that waits, and
 * ends when it may. */
struct gated {
	struct job job;
	bool waits;
	struct gate started;
	struct gate may_come_back; /* from its wait */
	struct gate came_back;
	struct gate may_end;
	struct gate ended;
	atomic_int runs;
	int place; /* in the order of starts */
};

static atomic_int starts;

static void run_gated(struct job *job)
{
	struct gated *gated = (struct gated *)job;
	gated->runs++;
	gated->place = ++starts;
	if (gated->waits)
		pool_block_begin();
	gate_open(&gated->started);
	if (gated->waits) {
		gate_wait(&gated->may_come_back);
		pool_block_end();
		gate_open(&gated->came_back);
	}
	gate_wait(&gated->may_end);
	gate_open(&gated->ended);
}

static void gated_init(struct gated *gated, bool waits)
{
	*gated = (struct gated){ .job.run = run_gated, .waits = waits };
	gate_init(&gated->started);
	gate_init(&gated->may_come_back);
	gate_init(&gated->came_back);
	gate_init(&gated->may_end);
	gate_init(&gated->ended);
}

static void gated_finish(struct gated *gated)
{
	gate_finish(&gated->started);
	gate_finish(&gated->may_come_back);
	gate_finish(&gated->came_back);
	gate_finish(&gated->may_end);
	gate_finish(&gated->ended);
}

enum { JOBS = 6 };

/* A lane and some jobs for it. */
struct lane {
	struct pool *pool;
	struct gated jobs[JOBS];
};

static void lane_begin(
	struct lane *lane, unsigned threads, unsigned running, unsigned queue_max)
{
	const struct pool_config config = {
		.name = "test",
		.threads = threads,
		.running = running,
		.queue_max = queue_max,
	};
	starts = 0;
	assert_int_equal(pool_create(&config, &lane->pool), ERR_OK);
	for (int i = 0; i < JOBS; i++)
		gated_init(&lane->jobs[i], false);
}

/* Lets every job come to its end. */
static void lane_end(struct lane *lane)
{
	for (int i = 0; i < JOBS; i++) {
		gate_open(&lane->jobs[i].may_come_back);
		gate_open(&lane->jobs[i].may_end);
	}
	pool_destroy(lane->pool);
	for (int i = 0; i < JOBS; i++)
		gated_finish(&lane->jobs[i]);
}

static enum err submit(struct lane *lane, int i)
{
	return pool_submit(lane->pool, &lane->jobs[i].job);
}

static struct pool_stats stats_of(struct lane *lane)
{
	struct pool_stats stats;
	pool_stats(lane->pool, &stats);
	return stats;
}

static void a_full_queue_refuses_at_once(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 2, 2, 3);
	for (int i = 0; i < 5; i++)
		assert_int_equal(submit(&lane, i), ERR_OK); /* 2 run, 3 wait */
	assert_int_equal(submit(&lane, 5), ERR_BUSY);
	gate_wait(&lane.jobs[0].started);
	gate_wait(&lane.jobs[1].started);
	assert_int_equal(submit(&lane, 5), ERR_BUSY);
	assert_int_equal(stats_of(&lane).queued, 3);
	assert_int_equal(stats_of(&lane).running, 2);
	assert_int_equal(stats_of(&lane).refused, 2);
	lane_end(&lane);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(lane.jobs[i].runs, i < 5);
}

static void a_lane_without_a_queue_takes_what_it_can_run(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 3, 3, 0);
	for (int i = 0; i < 3; i++)
		assert_int_equal(submit(&lane, i), ERR_OK);
	assert_int_equal(submit(&lane, 3), ERR_BUSY);
	for (int i = 0; i < 3; i++)
		gate_wait(&lane.jobs[i].started);
	assert_int_equal(submit(&lane, 3), ERR_BUSY);
	lane_end(&lane);
}

static void the_running_limit_counts_for_a_lane_without_a_queue(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 3, 1, 0);
	lane.jobs[0].waits = true;
	assert_int_equal(submit(&lane, 0), ERR_OK);
	gate_wait(&lane.jobs[0].started); /* and has lent its place */
	assert_int_equal(submit(&lane, 1), ERR_OK);
	assert_int_equal(submit(&lane, 2), ERR_BUSY);
	lane_end(&lane);
}

static void a_worker_that_comes_for_nothing_is_a_free_place(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 2, 2, 0);
	/* Wakes a worker for the job and takes the job away, until a worker is faster:
	 * whatever they have got to by then, there is a place for the next one. */
	bool removed = true;
	for (int round = 0; removed && round < 200; round++) {
		assert_int_equal(submit(&lane, 0), ERR_OK);
		assert_true(stats_of(&lane).running <= 1); /* and no other wakes for it */
		removed = pool_remove(lane.pool, &lane.jobs[0].job);
	}
	lane_end(&lane);
}

static void jobs_start_in_the_order_of_their_submission(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 1, 1, JOBS);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(submit(&lane, i), ERR_OK);
	lane_end(&lane);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(lane.jobs[i].place, i + 1);
}

static void a_removed_job_never_runs_and_leaves_its_place(void **state)
{
	(void)state;
	/* The first, the last, one in the middle of the queue. */
	for (int removed = 1; removed < 4; removed++) {
		struct lane lane;
		lane_begin(&lane, 1, 1, 3);
		assert_int_equal(submit(&lane, 0), ERR_OK);
		gate_wait(&lane.jobs[0].started);
		for (int i = 1; i < 4; i++)
			assert_int_equal(submit(&lane, i), ERR_OK);
		assert_int_equal(submit(&lane, 4), ERR_BUSY);
		assert_true(pool_remove(lane.pool, &lane.jobs[removed].job));
		assert_false(pool_remove(lane.pool, &lane.jobs[removed].job));
		assert_int_equal(submit(&lane, 4), ERR_OK);
		assert_int_equal(submit(&lane, 5), ERR_BUSY);
		lane_end(&lane);
		for (int i = 0; i < 5; i++)
			assert_int_equal(lane.jobs[i].runs, i != removed);
	}
}

static void a_job_that_has_started_cannot_be_removed(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 1, 1, 1);
	assert_int_equal(submit(&lane, 0), ERR_OK);
	gate_wait(&lane.jobs[0].started);
	assert_false(pool_remove(lane.pool, &lane.jobs[0].job));
	gate_open(&lane.jobs[0].may_end);
	gate_wait(&lane.jobs[0].ended);
	assert_false(pool_remove(lane.pool, &lane.jobs[0].job));
	assert_false(pool_remove(lane.pool, &lane.jobs[1].job)); /* never submitted */
	lane_end(&lane);
}

static void a_job_that_waits_lends_its_place(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 3, 1, JOBS);
	lane.jobs[0].waits = lane.jobs[1].waits = true;
	for (int i = 0; i < 4; i++)
		assert_int_equal(submit(&lane, i), ERR_OK);
	for (int i = 0; i < 3; i++)
		gate_wait(&lane.jobs[i].started);
	struct pool_stats stats = stats_of(&lane);
	assert_int_equal(stats.running, 1);
	assert_int_equal(stats.waiting, 2);
	assert_int_equal(stats.queued, 1);
	lane_end(&lane);
}

static void a_job_comes_back_from_its_wait_at_once(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 3, 1, JOBS);
	lane.jobs[0].waits = true;
	assert_int_equal(submit(&lane, 0), ERR_OK);
	gate_wait(&lane.jobs[0].started);
	assert_int_equal(submit(&lane, 1), ERR_OK);
	gate_wait(&lane.jobs[1].started);
	gate_open(&lane.jobs[0].may_come_back);
	gate_wait(&lane.jobs[0].came_back); /* while the other has the one place */
	assert_int_equal(stats_of(&lane).running, 2);

	/* One too many: the first to end takes nothing new, the second does. */
	assert_int_equal(submit(&lane, 2), ERR_OK);
	gate_open(&lane.jobs[0].may_end);
	gate_wait(&lane.jobs[0].ended);
	while (stats_of(&lane).running > 1)
		sched_yield();
	assert_false(gate_is_open(&lane.jobs[2].started));
	gate_open(&lane.jobs[1].may_end);
	gate_wait(&lane.jobs[2].started);
	lane_end(&lane);
}

static void waiting_jobs_do_not_get_more_threads_than_there_are(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 2, 2, JOBS);
	lane.jobs[0].waits = lane.jobs[1].waits = true;
	for (int i = 0; i < 3; i++)
		assert_int_equal(submit(&lane, i), ERR_OK);
	gate_wait(&lane.jobs[0].started);
	gate_wait(&lane.jobs[1].started);
	assert_int_equal(stats_of(&lane).waiting, 2);
	assert_int_equal(stats_of(&lane).queued, 1);
	gate_open(&lane.jobs[0].may_come_back);
	gate_open(&lane.jobs[0].may_end);
	gate_wait(&lane.jobs[2].started);
	lane_end(&lane);
}

static void destroying_a_lane_runs_what_is_queued(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 2, 1, JOBS);
	lane.jobs[1].waits = true;
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(submit(&lane, i), ERR_OK);
	lane_end(&lane);
	for (int i = 0; i < JOBS; i++)
		assert_int_equal(lane.jobs[i].runs, 1);
	pool_destroy(NULL);
}

static void waiting_outside_a_lane_changes_nothing(void **state)
{
	(void)state;
	struct lane lane;
	lane_begin(&lane, 1, 1, 0);
	pool_block_begin();
	assert_int_equal(stats_of(&lane).waiting, 0);
	assert_int_equal(stats_of(&lane).running, 0);
	pool_block_end();
	lane_end(&lane);
}

static void a_lane_that_cannot_be_had_leaves_nothing(void **state)
{
	(void)state;
	const struct pool_config config = { .name = "test", .threads = 2, .running = 2 };
	struct pool *pool = NULL;
	if (!fault_alloc_works())
		skip();
	fault_alloc_arm(1);
	assert_int_equal(pool_create(&config, &pool), ERR_NOMEM);
	assert_true(fault_alloc_arm(0));
	assert_null(pool);
}

static void a_lane_that_lacks_threads_leaves_nothing(void **state)
{
	(void)state;
	const struct pool_config config = {
		.name = "test", .threads = 4000, .running = 4
	};
	struct pool *pool = NULL;
	if (!fault_alloc_works())
		skip(); /* a sanitizer needs more address space than there is here */
	struct rlimit all;
	getrlimit(RLIMIT_AS, &all);
	setrlimit(RLIMIT_AS, &(struct rlimit){ 512 << 20, all.rlim_max });
	enum err err = pool_create(&config, &pool);
	setrlimit(RLIMIT_AS, &all);
	assert_int_equal(err, ERR_IO);
	assert_null(pool);
}

/*
 * Niceness.
 */

struct look {
	struct job job;
	int nice;
	struct gate seen;
};

static void look_at_nice(struct job *job)
{
	struct look *look = (struct look *)job;
	look->nice = getpriority(PRIO_PROCESS, (id_t)gettid());
	gate_open(&look->seen);
}

static int nice_in(int nice)
{
	const struct pool_config config = {
		.name = "test", .threads = 1, .running = 1, .queue_max = 1, .nice = nice
	};
	struct look look = { .job.run = look_at_nice };
	struct pool *pool = NULL;
	gate_init(&look.seen);
	assert_int_equal(pool_create(&config, &pool), ERR_OK);
	assert_int_equal(pool_submit(pool, &look.job), ERR_OK);
	gate_wait(&look.seen);
	pool_destroy(pool);
	gate_finish(&look.seen);
	return look.nice;
}

static void its_threads_are_as_nice_as_it_says(void **state)
{
	(void)state;
	int own = getpriority(PRIO_PROCESS, (id_t)gettid());
	assert_int_equal(nice_in(0), own);
	assert_int_equal(nice_in(19), 19);
	assert_int_equal(getpriority(PRIO_PROCESS, (id_t)gettid()), own);
}

/*
 * A storm: several threads submit, some remove again what they submitted, half of
 * the jobs wait for a moment. Nothing is lost, nothing runs twice, and the jobs
 * that have not waited yet are never more than may run.
 */
enum {
	STORM_THREADS = 3,
	STORM_JOBS = 20000 / HANGUP_SLOWDOWN,
	STORM_RUNNING = 2,
	STORM_QUEUE = 20,
};

struct storm {
	struct pool *pool;
	atomic_int accepted;
	atomic_int refused;
	atomic_int removed;
	atomic_int ran;
	atomic_int unwaited; /* jobs that run and have not waited yet */
	atomic_bool too_many;
	atomic_bool submitted; /* everything that will be */
	struct gate over;
};

struct drop {
	struct job job;
	struct storm *storm;
	int number;
	atomic_int runs;
};

static void look_whether_over(struct storm *storm)
{
	if (storm->submitted && storm->ran + storm->removed == storm->accepted)
		gate_open(&storm->over);
}

static void fall(struct job *job)
{
	struct drop *drop = (struct drop *)job;
	struct storm *storm = drop->storm;
	shake((unsigned)drop->number + 1);
	if (++storm->unwaited > STORM_RUNNING)
		storm->too_many = true;
	if (drop->number % 3 == 0)
		sched_yield();
	drop->runs++;
	storm->unwaited--;
	if (drop->number % 2) {
		pool_block_begin();
		sched_yield();
		pool_block_end();
	}
	storm->ran++;
	look_whether_over(storm);
}

struct cloud {
	struct storm *storm;
	struct drop *drops;
};

static void rain(void *arg)
{
	struct cloud *cloud = arg;
	struct storm *storm = cloud->storm;
	shake(1);
	for (int i = 0; i < STORM_JOBS; i++) {
		struct drop *drop = &cloud->drops[i];
		*drop = (struct drop){ .job.run = fall, .storm = storm, .number = i };
		if (pool_submit(storm->pool, &drop->job) != ERR_OK) {
			storm->refused++;
			drop->runs = -1;
			sched_yield();
			continue;
		}
		storm->accepted++;
		if (i % 5 == 0 && pool_remove(storm->pool, &drop->job)) {
			storm->removed++;
			drop->runs = -1;
		}
	}
}

static void nothing_is_lost_in_a_storm(void **state)
{
	(void)state;
	const struct pool_config config = { "storm", 6, STORM_RUNNING, STORM_QUEUE, 0 };
	struct storm storm = { 0 };
	struct cloud clouds[STORM_THREADS];
	struct actor actors[STORM_THREADS];
	gate_init(&storm.over);
	assert_int_equal(pool_create(&config, &storm.pool), ERR_OK);
	for (int i = 0; i < STORM_THREADS; i++) {
		clouds[i].storm = &storm;
		clouds[i].drops = calloc(STORM_JOBS, sizeof *clouds[i].drops);
		actor_start(&actors[i], rain, &clouds[i]);
	}
	for (int i = 0; i < STORM_THREADS; i++)
		actor_join(&actors[i]);
	storm.submitted = true;
	look_whether_over(&storm);
	gate_wait(&storm.over); /* without pool_destroy(), which would wake them all */
	struct pool_stats stats;
	pool_stats(storm.pool, &stats);
	assert_int_equal(stats.queued, 0);
	assert_int_equal(stats.waiting, 0);
	assert_int_equal(stats.refused, storm.refused);
	pool_destroy(storm.pool);
	assert_false(storm.too_many);
	assert_int_equal(storm.accepted + storm.refused, STORM_THREADS * STORM_JOBS);
	for (int i = 0; i < STORM_THREADS; i++) {
		for (int j = 0; j < STORM_JOBS; j++)
			assert_int_not_equal(clouds[i].drops[j].runs, 0);
		free(clouds[i].drops);
	}
	gate_finish(&storm.over);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_full_queue_refuses_at_once),
		cmocka_unit_test(a_lane_without_a_queue_takes_what_it_can_run),
		cmocka_unit_test(the_running_limit_counts_for_a_lane_without_a_queue),
		cmocka_unit_test(a_worker_that_comes_for_nothing_is_a_free_place),
		cmocka_unit_test(jobs_start_in_the_order_of_their_submission),
		cmocka_unit_test(a_removed_job_never_runs_and_leaves_its_place),
		cmocka_unit_test(a_job_that_has_started_cannot_be_removed),
		cmocka_unit_test(a_job_that_waits_lends_its_place),
		cmocka_unit_test(a_job_comes_back_from_its_wait_at_once),
		cmocka_unit_test(waiting_jobs_do_not_get_more_threads_than_there_are),
		cmocka_unit_test(destroying_a_lane_runs_what_is_queued),
		cmocka_unit_test(waiting_outside_a_lane_changes_nothing),
		cmocka_unit_test(a_lane_that_cannot_be_had_leaves_nothing),
		cmocka_unit_test(a_lane_that_lacks_threads_leaves_nothing),
		cmocka_unit_test(its_threads_are_as_nice_as_it_says),
		cmocka_unit_test(nothing_is_lost_in_a_storm),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
