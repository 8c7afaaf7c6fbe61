#include "tests/support/raw.h"

#include <arpa/inet.h>
#include <assert.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include "tests/support/cmocka.h"
#include "tests/support/wait.h"

/*
 * Connecting.
 */

static void note_address(struct raw *raw)
{
	struct sockaddr_in own;
	socklen_t len = sizeof own;
	getsockname(raw->fd, (struct sockaddr *)&own, &len);
	snprintf(raw->address, sizeof raw->address, "127.0.0.1:%u", ntohs(own.sin_port));
}

static bool try_connect(struct raw *raw, unsigned port, int receive_bytes)
{
	struct sockaddr_in address = {
		.sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK),
	};
	*raw = (struct raw){ .fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0) };
	assert(raw->fd >= 0);
	if (receive_bytes > 0)
		setsockopt(raw->fd, SOL_SOCKET, SO_RCVBUF, &receive_bytes,
			sizeof receive_bytes);
	setsockopt(raw->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 1 }, sizeof(int));
	if (connect(raw->fd, (struct sockaddr *)&address, sizeof address) == 0) {
		note_address(raw);
		return true;
	}
	raw_close(raw);
	return false;
}

bool raw_try_connect(struct raw *raw, unsigned port)
{
	return try_connect(raw, port, 0);
}

void raw_connect(struct raw *raw, unsigned port)
{
	assert_true(try_connect(raw, port, 0));
}

void raw_connect_narrow(struct raw *raw, unsigned port)
{
	enum { NARROW = 32768 };
	assert_true(try_connect(raw, port, NARROW));
	raw->narrow = true;
}

/*
 * Sending.
 */

static void send_all(struct raw *raw, const char *data, size_t len, int flags)
{
	while (len > 0) {
		ssize_t sent = send(raw->fd, data, len, flags | MSG_NOSIGNAL);
		if (sent < 0)
			return;
		data += sent;
		len -= (size_t)sent;
	}
}

void raw_send_bytes(struct raw *raw, const void *data, size_t len)
{
	send_all(raw, data, len, 0);
}

void raw_send(struct raw *raw, const char *text)
{
	send_all(raw, text, strlen(text), 0);
}

void raw_sendf(struct raw *raw, const char *format, ...)
{
	char text[4096];
	va_list args;
	va_start(args, format);
	int len = vsnprintf(text, sizeof text, format, args);
	va_end(args);
	assert(len >= 0 && (size_t)len < sizeof text);
	raw_send(raw, text);
}

void raw_send_with_fin(struct raw *raw, const char *text)
{
	/* MSG_MORE holds a segment back only if Nagle's algorithm may. */
	setsockopt(raw->fd, IPPROTO_TCP, TCP_NODELAY, &(int){ 0 }, sizeof(int));
	setsockopt(raw->fd, IPPROTO_TCP, TCP_CORK, &(int){ 1 }, sizeof(int));
	send_all(raw, text, strlen(text), MSG_MORE);
}

/*
 * Receiving.
 */

/* False at the end of the connection; *ret_clean then says whether it was a FIN. A
 * server that neither sends nor closes is what the test must not go on from. */
static bool receive(struct raw *raw, bool *ret_clean)
{
	enum { PIECE = 16384 };
	struct pollfd readable = { .fd = raw->fd, .events = POLLIN };
	*ret_clean = false;
	if (raw->fd < 0)
		return false;
	if (poll(&readable, 1, PATIENCE_MS) != 1) {
		fprintf(stderr, "client %s: nothing to read, and not closed\n",
			raw->address);
		patience_lost();
	}
	enum err err = buffer_reserve(&raw->in, PIECE);
	assert(err == ERR_OK);
	ssize_t got = recv(raw->fd, raw->in.data + raw->in.len, PIECE, 0);
	buffer_extend(&raw->in, got > 0 ? (size_t)got : 0);
	*ret_clean = got == 0;
	return got > 0;
}

bool raw_has_data(const struct raw *raw)
{
	char byte;
	return raw->in.len > 0 || recv(raw->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 1;
}

static void take(struct raw *raw, size_t len)
{
	buffer_drop_front(&raw->in, len);
}

/* Makes sure of len bytes. */
static bool fill(struct raw *raw, size_t len)
{
	bool clean;
	while (raw->in.len < len)
		if (!receive(raw, &clean))
			return false;
	return true;
}

/* Reads until text has come; *ret_end is where it ends. */
static bool fill_until(struct raw *raw, const char *text, size_t *ret_end)
{
	bool clean;
	for (;;) {
		char *found = raw->in.len > 0
			? memmem(raw->in.data, raw->in.len, text, strlen(text))
			: NULL;
		if (found) {
			*ret_end = (size_t)(found - raw->in.data) + strlen(text);
			return true;
		}
		if (!receive(raw, &clean))
			return false;
	}
}

bool raw_expect(struct raw *raw, const char *text)
{
	size_t end;
	if (!fill_until(raw, text, &end))
		return false;
	take(raw, end);
	return true;
}

static bool read_head(struct raw *raw, struct http_response *ret)
{
	size_t end;
	if (!fill_until(raw, "\r\n\r\n", &end))
		return false;
	char *head = strndup(raw->in.data, end);
	assert(head);
	take(raw, end);
	http_response_take_head(ret, head);
	return true;
}

static void take_body(struct raw *raw, struct buffer *body, size_t len)
{
	enum err err = buffer_append(body, (struct span){ raw->in.data, len });
	assert(err == ERR_OK);
	take(raw, len);
}

static bool read_chunks(struct raw *raw, struct buffer *body)
{
	for (;;) {
		size_t end;
		if (!fill_until(raw, "\r\n", &end))
			return false;
		size_t size = strtoul(raw->in.data, NULL, 16);
		take(raw, end);
		if (!fill(raw, size + 2))
			return false;
		take_body(raw, body, size);
		take(raw, 2);
		if (size == 0)
			return true;
	}
}

/* 204 and its kind have none: the service always says how long one is. */
static bool read_by_length(struct raw *raw, const char *length, struct buffer *body)
{
	size_t len = length ? strtoul(length, NULL, 10) : 0;
	if (!fill(raw, len))
		return false;
	if (len > 0)
		take_body(raw, body, len);
	return true;
}

static bool read_body(struct raw *raw, struct http_response *ret)
{
	struct buffer body = { 0 };
	bool whole = http_header(ret, "Transfer-Encoding")
		? read_chunks(raw, &body)
		: read_by_length(raw, http_header(ret, "Content-Length"), &body);
	ret->body_len = body.len;
	ret->body = buffer_detach(&body);
	return whole;
}

static bool read_final_head(struct raw *raw, struct http_response *ret)
{
	bool got;
	do {
		http_response_finish(ret);
		got = read_head(raw, ret);
	} while (got && ret->status < 200);
	return got;
}

/* Through a small window an answer takes as long as a delayed acknowledgement for every
 * 16 KiB of it: 10 s for 8 MB. */
static void widen(struct raw *raw)
{
	enum { WIDE = 1 << 20 };
	if (raw->narrow)
		setsockopt(raw->fd, SOL_SOCKET, SO_RCVBUF, &(int){ WIDE }, sizeof(int));
	raw->narrow = false;
}

void raw_read(struct raw *raw, struct http_response *ret)
{
	widen(raw);
	*ret = (struct http_response){ 0 };
	ret->whole = read_final_head(raw, ret) && read_body(raw, ret);
}

void raw_read_without_body(struct raw *raw, struct http_response *ret)
{
	*ret = (struct http_response){ 0 };
	ret->whole = read_final_head(raw, ret);
}

bool raw_read_to_end(struct raw *raw)
{
	bool clean;
	widen(raw);
	while (receive(raw, &clean))
		buffer_clear(&raw->in);
	return clean;
}

bool raw_is_closed(struct raw *raw)
{
	bool clean;
	return raw->in.len == 0 && !receive(raw, &clean);
}

/*
 * Leaving.
 */

void raw_close(struct raw *raw)
{
	if (raw->fd >= 0)
		close(raw->fd);
	raw->fd = -1;
	buffer_finish(&raw->in);
}

void raw_half_close(struct raw *raw)
{
	shutdown(raw->fd, SHUT_WR);
}

void raw_reset(struct raw *raw)
{
	struct linger at_once = { .l_onoff = 1 };
	setsockopt(raw->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	raw_close(raw);
}

bool raw_vanish(struct raw *raw)
{
	if (setsockopt(raw->fd, IPPROTO_TCP, TCP_REPAIR, &(int){ 1 }, sizeof(int)) != 0)
		return false;
	raw_close(raw);
	return true;
}
