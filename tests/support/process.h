#ifndef HANGUP_TESTS_SUPPORT_PROCESS_H
#define HANGUP_TESTS_SUPPORT_PROCESS_H

/*
 * The service as it is shipped, in a process of its own: the program that HANGUP_BINARY
 * names. For what only a process can do, which is to be killed.
 */
#include <sys/types.h>

#include "tests/support/log_reader.h"

struct process {
	pid_t pid; /* 0 when it has ended */
	unsigned port;
	struct log_reader log;
};

/* Starts `serve` on a free port. settings are "NAME=value", end with NULL, and come
 * before the environment. The calling thread's file systems are the program's. */
void process_launch(struct process *process, const char *const *settings);

/* The same, and waits until it listens. */
void process_start(struct process *process, const char *const *settings);

/* Ends it with signal and waits for its end. Returns the exit status, or 128 and the
 * signal that ended it, as a shell would. */
int process_end(struct process *process, int signal);

/* Kills it if it has not ended, and frees. Safe on a zeroed one. */
void process_finish(struct process *process);

#endif
