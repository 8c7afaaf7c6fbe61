#include "tests/support/gate.h"

#include <stdio.h>

#include "service/core/clock.h"
#include "tests/support/wait.h"

void gate_init(struct gate *gate)
{
	pthread_mutex_init(&gate->lock, NULL);
	clock_cond_init(&gate->opened);
	gate->open = false;
}

void gate_finish(struct gate *gate)
{
	pthread_cond_destroy(&gate->opened);
	pthread_mutex_destroy(&gate->lock);
}

void gate_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	gate->open = true;
	pthread_cond_broadcast(&gate->opened);
	pthread_mutex_unlock(&gate->lock);
}

void gate_wait_at(struct gate *gate, const char *name, const char *file, int line)
{
	instant until = instant_add_ms(instant_now(), PATIENCE_MS);
	pthread_mutex_lock(&gate->lock);
	while (!gate->open && clock_cond_wait(&gate->opened, &gate->lock, until))
		;
	bool open = gate->open;
	pthread_mutex_unlock(&gate->lock);
	if (!open) {
		fprintf(stderr, "%s:%d: nobody opened %s\n", file, line, name);
		patience_lost();
	}
}

bool gate_is_open(struct gate *gate)
{
	pthread_mutex_lock(&gate->lock);
	bool open = gate->open;
	pthread_mutex_unlock(&gate->lock);
	return open;
}
