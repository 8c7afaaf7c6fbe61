#include "service/http/client.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#include "service/core/timer.h"

/*
 * A FIN that reaches the kernel together with the bytes before it makes one event in
 * libmicrohttpd's edge-triggered set: it reads the bytes, which are fewer than it has
 * room for, and takes that for the end of what is there. It would keep the connection
 * until the idle timeout. So while no exchange cares for the FIN, the client nudges
 * it: shutting down our receiving side, which loses nothing of what has arrived, makes
 * a new event. One that comes before the bytes have been read may be lost in the same
 * way, and so it is repeated until one was made after that. Whether they have been read
 * is asked before: asked after, "yes" might be true only since the event was lost.
 */
enum { NUDGE_AGAIN_MS = 20 };

struct client {
	int fd; /* open from creation to destruction */
	struct watcher *watcher;
	watch watched;
	char address[CLIENT_ADDRESS_SIZE];

	pthread_mutex_t lock;
	bool sent_fin;  /* lock */
	bool was_reset; /* lock */
	bool sent_last; /* lock: we have sent FIN as well */
	bool nudging;   /* lock: nudge_again is set */
	struct timer nudge_again;
	struct cancel *token; /* lock: of the exchange it waits for; not counted */
	bool fin_counts;      /* lock: whether it fires token; likewise the next */
	bool reset_counts;    /* lock */
};

/* The token to fire, counted, or NULL; lock held. */
static struct cancel *token_to_fire(const struct client *client)
{
	bool fires = (client->was_reset && client->reset_counts) ||
		(client->sent_fin && client->fin_counts);
	return client->token && fires ? cancel_ref(client->token) : NULL;
}

static void fire(struct cancel *token)
{
	if (!token)
		return;
	cancel_fire(token, CANCEL_CLIENT_GONE);
	cancel_unref(token);
}

static void nudge_again(void *arg);

/* Lock held. */
static void nudge_if_idle(struct client *client)
{
	int unread = 0;
	if (!client->sent_fin || client->token)
		return;
	bool is_read = ioctl(client->fd, FIONREAD, &unread) != 0 || unread == 0;
	shutdown(client->fd, SHUT_RD);
	if (is_read || client->nudging)
		return;
	client->nudging = true;
	timer_add(watcher_timers(client->watcher), &client->nudge_again,
		instant_add_ms(instant_now(), NUDGE_AGAIN_MS), nudge_again, client);
}

static void nudge_again(void *arg)
{
	struct client *client = arg;
	pthread_mutex_lock(&client->lock);
	client->nudging = false;
	nudge_if_idle(client);
	pthread_mutex_unlock(&client->lock);
}

static void note_event(void *arg, enum watch_event event)
{
	struct client *client = arg;
	pthread_mutex_lock(&client->lock);
	if (!client->sent_fin) { /* a nudge is an event too */
		client->sent_fin = true;
		nudge_if_idle(client);
	}
	client->was_reset |= event == WATCH_GONE;
	struct cancel *token = token_to_fire(client);
	if (client->sent_last)
		client_cut(
			client); /* both are through: libmicrohttpd may have missed the FIN */
	pthread_mutex_unlock(&client->lock);
	fire(token);
}

static void format_address(const struct sockaddr *address, char *ret, size_t size)
{
	char host[INET6_ADDRSTRLEN] = "";
	if (address->sa_family == AF_INET6) {
		const struct sockaddr_in6 *v6 = (const void *)address;
		/* An IPv4 client of a socket for both is written as one (RFC 4291,
		 * 2.5.5.2): rules and logs know it by that address. */
		bool mapped = IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr);
		inet_ntop(mapped ? AF_INET : AF_INET6,
			&v6->sin6_addr.s6_addr[mapped ? 12 : 0], host, sizeof host);
		snprintf(ret, size, mapped ? "%s:%u" : "[%s]:%u", host,
			ntohs(v6->sin6_port));
	} else {
		const struct sockaddr_in *v4 = (const void *)address;
		inet_ntop(AF_INET, &v4->sin_addr, host, sizeof host);
		snprintf(ret, size, "%s:%u", host, ntohs(v4->sin_port));
	}
}

enum err client_create(struct watcher *watcher, int fd, const struct sockaddr *address,
	struct client **ret_client)
{
	struct client *client = calloc(1, sizeof *client);
	if (!client)
		return ERR_NOMEM;
	client->fd = fd;
	client->watcher = watcher;
	format_address(address, client->address, sizeof client->address);
	pthread_mutex_init(&client->lock, NULL);
	enum err err = watcher_add(watcher, fd, note_event, client, &client->watched);
	if (err == ERR_OK)
		*ret_client = client;
	else
		client_destroy(client);
	return err;
}

void client_destroy(struct client *client)
{
	if (!client)
		return;
	watcher_remove(client->watcher, client->watched);
	timer_remove(watcher_timers(client->watcher), &client->nudge_again);
	pthread_mutex_destroy(&client->lock);
	free(client);
}

const char *client_address(const struct client *client)
{
	return client->address;
}

bool client_has_left(struct client *client)
{
	pthread_mutex_lock(&client->lock);
	bool left = client->sent_fin;
	pthread_mutex_unlock(&client->lock);
	return left;
}

void client_expect(
	struct client *client, struct cancel *token, bool fin_counts, bool reset_counts)
{
	pthread_mutex_lock(&client->lock);
	client->token = token;
	client->fin_counts = fin_counts;
	client->reset_counts = reset_counts;
	struct cancel *fired = token_to_fire(client);
	pthread_mutex_unlock(&client->lock);
	fire(fired);
}

void client_forget(struct client *client)
{
	pthread_mutex_lock(&client->lock);
	client->token = NULL;
	nudge_if_idle(client);
	pthread_mutex_unlock(&client->lock);
}

void client_cut(struct client *client)
{
	shutdown(client->fd, SHUT_RDWR);
}

void client_send_last(struct client *client, const char *text, size_t len)
{
	ssize_t sent = send(client->fd, text, len, MSG_NOSIGNAL | MSG_DONTWAIT);
	(void)sent; /* a client too slow for this much gets what fits, and then FIN */
	pthread_mutex_lock(&client->lock);
	client->sent_last = true;
	shutdown(client->fd, client->sent_fin ? SHUT_RDWR : SHUT_WR);
	pthread_mutex_unlock(&client->lock);
}
