#ifndef HANGUP_SERVICE_HTTP_METRICS_H
#define HANGUP_SERVICE_HTTP_METRICS_H

/*
 * What has become of a server's requests, in counters: by route and status, by what
 * cancelled them and where, and how long all that took. Their number depends on the
 * routes alone, never on what clients send. Any thread may count and print; nobody waits
 * for anybody.
 */
#include "service/core/cancel.h"
#include "service/core/prometheus.h"
#include "service/http/exchange_state.h"
#include "service/http/router.h"

struct metrics;

/* routes must outlive it. NULL when out of memory. */
struct metrics *metrics_create(const struct route *routes, size_t count);
void metrics_destroy(struct metrics *metrics); /* NULL is a no-op */

/* A request that has ended. */
struct metrics_request {
	const struct route *route; /* of the table; NULL: none fitted */
	unsigned status;           /* 499: the client left before it was answered */
	int64_t took_ns;
	enum cancel_cause cause;   /* with a cause: */
	enum exchange_phase phase; /* where it was when that came */
	int64_t stopping_ns;       /* and how long it took from there to its end */
};

void metrics_count(struct metrics *metrics, const struct metrics_request *request);

/* A request whose headers were never complete. */
void metrics_count_unbegun(struct metrics *metrics);

void metrics_print(const struct metrics *metrics, struct prometheus *page);

#endif
