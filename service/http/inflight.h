#ifndef HANGUP_SERVICE_HTTP_INFLIGHT_H
#define HANGUP_SERVICE_HTTP_INFLIGHT_H

/*
 * The exchanges in flight: listed from their first line to their log line, and
 * counted apart while a worker has a hand in them. Shutting down needs both:
 * libmicrohttpd aborts the process when it is stopped with a suspended
 * connection (MHD_stop_daemon), and a connection is suspended only while a worker
 * has a hand in its exchange. Any thread, unless said otherwise.
 */
#include <pthread.h>
#include <sys/queue.h>

#include "service/core/error.h"

struct exchange;

struct inflight {
	pthread_mutex_t lock;
	pthread_cond_t fewer;              /* a count went down */
	LIST_HEAD(, exchange) list;        /* exchange::listed, the newest first; lock */
	unsigned count;                    /* lock */
	unsigned working;                  /* lock */
	uint64_t total;                    /* lock */
	uint64_t cancelled[CANCEL_CAUSES]; /* lock */
	bool draining;                     /* lock */
	bool stopping;                     /* lock: no work begins any more */
	int idle_fd; /* set once: eventfd, readable when draining and empty */
};

enum err inflight_init(struct inflight *inflight); /* ERR_IO without an eventfd */
void inflight_finish(struct inflight *inflight);

void inflight_add(struct inflight *inflight, struct exchange *exchange);

/* cause is what cancelled it, or CANCEL_NONE. The caller touches neither the
 * exchange's neighbours nor, if this was the last, the server afterwards. */
void inflight_remove(
	struct inflight *inflight, struct exchange *exchange, enum cancel_cause cause);

/* A worker gets a hand in an exchange; false once inflight_stop() was called. */
bool inflight_work_begin(struct inflight *inflight);
void inflight_work_end(struct inflight *inflight);

void inflight_drain(struct inflight *inflight);
bool inflight_is_draining(struct inflight *inflight);

/* Lets no more work begin, and waits until none is going on. */
void inflight_stop(struct inflight *inflight);

/* Waits until nothing is listed; false when that took longer than ms. */
bool inflight_wait_empty(struct inflight *inflight, int64_t ms);

#endif
