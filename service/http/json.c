#include "service/http/json.h"

#include <stdio.h>

#include "service/http/problem.h"

static bool is_deeper(const json_t *json, int levels)
{
	const char *key;
	json_t *child;
	size_t index;
	if (!json_is_object(json) && !json_is_array(json))
		return false;
	if (levels == 0)
		return true;
	json_object_foreach((json_t *)json, key, child)
		if (is_deeper(child, levels - 1))
			return true;
	json_array_foreach(json, index, child)
		if (is_deeper(child, levels - 1))
			return true;
	return false;
}

enum err json_failed(const json_error_t *error, const char *where, struct response *res)
{
	switch (json_error_code(error)) {
	case json_error_out_of_memory:
		return ERR_NOMEM;
	case json_error_numeric_overflow:
		return problem(
			res, ERR_INVALID, "%s: the number is out of range.", where);
	/* JSON all the same (RFC 8259, 4 and 7), but not what is taken here. */
	case json_error_null_character:
	case json_error_null_byte_in_key:
		return problem(res, ERR_INVALID, "%s: \\u0000 is not taken.", where);
	case json_error_duplicate_key:
		return problem(res, ERR_INVALID, "%s: %s.", where, error->text);
	case json_error_stack_overflow:
		return problem(res, ERR_INVALID, "%s: nests deeper than %d levels.",
			where, JSON_DEPTH_MAX);
	case json_error_end_of_input_expected:
		return problem(res, ERR_NOT_JSON,
			"%s: something follows the value; there can be only one.", where);
	default:
		return problem(res, ERR_NOT_JSON, "%s: %s.", where, error->text);
	}
}

enum err json_check_depth(const json_t *json, const char *where, struct response *res)
{
	if (!is_deeper(json, JSON_DEPTH_MAX))
		return ERR_OK;
	return problem(res, ERR_INVALID, "%s nests deeper than %d levels.", where,
		JSON_DEPTH_MAX);
}

enum err json_parse(struct span text, struct response *res, json_t **ret_json)
{
	json_error_t error;
	char where[64];
	if (json_has_nul(text))
		return problem(res, ERR_NOT_JSON, "The body holds a NUL.");
	text = json_without_mark(text);
	json_t *json = json_loadb(
		text.data ? text.data : "", text.len, JSON_LIMITS, &error);
	if (!json) {
		snprintf(where, sizeof where, "Line %d, column %d", error.line,
			error.column);
		return json_failed(&error, where, res);
	}
	enum err err = json_check_depth(json, "The body", res);
	if (err == ERR_OK)
		*ret_json = json;
	else
		json_decref(json);
	return err;
}
