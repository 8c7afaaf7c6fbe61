#ifndef HANGUP_SERVICE_HTTP_MHD_DAEMON_H
#define HANGUP_SERVICE_HTTP_MHD_DAEMON_H

/*
 * libmicrohttpd with its network threads: it accepts, reads requests, and sends answers.
 * What it calls back becomes calls on clients and exchanges. Private to the server, whose
 * main thread calls what is below.
 */
#include "service/core/watcher.h"
#include "service/http/exchange.h"
#include "service/http/http_settings.h"

struct MHD_Daemon;

struct mhd_daemon {
	const struct exchange_env *env; /* set, like the next one, before it starts */
	struct watcher *watcher;
	unsigned idle_timeout_s;
	struct MHD_Daemon *mhd; /* NULL unless it runs */
};

/* Starts to accept on listen_fd, which stays the caller's, and must be open until it has
 * stopped. ERR_IO; the reason is in the log. */
enum err mhd_daemon_start(
	struct mhd_daemon *daemon, const struct http_settings *settings, int listen_fd);

/* Accepts no more. Once. */
void mhd_daemon_quiesce(struct mhd_daemon *daemon);

/* Closes all connections and ends the threads. It aborts the process when a connection is
 * suspended (MHD_stop_daemon). */
void mhd_daemon_stop(struct mhd_daemon *daemon);

unsigned mhd_daemon_connections(const struct mhd_daemon *daemon); /* any thread */

/* Of libmicrohttpd, as it runs: static. */
const char *mhd_daemon_version(void);

#endif
