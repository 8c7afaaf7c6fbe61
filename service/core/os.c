#include "service/core/os.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

size_t write_all(int fd, struct span data)
{
	size_t done = 0;
	errno = EIO; /* for a call that writes nothing and does not say why */
	while (done < data.len) {
		ssize_t written = write(fd, data.data + done, data.len - done);
		if (written > 0)
			done += (size_t)written;
		else if (written < 0 && errno == EAGAIN)
			poll(&(struct pollfd){ .fd = fd, .events = POLLOUT }, 1, -1);
		else if (written == 0 || errno != EINTR)
			break;
	}
	return done;
}

char *directory_of(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? strndup(path, (size_t)(slash - path) + 1) : strdup("./");
}
