#include "service/http/inflight.h"

#include <assert.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "service/http/exchange.h"

enum err inflight_init(struct inflight *inflight)
{
	*inflight = (struct inflight){ .idle_fd = eventfd(
					       0, EFD_CLOEXEC | EFD_NONBLOCK) };
	pthread_mutex_init(&inflight->lock, NULL);
	clock_cond_init(&inflight->fewer);
	return inflight->idle_fd >= 0 ? ERR_OK : ERR_IO;
}

void inflight_finish(struct inflight *inflight)
{
	assert(LIST_EMPTY(&inflight->list));
	if (inflight->idle_fd >= 0)
		close(inflight->idle_fd);
	pthread_cond_destroy(&inflight->fewer);
	pthread_mutex_destroy(&inflight->lock);
}

void inflight_add(struct inflight *inflight, struct exchange *exchange)
{
	pthread_mutex_lock(&inflight->lock);
	LIST_INSERT_HEAD(&inflight->list, exchange, listed);
	inflight->count++;
	inflight->total++;
	pthread_mutex_unlock(&inflight->lock);
}

/* Lock held. A request may still come over an open connection after this, but
 * then whoever waits for the drain has seen a moment without any. */
static void tell_if_idle(struct inflight *inflight)
{
	if (!inflight->draining || inflight->count > 0)
		return;
	ssize_t written = write(inflight->idle_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	(void)written; /* full is as readable as one */
}

void inflight_remove(
	struct inflight *inflight, struct exchange *exchange, enum cancel_cause cause)
{
	pthread_mutex_lock(&inflight->lock);
	LIST_REMOVE(exchange, listed);
	inflight->count--;
	inflight->cancelled[cause]++;
	tell_if_idle(inflight);
	pthread_cond_broadcast(&inflight->fewer);
	pthread_mutex_unlock(&inflight->lock);
}

bool inflight_work_begin(struct inflight *inflight)
{
	pthread_mutex_lock(&inflight->lock);
	bool begins = !inflight->stopping;
	inflight->working += begins;
	pthread_mutex_unlock(&inflight->lock);
	return begins;
}

void inflight_work_end(struct inflight *inflight)
{
	pthread_mutex_lock(&inflight->lock);
	inflight->working--;
	pthread_cond_broadcast(&inflight->fewer);
	pthread_mutex_unlock(&inflight->lock);
}

void inflight_drain(struct inflight *inflight)
{
	pthread_mutex_lock(&inflight->lock);
	inflight->draining = true;
	tell_if_idle(inflight);
	pthread_mutex_unlock(&inflight->lock);
}

bool inflight_is_draining(struct inflight *inflight)
{
	pthread_mutex_lock(&inflight->lock);
	bool draining = inflight->draining;
	pthread_mutex_unlock(&inflight->lock);
	return draining;
}

void inflight_stop(struct inflight *inflight)
{
	pthread_mutex_lock(&inflight->lock);
	inflight->draining = inflight->stopping = true;
	while (inflight->working > 0)
		pthread_cond_wait(&inflight->fewer, &inflight->lock);
	pthread_mutex_unlock(&inflight->lock);
}

bool inflight_wait_empty(struct inflight *inflight, int64_t ms)
{
	instant until = instant_add_ms(instant_now(), ms);
	pthread_mutex_lock(&inflight->lock);
	while (inflight->count > 0 &&
		clock_cond_wait(&inflight->fewer, &inflight->lock, until))
		;
	bool empty = inflight->count == 0;
	pthread_mutex_unlock(&inflight->lock);
	return empty;
}
