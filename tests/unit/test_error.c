#include <string.h>

#include "service/core/error.h"
#include "tests/support/cmocka.h"

static void every_error_has_a_name_of_its_own(void **state)
{
	(void)state;
	for (enum err a = 0; a < ERR_COUNT; a++) {
		assert_non_null(err_name(a));
		assert_true(strlen(err_name(a)) > 0);
		for (enum err b = 0; b < a; b++)
			assert_string_not_equal(err_name(a), err_name(b));
	}
}

/* What the table holds for each of them: forgotten in it, an error has nothing. */
static void every_error_can_be_shown_to_a_client(void **state)
{
	(void)state;
	for (enum err err = ERR_OK + 1; err < ERR_COUNT; err++) {
		const struct err_info *info = err_info(err);
		assert_in_range(info->status, 400, 599);
		assert_non_null(info->type);
		assert_true(strncmp(info->type, "/problems/", 10) == 0);
		assert_true(info->title && strlen(info->title) > 0);
		assert_true(info->detail && strlen(info->detail) > 0);
		assert_int_equal(info->detail[strlen(info->detail) - 1], '.');
	}
	assert_int_equal(err_info(ERR_OK)->status, 200);
}

/* RFC 9457, 3.1.3 and 3.1.4: "should not change from occurrence to occurrence". */
static void errors_of_one_type_are_one_problem(void **state)
{
	(void)state;
	for (enum err a = ERR_OK + 1; a < ERR_COUNT; a++)
		for (enum err b = ERR_OK + 1; b < a; b++) {
			if (strcmp(err_info(a)->type, err_info(b)->type) != 0)
				continue;
			assert_int_equal(err_info(a)->status, err_info(b)->status);
			assert_string_equal(err_info(a)->title, err_info(b)->title);
			assert_int_equal(err_info(a)->retry, err_info(b)->retry);
		}
}

static void every_cause_gives_an_error_of_the_same_name(void **state)
{
	(void)state;
	assert_int_equal(err_of_cause(CANCEL_NONE), ERR_OK);
	for (enum cancel_cause cause = CANCEL_NONE + 1; cause < CANCEL_CAUSES; cause++)
		assert_string_equal(
			err_name(err_of_cause(cause)), cancel_cause_name(cause));
}

static void only_the_errors_of_causes_count_as_cancelled(void **state)
{
	(void)state;
	bool expected[ERR_COUNT] = { false };
	for (enum cancel_cause cause = CANCEL_NONE + 1; cause < CANCEL_CAUSES; cause++)
		expected[err_of_cause(cause)] = true;
	for (enum err err = 0; err < ERR_COUNT; err++)
		assert_int_equal(err_is_cancelled(err), expected[err]);
}

static void a_token_gives_the_error_of_its_cause(void **state)
{
	(void)state;
	struct cancel *token = cancel_create(NULL);
	assert_int_equal(err_of_token(NULL), ERR_OK);
	assert_int_equal(err_of_token(token), ERR_OK);
	cancel_fire(token, CANCEL_OPERATOR);
	assert_int_equal(err_of_token(token), ERR_OPERATOR);
	cancel_unref(token);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_error_has_a_name_of_its_own),
		cmocka_unit_test(every_error_can_be_shown_to_a_client),
		cmocka_unit_test(errors_of_one_type_are_one_problem),
		cmocka_unit_test(every_cause_gives_an_error_of_the_same_name),
		cmocka_unit_test(only_the_errors_of_causes_count_as_cancelled),
		cmocka_unit_test(a_token_gives_the_error_of_its_cause),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
