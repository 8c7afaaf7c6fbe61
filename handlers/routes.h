#ifndef HANGUP_HANDLERS_ROUTES_H
#define HANGUP_HANDLERS_ROUTES_H

/*
 * All that the service answers to: the one table, and the resources' handlers in it.
 */
#include "service/http/router.h"

extern const struct route routes[];
extern const size_t routes_count;

/* items.c */
handler_fn items_handle_list;
handler_fn items_handle_get;

/* items_change.c */
handler_fn items_handle_post;
handler_fn items_handle_put;
handler_fn items_handle_patch;
handler_fn items_handle_delete;

/* items_transfer.c */
handler_fn items_handle_export;
handler_fn items_handle_import;

/* reports.c */
handler_fn reports_handle_inventory;

#endif
