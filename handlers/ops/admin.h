#ifndef HANGUP_HANDLERS_OPS_ADMIN_H
#define HANGUP_HANDLERS_OPS_ADMIN_H

/*
 * The listener for operators and for what collects metrics: a server of its own, beside
 * the one it tells of, so that it answers when that one is full, and while it drains.
 */
#include "handlers/app.h"

extern const struct route admin_routes[];
extern const size_t admin_routes_count;

/* Starts it for app, whose server and database are there, unless ADMIN_PORT is 0: then
 * *ret_server becomes NULL. app must outlive it. What went wrong is in the log. */
enum err admin_create(struct app *app, struct server **ret_server);

/* The settings of this server: those of the service, but for where it listens and how
 * much it takes on. */
struct http_settings admin_http_settings(const struct config *config);

/* admin.c */
handler_fn admin_handle_list;
handler_fn admin_handle_cancel;

/* admin_metrics.c */
handler_fn admin_handle_metrics;

#endif
