#ifndef HANGUP_SERVICE_HTTP_LISTENER_H
#define HANGUP_SERVICE_HTTP_LISTENER_H

/*
 * A listening TCP socket whose connections notice a client that vanished
 * without a FIN: they inherit keep-alive probes and TCP_USER_TIMEOUT from it
 * (tcp(7); Linux copies both to accepted sockets), which costs nothing for each
 * connection.
 */
#include "service/core/error.h"

/* Listens on addr (IPv4 or IPv6, numeric) and port; 0 takes a free one. A silent
 * client is given up after about silence_ms. ERR_IO, with errno. The caller
 * closes *ret_fd. */
enum err listener_open(const char *addr, unsigned port, int64_t silence_ms, int *ret_fd);

/* The port that fd is bound to. */
unsigned listener_port(int fd);

#endif
