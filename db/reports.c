#include "db/reports.h"

#include "service/core/activity.h"

/*
 * The inventory: two statements walk the items in the same order, the one ahead by a
 * group. It says how many items the group has; so the other one knows which prices are
 * in the middle when it comes by, and none needs to be kept.
 */

#define GROUPS "SELECT json_row(category), count(*) FROM items GROUP BY category"

#define ROWS "SELECT price_cents, quantity FROM items ORDER BY category, price_cents"

void wide_uint_format(wide_uint value, char ret[static WIDE_UINT_SIZE])
{
	char reversed[WIDE_UINT_SIZE];
	size_t len = 0;
	do {
		reversed[len++] = (char)('0' + (int)(value % 10));
		value /= 10;
	} while (value > 0);
	while (len > 0)
		*ret++ = reversed[--len];
	*ret = '\0';
}

/* Adds row number index of the group. Both middle rows of an odd count are one. */
static void add_row(
	struct inventory_group *group, int64_t index, int64_t price, int64_t quantity)
{
	group->total_quantity += quantity;
	group->total_value_cents += (wide_uint)quantity * (wide_uint)price;
	if (index == (group->count - 1) / 2)
		group->median_price_twice += price;
	if (index == group->count / 2)
		group->median_price_twice += price;
}

static enum err add_rows(struct stmt *rows, struct inventory_group *group)
{
	bool there = false;
	for (int64_t i = 0; i < group->count; i++) {
		enum err err = stmt_step(rows, &there);
		if (err != ERR_OK)
			return err;
		if (!there)
			return ERR_CORRUPT; /* two indexes disagree */
		add_row(group, i, stmt_int(rows, 0), stmt_int(rows, 1));
	}
	atomic_fetch_add(&activity_current()->rows, group->count);
	return ERR_OK;
}

static enum err report_groups(
	struct stmt *groups, struct stmt *rows, inventory_fn *fn, void *arg)
{
	bool there = false;
	enum err err;
	while ((err = stmt_step(groups, &there)) == ERR_OK && there) {
		struct inventory_group group = { .category_json = stmt_text(groups, 0),
			.count = stmt_int(groups, 1) };
		err = add_rows(rows, &group);
		if (err == ERR_OK)
			err = fn(&group, arg);
		if (err != ERR_OK)
			return err;
	}
	return err;
}

enum err report_inventory(struct conn *conn, inventory_fn *fn, void *arg)
{
	AUTO_STMT *groups = NULL;
	AUTO_STMT *rows = NULL;
	enum err err = read_begin(conn);
	if (err == ERR_OK)
		err = stmt_prepare(conn, GROUPS, &groups);
	if (err == ERR_OK)
		err = stmt_prepare(conn, ROWS, &rows);
	return err == ERR_OK ? report_groups(groups, rows, fn, arg) : err;
}
