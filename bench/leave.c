/*
 * A client leaves in the middle of the report: how long until the service says that it
 * has ended? Measured from outside, so that any service can be: from just before
 * close() until its line has come through a pipe. The line is "report ended", or one
 * with the route in it, as hangup logs.
 *
 * With -p a second request is behind the first, in the same write; with -l it is sent
 * later, while the first one runs. A service may begin it when the first has ended; then
 * what counts is the end of the last, since nobody waits for either.
 *
 * Usage: bench_leave [-p|-l] PORT ROUNDS -- COMMAND...
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "bench/support/service.h"
#include "bench/support/spread.h"
#include "service/core/clock.h"

#define REQUEST "GET /v1/reports/inventory HTTP/1.1\r\nHost: bench\r\n\r\n"

enum {
	BEGIN_US = 10000, /* a report has begun by then */
	LEAVE_US = 10000, /* later, and at random up to that much more */
	REPORT_MS = 60000,
	QUIET_MS = 200,
	IDLE_NS = 5000000, /* of processor time in QUIET_MS: it does nothing */
	MISSES_MAX = 100,
};

/* The service's lines, as they come. */
struct lines {
	int fd;
	char bytes[65536];
	size_t len;
};

static bool is_end(const char *line)
{
	return strstr(line, "report ended") ||
		strstr(line, "\"route\":\"/v1/reports/inventory\"");
}

/* Takes the whole lines away; returns how many of them say that a report has ended. */
static unsigned count_ends(struct lines *lines)
{
	unsigned ends = 0;
	char *line = lines->bytes;
	char *newline;
	while ((newline = memchr(
			line, '\n', lines->len - (size_t)(line - lines->bytes)))) {
		*newline = '\0';
		ends += is_end(line);
		line = newline + 1;
	}
	lines->len -= (size_t)(line - lines->bytes);
	memmove(lines->bytes, line, lines->len);
	return ends;
}

/* Waits for at most ms for a line or lines that say that a report has ended; returns
 * how many, and when they came. */
static unsigned wait_for_end(struct lines *lines, int64_t ms, instant *ret_when)
{
	instant until = instant_add_ms(instant_now(), ms);
	struct pollfd poll_fd = { .fd = lines->fd, .events = POLLIN };
	int64_t left;
	while ((left = instant_diff_ns(instant_now(), until) / 1000000) >= 0 &&
		poll(&poll_fd, 1, (int)left) > 0) {
		ssize_t count = read(lines->fd, lines->bytes + lines->len,
			sizeof lines->bytes - lines->len);
		instant now = instant_now();
		if (count <= 0) {
			fprintf(stderr, "the service has ended\n");
			exit(1);
		}
		lines->len += (size_t)count;
		unsigned ends = count_ends(lines);
		if (ends > 0) {
			*ret_when = now;
			return ends;
		}
	}
	return 0;
}

/* Waits until the service does nothing any more; *ret_when becomes the time of the
 * last report's end, if one ends meanwhile. */
static void wait_until_idle(
	const struct service *service, struct lines *lines, instant *ret_when)
{
	bool ended;
	int64_t used;
	do {
		used = -service_cpu_ns(service);
		ended = wait_for_end(lines, QUIET_MS, ret_when) > 0;
		used += service_cpu_ns(service);
	} while (ended || used > IDLE_NS);
}

enum requests { ONE, PIPELINED, LATER };

static const struct {
	const char *option;
	const char *name;
	const char *first_write;
	const char *second_write;
} requests[] = {
	[ONE] = { "", "report", REQUEST, "" },
	[PIPELINED] = { "-p", "report, then pipelined", REQUEST REQUEST, "" },
	[LATER] = { "-l", "report, then another", REQUEST, REQUEST },
};

/* Returns nanoseconds, or -1 when the report was over before the client left. */
static int64_t leave_one(const struct service *service, struct lines *lines,
	unsigned port, enum requests which)
{
	int fd = loopback_connect(port);
	instant ended;
	loopback_send(fd, requests[which].first_write);
	usleep(BEGIN_US);
	loopback_send(fd, requests[which].second_write);
	usleep(LEAVE_US + (unsigned)rand() % LEAVE_US);
	bool missed = wait_for_end(lines, 0, &ended) > 0;
	instant left = instant_now();
	close(fd);
	if (!missed && wait_for_end(lines, REPORT_MS, &ended) == 0) {
		fprintf(stderr, "no report has ended in %d ms\n", REPORT_MS);
		exit(1);
	}
	wait_until_idle(service, lines, &ended);
	return missed ? -1 : instant_diff_ns(left, ended);
}

static void measure(
	const struct service *service, unsigned port, enum requests which, int rounds)
{
	struct lines lines = { .fd = service->output };
	struct spread spread = { 0 };
	int misses = 0;
	while (spread.count < (size_t)rounds) {
		int64_t took = leave_one(service, &lines, port, which);
		if (took >= 0)
			spread_add(&spread, took);
		else if (++misses == MISSES_MAX) {
			fprintf(stderr, "the report is over too soon\n");
			exit(1);
		}
	}
	spread_print(&spread, requests[which].name);
}

static enum requests which_requests(const char *option)
{
	enum requests which = LATER;
	while (which != ONE && strcmp(requests[which].option, option) != 0)
		which--;
	return which;
}

int main(int argc, char **argv)
{
	enum requests which = which_requests(argc > 1 ? argv[1] : "");
	char **arg = argv + (which != ONE);
	bool complete = argc > (which != ONE) + 4 && strcmp(arg[3], "--") == 0;
	unsigned port = complete ? (unsigned)atoi(arg[1]) : 0;
	int rounds = complete ? atoi(arg[2]) : 0;
	struct service service;
	if (port == 0 || rounds <= 0) {
		fprintf(stderr, "Usage: %s [-p|-l] PORT ROUNDS -- COMMAND...\n", argv[0]);
		return 2;
	}
	service_start(&service, arg + 4);
	service_wait(&service, port);
	measure(&service, port, which, rounds);
	service_stop(&service);
	return 0;
}
