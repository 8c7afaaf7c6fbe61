#ifndef HANGUP_SERVICE_RUN_SIGNALS_H
#define HANGUP_SERVICE_RUN_SIGNALS_H

/*
 * SIGTERM, SIGINT and SIGHUP as something to wait for: who asks a program to end, or closes
 * its terminal, finds it doing so in order, not interrupted. For the main thread.
 */
#include <stdint.h>

/* From here on they only make the returned descriptor readable, which the caller closes.
 * SIGHUP is left out when it is ignored, as by nohup(1). They are blocked for the calling
 * thread and those it makes later, so: before it makes any that would not block them
 * itself. -1 and errno. */
int signals_take(void);

/* Blocks until one has come, takes it, and returns which. */
int signals_wait(int signals);

/* Blocks until the descriptor idle is readable, a signal has come (it is not taken), or
 * timeout_ms have passed. Returns what ended it, for the log: "idle", "second signal",
 * "timeout"; the first that applies. */
const char *signals_wait_until_idle(int signals, int idle, int64_t timeout_ms);

#endif
