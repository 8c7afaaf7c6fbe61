#include "service/core/histogram.h"

#define US(n, text)                         \
	{                                   \
		(n) * INT64_C(1000), (text) \
	}
#define MS(n, text)                            \
	{                                      \
		(n) * INT64_C(1000000), (text) \
	}

const struct histogram_bound histogram_bounds[HISTOGRAM_BOUNDS] = {
	US(50, "0.00005"),
	US(100, "0.0001"),
	US(250, "0.00025"),
	US(500, "0.0005"),
	MS(1, "0.001"),
	US(2500, "0.0025"),
	MS(5, "0.005"),
	MS(10, "0.01"),
	MS(25, "0.025"),
	MS(50, "0.05"),
	MS(100, "0.1"),
	MS(250, "0.25"),
	MS(500, "0.5"),
	MS(1000, "1"),
	MS(2500, "2.5"),
	MS(5000, "5"),
	MS(10000, "10"),
	MS(30000, "30"),
};

void histogram_count(struct histogram *histogram, int64_t ns)
{
	size_t i = 0;
	if (ns < 0)
		ns = 0;
	while (i < HISTOGRAM_BOUNDS && ns > histogram_bounds[i].ns)
		i++;
	atomic_fetch_add_explicit(&histogram->counts[i], 1, memory_order_relaxed);
	atomic_fetch_add_explicit(&histogram->sum_ns, (uint64_t)ns, memory_order_relaxed);
}
