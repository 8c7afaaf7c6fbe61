#ifndef HANGUP_TESTS_SUPPORT_STAGE_VICTIMS_H
#define HANGUP_TESTS_SUPPORT_STAGE_VICTIMS_H

/*
 * What the requests of stages.h ask for: the victims' handlers, each of which can be held
 * at its place, those of what holds the place, and those of the requests beside them.
 * request::app is the struct stage_test.
 */
#include "tests/support/stages.h"

extern const struct route stage_routes[];
extern const size_t stage_routes_count;

/* For a write, and for a wait for a lock, that only a cancelled token ends. */
enum { STAGE_LONG_ENOUGH_MS = 60000 };

#endif
