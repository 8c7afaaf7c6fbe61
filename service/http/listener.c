#include "service/http/listener.h"

#include <errno.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/core/address.h"

static bool set_option(int fd, int level, int option, int value)
{
	return setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/* The first probe after half of the time, then PROBES of them in the other half. With
 * TCP_USER_TIMEOUT the kernel also gives up a client that is there and reads nothing
 * (tcp(7)); that it is not gone, only slow, is for the stream to say, whose clock starts
 * later: megabytes go into the socket's buffer before it notices.
 *
 * The kernel refuses more than SECONDS_MAX between probes, and before the first
 * (MAX_TCP_KEEPIDLE and MAX_TCP_KEEPINTVL in its net/tcp.h); for a longer silence the
 * probes only come earlier. */
static bool notice_silence(int fd, int64_t silence_ms)
{
	enum {
		PROBES = 3,
		MS_PER_S = 1000,
		SECONDS_MAX = 32767,
		AFTER_THE_STREAM_MS = 10000
	};
	int seconds = (int)((silence_ms + MS_PER_S - 1) / MS_PER_S);
	int idle = seconds > 1 ? seconds / 2 : 1;
	if (idle > SECONDS_MAX)
		idle = SECONDS_MAX;
	int interval = seconds > 2 * PROBES ? seconds / (2 * PROBES) : 1;
	return set_option(fd, SOL_SOCKET, SO_KEEPALIVE, 1) &&
		set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, idle) &&
		set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, interval) &&
		set_option(fd, IPPROTO_TCP, TCP_KEEPCNT, PROBES) &&
		set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT,
			(int)silence_ms + AFTER_THE_STREAM_MS);
}

static bool start_listening(
	int fd, const union address *address, socklen_t len, int64_t silence_ms)
{
	enum { BACKLOG = 1024 };
	return set_option(fd, SOL_SOCKET, SO_REUSEADDR, 1) &&
		notice_silence(fd, silence_ms) && bind(fd, &address->any, len) == 0 &&
		listen(fd, BACKLOG) == 0;
}

enum err listener_open(const char *addr, unsigned port, int64_t silence_ms, int *ret_fd)
{
	union address address;
	socklen_t len;
	if (!address_parse(addr, port, &address, &len)) {
		errno = EINVAL;
		return ERR_IO;
	}
	int fd = socket(
		address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ERR_IO;
	if (!start_listening(fd, &address, len, silence_ms)) {
		int reason = errno;
		close(fd);
		errno = reason;
		return ERR_IO;
	}
	*ret_fd = fd;
	return ERR_OK;
}

unsigned listener_port(int fd)
{
	union address address = { 0 };
	socklen_t len = sizeof address;
	if (getsockname(fd, &address.any, &len) != 0)
		return 0;
	return address_port(&address);
}
