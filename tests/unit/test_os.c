#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "service/core/os.h"
#include "tests/support/cmocka.h"

enum { MANY = 1024 * 1024 }; /* more than a pipe takes */

static void a_disk_that_takes_no_more_is_full(void **state)
{
	const int full[] = { ENOSPC, EDQUOT, EFBIG };
	const int failed[] = { EIO, EROFS, EACCES, ENOENT, EMFILE, EBADF };
	(void)state;
	for (size_t i = 0; i < sizeof full / sizeof *full; i++)
		assert_int_equal(err_of_errno(full[i]), ERR_DISK_FULL);
	for (size_t i = 0; i < sizeof failed / sizeof *failed; i++)
		assert_int_equal(err_of_errno(failed[i]), ERR_IO);
	assert_int_equal(err_of_errno(ENOMEM), ERR_NOMEM);
}

static void *read_to_the_end(void *arg)
{
	int fd = *(int *)arg;
	char bytes[4096];
	uintptr_t sum = 0;
	for (ssize_t got; (got = read(fd, bytes, sizeof bytes)) > 0;)
		for (ssize_t i = 0; i < got; i++)
			sum += (unsigned char)bytes[i];
	return (void *)sum;
}

/* The pipe takes 64 KiB, and does not block: all the rest has to wait for the reader. */
static void all_is_written_even_where_it_would_block(void **state)
{
	int ends[2];
	pthread_t reader;
	void *sum;
	uintptr_t expected = 0;
	char *bytes = malloc(MANY);
	(void)state;
	for (size_t i = 0; i < MANY; i++)
		expected += (unsigned char)(bytes[i] = (char)(i * 7));
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	assert_int_equal(fcntl(ends[1], F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(pthread_create(&reader, NULL, read_to_the_end, &ends[0]), 0);
	assert_int_equal(write_all(ends[1], (struct span){ bytes, MANY }), MANY);
	close(ends[1]);
	pthread_join(reader, &sum);
	assert_true((uintptr_t)sum == expected);
	close(ends[0]);
	free(bytes);
}

static void what_was_written_before_a_failure_is_told(void **state)
{
	enum { LIMIT = 5000 };
	struct rlimit before;
	char bytes[2 * LIMIT] = { 0 };
	(void)state;
	int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		skip();
	signal(SIGXFSZ, SIG_IGN);
	getrlimit(RLIMIT_FSIZE, &before);
	setrlimit(RLIMIT_FSIZE, &(struct rlimit){ LIMIT, before.rlim_max });
	size_t written = write_all(fd, (struct span){ bytes, sizeof bytes });
	int reason = errno;
	setrlimit(RLIMIT_FSIZE, &before);
	assert_int_equal(written, LIMIT);
	assert_int_equal(err_of_errno(reason), ERR_DISK_FULL);
	close(fd);
}

static void nothing_takes_no_call(void **state)
{
	(void)state;
	assert_int_equal(write_all(-1, (struct span){ 0 }), 0);
	assert_int_equal(write_all(-1, SPAN_LITERAL("lost")), 0);
	assert_int_equal(errno, EBADF);
}

static void assert_directory(const char *path, const char *expected)
{
	char *directory = directory_of(path);
	assert_string_equal(directory, expected);
	free(directory);
}

static void a_path_without_a_slash_is_here(void **state)
{
	(void)state;
	assert_directory("/var/lib/hangup.db", "/var/lib/");
	assert_directory("data/hangup.db", "data/");
	assert_directory("/hangup.db", "/");
	assert_directory("hangup.db", "./");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_disk_that_takes_no_more_is_full),
		cmocka_unit_test(all_is_written_even_where_it_would_block),
		cmocka_unit_test(what_was_written_before_a_failure_is_told),
		cmocka_unit_test(nothing_takes_no_call),
		cmocka_unit_test(a_path_without_a_slash_is_here),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
