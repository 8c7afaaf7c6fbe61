#ifndef HANGUP_TESTS_SUPPORT_OWN_PROGRAM_H
#define HANGUP_TESTS_SUPPORT_OWN_PROGRAM_H

/*
 * The test program itself, run once more in a process of its own: for tests of what a
 * test says when it fails.
 */

/* Runs it with one argument, of letters and '-', and waits for its end. Returns all that
 * it printed, for the caller to free; *ret_status is 0 if it succeeded. */
char *own_program_run(const char *argument, int *ret_status);

#endif
