#ifndef HANGUP_DB_ITEMS_H
#define HANGUP_DB_ITEMS_H

/*
 * Items in the database: all the SQL about them, and nothing else. What a field may
 * hold has been checked before (handlers/items_json.h); the table checks again, and
 * answers ERR_CONFLICT.
 *
 * Rows come out as the JSON that clients get, which SQLite writes itself: several
 * times faster than building a tree for each row.
 */
#include "db/cursor.h"
#include "db/stmt.h"

enum { ITEM_NAME_MAX = 200, ITEM_CATEGORY_MAX = 64 }; /* characters */
#define ITEM_QUANTITY_MAX INT64_C(2147483647)
#define ITEM_PRICE_MAX    INT64_C(9007199254740991) /* what every JSON reader can hold */

/* A row as the JSON that clients get, in SQL. */
#define ITEM_JSON                                                                      \
	"json_row('id', id, 'name', name, 'category', category, 'quantity', quantity," \
	" 'price_cents', price_cents, 'created_at', rfc3339(created_at),"              \
	" 'updated_at', rfc3339(updated_at), 'version', version)"

/* What clients say about an item; the rest is the database's. */
struct item {
	struct span name;
	struct span category;
	int64_t quantity;
	int64_t price_cents;
};

/* A row on its way out. Its texts are valid until the next step or release. */
struct item_row {
	struct span json; /* without data: there is no such row, or none left */
	int64_t id;
	int64_t version;
	struct cursor place; /* in the order of the list */
};

/* Reads one item: *ret_rows holds its row, until the release. ERR_NOT_FOUND. */
enum err items_get(
	struct conn *conn, int64_t id, struct stmt **ret_rows, struct item_row *ret_row);

/* Adds an item of version 1, created and updated at now_ms. *ret_rows holds its row,
 * until the release; the change is whole after stmt_finish(). For a transaction. */
enum err items_insert(struct conn *conn, const struct item *item, int64_t now_ms,
	struct stmt **ret_rows, struct item_row *ret_row);

/* The same for who adds many and looks at none. */
enum err items_add(struct conn *conn, const struct item *item, int64_t now_ms);

/* Gives the item new contents, updated at now_ms, and the next version, and hands out
 * its row as items_insert() does. ERR_NOT_FOUND. For a transaction. */
enum err items_replace(struct conn *conn, int64_t id, const struct item *item,
	int64_t now_ms, struct stmt **ret_rows, struct item_row *ret_row);

enum err items_delete(struct conn *conn, int64_t id);

/*
 * Lists.
 */

enum items_sort {
	ITEMS_BY_ID,
	ITEMS_BY_NAME, /* by code point: Z comes before a */
	ITEMS_BY_PRICE,
	ITEMS_SORTS,
};

struct items_query {
	enum items_sort sort; /* equal keys are in order of id */
	bool descending;
	struct span category; /* without data: of every category */
	struct span q;        /* part of the name, whatever the case of A to Z in both;
	                       * other letters match only themselves. Without data: any */
	const struct cursor
		*after; /* where the page before ended; NULL: the first page */
};

/* The mark of the list that query's pages belong to, for cursors. */
uint64_t items_list(const struct items_query *query);

/* Starts a page of at most limit rows; items_next() fetches them. query's spans must
 * stay until the release. Every list follows an index and is never sorted, so a page
 * costs what it holds; only q walks past rows that it leaves out. */
enum err items_page(struct conn *conn, const struct items_query *query, unsigned limit,
	struct stmt **ret_rows);

/* The next row. It is without json after the last. */
enum err items_next(struct stmt *rows, struct item_row *ret_row);

#endif
