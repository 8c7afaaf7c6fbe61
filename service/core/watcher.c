#include "service/core/watcher.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "service/core/timer.h"

/*
 * Why a stale event never hits the wrong connection:
 *
 * epoll_wait() may already have handed out an event for a socket that is then
 * removed, closed, and its number and its slot given to the next connection.
 * So an event carries the slot and its generation, and it is looked up under
 * the lock. Removing a watch raises the generation under the same lock, and
 * then waits for a call that had been looked up before. Either the look-up
 * comes first, and the owner waits for the call to end before he closes; or the
 * removal comes first, and the look-up fails.
 */
enum { EVENTS_AT_ONCE = 64, SLOTS_AT_FIRST = 64 };

static const uint32_t none = UINT32_MAX;

/* All fields: watcher::lock. */
struct slot {
	uint32_t generation; /* odd while in use, so that none in use is 0 */
	uint32_t next_free;
	int fd;
	watch_fn *fn;
	void *arg;
};

struct watcher {
	int epoll_fd; /* set once */
	int wake_fd;  /* set once: eventfd, for earlier timers and the end */
	struct timers *timers;
	pthread_t thread;
	bool started;
	atomic_bool stopping;

	pthread_mutex_t lock;
	pthread_cond_t returned; /* calling became none */
	struct slot *slots;      /* lock */
	uint32_t slots_count;    /* lock */
	uint32_t first_free;     /* lock: heads the list of free slots; or none */
	uint32_t calling;        /* lock: the slot whose fn is running, or none */
};

static const uint64_t wake_key = UINT64_MAX;

/* The slot that an event or a watch means, if it still is that one's; lock held. */
static struct slot *find_slot(struct watcher *watcher, watch watched)
{
	if (watched.slot >= watcher->slots_count)
		return NULL;
	struct slot *slot = &watcher->slots[watched.slot];
	return slot->generation == watched.generation ? slot : NULL;
}

static uint64_t key_of(watch watched)
{
	return (uint64_t)watched.slot << 32 | watched.generation;
}

static watch watch_of(uint64_t key)
{
	return (watch){ .slot = key >> 32, .generation = (uint32_t)key };
}

static void call_watch(struct watcher *watcher, watch watched, enum watch_event event)
{
	pthread_mutex_lock(&watcher->lock);
	struct slot *slot = find_slot(watcher, watched);
	if (slot) {
		watch_fn *fn = slot->fn;
		void *arg = slot->arg;
		watcher->calling = watched.slot;
		pthread_mutex_unlock(&watcher->lock);
		fn(arg, event);
		pthread_mutex_lock(&watcher->lock);
		watcher->calling = none;
		pthread_cond_broadcast(&watcher->returned);
	}
	pthread_mutex_unlock(&watcher->lock);
}

static void handle_event(struct watcher *watcher, const struct epoll_event *event)
{
	if (event->data.u64 == wake_key) {
		uint64_t count;
		ssize_t got = read(watcher->wake_fd, &count, sizeof count);
		(void)got; /* empty is as good: the timers are looked at either way */
	} else if (event->events & (EPOLLERR | EPOLLHUP)) {
		call_watch(watcher, watch_of(event->data.u64), WATCH_GONE);
	} else if (event->events & EPOLLRDHUP) {
		call_watch(watcher, watch_of(event->data.u64), WATCH_HALF_CLOSED);
	}
}

/* Rounded up, so that a timer is due when the thread wakes for it. */
static int ms_until(instant when)
{
	enum { NS_PER_MS = 1000000, HOUR_MS = 3600000 };
	if (when.ns == INSTANT_NEVER.ns)
		return -1;
	int64_t ns = instant_diff_ns(instant_now(), when);
	if (ns <= 0)
		return 0;
	int64_t ms = (ns + NS_PER_MS - 1) / NS_PER_MS;
	return ms < HOUR_MS ? (int)ms : HOUR_MS;
}

static void *watch_all(void *arg)
{
	struct watcher *watcher = arg;
	struct epoll_event events[EVENTS_AT_ONCE];
	while (!atomic_load(&watcher->stopping)) {
		int timeout_ms = ms_until(timers_next(watcher->timers));
		int count = epoll_wait(
			watcher->epoll_fd, events, EVENTS_AT_ONCE, timeout_ms);
		for (int i = 0; i < count; i++)
			handle_event(watcher, &events[i]);
		timers_run(watcher->timers, instant_now());
	}
	return NULL;
}

static void wake_watcher(void *arg)
{
	struct watcher *watcher = arg;
	ssize_t written = write(watcher->wake_fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	(void)written; /* full means that it is awake already */
}

static enum err open_fds(struct watcher *watcher)
{
	watcher->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	watcher->wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (watcher->epoll_fd < 0 || watcher->wake_fd < 0)
		return ERR_IO;
	struct epoll_event event = { .events = EPOLLIN, .data.u64 = wake_key };
	if (epoll_ctl(watcher->epoll_fd, EPOLL_CTL_ADD, watcher->wake_fd, &event) != 0)
		return ERR_IO;
	return ERR_OK;
}

static enum err start_watching(struct watcher *watcher)
{
	enum err err = open_fds(watcher);
	if (err != ERR_OK)
		return err;
	watcher->timers = timers_create(wake_watcher, watcher);
	if (!watcher->timers)
		return ERR_NOMEM;
	if (pthread_create(&watcher->thread, NULL, watch_all, watcher) != 0)
		return ERR_IO;
	watcher->started = true;
	pthread_setname_np(watcher->thread, "watcher");
	return ERR_OK;
}

enum err watcher_create(struct watcher **ret_watcher)
{
	struct watcher *watcher = calloc(1, sizeof *watcher);
	if (!watcher)
		return ERR_NOMEM;
	watcher->epoll_fd = watcher->wake_fd = -1;
	watcher->first_free = watcher->calling = none;
	pthread_mutex_init(&watcher->lock, NULL);
	pthread_cond_init(&watcher->returned, NULL);
	enum err err = start_watching(watcher);
	if (err == ERR_OK)
		*ret_watcher = watcher;
	else
		watcher_destroy(watcher);
	return err;
}

static void stop_watching(struct watcher *watcher)
{
	atomic_store(&watcher->stopping, true);
	wake_watcher(watcher);
	pthread_join(watcher->thread, NULL);
}

void watcher_destroy(struct watcher *watcher)
{
	if (!watcher)
		return;
	if (watcher->started)
		stop_watching(watcher);
	timers_destroy(watcher->timers);
	free(watcher->slots);
	if (watcher->wake_fd >= 0)
		close(watcher->wake_fd);
	if (watcher->epoll_fd >= 0)
		close(watcher->epoll_fd);
	pthread_cond_destroy(&watcher->returned);
	pthread_mutex_destroy(&watcher->lock);
	free(watcher);
}

struct timers *watcher_timers(struct watcher *watcher)
{
	return watcher->timers;
}

static void put_free(struct watcher *watcher, uint32_t index)
{
	watcher->slots[index].next_free = watcher->first_free;
	watcher->first_free = index;
}

/* Doubles the slots; lock held. */
static enum err add_slots(struct watcher *watcher)
{
	uint32_t old = watcher->slots_count;
	uint32_t count = old ? 2 * old : SLOTS_AT_FIRST;
	struct slot *slots = realloc(watcher->slots, count * sizeof *slots);
	if (!slots)
		return ERR_NOMEM;
	watcher->slots = slots;
	watcher->slots_count = count;
	memset(&slots[old], 0, (count - old) * sizeof *slots);
	for (uint32_t index = old; index < count; index++)
		put_free(watcher, index);
	return ERR_OK;
}

static enum err take_slot(
	struct watcher *watcher, int fd, watch_fn *fn, void *arg, watch *ret_watch)
{
	enum err err = watcher->first_free == none ? add_slots(watcher) : ERR_OK;
	if (err != ERR_OK)
		return err;
	uint32_t index = watcher->first_free;
	struct slot *slot = &watcher->slots[index];
	watcher->first_free = slot->next_free;
	slot->generation++;
	slot->fd = fd;
	slot->fn = fn;
	slot->arg = arg;
	*ret_watch = (watch){ .slot = index, .generation = slot->generation };
	return ERR_OK;
}

/* From here on no event finds the slot, and once a call has ended another watch
 * may have it; lock held, given back while waiting. */
static void release_slot(struct watcher *watcher, uint32_t index)
{
	watcher->slots[index].generation++;
	while (watcher->calling == index)
		pthread_cond_wait(&watcher->returned, &watcher->lock);
	put_free(watcher, index);
}

enum err watcher_add(
	struct watcher *watcher, int fd, watch_fn *fn, void *arg, watch *ret_watch)
{
	watch watched;
	pthread_mutex_lock(&watcher->lock);
	enum err err = take_slot(watcher, fd, fn, arg, &watched);
	pthread_mutex_unlock(&watcher->lock);
	if (err != ERR_OK)
		return err;
	struct epoll_event event = {
		.events = EPOLLRDHUP | EPOLLET, /* EPOLLERR and EPOLLHUP are implied */
		.data.u64 = key_of(watched),
	};
	if (epoll_ctl(watcher->epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) {
		err = errno == ENOMEM || errno == ENOSPC ? ERR_NOMEM : ERR_IO;
		/* Not watcher_remove(): on EEXIST it would end the other watch of fd. */
		pthread_mutex_lock(&watcher->lock);
		release_slot(watcher, watched.slot);
		pthread_mutex_unlock(&watcher->lock);
		return err;
	}
	*ret_watch = watched;
	return ERR_OK;
}

void watcher_remove(struct watcher *watcher, watch watched)
{
	if (watched.generation == 0)
		return;
	pthread_mutex_lock(&watcher->lock);
	struct slot *slot = find_slot(watcher, watched);
	assert(slot && !pthread_equal(watcher->thread, pthread_self()));
	epoll_ctl(watcher->epoll_fd, EPOLL_CTL_DEL, slot->fd, NULL);
	release_slot(watcher, watched.slot);
	pthread_mutex_unlock(&watcher->lock);
}
