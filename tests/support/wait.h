#ifndef HANGUP_TESTS_SUPPORT_WAIT_H
#define HANGUP_TESTS_SUPPORT_WAIT_H

/*
 * For what opens no gate, such as a count in server_stats(): asks again and again
 * until it is so. A test that never sees it fails, and says what it waited for.
 */
#include "service/core/clock.h"

/* How long a test waits before it says that something never happens. Nothing that works
 * needs it: it is for a machine that does ten other things. */
enum { PATIENCE_MS = 20000 * HANGUP_SLOWDOWN };

struct patience {
	const char *what;
	const char *file;
	int line;
	instant until;
};

struct patience patience_begin(const char *what, const char *file, int line);

/* Lets others run for a moment. When there is no patience left it says so and aborts
 * the test program, as gate_wait() does: any thread may wait. */
void patience_spend(const struct patience *patience);

/* The end of whoever has waited in vain and has said for what: calls what
 * patience_on_loss() has set, and aborts. Any thread, with no lock held. */
_Noreturn void patience_lost(void);
void patience_on_loss(void (*tell)(void));

#define WAIT_UNTIL(condition)                                                            \
	for (struct patience patience_ = patience_begin(#condition, __FILE__, __LINE__); \
		!(condition);)                                                           \
	patience_spend(&patience_)

#endif
