#ifndef HANGUP_SERVICE_HTTP_CLIENT_H
#define HANGUP_SERVICE_HTTP_CLIENT_H

/*
 * A client is the other end of one connection: what the watcher has seen it do,
 * and the exchange it waits for now. Private to the server.
 *
 * The watcher and the network thread meet here. A hang-up may come before the
 * request has a route, and so before anybody knows what a hang-up means for it:
 * it is remembered, and client_expect() looks again once the route is known.
 */
#include "service/core/cancel.h"
#include "service/core/error.h"
#include "service/core/watcher.h"

struct client;

#define CLIENT_ADDRESS_SIZE sizeof "[ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255]:65535"

struct sockaddr;

/* Starts to watch fd, whose peer is address. Network thread: libmicrohttpd's
 * started notification. ERR_NOMEM or ERR_IO. */
enum err client_create(struct watcher *watcher, int fd, const struct sockaddr *address,
	struct client **ret_client);

/* Stops watching and frees; fd is still open. When it returns, no hang-up of this
 * client is being delivered any more. Network thread: the closed notification.
 * NULL is a no-op. */
void client_destroy(struct client *client);

const char *client_address(const struct client *client);

/* Whether it has sent FIN: nothing can follow the answer. */
bool client_has_left(struct client *client);

/* From now on a hang-up fires token: of the kinds that count. One that came
 * before counts too, and fires it before this returns. */
void client_expect(
	struct client *client, struct cancel *token, bool fin_counts, bool reset_counts);

/* The exchange is over. When this returns, token is fired by this client no more,
 * although a firing may still be running its hooks. */
void client_forget(struct client *client);

/* Closes both directions under libmicrohttpd, which then notices at once and
 * gives up the request. */
void client_cut(struct client *client);

/* Sends text past libmicrohttpd, while it has nothing to send itself, as far as
 * the socket takes it at once, and closes that direction. */
void client_send_last(struct client *client, const char *text, size_t len);

#endif
