/*
 * What a request's log line costs the thread that writes it: 18 fields, to
 * /dev/null or whatever the output is sent to (bench_log 2>file). Prints
 * nanoseconds a line, alone and from several threads, as JSON and as text.
 */
#include <pthread.h>
#include <stdio.h>
#include <unistd.h>

#include "service/core/clock.h"
#include "service/core/log.h"

enum { LINES = 500000, BURST = 500, THREADS_MAX = 4 };

static void write_line(int64_t i)
{
	const struct log_field fields[] = {
		LOG_STR("request_id", "01JDC8Z6V3K9Q4T7"),
		LOG_STR("trace_id", "4bf92f3577b34da6a3ce929d0e0e4736"),
		LOG_NAME("method", "GET"),
		LOG_NAME("route", "/v1/things/{id}"),
		LOG_STR("path", "/v1/things/123456"),
		LOG_STR("client", "192.168.100.200"),
		LOG_INT("status", 200),
		LOG_NAME("cause", "client_gone"),
		LOG_NAME("state", "running"),
		LOG_INT("bytes_in", 0),
		LOG_INT("bytes_out", 187 + i % 10),
		LOG_MS("queued_ms", 12345),
		LOG_MS("db_wait_ms", 0),
		LOG_MS("running_ms", 123456),
		LOG_MS("sending_ms", 23456),
		LOG_MS("total_ms", 167890 + i),
		LOG_MS("stopped_after_ms", 40123),
		LOG_BOOL("replayed", false),
	};
	log_line(LOG_LEVEL_INFO, "request", fields, sizeof fields / sizeof fields[0]);
}

/* In bursts that the buffer can take: a dropped line would look cheap. The
 * pauses are not counted. */
static void *write_lines(void *arg)
{
	int64_t *ret_ns = arg;
	for (int64_t i = 0; i < LINES; i += BURST) {
		instant begun = instant_now();
		for (int64_t j = 0; j < BURST; j++)
			write_line(i + j);
		*ret_ns += instant_diff_ns(begun, instant_now());
		usleep(3000);
	}
	return NULL;
}

static void measure(enum log_format format, int threads)
{
	pthread_t ids[THREADS_MAX];
	int64_t ns[THREADS_MAX] = { 0 };
	int64_t sum = 0;
	uint64_t dropped = log_dropped();
	log_start(LOG_LEVEL_INFO, format, STDERR_FILENO);
	for (int i = 0; i < threads; i++)
		pthread_create(&ids[i], NULL, write_lines, &ns[i]);
	for (int i = 0; i < threads; i++) {
		pthread_join(ids[i], NULL);
		sum += ns[i];
	}
	log_stop();
	printf("%s, %d threads: %.0f ns a line, %.2f %% dropped\n",
		format == LOG_FORMAT_JSON ? "json" : "text", threads,
		(double)sum / LINES / threads,
		100.0 * (double)(log_dropped() - dropped) / LINES / threads);
}

int main(void)
{
	for (int threads = 1; threads <= THREADS_MAX; threads *= 2) {
		measure(LOG_FORMAT_JSON, threads);
		measure(LOG_FORMAT_TEXT, threads);
	}
	return 0;
}
