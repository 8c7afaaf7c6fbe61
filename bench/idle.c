/*
 * What a client that does nothing costs: opens COUNT connections, asks for /healthz once
 * on each, keeps them, and prints by how many KiB for each the service's memory has
 * grown. Memory is its proportional share of pages (PSS), the kernel's not counted.
 *
 * Usage: bench_idle PORT PID COUNT
 */
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

#include "bench/support/service.h"

static long pss_kib(const char *pid)
{
	char path[64];
	char line[256];
	long kib = -1;
	snprintf(path, sizeof path, "/proc/%s/smaps_rollup", pid);
	FILE *file = fopen(path, "r");
	while (file && kib < 0 && fgets(line, sizeof line, file))
		if (sscanf(line, "Pss: %ld kB", &kib) != 1)
			kib = -1;
	if (file)
		fclose(file);
	if (kib < 0) {
		perror(path);
		exit(1);
	}
	return kib;
}

static void open_one(unsigned port)
{
	int fd = loopback_connect(port);
	if (!loopback_is_healthy(fd)) {
		fprintf(stderr, "no answer on port %u\n", port);
		exit(1);
	}
}

static void allow_files(void)
{
	struct rlimit limit;
	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

int main(int argc, char **argv)
{
	int count = argc == 4 ? atoi(argv[3]) : 0;
	if (count <= 0) {
		fprintf(stderr, "Usage: %s PORT PID COUNT\n", argv[0]);
		return 2;
	}
	unsigned port = (unsigned)atoi(argv[1]);
	allow_files();
	open_one(port); /* what the first needs, the others need not */
	long before = pss_kib(argv[2]);
	for (int i = 0; i < count; i++)
		open_one(port);
	printf("%.1f\n", (double)(pss_kib(argv[2]) - before) / count);
	return 0;
}
