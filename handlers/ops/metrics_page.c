#include "handlers/ops/metrics_page.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handlers/ops/admin_context.h"
#include "service/core/log.h"
#include "service/http/metrics.h"
#include "service/run/version.h"

static void gauge(
	struct prometheus *page, const char *name, uint64_t value, const char *help)
{
	prometheus_family(page, name, "gauge", help);
	prometheus_count(page, NULL, value);
}

static void counter(
	struct prometheus *page, const char *name, uint64_t value, const char *help)
{
	prometheus_family(page, name, "counter", help);
	prometheus_count(page, NULL, value);
}

/*
 * Lanes: a family for each figure, a sample for each lane.
 */

struct lane_figure {
	const char *name;
	const char *type;
	uint64_t (*get)(const struct pool_stats *lane);
	const char *help;
};

static uint64_t queued(const struct pool_stats *lane)
{
	return lane->queued;
}

static uint64_t running(const struct pool_stats *lane)
{
	return lane->running;
}

static uint64_t waiting(const struct pool_stats *lane)
{
	return lane->waiting;
}

static uint64_t refused(const struct pool_stats *lane)
{
	return lane->refused;
}

static const struct lane_figure lane_figures[] = {
	{ "lane_queued", "gauge", queued, "Requests that wait for a thread." },
	{ "lane_running", "gauge", running, "Requests that use the processor." },
	{ "lane_waiting", "gauge", waiting,
		"Requests that have begun and wait for the database or their client." },
	{ "lane_refused_total", "counter", refused,
		"Requests refused because the queue was full." },
};

static void print_lanes(struct prometheus *page, const struct server_stats *stats)
{
	for (size_t i = 0; i < sizeof lane_figures / sizeof *lane_figures; i++) {
		const struct lane_figure *figure = &lane_figures[i];
		prometheus_family(page, figure->name, figure->type, figure->help);
		for (int lane = 0; lane < LANE_COUNT; lane++) {
			const struct prometheus_label labels[] = {
				{ "lane", lane_name(lane) }, { 0 }
			};
			prometheus_count(page, labels, figure->get(&stats->lanes[lane]));
		}
	}
}

/*
 * Everything else.
 */

static void print_server(struct prometheus *page, struct server *server)
{
	struct server_stats stats;
	server_stats(server, &stats);
	metrics_print(server_metrics(server), page);
	gauge(page, "requests_in_flight", stats.in_flight,
		"Requests begun and not yet logged.");
	gauge(page, "connections", stats.connections, "Connections that are open.");
	gauge(page, "draining", server_is_draining(server), "1 while it shuts down.");
	print_lanes(page, &stats);
}

static void print_db(struct prometheus *page, struct db *db)
{
	struct db_stats stats;
	db_stats(db, &stats);
	gauge(page, "db_readers", stats.readers, "Connections for reading.");
	gauge(page, "db_readers_lent", stats.readers_lent, "Of which in use.");
	gauge(page, "db_readers_waited_for", stats.readers_waited_for,
		"Requests that wait for one.");
	gauge(page, "db_writes_waiting", stats.writes_waiting,
		"Writes that wait for the writer.");
	counter(page, "db_commits_total", stats.commits, "Transactions made durable.");
	counter(page, "db_writes_committed_total", stats.writes_committed,
		"Writes that they held.");
	counter(page, "db_writes_undone_total", stats.writes_undone,
		"Writes that began, and failed or were cancelled.");
	prometheus_family(
		page, "db_commit_seconds_total", "counter", "Time spent committing.");
	prometheus_seconds(page, NULL, (int64_t)stats.commit_ns_total);
	prometheus_family(
		page, "db_commit_max_seconds", "gauge", "The longest commit so far.");
	prometheus_seconds(page, NULL, (int64_t)stats.commit_ns_max);
	gauge(page, "db_batch_max_writes", stats.batch_size_max,
		"The most writes in one commit so far.");
	gauge(page, "db_wal_bytes", (uint64_t)stats.wal_bytes,
		"Size of the write-ahead log.");
}

/* 0 when the system does not say. */
static uint64_t resident_bytes(void)
{
	char line[128] = "";
	FILE *statm = fopen("/proc/self/statm", "re");
	if (!statm)
		return 0;
	const char *second = fgets(line, sizeof line, statm) ? strchr(line, ' ') : NULL;
	fclose(statm);
	uint64_t pages = second ? strtoull(second, NULL, 10) : 0;
	return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* These names are the same for every program that Prometheus knows. */
static void print_process(FILE *out, int64_t started_ms)
{
	enum { NS_PER_MS = 1000000 };
	struct prometheus page = { .out = out };
	prometheus_family(&page, "process_start_time_seconds", "gauge",
		"When it started, in seconds since 1970.");
	prometheus_seconds(&page, NULL, started_ms * NS_PER_MS);
	gauge(&page, "process_resident_memory_bytes", resident_bytes(),
		"Memory that it occupies.");
}

static void print_page(const struct admin *admin, FILE *out)
{
	struct prometheus page = { .out = out, .prefix = HANGUP_NAME };
	const struct prometheus_label version[] = { { "version", HANGUP_VERSION },
		{ "commit", HANGUP_COMMIT }, { 0 } };
	print_server(&page, admin->watched);
	print_db(&page, admin->db);
	counter(&page, "log_lines_dropped_total", log_dropped(),
		"Log lines that nobody read in time.");
	prometheus_family(&page, "build_info", "gauge", "1; the labels say what runs.");
	prometheus_count(&page, version, 1);
	if (admin->print_own)
		admin->print_own(&page);
	print_process(out, admin->started_ms);
}

enum err admin_handle_metrics(struct request *req, struct response *res)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	enum err err = out ? response_header(res, "Content-Type", PROMETHEUS_TYPE)
			   : ERR_NOMEM;
	if (out)
		print_page(admin_of(req), out);
	if (out && fclose(out) != 0)
		err = ERR_NOMEM;
	if (err == ERR_OK)
		err = response_write(res, (struct span){ text, len });
	free(text);
	return err;
}
