#include <inttypes.h>
#include <stdio.h>

#include "handlers/items.h"
#include "handlers/items_json.h"
#include "handlers/rest/app.h"
#include "handlers/rest/idempotency.h"
#include "handlers/routes.h"
#include "service/http/etag.h"
#include "service/http/problem.h"

/*
 * What changes items. The functions that get a connection run in the writer's thread,
 * in a savepoint of their own, and perhaps a second time after they were undone: they
 * begin with response_reset().
 */

/* Answers with the row that a change has handed out, and makes the change whole. */
static enum err write_changed(
	struct response *res, const struct item_row *row, struct stmt *rows)
{
	enum err err = item_write(res, row);
	return err == ERR_OK ? stmt_finish(rows) : err;
}

/*
 * POST
 */

struct creation {
	struct item item;
	struct claim claim;
	struct response *res;
};

static enum err set_location(struct response *res, int64_t id)
{
	char location[64];
	snprintf(location, sizeof location, "/v1/items/%" PRId64, id);
	return response_header(res, "Location", location);
}

static enum err insert_and_answer(struct conn *conn, struct creation *creation)
{
	struct response *res = creation->res;
	AUTO_STMT *rows = NULL;
	struct item_row row;
	enum err err = items_insert(conn, &creation->item, wall_ms(), &rows, &row);
	if (err == ERR_OK)
		err = write_changed(res, &row, rows);
	if (err == ERR_OK)
		err = set_location(res, row.id);
	res->status = 201;
	return err == ERR_OK ? keep_answer(conn, &creation->claim, res) : err;
}

static enum err create_item(struct conn *conn, void *arg)
{
	struct creation *creation = arg;
	bool replayed;
	response_reset(creation->res);
	enum err err = replay_answer(conn, &creation->claim, creation->res, &replayed);
	return err != ERR_OK || replayed ? err : insert_and_answer(conn, creation);
}

static enum err create_item_from(
	struct request *req, const json_t *json, struct response *res)
{
	struct creation creation = { .res = res };
	enum err err = item_from_json(json, res, &creation.item);
	if (err == ERR_OK)
		err = claim_key(app_of(req)->claims, req, res, &creation.claim);
	if (err == ERR_OK)
		err = db_write(app_of(req)->db, req->cancel, create_item, &creation);
	claim_release(&creation.claim);
	return err;
}

enum err items_handle_post(struct request *req, struct response *res)
{
	json_t *json;
	enum err err = request_json(req, res, &json);
	if (err != ERR_OK)
		return err;
	err = create_item_from(req, json, res);
	json_decref(json);
	return err;
}

/*
 * PUT, PATCH, DELETE
 */

struct item_change {
	const struct request *req;
	struct response *res;
	int64_t id;
	const json_t *json; /* the new item, or the patch; NULL for DELETE */
};

/* Whether the request is about the version that is there (RFC 9110, 13.2.2). The
 * resource exists, so If-None-Match: * fails like a tag that matches. */
static enum err check_conditions(const struct request *req, const struct item_row *row)
{
	char etag[ETAG_SIZE];
	struct span if_match = request_header(req, "If-Match");
	etag_of_version(row->version, etag);
	if (if_match.data && !etag_is_meant(if_match, etag))
		return ERR_PRECONDITION;
	if (etag_is_known(request_header(req, "If-None-Match"), etag))
		return ERR_PRECONDITION;
	return ERR_OK;
}

/* The item as it is, if the request is about it; *ret_json, which may be NULL, gets a
 * reference to it without what the server sets. */
static enum err look_at_current(
	struct conn *conn, const struct item_change *change, json_t **ret_json)
{
	AUTO_STMT *rows = NULL;
	struct item_row row;
	enum err err = items_get(conn, change->id, &rows, &row);
	if (err == ERR_OK)
		err = check_conditions(change->req, &row);
	if (err != ERR_OK || !ret_json)
		return err;
	*ret_json = item_to_json(row.json);
	return *ret_json ? ERR_OK : ERR_NOMEM;
}

static enum err replace_with(
	struct conn *conn, struct item_change *change, const json_t *json)
{
	AUTO_STMT *rows = NULL;
	struct item_row row;
	struct item item;
	enum err err = item_from_json(json, change->res, &item);
	if (err == ERR_OK)
		err = items_replace(conn, change->id, &item, wall_ms(), &rows, &row);
	return err == ERR_OK ? write_changed(change->res, &row, rows) : err;
}

static enum err replace_item(struct conn *conn, void *arg)
{
	struct item_change *change = arg;
	response_reset(change->res);
	enum err err = look_at_current(conn, change, NULL);
	return err == ERR_OK ? replace_with(conn, change, change->json) : err;
}

/* A JSON merge patch (RFC 7396, 2) of an object without objects in it. */
static enum err merge_patch(json_t *target, const json_t *patch)
{
	const char *name;
	json_t *value;
	json_object_foreach((json_t *)patch, name, value) {
		if (json_is_null(value))
			json_object_del(target, name);
		else if (json_object_set(target, name, value) != 0)
			return ERR_NOMEM;
	}
	return ERR_OK;
}

static enum err patch_item(struct conn *conn, void *arg)
{
	struct item_change *change = arg;
	json_t *json = NULL;
	response_reset(change->res);
	if (!json_is_object(change->json))
		return problem_field(change->res, "", "must be an object");
	enum err err = look_at_current(conn, change, &json);
	if (err == ERR_OK)
		err = merge_patch(json, change->json);
	if (err == ERR_OK)
		err = replace_with(conn, change, json);
	json_decref(json);
	return err;
}

static enum err remove_item(struct conn *conn, void *arg)
{
	struct item_change *change = arg;
	response_reset(change->res);
	enum err err = look_at_current(conn, change, NULL);
	if (err == ERR_OK)
		err = items_delete(conn, change->id);
	change->res->status = 204;
	return err;
}

static enum err change_item(
	struct request *req, struct response *res, db_write_fn *fn, const json_t *json)
{
	struct item_change change = { .req = req, .res = res, .json = json };
	enum err err = item_id_of(req, &change.id);
	return err == ERR_OK ? db_write(app_of(req)->db, req->cancel, fn, &change) : err;
}

static enum err change_item_from_body(
	struct request *req, struct response *res, db_write_fn *fn)
{
	json_t *json;
	enum err err = request_json(req, res, &json);
	if (err != ERR_OK)
		return err;
	err = change_item(req, res, fn, json);
	json_decref(json);
	return err;
}

enum err items_handle_put(struct request *req, struct response *res)
{
	return change_item_from_body(req, res, replace_item);
}

enum err items_handle_patch(struct request *req, struct response *res)
{
	return change_item_from_body(req, res, patch_item);
}

enum err items_handle_delete(struct request *req, struct response *res)
{
	return change_item(req, res, remove_item, NULL);
}
