#include "service/http/exchange_state.h"

#include <assert.h>

#define BIT(state) (1u << (state))

static const struct exchange_rule {
	enum exchange_phase phase;
	bool may_wait;
	unsigned may_become; /* BIT() of each */
} rules[EXCHANGE_STATES] = {
	[EXCHANGE_HEAD] = { PHASE_READING, false,
		BIT(EXCHANGE_READING) | BIT(EXCHANGE_DONE) },
	[EXCHANGE_READING] = { PHASE_READING, false,
		BIT(EXCHANGE_SETTLED) | BIT(EXCHANGE_QUEUED) | BIT(EXCHANGE_RUNNING) |
			BIT(EXCHANGE_PAST) | BIT(EXCHANGE_DONE) },
	[EXCHANGE_SETTLED] = { PHASE_READING, false,
		BIT(EXCHANGE_ANSWERED) | BIT(EXCHANGE_PAST) | BIT(EXCHANGE_DONE) },
	[EXCHANGE_QUEUED] = { PHASE_QUEUED, true,
		BIT(EXCHANGE_RUNNING) | BIT(EXCHANGE_QUEUED_MID_BODY) |
			BIT(EXCHANGE_ANSWERED) },
	[EXCHANGE_QUEUED_MID_BODY] = { PHASE_QUEUED, true,
		BIT(EXCHANGE_RUNNING_MID_BODY) | BIT(EXCHANGE_QUEUED) |
			BIT(EXCHANGE_PAST) },
	[EXCHANGE_RUNNING] = { PHASE_RUNNING, true,
		BIT(EXCHANGE_QUEUED) | BIT(EXCHANGE_RUNNING_MID_BODY) |
			BIT(EXCHANGE_ANSWERED) | BIT(EXCHANGE_STREAMING) },
	[EXCHANGE_RUNNING_MID_BODY] = { PHASE_RUNNING, true,
		BIT(EXCHANGE_RUNNING) | BIT(EXCHANGE_PAST) },
	[EXCHANGE_ANSWERED] = { PHASE_SENDING, false, BIT(EXCHANGE_DONE) },
	[EXCHANGE_STREAMING] = { PHASE_SENDING, true, BIT(EXCHANGE_DONE) },
	[EXCHANGE_PAST] = { PHASE_SENDING, false, BIT(EXCHANGE_DONE) },
	[EXCHANGE_DONE] = { PHASE_DONE, false, 0 },
};

static const char *const phase_names[PHASES] = {
	[PHASE_READING] = "reading",
	[PHASE_QUEUED] = "queued",
	[PHASE_RUNNING] = "running",
	[PHASE_SENDING] = "sending",
	[PHASE_DONE] = "done",
};

const char *exchange_phase_name(enum exchange_phase phase)
{
	return phase_names[phase];
}

enum exchange_phase exchange_phase_of(enum exchange_state state)
{
	return rules[state].phase;
}

bool exchange_may_become(enum exchange_state state, enum exchange_state next)
{
	return (rules[state].may_become & BIT(next)) != 0;
}

bool exchange_may_wait(enum exchange_state state)
{
	return rules[state].may_wait;
}

bool exchange_is_mid_body(enum exchange_state state)
{
	return state == EXCHANGE_QUEUED_MID_BODY || state == EXCHANGE_RUNNING_MID_BODY;
}
