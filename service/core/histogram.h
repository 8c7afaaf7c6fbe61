#ifndef HANGUP_SERVICE_CORE_HISTOGRAM_H
#define HANGUP_SERVICE_CORE_HISTOGRAM_H

/*
 * How long things took, counted by duration: 50 us to 30 s in steps of 2 to 2.5.
 * A zeroed one is empty. Any thread may count and read; nobody waits. Who reads
 * meanwhile sees each duration or not, and its sum a moment earlier or later.
 */
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

enum { HISTOGRAM_BOUNDS = 18 };

struct histogram_bound {
	int64_t ns;
	const char *seconds; /* the same, as text */
};

/* Ascending; a duration belongs to the first that it does not exceed. */
extern const struct histogram_bound histogram_bounds[HISTOGRAM_BOUNDS];

struct histogram {
	_Atomic uint64_t counts[HISTOGRAM_BOUNDS + 1]; /* the last: beyond all bounds */
	_Atomic uint64_t sum_ns;
};

/* ns below 0 counts as 0. */
void histogram_count(struct histogram *histogram, int64_t ns);

#endif
