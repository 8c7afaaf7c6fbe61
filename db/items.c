#include "db/items.h"

#include <assert.h>
#include <stdarg.h>
#include <stdio.h>

#define ROW       ITEM_JSON ", id, version"
#define ROW_ALONE ROW ", NULL, NULL"

/* A list's key is in the one column or the other; a row alone has none. */
enum { ROW_JSON, ROW_ID, ROW_VERSION, ROW_NUMBER, ROW_TEXT };

enum err items_next(struct stmt *rows, struct item_row *ret_row)
{
	bool there = false;
	enum err err = stmt_step(rows, &there);
	if (err != ERR_OK)
		return err;
	*ret_row = (struct item_row){ 0 };
	if (!there)
		return ERR_OK;
	ret_row->json = stmt_text(rows, ROW_JSON);
	ret_row->id = stmt_int(rows, ROW_ID);
	ret_row->version = stmt_int(rows, ROW_VERSION);
	ret_row->place.id = ret_row->id;
	ret_row->place.number = stmt_int(rows, ROW_NUMBER);
	ret_row->place.text = stmt_text(rows, ROW_TEXT);
	return ERR_OK;
}

/* Hands out the one row that *stmt has, and with it *stmt, which is NULL from then on. */
static enum err hand_out(
	struct stmt **stmt, struct stmt **ret_rows, struct item_row *ret_row)
{
	struct item_row row;
	enum err err = items_next(*stmt, &row);
	if (err != ERR_OK)
		return err;
	if (!row.json.data)
		return ERR_NOT_FOUND;
	*ret_row = row;
	*ret_rows = *stmt;
	*stmt = NULL;
	return ERR_OK;
}

enum err items_get(
	struct conn *conn, int64_t id, struct stmt **ret_rows, struct item_row *ret_row)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(
		conn, "SELECT " ROW_ALONE " FROM items WHERE id = ?1", &stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_int(stmt, 1, id);
	return hand_out(&stmt, ret_rows, ret_row);
}

static void bind_item(struct stmt *stmt, const struct item *item, int64_t now_ms)
{
	stmt_bind_text(stmt, 1, item->name);
	stmt_bind_text(stmt, 2, item->category);
	stmt_bind_int(stmt, 3, item->quantity);
	stmt_bind_int(stmt, 4, item->price_cents);
	stmt_bind_int(stmt, 5, now_ms);
}

#define INSERT                                                                  \
	"INSERT INTO items (name, category, quantity, price_cents, created_at," \
	" updated_at, version) VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)"

enum err items_insert(struct conn *conn, const struct item *item, int64_t now_ms,
	struct stmt **ret_rows, struct item_row *ret_row)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn, INSERT " RETURNING " ROW_ALONE, &stmt);
	if (err != ERR_OK)
		return err;
	bind_item(stmt, item, now_ms);
	return hand_out(&stmt, ret_rows, ret_row);
}

enum err items_add(struct conn *conn, const struct item *item, int64_t now_ms)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn, INSERT, &stmt);
	if (err != ERR_OK)
		return err;
	bind_item(stmt, item, now_ms);
	return stmt_run(stmt);
}

enum err items_replace(struct conn *conn, int64_t id, const struct item *item,
	int64_t now_ms, struct stmt **ret_rows, struct item_row *ret_row)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn,
		"UPDATE items SET name = ?1, category = ?2, quantity = ?3, price_cents = ?4,"
		" updated_at = max(?5, updated_at), version = version + 1 WHERE id = ?6"
		" RETURNING " ROW_ALONE,
		&stmt);
	if (err != ERR_OK)
		return err;
	bind_item(stmt, item, now_ms);
	stmt_bind_int(stmt, 6, id);
	return hand_out(&stmt, ret_rows, ret_row);
}

enum err items_delete(struct conn *conn, int64_t id)
{
	AUTO_STMT *stmt = NULL;
	enum err err = stmt_prepare(conn, "DELETE FROM items WHERE id = ?1", &stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_int(stmt, 1, id);
	return stmt_run(stmt);
}

/*
 * Lists. The statement's text says only what it must: a condition such as
 * "(?2 IS NULL OR category = ?2)" would hide the index from SQLite.
 *
 * A later page is two statements in one, for the rest of the rows with the last key
 * and for all that have a further one. Written as (key, id) > (?4, ?5) SQLite would use
 * the key alone, and walk through all the rows of that key, of which there may be a
 * million. Both halves follow the same index, and SQLite merges them as they come.
 */
enum { LIMIT = 1, CATEGORY, Q, KEY, ID };

static const struct {
	const char *key;
	const char *columns; /* ROW_NUMBER and ROW_TEXT */
} sorts[ITEMS_SORTS] = {
	[ITEMS_BY_ID] = { "id", "NULL, NULL" },
	[ITEMS_BY_NAME] = { "name", "NULL, name" },
	[ITEMS_BY_PRICE] = { "price_cents", "price_cents, NULL" },
};

struct sql {
	char text[2048];
	size_t len;
};

__attribute__((format(printf, 2, 3))) static void add(
	struct sql *sql, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	sql->len += (size_t)vsnprintf(
		sql->text + sql->len, sizeof sql->text - sql->len, format, args);
	va_end(args);
	assert(sql->len < sizeof sql->text);
}

/* The rows of the list, as far as conditions can say: more can be added. */
static void add_select(struct sql *sql, const struct items_query *query)
{
	add(sql, "SELECT " ROW ", %s FROM items WHERE 1", sorts[query->sort].columns);
	if (query->category.data)
		add(sql, " AND category = ?2");
	if (query->q.data)
		add(sql,
			" AND name LIKE '%%' || replace(replace(replace(?3,"
			" '\\', '\\\\'), '%%', '\\%%'), '_', '\\_') || '%%' ESCAPE '\\'");
}

static void add_order(struct sql *sql, const struct items_query *query)
{
	const char *direction = query->descending ? " DESC" : "";
	add(sql, " ORDER BY %s%s", sorts[query->sort].key, direction);
	if (query->sort != ITEMS_BY_ID)
		add(sql, ", id%s", direction);
	add(sql, " LIMIT ?1");
}

static void write_sql(struct sql *sql, const struct items_query *query)
{
	const char *key = sorts[query->sort].key;
	char further = query->descending ? '<' : '>';
	add_select(sql, query);
	if (query->after && query->sort == ITEMS_BY_ID) {
		add(sql, " AND id %c ?5", further);
	} else if (query->after) {
		add(sql, " AND %s = ?4 AND id %c ?5 UNION ALL ", key, further);
		add_select(sql, query);
		add(sql, " AND %s %c ?4", key, further);
	}
	add_order(sql, query);
}

static void bind_place(struct stmt *stmt, const struct items_query *query)
{
	stmt_bind_int(stmt, ID, query->after->id);
	if (query->sort == ITEMS_BY_NAME)
		stmt_bind_text(stmt, KEY, query->after->text);
	else if (query->sort == ITEMS_BY_PRICE)
		stmt_bind_int(stmt, KEY, query->after->number);
}

uint64_t items_list(const struct items_query *query)
{
	uint64_t list = cursor_list_add(CURSOR_LIST, SPAN_LITERAL("items"));
	list = cursor_list_add(list, span_of(sorts[query->sort].key));
	list = cursor_list_add(list, span_of(query->descending ? "down" : "up"));
	list = cursor_list_add(list, query->category);
	return cursor_list_add(list, query->q);
}

enum err items_page(struct conn *conn, const struct items_query *query, unsigned limit,
	struct stmt **ret_rows)
{
	struct sql sql = { .len = 0 };
	struct stmt *stmt = NULL;
	write_sql(&sql, query);
	enum err err = stmt_prepare(conn, sql.text, &stmt);
	if (err != ERR_OK)
		return err;
	stmt_bind_int(stmt, LIMIT, limit);
	if (query->category.data)
		stmt_bind_text(stmt, CATEGORY, query->category);
	if (query->q.data)
		stmt_bind_text(stmt, Q, query->q);
	if (query->after)
		bind_place(stmt, query);
	*ret_rows = stmt;
	return ERR_OK;
}
