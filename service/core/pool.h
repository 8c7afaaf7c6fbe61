#ifndef HANGUP_SERVICE_CORE_POOL_H
#define HANGUP_SERVICE_CORE_POOL_H

/*
 * A lane: worker threads behind a bounded queue. Lanes are bulkheads: however
 * full one of them is, another keeps its threads.
 *
 * running limits the jobs that use the processor, threads those that have
 * begun. A job that waits (for a commit, say) lends its place to the next one
 * between pool_block_begin() and pool_block_end(); so a lane has a few running
 * jobs, and as many more waiting ones as it has threads.
 *
 * Lock order: the pool's lock is a leaf; no lock is held while a job runs.
 */
#include <stdbool.h>
#include <sys/queue.h>

#include "service/core/error.h"

struct pool;

struct pool_config {
	const char *name;   /* of the threads; at most 12 bytes */
	unsigned threads;   /* at least 1 */
	unsigned running;   /* 1 to threads */
	unsigned queue_max; /* jobs that may wait for a thread */
	int nice;           /* at least that of the threads; 0 to 19 */
};

/* One piece of work. The owner provides the memory, zeroed, and keeps it until
 * run has been called or pool_remove() has returned true. */
struct job {
	void (*run)(struct job *job);
	TAILQ_ENTRY(job) link; /* pool::lock; pool::queue */
	bool queued;           /* pool::lock: link is in that list */
};

/* Starts the threads. ERR_NOMEM, or ERR_IO when a thread cannot be had. */
enum err pool_create(const struct pool_config *config, struct pool **ret_pool);

/* Runs what is queued, ends the threads and frees. Nobody may submit any more.
 * NULL is a no-op. Blocks until the last job has returned. */
void pool_destroy(struct pool *pool);

/* Takes job on ERR_OK; otherwise the caller keeps it. Never blocks: a full
 * queue is ERR_BUSY. Any thread. */
enum err pool_submit(struct pool *pool, struct job *job);

/* Takes job out of the queue: true when it was there, and then it never runs.
 * False when a worker has it, or had. Never blocks. Any thread. */
bool pool_remove(struct pool *pool, struct job *job);

/* Around a wait inside a job; see the head of this file. Neither blocks: a job
 * that comes back goes on at once, and the lane runs one too many until the
 * next one ends. In a thread that is no worker both do nothing. */
void pool_block_begin(void);
void pool_block_end(void);

struct pool_stats {
	unsigned queued;
	unsigned running; /* jobs that run, without those that wait */
	unsigned waiting; /* jobs inside pool_block_begin() */
	uint64_t refused;
};
void pool_stats(struct pool *pool, struct pool_stats *ret_stats);

#endif
