#ifndef HANGUP_HANDLERS_ITEMS_JSON_H
#define HANGUP_HANDLERS_ITEMS_JSON_H

/*
 * What clients may say about an item: the one place that knows the rules of its
 * fields. Rows on their way out are written in db/items.c.
 */
#include "db/items.h"
#include "service/http/response.h"

/* Reads an item. Its texts are json's. ERR_INVALID when rules are broken, each of
 * them noted in res with a pointer to the field; ERR_NOMEM. */
enum err item_from_json(const json_t *json, struct response *res, struct item *ret_item);

/* A row's JSON as a tree, without what clients may not set; NULL when out of memory. */
json_t *item_to_json(struct span json);

#endif
