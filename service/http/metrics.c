#include "service/http/metrics.h"

#include <stdlib.h>

/* A count for each status there may be is 4 KB a route, of which only what is used
 * takes memory, and needs neither a search nor a limit to their number. */
enum { STATUS_MIN = 100, STATUSES = 500, CLASSES = STATUSES / 100 };

struct route_metrics {
	_Atomic uint64_t answered[STATUSES];
	struct histogram took[CLASSES];
};

struct metrics {
	const struct route *routes;
	size_t count;
	_Atomic uint64_t unbegun;
	_Atomic uint64_t cancelled[CANCEL_CAUSES][PHASES];
	struct histogram stopping[CANCEL_CAUSES];
	struct route_metrics by_route[]; /* count of them, and one for what has none */
};

struct metrics *metrics_create(const struct route *routes, size_t count)
{
	struct metrics *metrics = calloc(
		1, sizeof *metrics + (count + 1) * sizeof metrics->by_route[0]);
	if (!metrics)
		return NULL;
	metrics->routes = routes;
	metrics->count = count;
	return metrics;
}

void metrics_destroy(struct metrics *metrics)
{
	free(metrics);
}

/*
 * Counting.
 */

static void add_one(_Atomic uint64_t *counter)
{
	atomic_fetch_add_explicit(counter, 1, memory_order_relaxed);
}

static struct route_metrics *of_route(struct metrics *metrics, const struct route *route)
{
	size_t index = route ? (size_t)(route - metrics->routes) : metrics->count;
	return &metrics->by_route[index];
}

/* What is no status at all is the service's own fault. */
static size_t status_index(unsigned status)
{
	enum { OUR_FAULT = 500 };
	bool valid = status >= STATUS_MIN && status < STATUS_MIN + STATUSES;
	return (valid ? status : OUR_FAULT) - STATUS_MIN;
}

void metrics_count(struct metrics *metrics, const struct metrics_request *request)
{
	struct route_metrics *route = of_route(metrics, request->route);
	size_t status = status_index(request->status);
	add_one(&route->answered[status]);
	histogram_count(&route->took[status / 100], request->took_ns);
	if (request->cause == CANCEL_NONE)
		return;
	add_one(&metrics->cancelled[request->cause][request->phase]);
	histogram_count(&metrics->stopping[request->cause], request->stopping_ns);
}

void metrics_count_unbegun(struct metrics *metrics)
{
	add_one(&metrics->unbegun);
}

/*
 * Printing. What has never happened is left out, or there would be 500 lines a route.
 */

/* The labels of the route at index; those of the others that fit none of the table. */
static struct prometheus_label route_label(const struct metrics *metrics, size_t index)
{
	bool known = index < metrics->count;
	return (struct prometheus_label){ "route",
		known ? metrics->routes[index].path : "" };
}

static struct prometheus_label method_label(const struct metrics *metrics, size_t index)
{
	bool known = index < metrics->count;
	return (struct prometheus_label){ "method",
		known ? metrics->routes[index].method : "" };
}

static void print_answered_by(
	const struct metrics *metrics, size_t index, const struct prometheus *page)
{
	char status[] = "000";
	const struct prometheus_label labels[] = { method_label(metrics, index),
		route_label(metrics, index), { "status", status }, { 0 } };
	for (size_t i = 0; i < STATUSES; i++) {
		uint64_t count = atomic_load(&metrics->by_route[index].answered[i]);
		if (count == 0)
			continue;
		snprintf(status, sizeof status, "%zu", (STATUS_MIN + i) % 1000);
		prometheus_count(page, labels, count);
	}
}

static void print_answered(const struct metrics *metrics, struct prometheus *page)
{
	prometheus_family(page, "requests_total", "counter",
		"Requests that have ended, by route and status. 499: the client left before "
		"it had its answer.");
	for (size_t i = 0; i <= metrics->count; i++)
		print_answered_by(metrics, i, page);
}

static bool is_empty(const struct histogram *histogram)
{
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++)
		if (atomic_load(&histogram->counts[i]) > 0)
			return false;
	return true;
}

static void print_took_by(
	const struct metrics *metrics, size_t index, const struct prometheus *page)
{
	char class[] = "0xx";
	const struct prometheus_label labels[] = { method_label(metrics, index),
		route_label(metrics, index), { "status", class }, { 0 } };
	for (size_t i = 0; i < CLASSES; i++) {
		const struct histogram *took = &metrics->by_route[index].took[i];
		class[0] = (char)('1' + i);
		if (!is_empty(took))
			prometheus_histogram(page, labels, took);
	}
}

static void print_took(const struct metrics *metrics, struct prometheus *page)
{
	prometheus_family(page, "request_duration_seconds", "histogram",
		"From a request's first line to the end of its answer, by route and class of "
		"status.");
	for (size_t i = 0; i <= metrics->count; i++)
		print_took_by(metrics, i, page);
}

static void print_unbegun(const struct metrics *metrics, struct prometheus *page)
{
	prometheus_family(page, "requests_unbegun_total", "counter",
		"Requests that ended before their headers were complete.");
	prometheus_count(page, NULL, atomic_load(&metrics->unbegun));
}

static void print_cancelled(const struct metrics *metrics, struct prometheus *page)
{
	prometheus_family(page, "requests_cancelled_total", "counter",
		"Requests that were ended before their time, by cause and by what they were "
		"at.");
	for (int cause = CANCEL_NONE + 1; cause < CANCEL_CAUSES; cause++) {
		for (int phase = 0; phase < PHASE_DONE; phase++) {
			const struct prometheus_label labels[] = {
				{ "cause", cancel_cause_name(cause) },
				{ "state", exchange_phase_name(phase) },
				{ 0 },
			};
			prometheus_count(page, labels,
				atomic_load(&metrics->cancelled[cause][phase]));
		}
	}
}

static void print_stopping(const struct metrics *metrics, struct prometheus *page)
{
	prometheus_family(page, "cancel_stop_seconds", "histogram",
		"From what cancelled a request until nothing was done for it any more, by "
		"cause.");
	for (int cause = CANCEL_NONE + 1; cause < CANCEL_CAUSES; cause++) {
		const struct prometheus_label labels[] = {
			{ "cause", cancel_cause_name(cause) }, { 0 }
		};
		prometheus_histogram(page, labels, &metrics->stopping[cause]);
	}
}

void metrics_print(const struct metrics *metrics, struct prometheus *page)
{
	print_answered(metrics, page);
	print_took(metrics, page);
	print_unbegun(metrics, page);
	print_cancelled(metrics, page);
	print_stopping(metrics, page);
}
