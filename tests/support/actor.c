#include "tests/support/actor.h"

#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/core/clock.h"
#include "tests/support/wait.h"

static void *run(void *arg)
{
	struct actor *actor = arg;
	actor->tid = gettid();
	gate_open(&actor->begun);
	actor->act(actor->arg);
	actor->returned = true;
	return NULL;
}

void actor_start(struct actor *actor, void (*act)(void *arg), void *arg)
{
	*actor = (struct actor){ .act = act, .arg = arg };
	gate_init(&actor->begun);
	if (pthread_create(&actor->thread, NULL, run, actor) != 0)
		abort();
	gate_wait(&actor->begun);
}

/* proc(5): the state follows the name, which is in parentheses. */
static bool sleeps(int tid)
{
	char path[64];
	snprintf(path, sizeof path, "/proc/self/task/%d/stat", tid);
	FILE *file = fopen(path, "re");
	if (!file)
		return false;
	char line[256] = "";
	char *got = fgets(line, sizeof line, file);
	fclose(file);
	char *name_end = got ? strrchr(line, ')') : NULL;
	return name_end && name_end[1] == ' ' && name_end[2] == 'S';
}

bool actor_blocks(struct actor *actor)
{
	/* More than one look: on its way a thread may sleep for a moment at a lock. */
	enum { LOOKS = 20 };
	instant until = instant_add_ms(instant_now(), PATIENCE_MS);
	int asleep = 0;
	while (!actor->returned && asleep < LOOKS) {
		asleep = sleeps(actor->tid) ? asleep + 1 : 0;
		if (instant_before(until, instant_now()))
			patience_lost();
		sched_yield();
	}
	return !actor->returned;
}

bool actor_has_returned(struct actor *actor)
{
	return actor->returned;
}

void actor_join(struct actor *actor)
{
	pthread_join(actor->thread, NULL);
	gate_finish(&actor->begun);
}
