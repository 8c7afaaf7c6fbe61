#include "service/core/pool.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

struct worker {
	struct pool *pool;
	pthread_t thread;
	pthread_cond_t wanted;
	bool woken; /* pool::lock: taken off the idle list, must look for work */
	SLIST_ENTRY(worker) link; /* pool::lock; pool::idle */
};

struct pool {
	pthread_mutex_t lock;
	int nice;                /* set once */
	TAILQ_HEAD(, job) queue; /* lock; job::link: the oldest first */
	SLIST_HEAD(, worker)
	idle;                 /* lock; worker::link: the one that slept least
					 * first, whose cache is warm */
	unsigned queued;      /* lock */
	unsigned woken;       /* lock: workers on their way to look for a job */
	unsigned running;     /* lock: workers awake and not inside a wait */
	unsigned waiting;     /* lock: workers inside a wait */
	uint64_t refused;     /* lock */
	bool stopping;        /* lock */
	unsigned running_max; /* set once */
	unsigned queue_max;   /* set once */
	unsigned started;     /* of workers; written by the creating thread only */
	struct worker workers[];
};

static _Thread_local struct pool *own_pool; /* of a worker thread */

static void queue_job(struct pool *pool, struct job *job)
{
	TAILQ_INSERT_TAIL(&pool->queue, job, link);
	job->queued = true;
	pool->queued++;
}

static void unqueue_job(struct pool *pool, struct job *job)
{
	TAILQ_REMOVE(&pool->queue, job, link);
	job->queued = false;
	pool->queued--;
}

static struct job *take_first_job(struct pool *pool)
{
	struct job *job = TAILQ_FIRST(&pool->queue);
	unqueue_job(pool, job);
	return job;
}

/* Wakes a worker if there is a job that none is coming for; lock held. The woken
 * one counts as running from here on. If by the time it arrives others have come
 * back from a wait and it is one too many, it sleeps again, and the next of them
 * to end or to wait sees to the job. */
static void wake_one(struct pool *pool)
{
	struct worker *worker = SLIST_FIRST(&pool->idle);
	if (!worker || pool->queued <= pool->woken || pool->running >= pool->running_max)
		return;
	SLIST_REMOVE_HEAD(&pool->idle, link);
	worker->woken = true;
	pool->woken++;
	pool->running++;
	pthread_cond_signal(&worker->wanted);
}

/* Whether one more job would have to wait beyond the queue's limit; lock held.
 * A job that a woken worker is coming for does not wait. */
static bool is_full(const struct pool *pool)
{
	bool has_place = !SLIST_EMPTY(&pool->idle) && pool->running < pool->running_max;
	return !has_place && pool->queued >= (uint64_t)pool->queue_max + pool->woken;
}

/* Whether a worker may take the next job; lock held. One above the limit
 * goes to sleep even if there is work: those that run will see to it. */
static bool has_work(struct pool *pool)
{
	return !TAILQ_EMPTY(&pool->queue) && pool->running <= pool->running_max;
}

static void put_idle(struct pool *pool, struct worker *worker)
{
	worker->woken = false;
	SLIST_INSERT_HEAD(&pool->idle, worker, link);
}

static void sleep_until_woken(struct pool *pool, struct worker *worker)
{
	while (!worker->woken)
		pthread_cond_wait(&worker->wanted, &pool->lock);
	pool->woken--;
}

/* A thread of Linux has a nice value of its own: setpriority(2), NOTES. To go back to a
 * smaller one would take a privilege. */
static void step_back(int nice)
{
	id_t self = (id_t)gettid();
	if (nice > 0 && nice > getpriority(PRIO_PROCESS, self))
		setpriority(PRIO_PROCESS, self, nice);
}

static void *run_jobs(void *arg)
{
	struct worker *worker = arg;
	struct pool *pool = own_pool = worker->pool;
	step_back(pool->nice);
	pthread_mutex_lock(&pool->lock);
	sleep_until_woken(pool, worker);
	for (;;) {
		if (has_work(pool)) {
			struct job *job = take_first_job(pool);
			wake_one(pool);
			pthread_mutex_unlock(&pool->lock);
			job->run(job);
			pthread_mutex_lock(&pool->lock);
		} else if (pool->stopping && TAILQ_EMPTY(&pool->queue)) {
			break;
		} else {
			pool->running--;
			put_idle(pool, worker);
			sleep_until_woken(pool, worker);
		}
	}
	pool->running--;
	pthread_mutex_unlock(&pool->lock);
	return NULL;
}

/* The worker is idle from the start, not only once its thread has been scheduled:
 * a new lane has all its places. */
static enum err start_worker(struct pool *pool, struct worker *worker, const char *name)
{
	/* Handlers keep little on the stack; many threads mostly wait. */
	static const size_t stack_bytes = 256 * 1024;
	worker->pool = pool;
	pthread_cond_init(&worker->wanted, NULL);
	pthread_attr_t attr;
	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, stack_bytes);
	int failed = pthread_create(&worker->thread, &attr, run_jobs, worker);
	pthread_attr_destroy(&attr);
	if (failed) {
		pthread_cond_destroy(&worker->wanted);
		return ERR_IO;
	}
	pthread_setname_np(worker->thread, name);
	pthread_mutex_lock(&pool->lock);
	put_idle(pool, worker);
	pthread_mutex_unlock(&pool->lock);
	return ERR_OK;
}

static enum err start_workers(struct pool *pool, const struct pool_config *config)
{
	while (pool->started < config->threads) {
		struct worker *worker = &pool->workers[pool->started];
		enum err err = start_worker(pool, worker, config->name);
		if (err != ERR_OK)
			return err;
		pool->started++;
	}
	return ERR_OK;
}

enum err pool_create(const struct pool_config *config, struct pool **ret_pool)
{
	assert(config->threads >= 1 && config->running >= 1);
	struct pool *pool = calloc(
		1, sizeof *pool + config->threads * sizeof pool->workers[0]);
	if (!pool)
		return ERR_NOMEM;
	pthread_mutex_init(&pool->lock, NULL);
	TAILQ_INIT(&pool->queue);
	SLIST_INIT(&pool->idle);
	pool->running_max = config->running;
	pool->queue_max = config->queue_max;
	pool->nice = config->nice;
	enum err err = start_workers(pool, config);
	if (err == ERR_OK)
		*ret_pool = pool;
	else
		pool_destroy(pool);
	return err;
}

static void wake_all_to_stop(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	pool->stopping = true;
	struct worker *worker;
	SLIST_FOREACH(worker, &pool->idle, link) {
		worker->woken = true;
		pool->woken++;
		pool->running++;
		pthread_cond_signal(&worker->wanted);
	}
	SLIST_INIT(&pool->idle);
	pool->running_max = UINT32_MAX;
	pthread_mutex_unlock(&pool->lock);
}

void pool_destroy(struct pool *pool)
{
	if (!pool)
		return;
	wake_all_to_stop(pool);
	for (unsigned i = 0; i < pool->started; i++) {
		pthread_join(pool->workers[i].thread, NULL);
		pthread_cond_destroy(&pool->workers[i].wanted);
	}
	assert(TAILQ_EMPTY(&pool->queue));
	pthread_mutex_destroy(&pool->lock);
	free(pool);
}

enum err pool_submit(struct pool *pool, struct job *job)
{
	enum err err = ERR_OK;
	pthread_mutex_lock(&pool->lock);
	assert(!job->queued && !pool->stopping);
	if (is_full(pool)) {
		pool->refused++;
		err = ERR_BUSY;
	} else {
		queue_job(pool, job);
		wake_one(pool);
	}
	pthread_mutex_unlock(&pool->lock);
	return err;
}

bool pool_remove(struct pool *pool, struct job *job)
{
	pthread_mutex_lock(&pool->lock);
	bool queued = job->queued;
	if (queued)
		unqueue_job(pool, job);
	pthread_mutex_unlock(&pool->lock);
	return queued;
}

void pool_block_begin(void)
{
	struct pool *pool = own_pool;
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->running--;
	pool->waiting++;
	wake_one(pool);
	pthread_mutex_unlock(&pool->lock);
}

void pool_block_end(void)
{
	struct pool *pool = own_pool;
	if (!pool)
		return;
	pthread_mutex_lock(&pool->lock);
	pool->waiting--;
	pool->running++;
	pthread_mutex_unlock(&pool->lock);
}

void pool_stats(struct pool *pool, struct pool_stats *ret_stats)
{
	pthread_mutex_lock(&pool->lock);
	*ret_stats = (struct pool_stats){
		.queued = pool->queued,
		.running = pool->running,
		.waiting = pool->waiting,
		.refused = pool->refused,
	};
	pthread_mutex_unlock(&pool->lock);
}
