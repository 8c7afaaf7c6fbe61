#include "handlers/items_json.h"

#include <stdlib.h>

#include "service/core/utf8.h"
#include "service/http/problem.h"

/* A body has room for a hundred thousand unknown fields; this many are named. */
enum { UNKNOWN_MAX = 100 };

/* Reads value to its place in the item; false when it breaks the rule. */
typedef bool read_fn(const json_t *value, int64_t max, void *ret);

static read_fn read_text;
static read_fn read_integer;
static read_fn refuse_value;

#define TEXT(least, most) \
	"must be a string of " least " to " most " characters without control characters"
#define INTEGER(most) \
	"must be an integer from 0 to " most ", without fraction or exponent"
#define READ_ONLY "is set by the server; leave it out"

/* An optional field that is left out keeps the zero of the struct. */
static const struct field {
	const char *name;
	const char *pointer;
	bool required;
	read_fn *read;
	size_t place; /* in struct item */
	int64_t max;
	const char *rule;
} fields[] = {
	{ "name", "/name", true, read_text, offsetof(struct item, name), ITEM_NAME_MAX,
		TEXT("1", "200") },
	{ "category", "/category", true, read_text, offsetof(struct item, category),
		ITEM_CATEGORY_MAX, TEXT("1", "64") },
	{ "quantity", "/quantity", false, read_integer, offsetof(struct item, quantity),
		ITEM_QUANTITY_MAX, INTEGER("2147483647") },
	{ "price_cents", "/price_cents", false, read_integer,
		offsetof(struct item, price_cents), ITEM_PRICE_MAX,
		INTEGER("9007199254740991") },
	{ "id", "/id", false, refuse_value, 0, 0, READ_ONLY },
	{ "created_at", "/created_at", false, refuse_value, 0, 0, READ_ONLY },
	{ "updated_at", "/updated_at", false, refuse_value, 0, 0, READ_ONLY },
	{ "version", "/version", false, refuse_value, 0, 0, READ_ONLY },
};

#define FIELDS_COUNT (sizeof fields / sizeof *fields)

static bool read_text(const json_t *value, int64_t max, void *ret)
{
	struct span text = { json_string_value(value), json_string_length(value) };
	if (!text.data || text.len == 0 || utf8_has_control(text) ||
		utf8_length(text) > max)
		return false;
	*(struct span *)ret = text;
	return true;
}

/* jansson reads 1.0 and 1e2 as reals. */
static bool read_integer(const json_t *value, int64_t max, void *ret)
{
	json_int_t number = json_integer_value(value);
	if (!json_is_integer(value) || number < 0 || number > max)
		return false;
	*(int64_t *)ret = number;
	return true;
}

static bool refuse_value(const json_t *value, int64_t max, void *ret)
{
	(void)value;
	(void)max;
	(void)ret;
	return false;
}

static enum err read_field(const struct field *field, const json_t *json,
	struct response *res, struct item *item)
{
	const json_t *value = json_object_get(json, field->name);
	if (!value && !field->required)
		return ERR_OK;
	if (!value)
		return problem_field(res, field->pointer, "is required");
	if (field->read(value, field->max, (char *)item + field->place))
		return ERR_OK;
	return problem_field(res, field->pointer, field->rule);
}

static bool is_known(const char *name)
{
	for (size_t i = 0; i < FIELDS_COUNT; i++)
		if (strcmp(fields[i].name, name) == 0)
			return true;
	return false;
}

/* A JSON pointer spells ~ as ~0 and / as ~1 (RFC 6901, 3). */
static char *pointer_to(const char *name)
{
	char *pointer = malloc(2 * strlen(name) + 2);
	char *end = pointer;
	if (!pointer)
		return NULL;
	*end++ = '/';
	for (; *name; name++) {
		bool special = *name == '~' || *name == '/';
		if (special)
			*end++ = '~';
		*end++ = special ? "01"[*name == '/'] : *name;
	}
	*end = '\0';
	return pointer;
}

static enum err refuse_unknown(const char *name, struct response *res)
{
	char *pointer = pointer_to(name);
	enum err err = pointer ? problem_field(res, pointer, "is not a field of an item")
			       : ERR_NOMEM;
	free(pointer);
	return err;
}

static enum err refuse_unknown_fields(const json_t *json, struct response *res)
{
	const char *name;
	json_t *value;
	unsigned count = 0;
	json_object_foreach((json_t *)json, name, value) {
		if (is_known(name))
			continue;
		if (count++ == UNKNOWN_MAX)
			return problem_field(
				res, "", "has more fields that an item has not");
		if (refuse_unknown(name, res) == ERR_NOMEM)
			return ERR_NOMEM;
	}
	return ERR_OK;
}

enum err item_from_json(const json_t *json, struct response *res, struct item *ret_item)
{
	struct item item = { 0 };
	if (!json_is_object(json))
		return problem_field(
			res, "", "must be an object with the fields of an item");
	for (size_t i = 0; i < FIELDS_COUNT; i++)
		if (read_field(&fields[i], json, res, &item) == ERR_NOMEM)
			return ERR_NOMEM;
	if (refuse_unknown_fields(json, res) == ERR_NOMEM)
		return ERR_NOMEM;
	enum err err = problem_fields(res);
	if (err == ERR_OK)
		*ret_item = item;
	return err;
}

json_t *item_to_json(struct span json)
{
	/* A NUL, put there by another program, is a control character like the others. */
	json_t *tree = json_loadb(json.data, json.len, JSON_ALLOW_NUL, NULL);
	for (size_t i = 0; i < FIELDS_COUNT; i++)
		if (fields[i].read == refuse_value)
			json_object_del(tree, fields[i].name);
	return tree;
}
