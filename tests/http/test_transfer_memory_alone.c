/*
 * A million items in, and out: neither takes 8 MiB more than the service needs to run.
 * By the kernel's high-water mark of the memory of a process of its own.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tests/support/cmocka.h"
#include "tests/support/process.h"
#include "tests/support/raw.h"
#include "tests/support/test_dir.h"

enum {
	ITEMS = 1000000 / HANGUP_SLOWDOWN, /* sanitizers count their own memory */
	MORE_MAX_KIB = 8 * 1024,
	MOVE_MAX_MS = 100000,
	BUFFER = 256 * 1024,
};

struct fixture {
	struct process process;
	char dir[TEST_DIR_SIZE];
	char url[128];
};

static int set_up(void **state)
{
	struct fixture *fixture = calloc(1, sizeof *fixture);
	test_dir_make(fixture->dir);
	snprintf(fixture->url, sizeof fixture->url, "DATABASE_URL=sqlite:%s/test.db",
		fixture->dir);
	process_start(&fixture->process, (const char *const[]){ fixture->url, NULL });
	*state = fixture;
	return 0;
}

static int tear_down(void **state)
{
	static const char *const names[] = { "test.db", "test.db-wal", "test.db-shm",
		NULL };
	struct fixture *fixture = *state;
	process_finish(&fixture->process);
	test_dir_remove_with(fixture->dir, names);
	free(fixture);
	return 0;
}

static long high_water_kib(const struct fixture *fixture)
{
	char path[64];
	char line[256];
	long kib = -1;
	snprintf(path, sizeof path, "/proc/%d/status", (int)fixture->process.pid);
	FILE *status = fopen(path, "r");
	assert_non_null(status);
	while (fgets(line, sizeof line, status))
		if (sscanf(line, "VmHWM: %ld", &kib) == 1)
			break;
	fclose(status);
	assert_true(kib > 0);
	return kib;
}

static void send_chunk(struct raw *raw, const char *data, size_t len)
{
	raw_sendf(raw, "%zx\r\n", len);
	raw_send_bytes(raw, data, len);
	raw_send(raw, "\r\n");
}

static void import_items(const struct fixture *fixture, int count)
{
	static char buffer[BUFFER];
	struct raw raw;
	struct http_response res;
	char expected[64];
	size_t used = 0;
	raw_connect(&raw, fixture->process.port);
	raw_send(&raw,
		"POST /v1/items/import HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
		"Content-Type: application/x-ndjson\r\n\r\n");
	for (int i = 0; i < count; i++) {
		used += (size_t)sprintf(buffer + used,
			"{\"name\":\"Stainless bracket M8 no. %d\",\"category\":\"%d brackets\","
			"\"quantity\":%d,\"price_cents\":%d}\n",
			i, i / 100 % 200, i % 1000, i / 100 % 5000);
		if (used < sizeof buffer - 256 && i < count - 1)
			continue;
		send_chunk(&raw, buffer, used);
		used = 0;
	}
	raw_send(&raw, "0\r\n\r\n");
	struct pollfd answer = { .fd = raw.fd, .events = POLLIN };
	assert_int_equal(poll(&answer, 1, MOVE_MAX_MS), 1);
	raw_read(&raw, &res);
	snprintf(expected, sizeof expected, "{\"imported\":%d}", count);
	assert_string_equal(res.body, expected);
	http_response_finish(&res);
	raw_close(&raw);
}

/* Reads the whole answer and keeps nothing of it; returns how many lines it had. */
static int export_items(const struct fixture *fixture)
{
	static char buffer[BUFFER];
	struct raw raw;
	int lines = 0;
	ssize_t len;
	raw_connect(&raw, fixture->process.port);
	raw_send(&raw,
		"GET /v1/items/export HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
	while ((len = read(raw.fd, buffer, sizeof buffer)) > 0)
		for (char *at = buffer;
			(at = memchr(at, '}', (size_t)(buffer + len - at))); at++)
			lines++;
	raw_close(&raw);
	return lines;
}

static void a_million_items_pass_through_in_constant_memory(void **state)
{
	struct fixture *fixture = *state;
	import_items(fixture, 1); /* what the first of each kind needs, for good */
	assert_int_equal(export_items(fixture), 1);
	long before = high_water_kib(fixture);
	import_items(fixture, ITEMS);
	long imported = high_water_kib(fixture);
	assert_int_equal(export_items(fixture), ITEMS + 1);
	long exported = high_water_kib(fixture);
	print_message("at rest %ld KiB, importing %ld, exporting %ld\n", before, imported,
		exported);
	if (HANGUP_SLOWDOWN > 1)
		skip();
	assert_true(imported - before < MORE_MAX_KIB);
	assert_true(exported - before < MORE_MAX_KIB);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
			a_million_items_pass_through_in_constant_memory, set_up,
			tear_down),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
