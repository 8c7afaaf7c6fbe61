/*
 * A disk without space: what cannot be kept is refused with 507, what was acknowledged
 * stays, reading goes on, and writing too as soon as there is space again. First on a
 * disk that only says that it is full, then on a real one.
 */
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

#include "tests/support/app_server.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/process.h"
#include "tests/support/raw.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

#define BOLT "{\"name\":\"bolt\",\"category\":\"m8\"}"

/* It takes more space. */
#define TEN "0123456789"
#define LONG_BOLT \
	"{\"name\":\"" TEN TEN TEN TEN TEN TEN TEN TEN TEN TEN "\",\"category\":\"m8\"}"

/*
 * A disk that says it is full.
 */

static void assert_full(
	struct app_server *test, const char *method, const char *path, const char *body)
{
	struct http_response res;
	app_server_perform(test, method, path, HEADERS(JSON_BODY), body, &res);
	json_t *problem = http_problem(&res, 507, "/problems/disk-full");
	assert_string_equal(json_string_value(json_object_get(problem, "detail")),
		"There is no space left to store this."); /* no path, no SQL */
	json_decref(problem);
	http_response_finish(&res);
}

static unsigned post(struct app_server *test)
{
	return app_server_status(test, "POST", "/v1/items", HEADERS(JSON_BODY), BOLT);
}

static void every_change_is_refused_and_every_read_answered(void **state)
{
	struct app_server *test = *state;
	assert_int_equal(post(test), 201);
	fault_vfs_set_full(true);
	for (int i = 0; i < 3; i++) {
		assert_full(test, "POST", "/v1/items", BOLT);
		assert_full(test, "PUT", "/v1/items/1", BOLT);
		assert_full(test, "PATCH", "/v1/items/1", "{\"quantity\":7}");
		assert_full(test, "DELETE", "/v1/items/1", NULL);
		assert_int_equal(http_get_status(test->server.port, "/v1/items/1"), 200);
		assert_int_equal(http_get_status(test->server.port, "/v1/items"), 200);
		assert_int_equal(http_get_status(test->server.port, "/readyz"), 200);
	}
	fault_vfs_set_full(false);
	assert_int_equal(app_server_int(test, "SELECT version FROM items"), 1);
	assert_int_equal(post(test), 201);
	assert_int_equal(
		app_server_status(test, "DELETE", "/v1/items/1", NULL, NULL), 204);
	assert_int_equal(app_server_rows(test, "items"), 1);
}

static void a_disk_that_is_full_at_the_start_serves_what_it_has(void **state)
{
	struct app_server *test = *state;
	assert_int_equal(post(test), 201);
	app_server_restart(test);
	fault_vfs_set_full(true);
	assert_int_equal(http_get_status(test->server.port, "/v1/items/1"), 200);
	assert_full(test, "POST", "/v1/items", BOLT);
	fault_vfs_set_full(false);
	assert_int_equal(post(test), 201);
}

/*
 * The same under load, while space comes and goes.
 */

enum { WRITERS = 8, SWITCHES = 40 };

struct writer {
	struct app_server *test;
	pthread_t thread;
	atomic_bool *stop;
	unsigned made;
	unsigned refused;
	unsigned wrong;
};

static atomic_uint all_made;
static atomic_uint all_refused;

static void *keep_posting(void *arg)
{
	struct writer *writer = arg;
	struct raw raw;
	raw_connect(&raw, writer->test->server.port);
	while (!atomic_load(writer->stop)) {
		struct http_response res;
		raw_sendf(&raw,
			"POST /v1/items HTTP/1.1\r\nHost: x\r\n" JSON_BODY
			"\r\nContent-Length: %zu\r\n\r\n" BOLT,
			strlen(BOLT));
		raw_read(&raw, &res);
		writer->made += res.status == 201;
		writer->refused += res.status == 507;
		writer->wrong += res.status != 201 && res.status != 507;
		atomic_fetch_add(res.status == 201 ? &all_made : &all_refused, 1);
		http_response_finish(&res);
	}
	raw_close(&raw);
	return NULL;
}

/* Until some more have been told so. */
static void make_it(bool full)
{
	atomic_uint *told = full ? &all_refused : &all_made;
	fault_vfs_set_full(full);
	unsigned before = atomic_load(told);
	WAIT_UNTIL(atomic_load(told) >= before + WRITERS);
}

static void nothing_acknowledged_is_lost_while_space_comes_and_goes(void **state)
{
	struct app_server *test = *state;
	struct writer writers[WRITERS];
	atomic_bool stop = false;
	unsigned made = 0;
	for (int i = 0; i < WRITERS; i++) {
		writers[i] = (struct writer){ .test = test, .stop = &stop };
		assert_int_equal(pthread_create(&writers[i].thread, NULL, keep_posting,
					 &writers[i]),
			0);
	}
	for (int i = 0; i < SWITCHES; i++)
		make_it(i % 2 == 0);
	fault_vfs_set_full(false);
	atomic_store(&stop, true);
	for (int i = 0; i < WRITERS; i++) {
		pthread_join(writers[i].thread, NULL);
		assert_int_equal(writers[i].wrong, 0);
		assert_true(writers[i].refused > 0);
		made += writers[i].made;
	}
	assert_int_equal(app_server_rows(test, "items"), made);
	assert_true(test_db_is_sound(test->server.db_path));
}

/*
 * A disk of 6 MB: the WAL is checkpointed at 4 MB, so the second time it is filled, not
 * the first, the database grows as well.
 */

struct small_disk {
	char dir[64];
	bool mounted;
	int space_fd; /* of a file that takes space until it is cut */
	struct process process;
};

/* In a namespace of its own: whatever becomes of the test, nothing stays mounted. Only
 * for whom the system lets. */
static bool mount_small_disk(struct small_disk *disk)
{
	if (unshare(CLONE_NEWNS) != 0 ||
		mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0)
		return false;
	disk->mounted = mount("none", disk->dir, "tmpfs", 0, "size=6m") == 0;
	return disk->mounted;
}

static int set_up_disk(void **state)
{
	struct small_disk *disk = calloc(1, sizeof *disk);
	assert_non_null(disk);
	strcpy(disk->dir, "/tmp/hangup-disk-XXXXXX");
	disk->space_fd = -1;
	assert_non_null(mkdtemp(disk->dir));
	signal(SIGPIPE, SIG_IGN);
	*state = disk;
	return 0;
}

static int tear_down_disk(void **state)
{
	struct small_disk *disk = *state;
	process_finish(&disk->process);
	if (disk->space_fd >= 0)
		close(disk->space_fd);
	if (disk->mounted)
		umount(disk->dir);
	rmdir(disk->dir);
	free(disk);
	return 0;
}

static void take_space(struct small_disk *disk, size_t bytes)
{
	char path[96];
	snprintf(path, sizeof path, "%s/space", disk->dir);
	disk->space_fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
	assert_true(disk->space_fd >= 0);
	assert_int_equal(posix_fallocate(disk->space_fd, 0, (off_t)bytes), 0);
}

static void start_on(struct small_disk *disk)
{
	char url[128];
	const char *settings[] = { url, NULL };
	snprintf(url, sizeof url, "DATABASE_URL=sqlite:%s/test.db", disk->dir);
	process_start(&disk->process, settings);
}

/* Posts until it is told that the disk is full; returns how many were made. */
static unsigned fill(struct small_disk *disk)
{
	enum { MOST = 100000 };
	struct http_session *session = http_session_create(disk->process.port);
	const struct http_request req = {
		.path = "/v1/items", .body = LONG_BOLT, .headers = HEADERS(JSON_BODY)
	};
	struct http_response res;
	unsigned made = 0;
	for (; made < MOST; made++) {
		http_session_perform(session, &req, &res);
		if (res.status != 201)
			break;
		http_response_finish(&res);
	}
	http_assert_problem(&res, 507, "/problems/disk-full");
	http_response_finish(&res);
	http_session_destroy(session);
	return made;
}

static int64_t rows_on(struct small_disk *disk)
{
	char path[96];
	snprintf(path, sizeof path, "%s/test.db", disk->dir);
	sqlite3 *stranger = test_db_stranger(path);
	int64_t rows = stranger_int(stranger, "SELECT count(*) FROM items");
	sqlite3_close(stranger);
	assert_true(test_db_is_sound(path));
	return rows;
}

static void assert_reads_go_on(struct small_disk *disk)
{
	static const char *const paths[] = { "/v1/items/1", "/v1/items", "/readyz",
		"/v1/reports/inventory" };
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++)
		assert_int_equal(http_get_status(disk->process.port, paths[i]), 200);
}

static void a_real_disk_fills_up_and_is_emptied_again(void **state)
{
	struct small_disk *disk = *state;
	if (!mount_small_disk(disk)) {
		print_message("Skipped: no right to mount a small disk here.\n");
		skip();
	}
	take_space(disk, 3 << 20);
	start_on(disk);
	unsigned made = fill(disk);
	assert_true(made > 10);
	assert_reads_go_on(disk);
	fill(disk); /* refused again and again; perhaps some that are smaller fit in */
	assert_int_equal(ftruncate(disk->space_fd, 0), 0);
	unsigned more = fill(disk);
	print_message("%u made, and %u more\n", made, more);
	assert_true(more > 10 * made);
	assert_reads_go_on(disk);
	/* Killed with a full disk, and started on one. */
	assert_int_equal(process_end(&disk->process, SIGKILL), 128 + SIGKILL);
	process_finish(&disk->process);
	start_on(disk);
	assert_reads_go_on(disk);
	assert_int_equal(process_end(&disk->process, SIGTERM), 0);
	assert_true(rows_on(disk) >= made + more);
}

#define TEST(name) \
	cmocka_unit_test_setup_teardown(name, app_server_setup, app_server_teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_change_is_refused_and_every_read_answered),
		TEST(a_disk_that_is_full_at_the_start_serves_what_it_has),
		TEST(nothing_acknowledged_is_lost_while_space_comes_and_goes),
		cmocka_unit_test_setup_teardown(a_real_disk_fills_up_and_is_emptied_again,
			set_up_disk, tear_down_disk),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
