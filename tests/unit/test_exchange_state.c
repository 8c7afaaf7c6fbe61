/*
 * The machine of exchange_state.h: its table against the drawing, and what must hold of
 * any such table.
 */
#include <string.h>

#include "service/http/exchange_state.h"
#include "tests/support/cmocka.h"

/* The drawing, arrow by arrow. */
static const struct arrow {
	enum exchange_state from;
	enum exchange_state to;
} arrows[] = {
	{ EXCHANGE_HEAD, EXCHANGE_READING },
	{ EXCHANGE_HEAD, EXCHANGE_DONE },
	{ EXCHANGE_READING, EXCHANGE_SETTLED },
	{ EXCHANGE_READING, EXCHANGE_QUEUED },
	{ EXCHANGE_READING, EXCHANGE_RUNNING },
	{ EXCHANGE_READING, EXCHANGE_PAST },
	{ EXCHANGE_READING, EXCHANGE_DONE },
	{ EXCHANGE_SETTLED, EXCHANGE_ANSWERED },
	{ EXCHANGE_SETTLED, EXCHANGE_PAST },
	{ EXCHANGE_SETTLED, EXCHANGE_DONE },
	{ EXCHANGE_QUEUED, EXCHANGE_QUEUED_MID_BODY },
	{ EXCHANGE_QUEUED, EXCHANGE_RUNNING },
	{ EXCHANGE_QUEUED, EXCHANGE_ANSWERED },
	{ EXCHANGE_QUEUED_MID_BODY, EXCHANGE_QUEUED },
	{ EXCHANGE_QUEUED_MID_BODY, EXCHANGE_RUNNING_MID_BODY },
	{ EXCHANGE_QUEUED_MID_BODY, EXCHANGE_PAST },
	{ EXCHANGE_RUNNING, EXCHANGE_QUEUED },
	{ EXCHANGE_RUNNING, EXCHANGE_RUNNING_MID_BODY },
	{ EXCHANGE_RUNNING, EXCHANGE_ANSWERED },
	{ EXCHANGE_RUNNING, EXCHANGE_STREAMING },
	{ EXCHANGE_RUNNING_MID_BODY, EXCHANGE_RUNNING },
	{ EXCHANGE_RUNNING_MID_BODY, EXCHANGE_PAST },
	{ EXCHANGE_ANSWERED, EXCHANGE_DONE },
	{ EXCHANGE_STREAMING, EXCHANGE_DONE },
	{ EXCHANGE_PAST, EXCHANGE_DONE },
};

static bool is_drawn(int from, int to)
{
	for (size_t i = 0; i < sizeof arrows / sizeof *arrows; i++)
		if ((int)arrows[i].from == from && (int)arrows[i].to == to)
			return true;
	return false;
}

static void the_table_has_the_arrows_that_are_drawn_and_no_others(void **state)
{
	(void)state;
	for (int from = 0; from < EXCHANGE_STATES; from++)
		for (int to = 0; to < EXCHANGE_STATES; to++)
			if (exchange_may_become(from, to) != is_drawn(from, to))
				fail_msg("from state %d to %d", from, to);
}

/* How far the arrows lead, as a bit for each state. */
static unsigned reach(int from, unsigned seen)
{
	seen |= 1u << from;
	for (int to = 0; to < EXCHANGE_STATES; to++)
		if (exchange_may_become(from, to) && !(seen & 1u << to))
			seen |= reach(to, seen);
	return seen;
}

static void every_state_is_reached_and_ends(void **state)
{
	(void)state;
	assert_int_equal(reach(EXCHANGE_HEAD, 0), (1u << EXCHANGE_STATES) - 1);
	for (int from = 0; from < EXCHANGE_STATES; from++)
		assert_true(reach(from, 0) & 1u << EXCHANGE_DONE);
	assert_int_equal(reach(EXCHANGE_DONE, 0), 1u << EXCHANGE_DONE);
}

/* What logs and pages tell only goes forward, but for a read that was tried and would
 * have had to wait. */
static void phases_only_go_forward(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof arrows / sizeof *arrows; i++) {
		const struct arrow *arrow = &arrows[i];
		if (arrow->from == EXCHANGE_RUNNING && arrow->to == EXCHANGE_QUEUED)
			continue;
		assert_true(
			exchange_phase_of(arrow->from) <= exchange_phase_of(arrow->to));
	}
}

/* While it reads and once there is an answer to send the network thread has to be awake;
 * a stream's next piece it may wait for. */
static void only_what_somebody_works_on_is_waited_for(void **state)
{
	(void)state;
	for (int at = 0; at < EXCHANGE_STATES; at++) {
		enum exchange_phase phase = exchange_phase_of(at);
		bool worked_on = phase == PHASE_QUEUED || phase == PHASE_RUNNING ||
			at == EXCHANGE_STREAMING;
		assert_int_equal(exchange_may_wait(at), worked_on);
	}
}

static void phases_have_names_of_their_own(void **state)
{
	(void)state;
	for (int a = 0; a < PHASES; a++)
		for (int b = 0; b < a; b++)
			assert_string_not_equal(
				exchange_phase_name(a), exchange_phase_name(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_table_has_the_arrows_that_are_drawn_and_no_others),
		cmocka_unit_test(every_state_is_reached_and_ends),
		cmocka_unit_test(phases_only_go_forward),
		cmocka_unit_test(only_what_somebody_works_on_is_waited_for),
		cmocka_unit_test(phases_have_names_of_their_own),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
