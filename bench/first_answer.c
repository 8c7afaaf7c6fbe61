/*
 * How long from the start of a service until its first answer: from just before the
 * process is made to a 200 from /healthz, in ms. The service runs once for each round.
 *
 * Usage: bench_first_answer PORT ROUNDS -- COMMAND...
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bench/support/service.h"
#include "bench/support/spread.h"
#include "service/core/clock.h"

int main(int argc, char **argv)
{
	bool complete = argc > 4 && strcmp(argv[3], "--") == 0;
	unsigned port = complete ? (unsigned)atoi(argv[1]) : 0;
	int rounds = complete ? atoi(argv[2]) : 0;
	if (port == 0 || rounds <= 0) {
		fprintf(stderr, "Usage: %s PORT ROUNDS -- COMMAND...\n", argv[0]);
		return 2;
	}
	struct spread spread = { 0 };
	for (int i = 0; i < rounds; i++) {
		struct service service;
		instant begun = instant_now();
		service_start(&service, argv + 4);
		service_wait(&service, port);
		spread_add(&spread, instant_diff_ns(begun, instant_now()));
		service_stop(&service);
	}
	spread_print(&spread, "first answer");
	return 0;
}
