#include "service/core/clock.h"

#include <errno.h>
#include <string.h>

enum { NS_PER_MS = 1000000, NS_PER_S = 1000000000, MS_PER_S = 1000 };

instant instant_now(void)
{
	struct timespec now;
	clock_gettime(CLOCK_MONOTONIC, &now);
	return (instant){ now.tv_sec * (int64_t)NS_PER_S + now.tv_nsec };
}

instant instant_add_ms(instant when, int64_t ms)
{
	int64_t ns;
	instant sum;
	if (__builtin_mul_overflow(ms, (int64_t)NS_PER_MS, &ns) ||
		__builtin_add_overflow(when.ns, ns, &sum.ns))
		return ms < 0 ? (instant){ 0 } : INSTANT_NEVER;
	return sum.ns < 0 ? (instant){ 0 } : sum;
}

int64_t instant_diff_ns(instant a, instant b)
{
	return b.ns - a.ns;
}

struct timespec instant_timespec(instant when)
{
	return (struct timespec){
		.tv_sec = when.ns / NS_PER_S,
		.tv_nsec = when.ns % NS_PER_S,
	};
}

void clock_cond_init(pthread_cond_t *cond)
{
	pthread_condattr_t attr;
	pthread_condattr_init(&attr);
	pthread_condattr_setclock(&attr, CLOCK_MONOTONIC);
	pthread_cond_init(cond, &attr);
	pthread_condattr_destroy(&attr);
}

bool clock_cond_wait(pthread_cond_t *cond, pthread_mutex_t *lock, instant when)
{
	struct timespec until = instant_timespec(when);
	return pthread_cond_timedwait(cond, lock, &until) != ETIMEDOUT;
}

int64_t wall_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return now.tv_sec * (int64_t)MS_PER_S + now.tv_nsec / NS_PER_MS;
}

/* The day count since 1970-01-01 as a date of the Gregorian calendar. Years are
 * counted from March, so that the leap day is a year's last, in cycles of 400 years
 * (https://howardhinnant.github.io/date_algorithms.html, civil_from_days). */
static void date_of_day(int64_t day, int *ret_year, int *ret_month, int *ret_day)
{
	enum { CYCLE_DAYS = 146097, DAYS_TO_1970 = 719468 }; /* from 0000-03-01 */
	int64_t shifted = day + DAYS_TO_1970;
	int64_t cycle = (shifted - (shifted < 0 ? CYCLE_DAYS - 1 : 0)) / CYCLE_DAYS;
	int in_cycle = (int)(shifted - cycle * CYCLE_DAYS);
	int year = (in_cycle - in_cycle / 1460 + in_cycle / 36524 - in_cycle / 146096) /
		365;
	int in_year = in_cycle - (365 * year + year / 4 - year / 100);
	int month = (5 * in_year + 2) / 153; /* 0 is March */
	*ret_day = in_year - (153 * month + 2) / 5 + 1;
	*ret_month = month < 10 ? month + 3 : month - 9;
	*ret_year = (int)(cycle * 400) + year + (*ret_month <= 2);
}

/* Exactly count digits, with zeroes in front. */
static void fill_digits(char *ret, int count, int number)
{
	while (count-- > 0) {
		ret[count] = (char)('0' + number % 10);
		number /= 10;
	}
}

/* By hand, because gmtime_r() takes a lock that all threads share, and with
 * strftime() and snprintf() takes longer than all the rest of a row of JSON. */
void rfc3339_format(int64_t ms, char ret[static RFC3339_SIZE])
{
	enum { MS_PER_DAY = 86400000 };
	int in_day = (int)(ms % MS_PER_DAY);
	if (in_day < 0) /* before 1970 */
		in_day += MS_PER_DAY;
	int year, month, day;
	date_of_day((ms - in_day) / MS_PER_DAY, &year, &month, &day);
	memcpy(ret, "0000-00-00T00:00:00.000Z", RFC3339_SIZE);
	fill_digits(ret, 4, year);
	fill_digits(ret + 5, 2, month);
	fill_digits(ret + 8, 2, day);
	fill_digits(ret + 11, 2, in_day / 3600000);
	fill_digits(ret + 14, 2, in_day / 60000 % 60);
	fill_digits(ret + 17, 2, in_day / 1000 % 60);
	fill_digits(ret + 20, 3, in_day % 1000);
}
