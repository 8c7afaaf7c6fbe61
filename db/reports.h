#ifndef HANGUP_DB_REPORTS_H
#define HANGUP_DB_REPORTS_H

/*
 * Reports: long reads that follow an index, so that they neither sort nor keep
 * rows in memory, and can be stopped between any two of them.
 */
#include "db/stmt.h"

/* A sum of quantity * price_cents does not fit 64 bits: one item alone may be worth
 * 2^84. 128 bits hold it for any number of items that a database can have. */
__extension__ typedef unsigned __int128 wide_uint;

#define WIDE_UINT_SIZE sizeof "340282366920938463463374607431768211455"

/* Writes all digits of value, NUL-terminated. */
void wide_uint_format(wide_uint value, char ret[static WIDE_UINT_SIZE]);

/* All the items of a category. */
struct inventory_group {
	struct span category_json; /* a JSON string, valid during the call */
	int64_t count;             /* at least 1 */
	int64_t total_quantity;
	wide_uint total_value_cents; /* the sum of quantity * price_cents; exact */
	/* Twice the median of the prices of the items, whatever their quantities: with
	 * an even count it is the mean of the two in the middle, which may end in a half. */
	int64_t median_price_twice;
};

/* An error ends the report and is its result. */
typedef enum err inventory_fn(const struct inventory_group *group, void *arg);

/* Calls fn for each category in order (by code point), all seen in one snapshot.
 * Opens it, so none may be open; it lasts until read_end() or conn_release(). */
enum err report_inventory(struct conn *conn, inventory_fn *fn, void *arg);

#endif
