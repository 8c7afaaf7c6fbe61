#include "service/http/request_list.h"

#include <assert.h>
#include <stdlib.h>

#include "service/http/exchange.h"

/*
 * Why an exchange may be looked at, and its token fired, by a thread that owns neither:
 *
 * - It is listed from before its network's side begins until after its last owner has
 *   logged it, and leaves the list under inflight::lock. So while that lock is held,
 *   nothing that is found in the list is freed.
 * - What a request is (id, method, path, route) is written by the network thread before
 *   the state leaves HEAD under exchange::lock, and never again. So whoever has seen
 *   another state under that lock may read them. State is guarded by the same lock, what the work is
 *   doing is atomic, address and beginning are older than the listing.
 * - inflight::lock comes before exchange::lock, and nobody takes them the other way
 *   round: an exchange enters and leaves the list without its own lock.
 * - A token is fired under neither, because its hooks take exchange::lock, and may end
 *   the exchange, which takes inflight::lock. Under the locks a count of the token is
 *   taken; the last owner gives its own back only after the exchange has left the list,
 *   so there is one to add to. With a count the token outlives its exchange.
 * - The exchange may have ended, and be freed, before that token fires: its hook was
 *   taken out when the network's side went, and firing finds none. If the hook is running
 *   already, the network's side waits for it before it lets go, so the hook finds its
 *   exchange whole. And if the token fires between that and the registering of
 *   the hook, the hook is run at once, where it is registered.
 * - The count may be the token's last. Giving it back waits for nothing that waits for
 *   this thread: no lock is held.
 */

static_assert(sizeof((struct request_view *)0)->client >= CLIENT_ADDRESS_SIZE, "it fits");

/* Cuts it when it is longer. */
static void copy_text(char *ret, size_t size, const char *text)
{
	size_t len = strnlen(text, size - 1);
	memcpy(ret, text, len);
	ret[len] = '\0';
}

#define COPY(to, text) copy_text((to), sizeof(to), (text))

static bool has_begun(enum exchange_state state)
{
	return state != EXCHANGE_HEAD && state != EXCHANGE_DONE;
}

/* Both locks are held. */
static void copy_identity(const struct exchange *exchange, struct request_view *view)
{
	COPY(view->id, exchange->req.id);
	COPY(view->method, exchange->req.method);
	COPY(view->path, exchange->req.path);
	view->route = exchange->req.route;
}

/* inflight::lock is held. False for one that is being logged: the place is free then. */
static bool copy(struct exchange *exchange, struct request_view *view)
{
	const struct activity *activity = &exchange->activity;
	view->began = exchange->began; /* the rest is zeroed, or written below */
	pthread_mutex_lock(&exchange->lock);
	enum exchange_state state = exchange->state;
	view->begun = has_begun(state);
	if (view->begun)
		copy_identity(exchange, view);
	pthread_mutex_unlock(&exchange->lock);
	COPY(view->client, exchange->address);
	view->state = exchange_phase_name(exchange_phase_of(state));
	view->waits_for = atomic_load(&activity->waits_for);
	view->deadline = cancel_deadline(exchange->req.cancel);
	view->rows = atomic_load(&activity->rows);
	view->bytes = atomic_load(&activity->bytes);
	return state != EXCHANGE_DONE;
}

struct views {
	struct request_view *list; /* owned; the newest first */
	size_t size;
	size_t count;
};

/* False when there is too little room, and then *ret_needed says how much it takes. */
static bool copy_all(struct inflight *inflight, struct views *views, size_t *ret_needed)
{
	pthread_mutex_lock(&inflight->lock);
	*ret_needed = inflight->count;
	bool fits = inflight->count <= views->size;
	struct exchange *exchange = fits ? LIST_FIRST(&inflight->list) : NULL;
	assert(views->list || !exchange);
	for (; exchange; exchange = LIST_NEXT(exchange, listed))
		views->count += copy(exchange, &views->list[views->count]);
	pthread_mutex_unlock(&inflight->lock);
	return fits;
}

/* Writes to each, so that the kernel finds their memory now and not under the lock,
 * where it took most of the time. */
static enum err make_room(struct views *views, size_t size)
{
	free(views->list);
	views->list = calloc(size, sizeof *views->list);
	if (!views->list)
		return ERR_NOMEM;
	for (size_t i = 0; i < size; i++)
		views->list[i].state = "";
	views->size = size;
	return ERR_OK;
}

/* The room is made outside the lock, so there may be more of them by then. */
static enum err take(struct inflight *inflight, struct views *views)
{
	enum err err = ERR_OK;
	size_t needed;
	while (err == ERR_OK && !copy_all(inflight, views, &needed))
		err = make_room(views, needed + needed / 4);
	return err;
}

enum err request_list_visit(struct inflight *inflight, request_view_fn *fn, void *arg)
{
	struct views views = { 0 };
	enum err err = take(inflight, &views);
	for (size_t i = views.count; err == ERR_OK && i > 0; i--)
		err = fn(arg, &views.list[i - 1]);
	free(views.list);
	return err;
}

/*
 * Cancelling.
 */

enum { BATCH = 16 };

/* Whether it is one to cancel; inflight::lock is held. One that came after the call
 * is not: else a client that repeats an id could keep the caller busy. */
static bool is_meant(struct exchange *exchange, const char *id, instant called)
{
	pthread_mutex_lock(&exchange->lock);
	bool meant = has_begun(exchange->state) && strcmp(exchange->req.id, id) == 0 &&
		!instant_before(called, exchange->began);
	pthread_mutex_unlock(&exchange->lock);
	return meant && cancel_cause(exchange->req.cancel) == CANCEL_NONE;
}

static unsigned take_tokens(struct inflight *inflight, const char *id, instant called,
	struct cancel *tokens[static BATCH])
{
	unsigned count = 0;
	pthread_mutex_lock(&inflight->lock);
	struct exchange *exchange = LIST_FIRST(&inflight->list);
	for (; exchange && count < BATCH; exchange = LIST_NEXT(exchange, listed))
		if (is_meant(exchange, id, called))
			tokens[count++] = cancel_ref(exchange->req.cancel);
	pthread_mutex_unlock(&inflight->lock);
	return count;
}

unsigned request_list_cancel(
	struct inflight *inflight, const char *id, enum cancel_cause cause)
{
	struct cancel *tokens[BATCH];
	instant called = instant_now();
	unsigned cancelled = 0;
	unsigned count;
	do {
		count = take_tokens(inflight, id, called, tokens);
		for (unsigned i = 0; i < count; i++) {
			cancelled += cancel_fire(tokens[i], cause);
			cancel_unref(tokens[i]);
		}
	} while (count == BATCH); /* those that have fired are not taken again */
	return cancelled;
}
