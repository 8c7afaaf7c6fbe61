/*
 * The parser and the validator of imports, without a database. The first byte of an
 * input chooses the form and the size of the pieces in which the rest of it comes. What
 * comes of it must not depend on the pieces, and an array must be what jansson finds
 * when it has the whole of it.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "handlers/items_json.h"
#include "service/http/json_reader.h"

enum { VALUE_MAX = 2000 };

struct source {
	struct span body;
	size_t piece;
	size_t at;
};

static enum err fill(void *arg, char *buffer, size_t size, size_t *ret_len)
{
	struct source *source = arg;
	size_t len = source->body.len - source->at;
	len = len < source->piece ? len : source->piece;
	len = len < size ? len : size;
	if (len > 0)
		memcpy(buffer, source->body.data + source->at, len);
	source->at += len;
	*ret_len = len;
	return ERR_OK;
}

struct outcome {
	enum err err;
	json_t *values;
	unsigned valid; /* items among them */
	char detail[256];
};

static void validate(const json_t *json, struct response *res, struct outcome *outcome)
{
	struct item item;
	enum err err = item_from_json(json, res, &item);
	if (err != ERR_OK && err != ERR_INVALID)
		abort();
	if (err == ERR_OK && item.name.len + item.category.len > 4 * (200 + 64))
		abort(); /* more than can be staged */
	outcome->valid += err == ERR_OK;
	response_reset(res);
}

static void read_all(struct json_reader *reader, struct outcome *outcome)
{
	struct response res;
	json_t *json = NULL;
	response_init(&res);
	outcome->values = json_array();
	while ((outcome->err = json_reader_next(reader, &res, &json)) == ERR_OK && json) {
		validate(json, &res, outcome);
		json_array_append_new(outcome->values, json);
	}
	memcpy(outcome->detail, res.detail, sizeof outcome->detail);
	response_finish(&res);
}

static void read_body(
	enum json_form form, struct span body, size_t piece, struct outcome *ret)
{
	struct json_reader reader;
	struct source source = { body, piece, 0 };
	*ret = (struct outcome){ 0 };
	if (json_reader_init(&reader, form, VALUE_MAX, fill, &source) != ERR_OK)
		abort();
	read_all(&reader, ret);
	json_reader_finish(&reader);
}

static bool same(const struct outcome *a, const struct outcome *b)
{
	return a->err == b->err && a->valid == b->valid &&
		json_equal(a->values, b->values) && strcmp(a->detail, b->detail) == 0;
}

/* An array that the reader takes, jansson takes, with the same elements, and no other. */
static void compare_with_whole(struct span body, const struct outcome *outcome)
{
	json_error_t error;
	if (body.len >= 3 && memcmp(body.data, "\xef\xbb\xbf", 3) == 0)
		body = (struct span){ body.data + 3, body.len - 3 };
	json_t *whole = json_has_nul(body)
		? NULL
		: json_loadb(body.data, body.len, JSON_LIMITS, &error);
	bool limited = outcome->err == ERR_TOO_LARGE ||
		strstr(outcome->detail, "nests deeper");
	if (!json_is_array(whole) && outcome->err == ERR_OK)
		abort();
	if (json_is_array(whole) && outcome->err != ERR_OK && !limited)
		abort();
	if (outcome->err == ERR_OK && !json_equal(whole, outcome->values))
		abort();
	json_decref(whole);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct outcome pieces;
	struct outcome whole;
	if (size == 0)
		return 0;
	enum json_form form = data[0] & 1 ? JSON_FORM_ARRAY : JSON_FORM_LINES;
	struct span body = { (const char *)data + 1, size - 1 };
	read_body(form, body, (data[0] >> 1) + 1, &pieces);
	read_body(form, body, SIZE_MAX, &whole);
	if (!same(&pieces, &whole))
		abort();
	if (form == JSON_FORM_ARRAY)
		compare_with_whole(body, &whole);
	json_decref(pieces.values);
	json_decref(whole.values);
	return 0;
}
