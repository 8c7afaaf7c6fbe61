#include "service/core/activity.h"

#include <stddef.h>

#include "service/core/pool.h"

static _Thread_local struct activity *current;
static _Thread_local struct activity scratch;
static _Thread_local bool must_not_wait;

void activity_enter(struct activity *activity)
{
	current = activity;
}

struct activity *activity_current(void)
{
	return current ? current : &scratch;
}

void activity_let_wait(bool may_wait)
{
	must_not_wait = !may_wait;
}

bool activity_may_wait(void)
{
	return !must_not_wait;
}

instant activity_wait_begin(const char *what)
{
	atomic_store(&activity_current()->waits_for, what);
	pool_block_begin();
	return instant_now();
}

static void end_wait(instant begun, _Atomic int64_t *total_ns)
{
	pool_block_end();
	atomic_fetch_add(total_ns, instant_diff_ns(begun, instant_now()));
	atomic_store(&activity_current()->waits_for, NULL);
}

void activity_wait_end(instant begun)
{
	end_wait(begun, &activity_current()->db_wait_ns);
}

instant activity_client_wait_begin(void)
{
	return activity_wait_begin("client");
}

void activity_client_wait_end(instant begun)
{
	end_wait(begun, &activity_current()->client_wait_ns);
}
