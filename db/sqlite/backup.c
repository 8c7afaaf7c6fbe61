#include "db/backup.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "db/sqlite/transaction.h"
#include "db/stmt.h"
#include "service/core/os.h"

/* How long the token may go unheard: 1 MiB with pages of the default size. */
enum { PAGES_PER_STEP = 256 };

#define PARTIAL_SUFFIX ".XXXXXX" /* beside the copy's place, so that link() can do */

/*
 * Copying. SQLite starts over when another process has written between two
 * steps, and so would never end on a busy database; inside a snapshot it has
 * no reason to.
 */

/* BEGIN alone takes none: the first read does. */
static enum err take_snapshot(struct conn *source)
{
	enum err err = transaction_begin(source, "BEGIN");
	return err == ERR_OK ? stmt_exec(source, "SELECT count(*) FROM sqlite_schema")
			     : err;
}

static enum err run_backup(struct conn *source, sqlite3_backup *backup)
{
	for (;;) {
		enum err err = conn_ready(source);
		if (err != ERR_OK)
			return err;
		int code = sqlite3_backup_step(backup, PAGES_PER_STEP);
		if (code == SQLITE_DONE)
			return ERR_OK;
		if (code != SQLITE_OK)
			return conn_error(source, code);
	}
}

static enum err copy_pages(struct conn *source, sqlite3 *copy)
{
	enum err err = take_snapshot(source);
	if (err != ERR_OK)
		return err;
	sqlite3_backup *backup = sqlite3_backup_init(
		copy, "main", source->sqlite, "main");
	if (!backup)
		return conn_error(source, sqlite3_errcode(copy));
	err = run_backup(source, backup);
	int code = sqlite3_backup_finish(backup); /* repeats the error of a step */
	if (err == ERR_OK && code != SQLITE_OK)
		err = conn_error(source, code);
	return err;
}

static enum err copy_to(struct conn *source, const char *vfs, const char *partial)
{
	sqlite3 *copy = NULL;
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
	int code = sqlite3_open_v2(partial, &copy, flags, vfs);
	enum err err = code == SQLITE_OK ? copy_pages(source, copy)
					 : conn_error(source, code);
	sqlite3_close(copy);
	return err;
}

/*
 * The file.
 */

/* The name is durable once its directory is; where that cannot be synced (EINVAL), it is as
 * durable as names are there, which is no reason to throw a whole copy away. */
static enum err sync_directory_of(const char *path)
{
	char *dir = directory_of(path);
	if (!dir)
		return ERR_NOMEM;
	int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	bool synced = fd >= 0 && (fsync(fd) == 0 || errno == EINVAL);
	enum err err = synced ? ERR_OK : err_of_errno(errno);
	if (fd >= 0)
		close(fd);
	free(dir);
	return err;
}

static bool has_no_links(int number)
{
	return number == EPERM || number == EOPNOTSUPP || number == ENOSYS;
}

/* For file systems without links, FAT and some network ones: an empty file takes the name
 * if nobody has it, and the copy takes the place of that. Returns -1 and errno. */
static int rename_to_free_name(const char *partial, const char *path)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	if (fd < 0)
		return -1;
	close(fd);
	if (rename(partial, path) == 0)
		return 0;
	int number = errno;
	unlink(path);
	errno = number;
	return -1;
}

/* Gives the whole copy its name, unless that has been taken meanwhile. */
static enum err publish(const char *partial, const char *path)
{
	int code = link(partial, path);
	if (code != 0 && has_no_links(errno))
		code = rename_to_free_name(partial, path);
	if (code != 0)
		return errno == EEXIST ? ERR_CONFLICT : err_of_errno(errno);
	enum err err = sync_directory_of(path);
	if (err != ERR_OK)
		unlink(path);
	return err;
}

static enum err size_of(const char *path, int64_t *ret_bytes)
{
	struct stat status;
	if (stat(path, &status) != 0)
		return err_of_errno(errno);
	*ret_bytes = status.st_size;
	return ERR_OK;
}

static enum err fill_and_publish(const struct db_config *config, struct conn *source,
	const char *partial, const char *path, struct backup_report *report)
{
	int64_t bytes = 0;
	report->message = "the copy failed";
	enum err err = copy_to(source, config->vfs, partial);
	if (err == ERR_OK)
		err = size_of(partial, &bytes);
	if (err != ERR_OK)
		return err;
	report->message = "the copy could not get its name";
	err = publish(partial, path);
	if (err == ERR_OK)
		*report = (struct backup_report){ .bytes = bytes, .message = "" };
	return err;
}

/* Takes the place of the copy beside path, by a name of nobody else's. */
static enum err make_partial(const char *path, char **ret_partial)
{
	char *partial = NULL;
	if (asprintf(&partial, "%s" PARTIAL_SUFFIX, path) < 0)
		return ERR_NOMEM;
	int fd = mkostemp(partial, O_CLOEXEC);
	if (fd < 0) {
		enum err err = err_of_errno(errno);
		free(partial);
		return err;
	}
	close(fd);
	*ret_partial = partial;
	return ERR_OK;
}

/* Also the journal, which SQLite leaves where it could not roll back. */
static void remove_partial(char *partial)
{
	char *journal = NULL;
	unlink(partial);
	if (asprintf(&journal, "%s-journal", partial) >= 0) {
		unlink(journal);
		free(journal);
	}
	free(partial);
}

static enum err back_up_from(const struct db_config *config, struct conn *source,
	const char *path, struct backup_report *report)
{
	char *partial = NULL;
	report->message = "no file can be made there";
	enum err err = make_partial(path, &partial);
	if (err != ERR_OK)
		return err;
	err = fill_and_publish(config, source, partial, path, report);
	remove_partial(partial);
	return err;
}

enum err db_backup(const struct db_config *config, struct cancel *token, const char *path,
	struct backup_report *ret_report)
{
	*ret_report = (struct backup_report){ .message = "there is a file already" };
	if (faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return ERR_CONFLICT;
	struct conn *source;
	ret_report->message = "the database cannot be opened";
	enum err err = conn_open(config, CONN_READER, token, &source);
	if (err != ERR_OK)
		return err;
	err = back_up_from(config, source, path, ret_report);
	conn_close(source);
	return err;
}
