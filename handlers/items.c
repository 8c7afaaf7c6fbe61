#include "db/items.h"

#include "handlers/items.h"
#include "handlers/rest/app.h"
#include "handlers/routes.h"
#include "service/core/parse.h"
#include "service/core/utf8.h"
#include "service/http/etag.h"
#include "service/http/percent.h"
#include "service/http/problem.h"

/*
 * One item.
 */

enum err item_id_of(const struct request *req, int64_t *ret_id)
{
	bool is_id = parse_positive(request_param(req, "id"), INT64_MAX, ret_id);
	return is_id ? ERR_OK : ERR_NOT_FOUND;
}

static enum err set_etag(struct response *res, const struct item_row *row)
{
	char etag[ETAG_SIZE];
	etag_of_version(row->version, etag);
	return response_header(res, "ETag", etag);
}

enum err item_write(struct response *res, const struct item_row *row)
{
	enum err err = set_etag(res, row);
	return err == ERR_OK ? response_write(res, row->json) : err;
}

/* Comes before If-None-Match: RFC 9110, 13.2.2. */
static bool is_about_another(const struct request *req, const struct item_row *row)
{
	char etag[ETAG_SIZE];
	struct span if_match = request_header(req, "If-Match");
	etag_of_version(row->version, etag);
	return if_match.data && !etag_is_meant(if_match, etag);
}

static bool client_has(const struct request *req, const struct item_row *row)
{
	char etag[ETAG_SIZE];
	etag_of_version(row->version, etag);
	return etag_is_known(request_header(req, "If-None-Match"), etag);
}

enum err items_handle_get(struct request *req, struct response *res)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *rows = NULL;
	struct item_row row;
	int64_t id;
	enum err err = item_id_of(req, &id);
	if (err == ERR_OK)
		err = db_read(app_of(req)->db, req->cancel, &conn);
	if (err == ERR_OK)
		err = items_get(conn, id, &rows, &row);
	if (err != ERR_OK)
		return err;
	if (is_about_another(req, &row))
		return ERR_PRECONDITION;
	if (client_has(req, &row))
		res->status = 304; /* what is written is not sent, but its length told */
	return item_write(res, &row);
}

/*
 * Lists.
 */

enum { LIMIT_MAX = 1000, LIMIT_DEFAULT = 50 };

struct list {
	struct items_query query;
	int64_t limit;
	struct cursor after;
	char after_key[CURSOR_KEY_MAX];
	char next[CURSOR_SIZE]; /* empty when this is the last page */
};

static bool read_limit(struct span value, struct list *list)
{
	return parse_positive(value, LIMIT_MAX, &list->limit);
}

static bool read_sort(struct span value, struct list *list)
{
	static const char *const names[ITEMS_SORTS] = { [ITEMS_BY_ID] = "id",
		[ITEMS_BY_NAME] = "name",
		[ITEMS_BY_PRICE] = "price_cents" };
	bool descending = value.len > 0 && value.data[0] == '-';
	struct span name = { value.data + descending, value.len - descending };
	for (int sort = 0; sort < ITEMS_SORTS; sort++) {
		if (!span_is(name, names[sort]))
			continue;
		list->query.sort = (enum items_sort)sort;
		list->query.descending = descending;
		return true;
	}
	return false;
}

static bool is_text(struct span value, int64_t max)
{
	int64_t length = utf8_length(value);
	return length >= 0 && length <= max;
}

static bool read_category(struct span value, struct list *list)
{
	list->query.category = value;
	return is_text(value, ITEM_CATEGORY_MAX);
}

static bool read_q(struct span value, struct list *list)
{
	list->query.q = value;
	return is_text(value, ITEM_NAME_MAX);
}

static bool read_cursor(struct span value, struct list *list)
{
	list->query.after = &list->after;
	return cursor_read(value, items_list(&list->query), list->after_key,
		       &list->after) == ERR_OK;
}

/* The texts are limited because they come back in the Link header. The cursor is the
 * last, because it must fit the others. */
static const struct parameter {
	const char *name;
	bool (*read)(struct span value, struct list *list);
	const char *rule;
} parameters[] = {
	{ "limit", read_limit, "an integer from 1 to 1000" },
	{ "sort", read_sort,
		"id, name or price_cents, with - before it for descending order" },
	{ "category", read_category, "at most 64 characters, in UTF-8" },
	{ "q", read_q, "at most 200 characters, in UTF-8" },
	{ "cursor", read_cursor, "a cursor of this list: same sort, category and q" },
};

#define PARAMETERS_COUNT (sizeof parameters / sizeof *parameters)

static enum err read_parameter(const struct request *req, struct response *res,
	const struct parameter *parameter, struct list *list)
{
	struct span value;
	if (request_query(req, parameter->name, &value) != ERR_OK)
		return problem(res, ERR_BAD_REQUEST,
			"%s must be given once, and without NUL.", parameter->name);
	if (value.data && !parameter->read(value, list))
		return problem(res, ERR_BAD_REQUEST, "%s must be %s.", parameter->name,
			parameter->rule);
	return ERR_OK;
}

static enum err read_list(
	const struct request *req, struct response *res, struct list *list)
{
	*list = (struct list){ .limit = LIMIT_DEFAULT };
	for (size_t i = 0; i < PARAMETERS_COUNT; i++) {
		enum err err = read_parameter(req, res, &parameters[i], list);
		if (err != ERR_OK)
			return err;
	}
	return ERR_OK;
}

static enum err write_row(struct response *res, const struct item_row *row, int64_t index)
{
	enum err err = index > 0 ? response_write(res, SPAN_LITERAL(",")) : ERR_OK;
	return err == ERR_OK ? response_write(res, row->json) : err;
}

/* Reads one row more than the page has, to know whether there is another page. */
static enum err write_page(struct stmt *rows, struct response *res, struct list *list)
{
	struct item_row row;
	enum err err;
	int64_t count = 0;
	while ((err = items_next(rows, &row)) == ERR_OK && row.json.data) {
		if (count == list->limit)
			return ERR_OK;
		err = write_row(res, &row, count++);
		if (err == ERR_OK && count == list->limit)
			err = cursor_write(
				&row.place, items_list(&list->query), list->next);
		if (err != ERR_OK)
			return err;
	}
	list->next[0] = '\0';
	return err;
}

static enum err write_items(struct request *req, struct response *res, struct list *list)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *rows = NULL;
	enum err err = db_read(app_of(req)->db, req->cancel, &conn);
	if (err == ERR_OK)
		err = items_page(conn, &list->query, (unsigned)list->limit + 1, &rows);
	if (err == ERR_OK)
		err = response_write(res, SPAN_LITERAL("{\"items\":["));
	return err == ERR_OK ? write_page(rows, res, list) : err;
}

static enum err append_parameter(
	struct buffer *link, const struct request *req, const char *name)
{
	struct span value = { 0 };
	request_query(req, name, &value);
	if (!value.data)
		return ERR_OK;
	enum err err = buffer_print(link, "&%s=", name);
	return err == ERR_OK ? percent_append(link, value) : err;
}

static enum err append_next_page(
	struct buffer *link, const struct request *req, const struct list *list)
{
	enum err err = buffer_print(link, "</v1/items?cursor=%s", list->next);
	for (size_t i = 0; i < PARAMETERS_COUNT && err == ERR_OK; i++)
		if (parameters[i].read != read_cursor)
			err = append_parameter(link, req, parameters[i].name);
	return err == ERR_OK ? buffer_print(link, ">; rel=\"next\"") : err;
}

static enum err set_link(
	const struct request *req, struct response *res, const struct list *list)
{
	struct buffer link = { 0 };
	enum err err = append_next_page(&link, req, list);
	if (err == ERR_OK)
		err = response_header(res, "Link", buffer_text(&link));
	buffer_finish(&link);
	return err;
}

static enum err write_end(
	const struct request *req, struct response *res, const struct list *list)
{
	if (!list->next[0])
		return response_write(res, SPAN_LITERAL("]}"));
	enum err err = response_write(res, SPAN_LITERAL("],\"next_cursor\":\""));
	if (err == ERR_OK)
		err = response_write(res, span_of(list->next));
	if (err == ERR_OK)
		err = response_write(res, SPAN_LITERAL("\"}"));
	return err == ERR_OK ? set_link(req, res, list) : err;
}

enum err items_handle_list(struct request *req, struct response *res)
{
	struct list list;
	enum err err = read_list(req, res, &list);
	if (err == ERR_OK)
		err = write_items(req, res, &list);
	return err == ERR_OK ? write_end(req, res, &list) : err;
}
