/*
 * The page of metrics: that Prometheus can read it, and that it says what was counted.
 */
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "service/http/metrics.h"
#include "tests/support/cmocka.h"
#include "tests/support/metrics_page.h"

enum { US = 1000, MS = 1000 * US };

static const struct route routes[] = {
	{ .method = "GET", .path = "/things/{id}" },
	{ .method = "POST", .path = "/things" },
};

enum { ROUTES = sizeof routes / sizeof *routes };

struct page {
	char *text;
	size_t len;
	struct prometheus prometheus;
};

static void open_page(struct page *page, const char *prefix)
{
	*page = (struct page){ 0 };
	page->prometheus = (struct prometheus){ open_memstream(&page->text, &page->len),
		prefix, NULL };
	assert_non_null(page->prometheus.out);
}

static const char *close_page(struct page *page)
{
	assert_int_equal(fclose(page->prometheus.out), 0);
	return page->text;
}

static void assert_value(const char *text, const char *series, double value)
{
	double found = metrics_page_value(text, series);
	if (found < value - 1e-12 || found > value + 1e-12)
		fail_msg("%s is %.9f, not %.9f, in\n%s", series, found, value, text);
}

/*
 * The format.
 */

static void a_name_holds_only_what_names_may(void **state)
{
	struct page page;
	(void)state;
	open_page(&page, "my-own.service");
	prometheus_family(&page.prometheus, "commits_total", "counter", "Commits.");
	prometheus_count(&page.prometheus, NULL, 3);
	assert_string_equal(close_page(&page),
		"# HELP my_own_service_commits_total Commits.\n"
		"# TYPE my_own_service_commits_total counter\n"
		"my_own_service_commits_total 3\n");
	metrics_page_check(page.text);
	free(page.text);
}

static void a_label_is_escaped(void **state)
{
	struct page page;
	const struct prometheus_label labels[] = { { "a", "\\ \" \n x" }, { "b", "" },
		{ 0 } };
	(void)state;
	open_page(&page, NULL);
	prometheus_family(&page.prometheus, "size", "gauge", "Size.");
	prometheus_count(&page.prometheus, labels, 18446744073709551615u);
	close_page(&page);
	metrics_page_check(page.text);
	assert_non_null(strstr(page.text,
		"\nsize{a=\"\\\\ \\\" \\n x\",b=\"\"} 18446744073709551615\n"));
	free(page.text);
}

static void seconds_keep_their_nanoseconds(void **state)
{
	struct page page;
	(void)state;
	open_page(&page, NULL);
	prometheus_family(&page.prometheus, "pause_seconds", "gauge", "Pause.");
	prometheus_seconds(&page.prometheus, NULL, 2000000005);
	assert_non_null(strstr(close_page(&page), "\npause_seconds 2.000000005\n"));
	free(page.text);
}

/*
 * Histograms.
 */

static void a_bound_is_the_number_that_it_is_called(void **state)
{
	(void)state;
	for (size_t i = 0; i < HISTOGRAM_BOUNDS; i++) {
		double seconds = strtod(histogram_bounds[i].seconds, NULL);
		assert_int_equal((int64_t)(seconds * 1e9 + 0.5), histogram_bounds[i].ns);
	}
}

static void a_duration_is_in_every_bucket_that_it_does_not_exceed(void **state)
{
	struct histogram histogram = { 0 };
	struct page page;
	const struct prometheus_label labels[] = { { "kind", "any" }, { 0 } };
	(void)state;
	histogram_count(&histogram, -1);
	histogram_count(&histogram, 100 * US); /* a bound belongs to its bucket */
	histogram_count(&histogram, 100 * US + 1);
	histogram_count(&histogram, INT64_C(60000) * MS);
	open_page(&page, "x");
	prometheus_family(&page.prometheus, "stop_seconds", "histogram", "Stop.");
	prometheus_histogram(&page.prometheus, labels, &histogram);
	close_page(&page);
	metrics_page_check(page.text);
	assert_value(page.text, "x_stop_seconds_bucket{kind=\"any\",le=\"0.00005\"}", 1);
	assert_value(page.text, "x_stop_seconds_bucket{kind=\"any\",le=\"0.0001\"}", 2);
	assert_value(page.text, "x_stop_seconds_bucket{kind=\"any\",le=\"0.00025\"}", 3);
	assert_value(page.text, "x_stop_seconds_bucket{kind=\"any\",le=\"30\"}", 3);
	assert_value(page.text, "x_stop_seconds_bucket{kind=\"any\",le=\"+Inf\"}", 4);
	assert_value(page.text, "x_stop_seconds_sum{kind=\"any\"}", 60.000200001);
	assert_value(page.text, "x_stop_seconds_count{kind=\"any\"}", 4);
	free(page.text);
}

/*
 * Requests.
 */

static int set_up(void **state)
{
	*state = metrics_create(routes, ROUTES);
	return *state ? 0 : -1;
}

static int tear_down(void **state)
{
	metrics_destroy(*state);
	return 0;
}

/* The caller frees it. */
static char *print(const struct metrics *metrics)
{
	struct page page;
	open_page(&page, "x");
	metrics_print(metrics, &page.prometheus);
	close_page(&page);
	metrics_page_check(page.text);
	return page.text;
}

static void count_answered(
	struct metrics *metrics, const struct route *route, unsigned status, int64_t ns)
{
	metrics_count(metrics,
		&(struct metrics_request){
			.route = route, .status = status, .took_ns = ns });
}

#define THING  "method=\"GET\",route=\"/things/{id}\""
#define THINGS "method=\"POST\",route=\"/things\""
#define NONE   "method=\"\",route=\"\""
#define TOOK   "x_request_duration_seconds"

static void a_new_page_is_one_too(void **state)
{
	char *text = print(*state);
	assert_value(text, "x_requests_unbegun_total", 0);
	assert_value(text,
		"x_requests_cancelled_total{cause=\"client_gone\",state=\"running\"}", 0);
	assert_value(text, "x_cancel_stop_seconds_count{cause=\"operator\"}", 0);
	assert_null(strstr(text, "route="));
	free(text);
}

static void requests_are_counted_by_route_and_status(void **state)
{
	struct metrics *metrics = *state;
	count_answered(metrics, &routes[0], 200, 2 * MS);
	count_answered(metrics, &routes[0], 200, 4 * MS);
	count_answered(metrics, &routes[0], 404, 70 * US);
	count_answered(metrics, &routes[1], 201, 1 * MS);
	count_answered(metrics, NULL, 404, 30 * US);
	char *text = print(metrics);
	assert_value(text, "x_requests_total{" THING ",status=\"200\"}", 2);
	assert_value(text, "x_requests_total{" THING ",status=\"404\"}", 1);
	assert_value(text, "x_requests_total{" THINGS ",status=\"201\"}", 1);
	assert_value(text, "x_requests_total{" THINGS ",status=\"200\"}", -1);
	assert_value(text, "x_requests_total{" NONE ",status=\"404\"}", 1);
	free(text);
}

static void durations_are_counted_by_route_and_class(void **state)
{
	struct metrics *metrics = *state;
	count_answered(metrics, &routes[0], 200, 2 * MS);
	count_answered(metrics, &routes[0], 299, 4 * MS);
	count_answered(metrics, &routes[0], 404, 70 * US);
	count_answered(metrics, &routes[1], 503, 1 * MS);
	char *text = print(metrics);
	assert_value(text, TOOK "_bucket{" THING ",status=\"2xx\",le=\"0.001\"}", 0);
	assert_value(text, TOOK "_bucket{" THING ",status=\"2xx\",le=\"0.0025\"}", 1);
	assert_value(text, TOOK "_bucket{" THING ",status=\"2xx\",le=\"0.005\"}", 2);
	assert_value(text, TOOK "_sum{" THING ",status=\"2xx\"}", 0.006);
	assert_value(text, TOOK "_count{" THING ",status=\"4xx\"}", 1);
	assert_value(text, TOOK "_count{" THINGS ",status=\"5xx\"}", 1);
	assert_value(text, TOOK "_count{" THINGS ",status=\"2xx\"}", -1);
	free(text);
}

static void the_ends_of_the_range_of_statuses_count(void **state)
{
	struct metrics *metrics = *state;
	count_answered(metrics, NULL, 100, 0);
	count_answered(metrics, NULL, 599, 0);
	count_answered(metrics, NULL, 99, 0); /* no status: the service's own fault */
	count_answered(metrics, NULL, 600, 0);
	char *text = print(metrics);
	assert_value(text, "x_requests_total{" NONE ",status=\"100\"}", 1);
	assert_value(text, "x_requests_total{" NONE ",status=\"599\"}", 1);
	assert_value(text, "x_requests_total{" NONE ",status=\"500\"}", 2);
	assert_value(text, TOOK "_count{" NONE ",status=\"5xx\"}", 3);
	free(text);
}

static void cancellations_are_counted_by_cause_and_state(void **state)
{
	struct metrics *metrics = *state;
	const struct metrics_request left = { &routes[0], 499, 5 * MS, CANCEL_CLIENT_GONE,
		PHASE_RUNNING, 40 * US };
	const struct metrics_request killed = { &routes[0], 503, 5 * MS, CANCEL_OPERATOR,
		PHASE_QUEUED, 3 * MS };
	metrics_count(metrics, &left);
	metrics_count(metrics, &left);
	metrics_count(metrics, &killed);
	metrics_count_unbegun(metrics);
	char *text = print(metrics);
	assert_value(text,
		"x_requests_cancelled_total{cause=\"client_gone\",state=\"running\"}", 2);
	assert_value(text,
		"x_requests_cancelled_total{cause=\"client_gone\",state=\"queued\"}", 0);
	assert_value(text,
		"x_requests_cancelled_total{cause=\"operator\",state=\"queued\"}", 1);
	assert_value(text,
		"x_cancel_stop_seconds_bucket{cause=\"client_gone\",le=\"0.00005\"}", 2);
	assert_value(text, "x_cancel_stop_seconds_sum{cause=\"operator\"}", 0.003);
	assert_value(text, "x_requests_unbegun_total", 1);
	free(text);
}

enum { THREADS = 4, EACH = 200000 };

static pthread_barrier_t all_are_there;

static void *count_many(void *metrics)
{
	pthread_barrier_wait(&all_are_there);
	for (int i = 0; i < EACH; i++)
		count_answered(metrics, &routes[i % 2], 200, i);
	return NULL;
}

static void nothing_is_lost_when_all_count_at_once(void **state)
{
	pthread_t threads[THREADS];
	pthread_barrier_init(&all_are_there, NULL, THREADS);
	for (int i = 0; i < THREADS; i++)
		pthread_create(&threads[i], NULL, count_many, *state);
	for (int i = 0; i < 10; i++)
		free(print(*state)); /* and each page is sound */
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	pthread_barrier_destroy(&all_are_there);
	char *text = print(*state);
	assert_value(
		text, "x_requests_total{" THING ",status=\"200\"}", THREADS * EACH / 2);
	assert_value(text, TOOK "_count{" THINGS ",status=\"2xx\"}", THREADS * EACH / 2);
	free(text);
}

#define WITH_METRICS(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_name_holds_only_what_names_may),
		cmocka_unit_test(a_label_is_escaped),
		cmocka_unit_test(seconds_keep_their_nanoseconds),
		cmocka_unit_test(a_bound_is_the_number_that_it_is_called),
		cmocka_unit_test(a_duration_is_in_every_bucket_that_it_does_not_exceed),
		WITH_METRICS(a_new_page_is_one_too),
		WITH_METRICS(requests_are_counted_by_route_and_status),
		WITH_METRICS(durations_are_counted_by_route_and_class),
		WITH_METRICS(the_ends_of_the_range_of_statuses_count),
		WITH_METRICS(cancellations_are_counted_by_cause_and_state),
		WITH_METRICS(nothing_is_lost_when_all_count_at_once),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
