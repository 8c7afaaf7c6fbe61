#ifndef HANGUP_HANDLERS_OPS_ADMIN_H
#define HANGUP_HANDLERS_OPS_ADMIN_H

/*
 * The listener for operators and for what collects metrics: a server of its own, beside
 * the one it tells of, so that it answers when that one is full, and while it drains.
 */
#include "db/db.h"
#include "handlers/ops/admin_settings.h"
#include "service/http/server.h"

struct admin;
struct prometheus;

/* Opens the socket that it will listen on, so that it can be reached as soon as the
 * watched server can: before that one is made. ERR_IO; the reason is in the log. */
enum err admin_listen(const struct admin_settings *settings,
	const struct http_settings *watched_settings, int *ret_fd);

struct admin_setup {
	/* Where it listens. Port 0 takes a free one; that ADMIN_PORT=0 asks for none at
	 * all is for the caller to know. Copied. */
	const struct admin_settings *settings;
	int listen_fd; /* of admin_listen(), taken over whatever happens; 0: none yet */
	/* The watched server's: the same for this one, but for where it listens and how
	 * much it takes on. Copied. */
	const struct http_settings *watched_settings;
	struct server *watched; /* must outlive the listener, and so must db */
	struct db *db;
	int64_t started_ms; /* since 1970: when the process began, for the metrics page */
	/* Adds the service's own figures to that page, in the network thread: it must not
	 * block. NULL: none. */
	void (*print_own)(struct prometheus *page);
};

/* Starts to listen. What went wrong is in the log. */
enum err admin_create(const struct admin_setup *setup, struct admin **ret_admin);

/* Answers what is left, then stops. Before the watched server is destroyed. NULL is a
 * no-op. */
void admin_destroy(struct admin *admin);

/* The port it listens on. */
unsigned admin_listener_port(const struct admin *admin);

#endif
