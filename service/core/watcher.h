#ifndef HANGUP_SERVICE_CORE_WATCHER_H
#define HANGUP_SERVICE_CORE_WATCHER_H

/*
 * The watcher is one thread that learns of hang-ups and keeps deadlines. It
 * watches sockets that somebody else reads and writes, in an epoll set of its
 * own, for what their owner cannot see while he does not read: the peer's FIN,
 * a reset, and silence past the TCP timeouts. Pipelined bytes do not hide any
 * of it: the set does not ask for readability (epoll_ctl(2), EPOLLRDHUP and
 * EPOLLET). A watched socket costs two system calls in its life, none a request.
 */
#include "service/core/error.h"

struct watcher;
struct timers;

/* What the peer did. */
enum watch_event {
	WATCH_HALF_CLOSED, /* it sent FIN: it left, or only finished sending */
	WATCH_GONE,        /* reset, error, or both directions closed */
};

/* Called in the watcher's thread, perhaps more than once for the same event; must
 * not block on anything that waits for watcher_remove() of the same socket. */
typedef void watch_fn(void *arg, enum watch_event event);

/* A watched socket: never a bare fd, whose number the next connection may have. */
typedef struct {
	uint32_t slot;
	uint32_t generation; /* 0: none */
} watch;

/* Starts the thread. ERR_NOMEM or ERR_IO. */
enum err watcher_create(struct watcher **ret_watcher);

/* Ends the thread and frees. Every watch must have been removed and every timer
 * be out. NULL is a no-op. */
void watcher_destroy(struct watcher *watcher);

/* The timers that this thread drives: they run within 5 ms of their instant. */
struct timers *watcher_timers(struct watcher *watcher);

/* Starts to watch fd, which must not be watched already. What happened before the
 * call is reported as well; fn may run before ret_watch is written. ERR_NOMEM or
 * ERR_IO: then fn never runs. Any thread; does not block. */
enum err watcher_add(
	struct watcher *watcher, int fd, watch_fn *fn, void *arg, watch *ret_watch);

/* Stops watching; call it before fd is closed. When this returns, fn is not
 * running for this watch and never will, whatever events are still on their way.
 * Any thread but the watcher's; blocks while fn runs. A zeroed watch is a no-op. */
void watcher_remove(struct watcher *watcher, watch watched);

#endif
