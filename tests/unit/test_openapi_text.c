/*
 * The OpenAPI document as it is put together, with parts made for it. What it says of the
 * service, and whether that is true, is in tests/http/test_openapi.c.
 */
#include <stdlib.h>

#include <jansson.h>

#include "handlers/rest/openapi.h"
#include "service/run/version.h"
#include "tests/support/cmocka.h"

static json_t *put_together(const char *const *parts)
{
	char *text = openapi_text(parts);
	assert_non_null(text);
	json_t *doc = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	assert_non_null(doc);
	free(text);
	return doc;
}

static const char *text_at(json_t *doc, const char *object, const char *member)
{
	return json_string_value(json_object_get(json_object_get(doc, object), member));
}

static void without_parts_it_is_that_of_the_service(void **state)
{
	(void)state;
	static const char *const parts[] = { NULL };
	json_t *doc = put_together(parts);
	json_t *paths = json_object_get(doc, "paths");
	assert_non_null(json_object_get(paths, "/healthz"));
	assert_non_null(json_object_get(paths, "/readyz"));
	assert_non_null(json_object_get(paths, "/openapi.json"));
	assert_string_equal(text_at(doc, "info", "version"), HANGUP_VERSION);
	json_decref(doc);
}

static void a_part_adds_and_a_later_one_has_the_last_word(void **state)
{
	(void)state;
	static const char *const parts[] = {
		"{\"tags\":[{\"name\":\"a\"}],\"paths\":{\"/a\":{}},"
		"\"info\":{\"title\":\"first\"}}",
		"{\"tags\":[{\"name\":\"b\"}],\"paths\":{\"/b\":{}},"
		"\"info\":{\"title\":\"second\"}}",
		NULL,
	};
	json_t *alone = put_together(&parts[2]);
	json_t *doc = put_together(parts);
	json_t *paths = json_object_get(doc, "paths");
	assert_int_equal(json_object_size(paths),
		json_object_size(json_object_get(alone, "paths")) + 2);
	assert_non_null(json_object_get(paths, "/a"));
	assert_non_null(json_object_get(paths, "/b"));
	assert_int_equal(json_array_size(json_object_get(doc, "tags")),
		json_array_size(json_object_get(alone, "tags")) + 2);
	assert_string_equal(text_at(doc, "info", "title"), "second");
	assert_string_equal(text_at(doc, "info", "version"), HANGUP_VERSION);
	json_decref(alone);
	json_decref(doc);
}

static void a_part_that_is_not_json_makes_none(void **state)
{
	(void)state;
	static const char *const parts[] = { "{}", "{", "{}", NULL };
	assert_null(openapi_text(parts));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(without_parts_it_is_that_of_the_service),
		cmocka_unit_test(a_part_adds_and_a_later_one_has_the_last_word),
		cmocka_unit_test(a_part_that_is_not_json_makes_none),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
