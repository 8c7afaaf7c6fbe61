#include "service/core/timer.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>

struct timers {
	pthread_mutex_t lock;
	pthread_cond_t returned; /* running became NULL */
	struct timer *root;      /* lock: the earliest; NULL when empty */
	struct timer
		*running; /* lock: whose function is being called; compared, never read */
	pthread_t runner; /* lock: by whom; while running is set */
	instant armed;    /* lock: when the driving thread will come by itself */
	void (*wake)(void *arg); /* set once, with its argument */
	void *arg;
};

/*
 * The pairing heap (Fredman, Sedgewick, Sleator and Tarjan, 1986). A node's
 * prev is its left sibling, or its parent when it is the first child.
 */
static struct timer *meld(struct timer *a, struct timer *b)
{
	if (!a || !b)
		return a ? a : b;
	if (instant_before(b->when, a->when)) {
		struct timer *earlier = b;
		b = a;
		a = earlier;
	}
	b->next = a->child;
	if (b->next)
		b->next->prev = b;
	b->prev = a;
	a->child = b;
	return a;
}

static struct timer *detach(struct timer *node)
{
	node->next = node->prev = NULL;
	return node;
}

/* Melds a list of siblings in the two passes that give the heap its bound. */
static struct timer *meld_siblings(struct timer *first)
{
	struct timer *pairs = NULL; /* melded pairs, last one first, through next */
	while (first) {
		struct timer *a = first;
		struct timer *b = a->next;
		first = b ? b->next : NULL;
		detach(a);
		struct timer *pair = b ? meld(a, detach(b)) : a;
		pair->next = pairs;
		pairs = pair;
	}
	struct timer *root = NULL;
	while (pairs) {
		struct timer *pair = pairs;
		pairs = pair->next;
		root = meld(root, detach(pair));
	}
	return root;
}

static void unlink_node(struct timer *node)
{
	if (node->prev->child == node)
		node->prev->child = node->next;
	else
		node->prev->next = node->next;
	if (node->next)
		node->next->prev = node->prev;
}

static void heap_remove(struct timers *timers, struct timer *node)
{
	struct timer *orphans = meld_siblings(node->child);
	if (node == timers->root) {
		timers->root = orphans;
	} else {
		unlink_node(node);
		timers->root = meld(timers->root, orphans);
	}
	node->child = NULL;
	detach(node);
	node->queued = false;
}

struct timers *timers_create(void (*wake)(void *arg), void *arg)
{
	struct timers *timers = calloc(1, sizeof *timers);
	if (!timers)
		return NULL;
	pthread_mutex_init(&timers->lock, NULL);
	pthread_cond_init(&timers->returned, NULL);
	timers->armed = INSTANT_NEVER;
	timers->wake = wake;
	timers->arg = arg;
	return timers;
}

void timers_destroy(struct timers *timers)
{
	if (!timers)
		return;
	assert(!timers->root);
	pthread_cond_destroy(&timers->returned);
	pthread_mutex_destroy(&timers->lock);
	free(timers);
}

void timer_add(
	struct timers *timers, struct timer *timer, instant when, timer_fn *fn, void *arg)
{
	pthread_mutex_lock(&timers->lock);
	assert(!timer->queued);
	*timer = (struct timer){ .when = when, .fn = fn, .arg = arg, .queued = true };
	timers->root = meld(timers->root, timer);
	/* armed stays as it was when the earliest timer is removed: the thread
	 * then wakes once for nothing, and that is cheaper than waking it for
	 * every request that starts while no other runs. */
	bool earlier = instant_before(when, timers->armed);
	if (earlier)
		timers->armed = when;
	pthread_mutex_unlock(&timers->lock);
	if (earlier)
		timers->wake(timers->arg);
}

bool timer_remove(struct timers *timers, struct timer *timer)
{
	bool removed = false;
	pthread_mutex_lock(&timers->lock);
	for (;;) {
		if (timer->queued) {
			heap_remove(timers, timer);
			removed = true;
		}
		if (timers->running != timer ||
			pthread_equal(timers->runner, pthread_self()))
			break;
		/* Looked at again afterwards: the function may add its timer anew. */
		pthread_cond_wait(&timers->returned, &timers->lock);
	}
	pthread_mutex_unlock(&timers->lock);
	return removed;
}

/* Called and returning with the lock held. The function may free its timer, so
 * nothing of it is read after the call. */
static void run_one(struct timers *timers, struct timer *timer)
{
	timer_fn *fn = timer->fn;
	void *arg = timer->arg;
	heap_remove(timers, timer);
	timers->running = timer;
	timers->runner = pthread_self();
	pthread_mutex_unlock(&timers->lock);
	fn(arg);
	pthread_mutex_lock(&timers->lock);
	timers->running = NULL;
	pthread_cond_broadcast(&timers->returned);
}

void timers_run(struct timers *timers, instant now)
{
	pthread_mutex_lock(&timers->lock);
	while (timers->root && !instant_before(now, timers->root->when))
		run_one(timers, timers->root);
	pthread_mutex_unlock(&timers->lock);
}

instant timers_next(struct timers *timers)
{
	pthread_mutex_lock(&timers->lock);
	timers->armed = timers->root ? timers->root->when : INSTANT_NEVER;
	instant next = timers->armed;
	pthread_mutex_unlock(&timers->lock);
	return next;
}
