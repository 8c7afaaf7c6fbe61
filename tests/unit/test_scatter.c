

#include "service/core/scatter.h"
#include "tests/support/cmocka.h"

/* What the reference code gives, seeded with 0: its state grows by step at each call. */
static void it_is_splitmix64(void **state)
{
	const uint64_t step = UINT64_C(0x9e3779b97f4a7c15);
	(void)state;
	assert_true(scatter(0) == UINT64_C(0xe220a8397b1dcdaf));
	assert_true(scatter(step) == UINT64_C(0x6e789e6aa1b965f4));
	assert_true(scatter(2 * step) == UINT64_C(0x06c45d188009454f));
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(it_is_splitmix64) };
	return cmocka_run_group_tests(tests, NULL, NULL);
}
