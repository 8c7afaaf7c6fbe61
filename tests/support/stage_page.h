#ifndef HANGUP_TESTS_SUPPORT_STAGE_PAGE_H
#define HANGUP_TESTS_SUPPORT_STAGE_PAGE_H

/*
 * What the page of a test of stages.h tells of the victim's log line and of how things
 * stand.
 */
#include "tests/support/stages.h"

/* Whether the victim's log line is there. */
bool stage_has_ended(struct stage_test *test);

/* failure_page::describe. */
void stage_describe(void *test, FILE *to);

#endif
