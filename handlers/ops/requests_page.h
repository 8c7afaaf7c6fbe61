#ifndef HANGUP_HANDLERS_OPS_REQUESTS_PAGE_H
#define HANGUP_HANDLERS_OPS_REQUESTS_PAGE_H

/*
 * The requests in flight, for operators: to look at and to end.
 */
#include "service/http/router.h"

handler_fn admin_handle_list;   /* GET /requests */
handler_fn admin_handle_cancel; /* DELETE /requests/{id} */

#endif
