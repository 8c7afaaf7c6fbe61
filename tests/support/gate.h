#ifndef HANGUP_TESTS_SUPPORT_GATE_H
#define HANGUP_TESTS_SUPPORT_GATE_H

/*
 * A gate is how one thread of a test waits until another has come to a certain
 * point: it is opened once, stays open, and whoever waits at it goes on. Tests
 * are synchronised by gates alone, never by sleeping.
 */
#include <pthread.h>
#include <stdbool.h>

struct gate {
	pthread_mutex_t lock;
	pthread_cond_t opened;
	bool open; /* lock */
};

void gate_init(struct gate *gate);
void gate_finish(struct gate *gate);

/* Any thread; never blocks; once or often. */
void gate_open(struct gate *gate);

/* Blocks until the gate is open. Any thread. After 5 s it says which gate stayed
 * shut and aborts the test program: no thread can go on sensibly from there. */
#define gate_wait(gate) gate_wait_at((gate), #gate, __FILE__, __LINE__)
void gate_wait_at(struct gate *gate, const char *name, const char *file, int line);

bool gate_is_open(struct gate *gate);

#endif
