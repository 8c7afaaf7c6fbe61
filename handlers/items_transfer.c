#include "db/items_transfer.h"

#include <inttypes.h>
#include <stdio.h>

#include "handlers/items_json.h"
#include "handlers/rest/app.h"
#include "handlers/rest/idempotency.h"
#include "handlers/routes.h"
#include "handlers/settings.h"
#include "service/core/activity.h"
#include "service/core/utf8.h"
#include "service/http/json_reader.h"
#include "service/http/media.h"
#include "service/http/problem.h"

/*
 * Export.
 */

/* How rows become a body. */
struct layout {
	const char *type;
	struct span before; /* the first row, or the end without any */
	struct span between;
	struct span after;
};

static const struct layout lines = { "application/x-ndjson", { "", 0 }, { "\n", 1 },
	{ "\n", 1 } };
static const struct layout array = { "application/json", { "[", 1 }, { ",\n", 2 },
	{ "]\n", 2 } };

/* Lines, unless an array is what the client would rather have. */
static const struct layout *layout_for(const struct request *req)
{
	bool array_wanted = request_accepts(req, array.type) >
		request_accepts(req, lines.type);
	return array_wanted ? &array : &lines;
}

static enum err read_export_category(
	const struct request *req, struct response *res, struct span *ret_category)
{
	if (request_query(req, "category", ret_category) != ERR_OK)
		return problem(res, ERR_BAD_REQUEST,
			"category must be given once, and without NUL.");
	int64_t length = utf8_length(*ret_category);
	if (length < 0 || length > ITEM_CATEGORY_MAX)
		return problem(res, ERR_BAD_REQUEST,
			"category must be at most 64 characters, in UTF-8.");
	return ERR_OK;
}

static enum err set_headers(struct response *res, const struct layout *layout)
{
	enum err err = response_header(res, "Content-Type", layout->type);
	return err == ERR_OK ? response_header(res, "Vary", "Accept") : err;
}

static enum err export_rows(
	struct stmt *rows, const struct layout *layout, struct response *res)
{
	struct activity *activity = activity_current();
	struct span json;
	int64_t count = 0;
	enum err err = response_write(res, layout->before);
	while (err == ERR_OK && (err = items_export_next(rows, &json)) == ERR_OK &&
		json.data) {
		if (count > 0)
			err = response_write(res, layout->between);
		if (err == ERR_OK)
			err = response_write(res, json);
		atomic_store_explicit(&activity->rows, ++count, memory_order_relaxed);
	}
	bool nothing = count == 0 && layout == &lines;
	return err != ERR_OK || nothing ? err : response_write(res, layout->after);
}

static enum err write_export(struct request *req, struct span category,
	const struct layout *layout, struct response *res)
{
	AUTO_CONN *conn = NULL;
	AUTO_STMT *rows = NULL;
	enum err err = db_read_long(app_of(req)->db, req->cancel, &conn);
	if (err == ERR_OK)
		err = read_begin(conn);
	if (err == ERR_OK)
		err = items_export(conn, category, &rows);
	return err == ERR_OK ? export_rows(rows, layout, res) : err;
}

enum err items_handle_export(struct request *req, struct response *res)
{
	struct span category;
	const struct layout *layout = layout_for(req);
	enum err err = read_export_category(req, res, &category);
	if (err == ERR_OK)
		err = set_headers(res, layout);
	if (err != ERR_OK || strcmp(req->method, "HEAD") == 0)
		return err;
	return write_export(req, category, layout, res);
}

/*
 * Import. It holds no lock while the client sends: items are staged, and only when all
 * of them have come are they moved, in one transaction.
 */

struct import {
	struct request *req;
	struct response *res;
	struct claim claim;
	struct json_reader reader;
	struct staging *staging;
};

/* json_reader_fill */
static enum err read_body(void *arg, char *buffer, size_t size, size_t *ret_len)
{
	struct import *import = arg;
	enum err err = request_read(import->req, buffer, size, ret_len);
	if (err != ERR_OK)
		return err;
	claim_hash(&import->claim, (struct span){ buffer, *ret_len });
	atomic_fetch_add(&activity_current()->bytes, (int64_t)*ret_len);
	return ERR_OK;
}

/* The pointers lead into the item; the body is the array that it is in. */
static enum err point_into_array(struct import *import)
{
	size_t i;
	json_t *field;
	json_array_foreach(import->res->fields, i, field) {
		json_t *pointer = json_sprintf("/%" PRId64 "%s", import->reader.count - 1,
			json_string_value(json_object_get(field, "pointer")));
		if (json_object_set_new(field, "pointer", pointer) != 0)
			return ERR_NOMEM;
	}
	return ERR_OK;
}

static enum err stage_item(struct import *import, const json_t *json)
{
	struct item item;
	char place[JSON_PLACE_SIZE];
	enum err err = item_from_json(json, import->res, &item);
	if (err == ERR_OK)
		err = items_stage(import->staging, &item);
	if (err == ERR_OK)
		atomic_fetch_add_explicit(
			&activity_current()->rows, 1, memory_order_relaxed);
	if (err != ERR_INVALID)
		return err;
	json_reader_place(&import->reader, place);
	err = import->reader.form == JSON_FORM_ARRAY ? point_into_array(import) : ERR_OK;
	return err == ERR_OK ? problem(import->res, ERR_INVALID,
				       "%s breaks the rules of an item.", place)
			     : err;
}

static enum err stage_items(struct import *import)
{
	json_t *json = NULL;
	enum err err;
	while ((err = json_reader_next(&import->reader, import->res, &json)) == ERR_OK &&
		json) {
		err = stage_item(import, json);
		json_decref(json);
		if (err != ERR_OK)
			break;
	}
	return err;
}

static enum err insert_staged_items(struct conn *conn, struct import *import)
{
	char text[64];
	enum err err = items_insert_staged(conn, import->staging, wall_ms());
	if (err != ERR_OK)
		return err;
	snprintf(text, sizeof text, "{\"imported\":%" PRId64 "}",
		staging_count(import->staging));
	err = response_write(import->res, span_of(text));
	return err == ERR_OK ? keep_answer(conn, &import->claim, import->res) : err;
}

/* db_write_fn */
static enum err move_staged_items(struct conn *conn, void *arg)
{
	struct import *import = arg;
	bool replayed;
	response_reset(import->res);
	enum err err = replay_answer(conn, &import->claim, import->res, &replayed);
	return err != ERR_OK || replayed ? err : insert_staged_items(conn, import);
}

static enum err start_import(struct import *import)
{
	struct app *app = app_of(import->req);
	struct span type = request_header(import->req, "Content-Type");
	enum json_form form = media_is_among(type, array.type) ? JSON_FORM_ARRAY
							       : JSON_FORM_LINES;
	enum err err = claim_key(app->claims, import->req, import->res, &import->claim);
	if (err == ERR_OK)
		err = staging_create(app->db, &import->staging);
	if (err == ERR_OK)
		err = json_reader_init(&import->reader, form,
			(size_t)app->config->http.max_body_bytes, read_body, import);
	return err;
}

static enum err import_body(struct import *import)
{
	struct app *app = app_of(import->req);
	enum err err = start_import(import);
	if (err == ERR_OK)
		err = stage_items(import);
	if (err != ERR_OK)
		return err;
	claim_seal(&import->claim);
	return db_write_long(app->db, import->req->cancel, app->config->import_max_ms,
		move_staged_items, import);
}

enum err items_handle_import(struct request *req, struct response *res)
{
	struct import import = { .req = req, .res = res };
	enum err err = import_body(&import);
	json_reader_finish(&import.reader);
	staging_destroy(import.staging);
	claim_release(&import.claim);
	return err;
}
