#include "service/run/healthcheck.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <unistd.h>

#include "service/core/address.h"
#include "service/core/clock.h"

/*
 * Not /readyz, which says no as well while every worker is busy or the database
 * is slow: what is asked here decides about killing the process, and killing it
 * for its load would make that worse.
 */
static const char question[] = "GET /healthz HTTP/1.1\r\n"
			       "Host: localhost\r\n"
			       "Connection: close\r\n"
			       "\r\n";
static const char good_answer[] = "HTTP/1.1 200 ";

enum {
	QUESTION_LEN = sizeof question - 1,
	GOOD_ANSWER_LEN = sizeof good_answer - 1,
};

/* Waits until fd can do what events say. */
static enum err wait_for(int fd, short events, instant deadline)
{
	struct pollfd poll_fd = { .fd = fd, .events = events };
	struct timespec left = { 0 };
	int64_t ns = instant_diff_ns(instant_now(), deadline);
	if (ns > 0)
		left = instant_timespec((instant){ ns });
	int ready = ppoll(&poll_fd, 1, &left, NULL);
	if (ready == 0)
		return ERR_DEADLINE;
	return ready > 0 ? ERR_OK : ERR_IO;
}

static enum err connect_to(
	int fd, const union address *address, socklen_t len, instant deadline)
{
	if (connect(fd, &address->any, len) == 0)
		return ERR_OK;
	if (errno != EINPROGRESS)
		return ERR_IO;
	enum err err = wait_for(fd, POLLOUT, deadline);
	socklen_t size = sizeof errno;
	if (err == ERR_OK && getsockopt(fd, SOL_SOCKET, SO_ERROR, &errno, &size) != 0)
		return ERR_IO;
	return err == ERR_OK && errno != 0 ? ERR_IO : err;
}

/* Reads no more than it takes to know. */
static enum err read_answer(int fd, instant deadline)
{
	char answer[64];
	size_t len = 0;
	while (len < GOOD_ANSWER_LEN) {
		enum err err = wait_for(fd, POLLIN, deadline);
		if (err != ERR_OK)
			return err;
		ssize_t got = read(fd, answer + len, sizeof answer - len);
		if (got < 0)
			return ERR_IO;
		if (got == 0)
			return ERR_BUSY;
		len += (size_t)got;
	}
	bool good = memcmp(answer, good_answer, GOOD_ANSWER_LEN) == 0;
	return good ? ERR_OK : ERR_BUSY;
}

static enum err ask(int fd, const union address *address, socklen_t len, instant deadline)
{
	enum err err = connect_to(fd, address, len, deadline);
	if (err != ERR_OK)
		return err;
	/* A fresh connection's buffer takes it whole. */
	if (send(fd, question, QUESTION_LEN, MSG_NOSIGNAL) != QUESTION_LEN)
		return ERR_IO;
	return read_answer(fd, deadline);
}

enum err healthcheck(const char *addr, unsigned port, int64_t timeout_ms)
{
	instant deadline = instant_add_ms(instant_now(), timeout_ms);
	union address address;
	socklen_t len;
	if (!address_parse(addr, port, &address, &len))
		return ERR_INVALID;
	address_make_reachable(&address);
	int fd = socket(
		address.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return ERR_IO;
	enum err err = ask(fd, &address, len, deadline);
	close(fd);
	return err;
}
