#ifndef HANGUP_DB_ITEMS_TRANSFER_H
#define HANGUP_DB_ITEMS_TRANSFER_H

/*
 * All items out, many items in.
 */
#include "db/items.h"
#include "db/staging.h"

/* Starts reading all items, or a category's, in order of id: items_export_next()
 * fetches them. category, without data for all, must stay until the release. */
enum err items_export(struct conn *conn, struct span category, struct stmt **ret_rows);

/* The next item as JSON, valid until the next step or release; without data after the
 * last. */
enum err items_export_next(struct stmt *rows, struct span *ret_json);

/* Keeps a valid item for items_insert_staged(). */
enum err items_stage(struct staging *staging, const struct item *item);

/* Adds all staged items, of version 1, created and updated at now_ms. For a
 * transaction; may be called again after that was undone. */
enum err items_insert_staged(struct conn *conn, struct staging *staging, int64_t now_ms);

/* Gives the connection a page cache of up to 256 MiB, for programs that do little
 * else than insert: with the usual one most of their time goes into pages that are
 * written out for want of room and soon read again. */
enum err items_expect_many(struct conn *conn);

/* The highest id ever given; 0 when none was. */
enum err items_last_id(struct conn *conn, int64_t *ret_id);

#endif
