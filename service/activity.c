#include "service/activity.h"

#include <stddef.h>

#include "service/pool.h"

static _Thread_local struct activity *current;
static _Thread_local struct activity scratch;

void activity_enter(struct activity *activity)
{
	current = activity;
}

struct activity *activity_current(void)
{
	return current ? current : &scratch;
}

instant activity_wait_begin(const char *what)
{
	atomic_store(&activity_current()->waits_for, what);
	pool_block_begin();
	return instant_now();
}

void activity_wait_end(instant begun)
{
	struct activity *activity = activity_current();
	pool_block_end();
	atomic_fetch_add(&activity->db_wait_ns, instant_diff_ns(begun, instant_now()));
	atomic_store(&activity->waits_for, NULL);
}
