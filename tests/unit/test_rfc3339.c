#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "service/core/clock.h"
#include "tests/support/cmocka.h"

/* As the system has it: slow, and locked, but known to be right. */
static void format_slowly(int64_t ms, char *ret, size_t size)
{
	int64_t fraction = (ms % 1000 + 1000) % 1000;
	time_t seconds = (ms - fraction) / 1000;
	struct tm utc;
	char date[64];
	gmtime_r(&seconds, &utc);
	strftime(date, sizeof date, "%m-%dT%H:%M:%S", &utc);
	snprintf(ret, size, "%04d-%s.%03dZ", utc.tm_year + 1900, date, (int)fraction);
}

static void assert_same(int64_t ms)
{
	char expected[128];
	char actual[RFC3339_SIZE];
	format_slowly(ms, expected, sizeof expected);
	rfc3339_format(ms, actual);
	assert_string_equal(actual, expected);
}

static void every_day_of_ten_thousand_years_is_right(void **state)
{
	enum {
		DAY_MS = 86400000,
		FIRST = -719528,
		LAST = 2932896
	}; /* 0000-01-01, 9999-12-31 */
	(void)state;
	for (int64_t day = FIRST; day <= LAST; day++) {
		assert_same(day * DAY_MS);
		assert_same(day * DAY_MS + DAY_MS - 1);
	}
}

static void every_minute_and_every_millisecond_is_right(void **state)
{
	(void)state;
	for (int64_t minute = 0; minute < 1440; minute++)
		assert_same(1795414028123 + minute * 60000);
	for (int64_t ms = -2000; ms < 2000; ms++)
		assert_same(ms);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_day_of_ten_thousand_years_is_right),
		cmocka_unit_test(every_minute_and_every_millisecond_is_right),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
