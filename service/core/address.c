#include "service/core/address.h"

#include <arpa/inet.h>

bool address_parse(
	const char *text, unsigned port, union address *ret, socklen_t *ret_len)
{
	union address address = { 0 };
	if (inet_pton(AF_INET, text, &address.v4.sin_addr) == 1) {
		address.v4.sin_family = AF_INET;
		address.v4.sin_port = htons((uint16_t)port);
		*ret_len = sizeof address.v4;
	} else if (inet_pton(AF_INET6, text, &address.v6.sin6_addr) == 1) {
		address.v6.sin6_family = AF_INET6;
		address.v6.sin6_port = htons((uint16_t)port);
		*ret_len = sizeof address.v6;
	} else {
		return false;
	}
	*ret = address;
	return true;
}

unsigned address_port(const union address *address)
{
	return ntohs(address->any.sa_family == AF_INET6 ? address->v6.sin6_port
							: address->v4.sin_port);
}

bool address_is_loopback(const union address *address)
{
	if (address->any.sa_family == AF_INET6)
		return IN6_IS_ADDR_LOOPBACK(&address->v6.sin6_addr);
	return ntohl(address->v4.sin_addr.s_addr) >> 24 == IN_LOOPBACKNET;
}

void address_make_reachable(union address *address)
{
	if (address->any.sa_family == AF_INET6) {
		if (IN6_IS_ADDR_UNSPECIFIED(&address->v6.sin6_addr))
			address->v6.sin6_addr = in6addr_loopback;
	} else if (address->v4.sin_addr.s_addr == htonl(INADDR_ANY)) {
		address->v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	}
}
