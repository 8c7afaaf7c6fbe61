#include "db/items_transfer.h"

#include <assert.h>

enum err items_export(struct conn *conn, struct span category, struct stmt **ret_rows)
{
	struct stmt *stmt = NULL;
	enum err err = stmt_prepare(conn,
		category.data ? "SELECT " ITEM_JSON
				" FROM items WHERE category = ?1 ORDER BY id"
			      : "SELECT " ITEM_JSON " FROM items ORDER BY id",
		&stmt);
	if (err != ERR_OK)
		return err;
	if (category.data)
		stmt_bind_text(stmt, 1, category);
	*ret_rows = stmt;
	return ERR_OK;
}

enum err items_export_next(struct stmt *rows, struct span *ret_json)
{
	bool there = false;
	enum err err = stmt_step(rows, &there);
	if (err == ERR_OK)
		*ret_json = there ? stmt_text(rows, 0) : (struct span){ 0 };
	return err;
}

/*
 * A staged item is this, and behind it its texts.
 */
struct staged {
	int64_t quantity;
	int64_t price_cents;
	uint32_t name_len;
	uint32_t category_len;
};

enum { UTF8_MAX = 4, TEXTS_MAX = UTF8_MAX * (ITEM_NAME_MAX + ITEM_CATEGORY_MAX) };

enum err items_stage(struct staging *staging, const struct item *item)
{
	char record[sizeof(struct staged) + TEXTS_MAX];
	char *texts = record + sizeof(struct staged);
	const struct staged staged = {
		.quantity = item->quantity,
		.price_cents = item->price_cents,
		.name_len = (uint32_t)item->name.len,
		.category_len = (uint32_t)item->category.len,
	};
	assert(item->name.len + item->category.len <= TEXTS_MAX);
	memcpy(record, &staged, sizeof staged);
	memcpy(texts, item->name.data, item->name.len);
	memcpy(texts + item->name.len, item->category.data, item->category.len);
	return staging_add(staging,
		(struct span){
			record, sizeof staged + item->name.len + item->category.len });
}

static void unpack(struct span record, struct item *ret_item)
{
	struct staged staged;
	memcpy(&staged, record.data, sizeof staged);
	const char *texts = record.data + sizeof staged;
	*ret_item = (struct item){
		.name = { texts, staged.name_len },
		.category = { texts + staged.name_len, staged.category_len },
		.quantity = staged.quantity,
		.price_cents = staged.price_cents,
	};
}

enum err items_insert_staged(struct conn *conn, struct staging *staging, int64_t now_ms)
{
	struct item item;
	struct span record = { 0 };
	enum err err = staging_rewind(staging);
	while (err == ERR_OK && (err = staging_next(staging, &record)) == ERR_OK &&
		record.data) {
		unpack(record, &item);
		err = items_add(conn, &item, now_ms);
	}
	return err;
}

enum err items_expect_many(struct conn *conn)
{
	return stmt_exec(conn, "PRAGMA cache_size = -262144");
}

enum err items_last_id(struct conn *conn, int64_t *ret_id)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(
		conn, "SELECT seq FROM sqlite_sequence WHERE name = 'items'", &stmt);
	bool row = false;
	if (err == ERR_OK)
		err = stmt_step(stmt, &row);
	if (err == ERR_OK)
		*ret_id = row ? stmt_int(stmt, 0) : 0;
	return err;
}
