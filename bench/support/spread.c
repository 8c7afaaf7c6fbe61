#include "bench/support/spread.h"

#include <stdio.h>
#include <stdlib.h>

void spread_add(struct spread *spread, int64_t ns)
{
	int64_t *more = realloc(spread->ns, (spread->count + 1) * sizeof *more);
	if (!more) {
		perror("realloc");
		exit(1);
	}
	spread->ns = more;
	spread->ns[spread->count++] = ns;
}

static int compare(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a;
	int64_t y = *(const int64_t *)b;
	return (x > y) - (x < y);
}

static double ms(const struct spread *spread, size_t percent)
{
	size_t index = spread->count * percent / 100;
	return (double)spread->ns[index < spread->count ? index : spread->count - 1] /
		1e6;
}

void spread_print(struct spread *spread, const char *what)
{
	if (spread->count == 0)
		return;
	qsort(spread->ns, spread->count, sizeof *spread->ns, compare);
	printf("%-24s %5zu rounds: median %.3f ms, p99 %.3f ms, most %.3f ms\n", what,
		spread->count, ms(spread, 50), ms(spread, 99), ms(spread, 100));
	free(spread->ns);
	*spread = (struct spread){ 0 };
}
