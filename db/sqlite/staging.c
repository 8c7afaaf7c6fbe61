#include "db/staging.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/core/os.h"

/*
 * A record is its length and its bytes. The buffer is what is written next, and later
 * what was read last. As long as everything fits into it there is no file.
 */
struct staging {
	char *directory; /* owned: the database's, which has room for what is to come */
	int fd;          /* -1: everything is in the buffer */
	int64_t count;
	bool reading;
	size_t start; /* of what was read into the buffer and not yet handed out */
	size_t end;
	char buffer[64 * 1024];
};

typedef uint32_t record_length;

enum err staging_create(struct db *db, struct staging **ret_staging)
{
	struct staging *staging = malloc(sizeof *staging);
	if (!staging)
		return ERR_NOMEM;
	/* The buffer's pages are left alone until they are used. */
	memset(staging, 0, offsetof(struct staging, buffer));
	staging->fd = -1;
	staging->directory = directory_of(db_path(db));
	if (!staging->directory) {
		staging_destroy(staging);
		return ERR_NOMEM;
	}
	*ret_staging = staging;
	return ERR_OK;
}

void staging_destroy(struct staging *staging)
{
	if (!staging)
		return;
	if (staging->fd >= 0)
		close(staging->fd);
	free(staging->directory);
	free(staging);
}

/* For file systems that know no files without a name: it has one for a moment. */
static int open_and_unlink(const char *directory)
{
	char path[4096 + 32];
	snprintf(path, sizeof path, "%s.staging-XXXXXX", directory);
	int fd = mkostemp(path, O_CLOEXEC);
	if (fd >= 0)
		unlink(path);
	return fd;
}

static enum err open_file(struct staging *staging)
{
	enum { OWNER_ONLY = 0600 };
	staging->fd = open(
		staging->directory, O_TMPFILE | O_EXCL | O_RDWR | O_CLOEXEC, OWNER_ONLY);
	if (staging->fd < 0 && (errno == EOPNOTSUPP || errno == EISDIR))
		staging->fd = open_and_unlink(staging->directory);
	return staging->fd >= 0 ? ERR_OK : err_of_errno(errno);
}

static enum err write_out(struct staging *staging)
{
	enum err err = staging->fd < 0 ? open_file(staging) : ERR_OK;
	if (err != ERR_OK)
		return err;
	const struct span records = { staging->buffer, staging->end };
	if (write_all(staging->fd, records) < records.len)
		return err_of_errno(errno);
	staging->end = 0;
	return ERR_OK;
}

static void append_bytes(struct staging *staging, const void *data, size_t len)
{
	memcpy(staging->buffer + staging->end, data, len);
	staging->end += len;
}

enum err staging_add(struct staging *staging, struct span record)
{
	record_length length = (record_length)record.len;
	assert(!staging->reading && record.len <= STAGING_RECORD_MAX);
	if (sizeof staging->buffer - staging->end < sizeof length + record.len) {
		enum err err = write_out(staging);
		if (err != ERR_OK)
			return err;
	}
	append_bytes(staging, &length, sizeof length);
	append_bytes(staging, record.data, record.len);
	staging->count++;
	return ERR_OK;
}

enum err staging_rewind(struct staging *staging)
{
	bool in_file = staging->fd >= 0;
	enum err err = in_file && !staging->reading ? write_out(staging) : ERR_OK;
	if (err == ERR_OK && in_file && lseek(staging->fd, 0, SEEK_SET) != 0)
		err = ERR_IO;
	if (err != ERR_OK)
		return err;
	staging->reading = true;
	staging->start = 0;
	if (in_file)
		staging->end = 0;
	return ERR_OK;
}

/* Reads the file on until len bytes are in the buffer, or the end has come. */
static enum err read_ahead(struct staging *staging, size_t len)
{
	size_t left = staging->end - staging->start;
	memmove(staging->buffer, staging->buffer + staging->start, left);
	staging->start = 0;
	staging->end = left;
	while (staging->end < len) {
		ssize_t got = read(staging->fd, staging->buffer + staging->end,
			sizeof staging->buffer - staging->end);
		if (got < 0 && errno != EINTR)
			return ERR_IO;
		if (got == 0)
			break;
		staging->end += got > 0 ? (size_t)got : 0;
	}
	return ERR_OK;
}

/* Takes the next len bytes; less than that only at the end. */
static enum err take_bytes(struct staging *staging, size_t len, struct span *ret)
{
	bool is_there = staging->fd < 0 || staging->end - staging->start >= len;
	enum err err = is_there ? ERR_OK : read_ahead(staging, len);
	if (err != ERR_OK)
		return err;
	size_t left = staging->end - staging->start;
	*ret = (struct span){ staging->buffer + staging->start, left < len ? left : len };
	staging->start += ret->len;
	return ERR_OK;
}

enum err staging_next(struct staging *staging, struct span *ret_record)
{
	record_length length;
	struct span head;
	assert(staging->reading);
	enum err err = take_bytes(staging, sizeof length, &head);
	if (err == ERR_OK && head.len == 0)
		*ret_record = (struct span){ 0 };
	if (err != ERR_OK || head.len == 0)
		return err;
	if (head.len < sizeof length)
		return ERR_IO;
	memcpy(&length, head.data, sizeof length);
	err = take_bytes(staging, length, ret_record);
	return err == ERR_OK && ret_record->len < length ? ERR_IO : err;
}

int64_t staging_count(const struct staging *staging)
{
	return staging->count;
}
