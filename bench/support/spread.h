#ifndef HANGUP_BENCH_SUPPORT_SPREAD_H
#define HANGUP_BENCH_SUPPORT_SPREAD_H

/*
 * Durations, and how they are spread. Begins as all zeros.
 */
#include <stddef.h>
#include <stdint.h>

struct spread {
	int64_t *ns;
	size_t count;
};

void spread_add(struct spread *spread, int64_t ns);

/* Prints a line of their number, median, 99th percentile and maximum, in ms, and
 * makes spread all zeros again. */
void spread_print(struct spread *spread, const char *what);

#endif
