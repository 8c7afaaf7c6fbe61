#ifndef HANGUP_SERVICE_CORE_ADDRESS_H
#define HANGUP_SERVICE_CORE_ADDRESS_H

/*
 * A TCP address: IPv4 or IPv6, and a port.
 */
#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

union address {
	struct sockaddr any;
	struct sockaddr_in v4;
	struct sockaddr_in6 v6;
};

/* False when text is not a numeric address. */
bool address_parse(
	const char *text, unsigned port, union address *ret, socklen_t *ret_len);

unsigned address_port(const union address *address);

/* Whether only programs of the same machine reach who listens there. */
bool address_is_loopback(const union address *address);

/* Where a program of the same machine reaches one who listens on address:
 * loopback in the place of "all of them". */
void address_make_reachable(union address *address);

#endif
