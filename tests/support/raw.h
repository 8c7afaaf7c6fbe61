#ifndef HANGUP_TESTS_SUPPORT_RAW_H
#define HANGUP_TESTS_SUPPORT_RAW_H

/*
 * A client that is a bare socket: it sends what no HTTP library would, and leaves in
 * every way there is.
 */
#include "service/core/buffer.h"
#include "tests/support/http.h"

struct raw {
	int fd;           /* -1 once it has left */
	char address[32]; /* its own, as the log shows it */
	struct buffer in; /* what was received and not yet taken */
	bool narrow;
};

/* Fails the test when it cannot connect. */
void raw_connect(struct raw *raw, unsigned port);

/* With a receive buffer so small that an answer of 8 MB cannot be sent unless it
 * is read. What reads to the end widens it. */
void raw_connect_narrow(struct raw *raw, unsigned port);

/* False when the connection is refused. */
bool raw_try_connect(struct raw *raw, unsigned port);

/* Sends all of it, or what the other side takes before it closes. */
void raw_send(struct raw *raw, const char *text);
void raw_send_bytes(struct raw *raw, const void *data, size_t len);
void raw_sendf(struct raw *raw, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Keeps text back, so that it leaves in one segment with the FIN of raw_close() or
 * raw_half_close(). */
void raw_send_with_fin(struct raw *raw, const char *text);

/* Reads until text has come, and takes everything up to its end. False when the
 * connection ends before. */
bool raw_expect(struct raw *raw, const char *text);

/* Reads and takes one answer, interim ones (100) included. Without one, or with part of
 * it, whole is false and the connection has ended. no_body: the answer to a HEAD. */
void raw_read(struct raw *raw, struct http_response *ret);
void raw_read_without_body(struct raw *raw, struct http_response *ret);

/* Whether something has come by now, and not only the end. */
bool raw_has_data(const struct raw *raw);

/* Reads until the server closes, and drops it. True when that was a clean FIN. */
bool raw_read_to_end(struct raw *raw);

/* True when the server has closed, or does so in time, and sent no byte more. */
bool raw_is_closed(struct raw *raw);

/*
 * Leaving.
 */
void raw_close(struct raw *raw); /* FIN; RST when something was not read. Idempotent */
void raw_half_close(struct raw *raw); /* FIN, and goes on reading */
void raw_reset(struct raw *raw);      /* RST */
/* Without a word, as a machine does that loses its power; false when this process may
 * not (TCP_REPAIR wants CAP_NET_ADMIN). */
bool raw_vanish(struct raw *raw);

#endif
