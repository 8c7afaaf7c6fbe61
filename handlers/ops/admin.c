#include "handlers/ops/admin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "handlers/ops/admin_context.h"
#include "handlers/ops/metrics_page.h"
#include "handlers/ops/requests_page.h"
#include "service/core/address.h"
#include "service/core/prometheus.h"

/* All in the network thread, which waits for nobody: what is asked for is in memory. */
static const struct route routes[] = {
	{ "GET", "/metrics", admin_handle_metrics, .lane = LANE_INLINE,
		.produces = PROMETHEUS_MEDIA },
	{ "GET", "/requests", admin_handle_list, .lane = LANE_INLINE },
	{ "DELETE", "/requests/{id}", admin_handle_cancel, .lane = LANE_INLINE },
};

/* No route is on a lane, but each has at least a thread. */
static struct http_settings listener_settings(
	const struct admin_settings *own, const struct http_settings *watched_settings)
{
	enum { CONNECTIONS = 32, BODY_BYTES = 4096, TIMEOUT_MS = 10000 };
	struct http_settings http = *watched_settings;
	memcpy(http.listen_addr, own->addr, sizeof http.listen_addr);
	http.port = own->port;
	http.max_connections = CONNECTIONS;
	http.max_connections_per_address = 0;
	http.max_body_bytes = BODY_BYTES;
	http.request_timeout_ms = TIMEOUT_MS;
	http.http_threads = 1;
	http.short_threads = http.short_running = 1;
	http.long_threads = http.long_running = 1;
	return http;
}

static bool is_on_loopback(const struct http_settings *settings)
{
	union address address;
	socklen_t len;
	return address_parse(settings->listen_addr, 0, &address, &len) &&
		address_is_loopback(&address);
}

enum err admin_listen(const struct admin_settings *settings,
	const struct http_settings *watched_settings, int *ret_fd)
{
	const struct http_settings all = listener_settings(settings, watched_settings);
	return server_listen(&all, ret_fd);
}

static enum err listen_for_operators(
	struct admin *admin, const struct http_settings *settings, int listen_fd)
{
	const struct server_setup setup = { .settings = settings,
		.routes = routes,
		.routes_count = sizeof routes / sizeof *routes,
		.app = admin,
		.listen_fd = listen_fd,
		.own_names_only = is_on_loopback(settings),
		.quiet = true };
	return server_create(&setup, &admin->listener);
}

enum err admin_create(const struct admin_setup *setup, struct admin **ret_admin)
{
	const struct http_settings settings = listener_settings(
		setup->settings, setup->watched_settings);
	struct admin *admin = calloc(1, sizeof *admin);
	if (!admin) {
		if (setup->listen_fd > 0)
			close(setup->listen_fd);
		return ERR_NOMEM;
	}
	admin->watched = setup->watched;
	admin->db = setup->db;
	admin->started_ms = setup->started_ms;
	admin->print_own = setup->print_own;
	enum err err = listen_for_operators(admin, &settings, setup->listen_fd);
	if (err == ERR_OK)
		*ret_admin = admin;
	else
		admin_destroy(admin);
	return err;
}

void admin_destroy(struct admin *admin)
{
	if (!admin)
		return;
	server_destroy(admin->listener);
	free(admin);
}

unsigned admin_listener_port(const struct admin *admin)
{
	return server_port(admin->listener);
}
