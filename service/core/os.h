#ifndef HANGUP_SERVICE_CORE_OS_H
#define HANGUP_SERVICE_CORE_OS_H

/*
 * What the operating system's calls leave to their callers. Any thread.
 */
#include <errno.h>

#include "service/core/error.h"
#include "service/core/span.h"

/* What an errno means where a file could not be made, written or read: ERR_DISK_FULL when
 * more cannot be stored there, be it for lack of space (ENOSPC), for a quota (EDQUOT) or
 * because the file may not be larger (EFBIG: RLIMIT_FSIZE, or the file system's limit);
 * ERR_NOMEM (ENOMEM); ERR_IO for all others. */
static inline enum err err_of_errno(int number)
{
	switch (number) {
	case ENOSPC:
	case EDQUOT:
	case EFBIG:
		return ERR_DISK_FULL;
	case ENOMEM:
		return ERR_NOMEM;
	default:
		return ERR_IO;
	}
}

/* Writes all of data, in as many calls as it takes, and waits while fd would block, with
 * no limit. Returns how much was written: less than data.len when a call failed, and then
 * errno says how. */
size_t write_all(int fd, struct span data);

/* The directory that path is in, with the slash at its end: "./" when path has none. The
 * caller frees it. NULL when out of memory. */
char *directory_of(const char *path);

#endif
