#include "tests/support/wait.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

static void (*_Atomic tell_more)(void);

struct patience patience_begin(const char *what, const char *file, int line)
{
	instant until = instant_add_ms(instant_now(), PATIENCE_MS);
	return (struct patience){ what, file, line, until };
}

void patience_spend(const struct patience *patience)
{
	static const struct timespec moment = { .tv_nsec = 200000 };
	if (!instant_before(instant_now(), patience->until)) {
		fprintf(stderr, "%s:%d: never: %s\n", patience->file, patience->line,
			patience->what);
		patience_lost();
	}
	nanosleep(&moment, NULL);
}

void patience_on_loss(void (*tell)(void))
{
	atomic_store(&tell_more, tell);
}

void patience_lost(void)
{
	void (*tell)(void) = atomic_load(&tell_more);
	if (tell)
		tell();
	abort();
}
