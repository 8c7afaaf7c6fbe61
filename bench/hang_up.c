/*
 * The promise, measured: how long after a client has left the inventory report does
 * the service go on working for it? From just before close() until nothing is in
 * flight any more, seen by a thread that looks all the time. Half of the rounds have a
 * second request behind the first, in the same write.
 *
 * Usage: bench_hang_up DATABASE ROUNDS; the database as `hangup seed 1000000` makes it.
 */
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "bench/support/service.h"
#include "bench/support/spread.h"
#include "handlers/instance.h"
#include "handlers/routes.h"
#include "service/core/log.h"

#define REQUEST "GET /v1/reports/inventory HTTP/1.1\r\nHost: bench\r\n\r\n"

static unsigned in_flight(struct instance *instance)
{
	struct server_stats stats;
	server_stats(instance->server, &stats);
	return stats.in_flight;
}

static bool is_running(struct instance *instance)
{
	struct server_stats stats;
	server_stats(instance->server, &stats);
	return stats.lanes[LANE_LONG].running > 0;
}

/* Leaves a report that has run for a while; returns nanoseconds until idle, or -1
 * when the report was done before. */
static int64_t leave_one(struct instance *instance, const char *requests)
{
	int fd = loopback_connect(server_port(instance->server));
	loopback_send(fd, requests);
	while (!is_running(instance))
		sched_yield();
	usleep(2000 + (unsigned)rand() % 50000); /* somewhere in the report */
	bool running = is_running(instance);
	instant left = instant_now();
	close(fd);
	while (in_flight(instance) > 0)
		sched_yield();
	return running ? instant_diff_ns(left, instant_now()) : -1;
}

static void measure(
	struct instance *instance, const char *what, const char *requests, int rounds)
{
	struct spread spread = { 0 };
	while (spread.count < (size_t)rounds) {
		int64_t took = leave_one(instance, requests);
		if (took >= 0)
			spread_add(&spread, took);
	}
	spread_print(&spread, what);
}

int main(int argc, char **argv)
{
	struct config config;
	struct instance *instance;
	int rounds = argc > 2 ? atoi(argv[2]) : 0;
	if (rounds <= 0) {
		fprintf(stderr, "Usage: %s DATABASE ROUNDS\n", argv[0]);
		return 2;
	}
	settings_default(&config_settings, &config);
	config.http.port = 0;
	snprintf(config.db.url, sizeof config.db.url, "sqlite:%s", argv[1]);
	log_start(LOG_LEVEL_WARN, LOG_FORMAT_TEXT, STDERR_FILENO);
	if (instance_create(&config, routes, routes_count, &instance) != ERR_OK)
		return 1;
	measure(instance, "report", REQUEST, rounds);
	measure(instance, "report, then pipelined", REQUEST REQUEST, rounds);
	instance_destroy(instance);
	log_stop();
	return 0;
}
