#include "service/core/cancel.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "service/core/timer.h"

/*
 * How a token stays sound under every interleaving:
 *
 * - cause changes once, under the lock, and the hooks that are in the list at
 *   that moment are run by that thread, one by one, without the lock. A hook
 *   that comes later sees the cause under the same lock and runs at once, in
 *   the thread that adds it. So no hook is lost and none runs twice.
 * - running names the hook that is being called. cancel_unhook() takes a hook
 *   out of the list or waits until it is no longer running; the firing thread
 *   itself may unhook it from inside. After the call nothing of the hook is
 *   read, because its owner may have freed it in there.
 * - A child is a hook on its parent, and a deadline is a timer. Both may be
 *   just about to fire a token whose last count is being released. They take a
 *   count only if there still is one (ref_unless_released); the release takes
 *   out the hook and the timer, waiting for a call in progress, before it
 *   frees. If that call took the last count, the release happens inside it, in
 *   its own thread, and does not wait for itself.
 * - A firing holds a count of its own, so the token outlives it even when a hook
 *   releases the last other one.
 */
struct cancel {
	_Atomic unsigned counts;
	_Atomic int cause;           /* enum cancel_cause; written under the lock, once */
	_Atomic int64_t deadline_ns; /* its own */
	atomic_bool detached;        /* its parent's firing and deadline are not its */
	int64_t fired_at_ns;         /* written before cause, read after it */

	pthread_mutex_t lock;
	pthread_cond_t changed;         /* it fired, or a hook has returned */
	LIST_HEAD(, cancel_hook) hooks; /* lock; cancel_hook::link: the last first */
	struct cancel_hook *running;    /* lock: compared, never read */
	pthread_t runner;               /* lock: who calls it; while running is set */
	int fd;                         /* lock: eventfd, or -1 */

	struct cancel *parent; /* counted; NULL for a root; set once */
	struct cancel_hook parent_hook;
	struct timers *timers; /* NULL without a deadline of its own; its owner's */
	struct timer deadline;
};

static const char *const cause_names[CANCEL_CAUSES] = {
	[CANCEL_NONE] = "none",
	[CANCEL_CLIENT_GONE] = "client_gone",
	[CANCEL_DEADLINE] = "deadline",
	[CANCEL_SHUTDOWN] = "shutdown",
	[CANCEL_OPERATOR] = "operator",
};

const char *cancel_cause_name(enum cancel_cause cause)
{
	return cause_names[cause];
}

static bool ref_unless_released(struct cancel *token)
{
	unsigned counts = atomic_load(&token->counts);
	while (counts > 0)
		if (atomic_compare_exchange_weak(&token->counts, &counts, counts + 1))
			return true;
	return false;
}

static void fire_child(void *arg, enum cancel_cause cause)
{
	struct cancel *child = arg;
	if (!ref_unless_released(child))
		return;
	cancel_fire(child, cause);
	cancel_unref(child); /* NOLINT(clang-analyzer-unix.Malloc): it is counted */
}

static void fire_deadline(void *arg)
{
	fire_child(arg, CANCEL_DEADLINE);
}

struct cancel *cancel_create(struct cancel *parent)
{
	struct cancel *token = calloc(1, sizeof *token);
	if (!token)
		return NULL;
	token->counts = 1;
	token->deadline_ns = INSTANT_NEVER.ns;
	token->fd = -1;
	LIST_INIT(&token->hooks);
	pthread_mutex_init(&token->lock, NULL);
	clock_cond_init(&token->changed);
	if (parent) {
		token->parent = cancel_ref(parent);
		cancel_hook(parent, &token->parent_hook, fire_child, token);
	}
	return token; /* NOLINT(clang-analyzer-unix.Malloc): fire_child() had a count */
}

bool cancel_detach(struct cancel *token)
{
	atomic_store(&token->detached, true);
	if (token->parent)
		cancel_unhook(token->parent, &token->parent_hook);
	return cancel_cause(token) == CANCEL_NONE;
}

struct cancel *cancel_ref(struct cancel *token)
{
	atomic_fetch_add(&token->counts, 1);
	return token;
}

void cancel_drop_deadline(struct cancel *token)
{
	if (token->timers)
		timer_remove(token->timers, &token->deadline);
	token->timers = NULL;
	atomic_store(&token->deadline_ns, INSTANT_NEVER.ns);
}

static void destroy_token(struct cancel *token)
{
	cancel_drop_deadline(token);
	if (token->parent) {
		cancel_unhook(token->parent, &token->parent_hook);
		cancel_unref(token->parent);
	}
	assert(LIST_EMPTY(&token->hooks));
	if (token->fd >= 0)
		close(token->fd);
	pthread_cond_destroy(&token->changed);
	pthread_mutex_destroy(&token->lock);
	free(token);
}

void cancel_unref(struct cancel *token)
{
	if (token && atomic_fetch_sub(&token->counts, 1) == 1)
		destroy_token(token);
}

enum cancel_cause cancel_cause(const struct cancel *token)
{
	return atomic_load_explicit(&token->cause, memory_order_acquire);
}

instant cancel_fired_at(const struct cancel *token)
{
	if (cancel_cause(token) == CANCEL_NONE)
		return INSTANT_NEVER;
	return (instant){ token->fired_at_ns };
}

static void push_hook(struct cancel *token, struct cancel_hook *hook)
{
	LIST_INSERT_HEAD(&token->hooks, hook, link);
	hook->listed = true;
}

static void take_hook_out(struct cancel_hook *hook)
{
	LIST_REMOVE(hook, link);
	hook->listed = false;
}

/* Called and returning with the lock held. */
static void run_hooks(struct cancel *token, enum cancel_cause cause)
{
	token->runner = pthread_self();
	struct cancel_hook *hook;
	while ((hook = LIST_FIRST(&token->hooks))) {
		cancel_hook_fn *fn = hook->fn;
		void *arg = hook->arg;
		take_hook_out(hook);
		token->running = hook;
		pthread_mutex_unlock(&token->lock);
		fn(arg, cause);
		pthread_mutex_lock(&token->lock);
		token->running = NULL;
		pthread_cond_broadcast(&token->changed);
	}
}

static void signal_fd(int fd)
{
	if (fd < 0)
		return;
	ssize_t written = write(fd, &(uint64_t){ 1 }, sizeof(uint64_t));
	(void)written; /* cannot fail: the counter is 0 before it */
}

bool cancel_fire(struct cancel *token, enum cancel_cause cause)
{
	assert(cause > CANCEL_NONE && cause < CANCEL_CAUSES);
	pthread_mutex_lock(&token->lock);
	bool first = atomic_load(&token->cause) == CANCEL_NONE;
	if (first) {
		cancel_ref(token); /* a hook may release the caller's */
		token->fired_at_ns = instant_now().ns;
		atomic_store_explicit(&token->cause, cause, memory_order_release);
		signal_fd(token->fd);
		pthread_cond_broadcast(&token->changed);
		run_hooks(token, cause);
	}
	pthread_mutex_unlock(&token->lock);
	if (first)
		cancel_unref(token);
	return first;
}

void cancel_set_deadline(struct cancel *token, struct timers *timers, instant when)
{
	assert(!token->timers);
	atomic_store(&token->deadline_ns, when.ns);
	token->timers = timers;
	timer_add(timers, &token->deadline, when, fire_deadline, token);
}

instant cancel_deadline(const struct cancel *token)
{
	instant earliest = INSTANT_NEVER;
	while (token) {
		earliest = instant_min(
			earliest, (instant){ atomic_load(&token->deadline_ns) });
		token = atomic_load(&token->detached) ? NULL : token->parent;
	}
	return earliest;
}

bool cancel_hook(
	struct cancel *token, struct cancel_hook *hook, cancel_hook_fn *fn, void *arg)
{
	*hook = (struct cancel_hook){ .fn = fn, .arg = arg };
	pthread_mutex_lock(&token->lock);
	enum cancel_cause cause = cancel_cause(token);
	if (cause == CANCEL_NONE)
		push_hook(token, hook);
	pthread_mutex_unlock(&token->lock);
	if (cause != CANCEL_NONE)
		fn(arg, cause);
	return cause == CANCEL_NONE;
}

bool cancel_unhook(struct cancel *token, struct cancel_hook *hook)
{
	if (!token)
		return false;
	pthread_mutex_lock(&token->lock);
	bool waiting = hook->listed;
	if (waiting)
		take_hook_out(hook);
	while (token->running == hook && !pthread_equal(token->runner, pthread_self()))
		pthread_cond_wait(&token->changed, &token->lock);
	pthread_mutex_unlock(&token->lock);
	return waiting;
}

int cancel_fd(struct cancel *token)
{
	pthread_mutex_lock(&token->lock);
	if (token->fd < 0) {
		token->fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
		if (cancel_cause(token) != CANCEL_NONE)
			signal_fd(token->fd);
	}
	int fd = token->fd;
	pthread_mutex_unlock(&token->lock);
	return fd;
}

enum cancel_cause cancel_sleep(struct cancel *token, instant when)
{
	pthread_mutex_lock(&token->lock);
	while (cancel_cause(token) == CANCEL_NONE &&
		clock_cond_wait(&token->changed, &token->lock, when))
		;
	pthread_mutex_unlock(&token->lock);
	return cancel_cause(token);
}

static void wake_waiter(void *arg, enum cancel_cause cause)
{
	struct cancel_waiter *waiter = arg;
	(void)cause;
	pthread_mutex_lock(waiter->lock);
	pthread_cond_broadcast(waiter->cond);
	pthread_mutex_unlock(waiter->lock);
}

void cancel_wait_begin(struct cancel_waiter *waiter, struct cancel *token,
	pthread_mutex_t *lock, pthread_cond_t *cond)
{
	*waiter = (struct cancel_waiter){ .token = token, .lock = lock, .cond = cond };
	cancel_hook(token, &waiter->hook, wake_waiter, waiter);
}

void cancel_wait_end(struct cancel_waiter *waiter)
{
	cancel_unhook(waiter->token, &waiter->hook);
}
