#ifndef HANGUP_HANDLERS_ITEMS_H
#define HANGUP_HANDLERS_ITEMS_H

/*
 * What the handlers of items share: items.c reads them, items_change.c changes them.
 */
#include "db/items.h"
#include "service/http/request.h"
#include "service/http/response.h"

/* The id in the path. Whatever cannot be one names an item that is not there:
 * ERR_NOT_FOUND. */
enum err item_id_of(const struct request *req, int64_t *ret_id);

/* Answers with the item and its ETag. */
enum err item_write(struct response *res, const struct item_row *row);

#endif
