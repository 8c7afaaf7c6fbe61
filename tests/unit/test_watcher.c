#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "service/core/cancel.h"
#include "service/core/timer.h"
#include "service/core/watcher.h"
#include "tests/support/actor.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_alloc.h"
#include "tests/support/gate.h"
#include "tests/support/shake.h"

static int start(void **state)
{
	struct watcher *watcher;
	if (watcher_create(&watcher) != ERR_OK)
		return -1;
	*state = watcher;
	return 0;
}

static int end(void **state)
{
	watcher_destroy(*state);
	return 0;
}

/* A connection: ours is watched, the peer does things to the other end. */
struct conn {
	struct watcher *watcher;
	int ours;
	int peers;
	watch watched;
	atomic_int half_closed; /* how often it was reported */
	atomic_int gone;
	struct gate reported; /* anything */
	struct gate left;     /* gone */
	atomic_bool stays;    /* inside the callback, until: */
	struct gate may_return;
	atomic_bool returned;
};

static void note(void *arg, enum watch_event event)
{
	struct conn *conn = arg;
	if (event == WATCH_HALF_CLOSED)
		conn->half_closed++;
	else
		conn->gone++;
	gate_open(&conn->reported);
	if (event == WATCH_GONE)
		gate_open(&conn->left);
	if (conn->stays)
		gate_wait(&conn->may_return);
	conn->returned = true;
}

static int events_of(const struct conn *conn)
{
	return conn->half_closed + conn->gone;
}

/* TCP over the loopback. */
static void connect_pair(int *ret_ours, int *ret_peers)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof address;
	int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_true(listener >= 0);
	assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
	*ret_peers = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	assert_int_equal(connect(*ret_peers, (struct sockaddr *)&address, size), 0);
	*ret_ours = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	assert_true(*ret_ours >= 0);
	close(listener);
}

/* By a reset: a port that lingers in TIME_WAIT for a minute is not there for the
 * next run. */
static void close_at_once(int fd)
{
	const struct linger at_once = { .l_onoff = 1, .l_linger = 0 };
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
	close(fd);
}

static void conn_init(struct conn *conn, struct watcher *watcher)
{
	*conn = (struct conn){ .watcher = watcher };
	gate_init(&conn->reported);
	gate_init(&conn->left);
	gate_init(&conn->may_return);
	connect_pair(&conn->ours, &conn->peers);
}

static void conn_watch(struct conn *conn)
{
	assert_int_equal(
		watcher_add(conn->watcher, conn->ours, note, conn, &conn->watched),
		ERR_OK);
	assert_int_equal(conn->watched.generation % 2, 1); /* so that it is never 0 */
}

static void conn_open(struct conn *conn, struct watcher *watcher)
{
	conn_init(conn, watcher);
	conn_watch(conn);
}

/* Gives our end another number, which must be free. */
static void conn_renumber(struct conn *conn, int fd)
{
	if (conn->ours == fd)
		return;
	assert_int_equal(fcntl(conn->ours, F_DUPFD_CLOEXEC, fd), fd);
	close(conn->ours);
	conn->ours = fd;
}

static void conn_unwatch(struct conn *conn)
{
	watcher_remove(conn->watcher, conn->watched);
	conn->watched = (watch){ 0 };
}

static void conn_close(struct conn *conn)
{
	conn_unwatch(conn);
	if (conn->ours >= 0)
		close_at_once(conn->ours);
	if (conn->peers >= 0)
		close_at_once(conn->peers);
	gate_finish(&conn->reported);
	gate_finish(&conn->left);
	gate_finish(&conn->may_return);
}

static void peer_says(struct conn *conn, const char *text)
{
	assert_int_equal(write(conn->peers, text, strlen(text)), strlen(text));
}

static void peer_finishes(struct conn *conn)
{
	assert_int_equal(shutdown(conn->peers, SHUT_WR), 0);
}

static void peer_closes(struct conn *conn)
{
	close(conn->peers);
	conn->peers = -1;
}

static void peer_resets(struct conn *conn)
{
	close_at_once(conn->peers);
	conn->peers = -1;
}

/* Returns when the watcher has handled whatever has happened so far: events come
 * in the order in which they happened. */
static void watcher_catches_up(struct watcher *watcher)
{
	struct conn last;
	conn_open(&last, watcher);
	peer_closes(&last);
	gate_wait(&last.reported);
	conn_close(&last);
}

static void a_fin_is_a_half_close(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	peer_finishes(&conn);
	gate_wait(&conn.reported);
	watcher_catches_up(*state);
	assert_true(conn.half_closed > 0);
	assert_int_equal(conn.gone, 0);
	conn_close(&conn);
}

static void closing_sends_a_fin_as_well(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	peer_closes(&conn);
	gate_wait(&conn.reported);
	assert_true(conn.half_closed > 0);
	conn_close(&conn);
}

static void a_reset_means_gone(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	peer_resets(&conn);
	gate_wait(&conn.left);
	assert_int_equal(conn.half_closed, 0);
	conn_close(&conn);
}

static void a_reset_after_a_fin_means_gone(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	peer_finishes(&conn);
	gate_wait(&conn.reported);
	peer_resets(&conn);
	send(conn.ours, "answer", 6, MSG_NOSIGNAL); /* into the void, or refused */
	gate_wait(&conn.left);
	conn_close(&conn);
}

static void both_directions_closed_mean_gone(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	assert_int_equal(shutdown(conn.ours, SHUT_WR), 0);
	peer_closes(&conn);
	gate_wait(&conn.left);
	conn_close(&conn);
}

static void what_happened_before_watching_is_reported(void **state)
{
	struct conn closed, reset;
	conn_init(&closed, *state);
	peer_closes(&closed);
	conn_watch(&closed);
	gate_wait(&closed.reported);
	conn_init(&reset, *state);
	peer_resets(&reset);
	conn_watch(&reset);
	gate_wait(&reset.left);
	conn_close(&closed);
	conn_close(&reset);
}

static void data_alone_is_no_event(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	peer_says(&conn, "GET / HTTP/1.1\r\n\r\n");
	peer_says(&conn, "GET / HTTP/1.1\r\n\r\n");
	watcher_catches_up(*state);
	assert_int_equal(events_of(&conn), 0);
	conn_close(&conn);
}

static void unread_bytes_do_not_hide_a_fin(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	peer_says(&conn, "GET / HTTP/1.1\r\n\r\nGET / HTTP/1.1\r\n\r\n");
	peer_finishes(&conn);
	gate_wait(&conn.reported);
	assert_true(conn.half_closed > 0);
	conn_close(&conn);
}

static void a_fin_long_after_unread_bytes_is_seen(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	peer_says(&conn, "GET / HTTP/1.1\r\n\r\n");
	watcher_catches_up(*state);
	assert_int_equal(events_of(&conn), 0);
	peer_closes(&conn);
	gate_wait(&conn.reported);
	assert_true(conn.half_closed > 0);
	conn_close(&conn);
}

static void a_removed_socket_is_not_reported(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	conn_unwatch(&conn);
	watcher_remove(*state, conn.watched); /* zeroed: does nothing */
	peer_closes(&conn);
	watcher_catches_up(*state);
	assert_int_equal(events_of(&conn), 0);
	conn_close(&conn);
}

static void a_socket_can_be_watched_again(void **state)
{
	struct conn conn;
	conn_open(&conn, *state);
	watch first = conn.watched;
	conn_unwatch(&conn);
	conn_watch(&conn);
	assert_int_equal(conn.watched.slot, first.slot);
	assert_int_not_equal(conn.watched.generation, first.generation);
	peer_closes(&conn);
	gate_wait(&conn.reported);
	conn_close(&conn);
}

/*
 * The watcher is kept inside a callback while more happens, so that the events of
 * a and b come in one batch; then inside a's, while b gives its place to c.
 */
static void a_stale_event_never_hits_the_next_user_of_the_slot(void **state)
{
	struct conn first, a, b, c;
	conn_open(&first, *state);
	conn_open(&a, *state);
	conn_open(&b, *state);
	first.stays = a.stays = true;
	peer_closes(&first);
	gate_wait(&first.reported);
	peer_closes(&a);
	peer_closes(&b);
	gate_open(&first.may_return);
	gate_wait(&a.reported);

	watch stale = b.watched;
	int stale_fd = b.ours;
	conn_unwatch(&b);
	close_at_once(b.ours);
	b.ours = -1;
	conn_init(&c, *state);
	conn_renumber(&c, stale_fd);
	conn_watch(&c);
	assert_int_equal(c.watched.slot, stale.slot);
	assert_int_not_equal(c.watched.generation, stale.generation);
	gate_open(&a.may_return);
	watcher_catches_up(*state);
	assert_int_equal(events_of(&b), 0);
	assert_int_equal(events_of(&c), 0);

	peer_closes(&c);
	gate_wait(&c.reported);
	conn_close(&first);
	conn_close(&a);
	conn_close(&b);
	conn_close(&c);
}

static void unwatch(void *arg)
{
	struct conn *conn = arg;
	conn_unwatch(conn);
}

static void removing_waits_for_a_running_callback(void **state)
{
	struct conn conn, other;
	struct actor remover;
	conn_open(&conn, *state);
	conn.stays = true;
	uint32_t slot = conn.watched.slot;
	peer_closes(&conn);
	gate_wait(&conn.reported);
	actor_start(&remover, unwatch, &conn);
	bool waited = actor_blocks(&remover);

	/* Nobody gets the slot until then, and other sockets do not wait. */
	conn_open(&other, *state);
	uint32_t slot_of_other = other.watched.slot;
	conn_unwatch(&other);
	conn_watch(&other);
	gate_open(&conn.may_return);
	actor_join(&remover);
	assert_true(waited);
	assert_int_not_equal(slot_of_other, slot);
	assert_true(conn.returned);
	conn_close(&other);
	conn_close(&conn);
}

static void many_sockets_are_watched_each_for_itself(void **state)
{
	enum { CONNS = 200 };
	struct conn *conns = calloc(CONNS, sizeof *conns);
	for (int i = 0; i < CONNS; i++)
		conn_open(&conns[i], *state);
	for (int i = 0; i < CONNS; i += 2)
		peer_closes(&conns[i]);
	for (int i = 0; i < CONNS; i += 2)
		gate_wait(&conns[i].reported);
	watcher_catches_up(*state);
	for (int i = 1; i < CONNS; i += 2)
		assert_int_equal(events_of(&conns[i]), 0);
	for (int i = 0; i < CONNS; i++)
		conn_close(&conns[i]);
	free(conns);
}

static void what_cannot_be_watched_is_refused(void **state)
{
	watch watched = { 7, 7 };
	assert_int_equal(watcher_add(*state, -1, note, NULL, &watched), ERR_IO);
	assert_int_equal(watched.slot, 7);
	assert_int_equal(watched.generation, 7);
}

static void watching_a_socket_twice_is_refused_and_harms_nobody(void **state)
{
	struct conn conn, next;
	watch second;
	conn_open(&conn, *state);
	assert_int_equal(watcher_add(*state, conn.ours, note, &conn, &second), ERR_IO);
	conn_open(&next, *state); /* in the slot that was given back */
	peer_closes(&conn);
	gate_wait(&conn.reported);
	assert_int_equal(events_of(&next), 0);
	conn_close(&next);
	conn_close(&conn);
}

static void a_watcher_without_memory_refuses_and_goes_on(void **state)
{
	enum { MOST = 200 };
	if (!fault_alloc_works())
		skip();
	struct conn *conns = calloc(MOST, sizeof *conns);
	int count = 0;
	enum err err = ERR_OK;
	while (err == ERR_OK) {
		assert_true(count < MOST);
		struct conn *conn = &conns[count++];
		conn_init(conn, *state);
		fault_alloc_arm(count > 1); /* the first slots are there */
		err = watcher_add(*state, conn->ours, note, conn, &conn->watched);
		fault_alloc_arm(0);
	}
	assert_int_equal(err, ERR_NOMEM);
	peer_closes(&conns[0]);
	gate_wait(&conns[0].reported);
	conn_watch(&conns[count - 1]);
	for (int i = 0; i < count; i++)
		conn_close(&conns[i]);
	free(conns);
}

static void a_watcher_that_cannot_be_had_leaves_nothing(void **state)
{
	(void)state;
	watcher_destroy(NULL);
	if (!fault_alloc_works())
		skip();
	enum err err = ERR_NOMEM;
	struct watcher *watcher = NULL;
	for (int nth = 1; err == ERR_NOMEM; nth++) {
		assert_null(watcher);
		assert_true(nth < 20);
		fault_alloc_arm(nth);
		err = watcher_create(&watcher);
		fault_alloc_arm(0);
	}
	assert_int_equal(err, ERR_OK);
	watcher_destroy(watcher);
}

struct alarm_clock {
	struct timer timer;
	struct gate rang;
};

static void ring(void *arg)
{
	struct alarm_clock *alarm_clock = arg;
	gate_open(&alarm_clock->rang);
}

static void an_earlier_timer_is_not_missed(void **state)
{
	struct timers *timers = watcher_timers(*state);
	struct alarm_clock early = { 0 }, late = { 0 };
	gate_init(&early.rang);
	gate_init(&late.rang);
	instant now = instant_now();
	timer_add(timers, &late.timer, instant_add_ms(now, 3600000), ring, &late);
	watcher_catches_up(*state); /* it sleeps towards the late one now */
	timer_add(timers, &early.timer, now, ring, &early);
	gate_wait(&early.rang);
	assert_true(timer_remove(timers, &late.timer));
	assert_false(timer_remove(timers, &early.timer));
	assert_false(gate_is_open(&late.rang));
	gate_finish(&early.rang);
	gate_finish(&late.rang);
}

/* A token with a deadline, and when that was heard of. */
struct due {
	struct cancel *token;
	struct cancel_hook hook;
	instant deadline;
	instant fired;
	atomic_int *count;
	int place;
	struct gate heard;
};

static void hear(void *arg, enum cancel_cause cause)
{
	struct due *due = arg;
	(void)cause;
	due->fired = instant_now();
	due->place = ++*due->count;
	gate_open(&due->heard);
}

static void stay(void *arg)
{
	gate_wait((struct gate *)arg);
}

static void deadlines_fire_in_order_and_not_early(void **state)
{
	enum { DUES = 20 };
	struct timers *timers = watcher_timers(*state);
	struct due dues[DUES];
	struct gate all_set;
	struct timer pause = { 0 };
	atomic_int count = 0;
	int64_t latest_ns = 0;
	gate_init(&all_set);
	instant now = instant_now();
	timer_add(timers, &pause, now, stay, &all_set); /* however slow this thread is */
	for (int i = 0; i < DUES; i++) {
		struct due *due = &dues[i];
		int ms = 5 + i * 7 % DUES; /* every one from 5 to 24, shuffled */
		*due = (struct due){ .token = cancel_create(NULL), .count = &count };
		due->deadline = instant_add_ms(now, ms);
		gate_init(&due->heard);
		cancel_hook(due->token, &due->hook, hear, due);
		cancel_set_deadline(due->token, timers, due->deadline);
	}
	gate_open(&all_set);
	for (int i = 0; i < DUES; i++) {
		struct due *due = &dues[i];
		gate_wait(&due->heard);
		assert_int_equal(cancel_cause(due->token), CANCEL_DEADLINE);
		assert_int_equal(cancel_unhook(due->token, &due->hook), false);
		assert_int_equal(due->place, 1 + i * 7 % DUES);
		assert_false(instant_before(due->fired, due->deadline));
		int64_t late_ns = instant_diff_ns(due->deadline, due->fired);
		latest_ns = late_ns > latest_ns ? late_ns : latest_ns;
		cancel_unref(due->token);
		gate_finish(&due->heard);
	}
	timer_remove(timers, &pause);
	gate_finish(&all_set);
	print_message("latest by %.3f ms\n", (double)latest_ns / 1e6);
}

/*
 * A storm: sockets come and go in several threads, each watched by one owner after
 * the other in the same slots and under the same numbers. An owner that removes
 * its watch hears nothing more, and one whose peer left hears of it.
 */
enum { STORM_THREADS = 3, STORM_ROUNDS = 400 };

struct owner {
	atomic_bool over; /* it has removed its watch */
	struct gate heard;
	bool may_hear;
};

static void tell_owner(void *arg, enum watch_event event)
{
	struct owner *owner = arg;
	(void)event;
	if (owner->over || !owner->may_hear)
		abort();
	gate_open(&owner->heard);
	shake(2); /* from the next call on */
}

static void come_and_go(void *arg)
{
	struct watcher *watcher = arg;
	shake(1);
	for (int i = 0; i < STORM_ROUNDS; i++) {
		int fds[2];
		watch watched;
		struct owner owner = { .may_hear = i % 3 != 0 };
		if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) != 0)
			abort();
		gate_init(&owner.heard);
		if (watcher_add(watcher, fds[0], tell_owner, &owner, &watched) != ERR_OK)
			abort();
		if (owner.may_hear)
			close(fds[1]);
		if (i % 3 == 1)
			gate_wait(&owner.heard);
		watcher_remove(watcher, watched);
		owner.over = true;
		close(fds[0]);
		if (!owner.may_hear)
			close(fds[1]);
		gate_finish(&owner.heard);
	}
}

static void nobody_hears_of_another_owners_socket(void **state)
{
	struct actor actors[STORM_THREADS];
	for (int i = 0; i < STORM_THREADS; i++)
		actor_start(&actors[i], come_and_go, *state);
	for (int i = 0; i < STORM_THREADS; i++)
		actor_join(&actors[i]);
}

#define with_watcher(test) cmocka_unit_test_setup_teardown(test, start, end)

int main(void)
{
	const struct CMUnitTest tests[] = {
		with_watcher(a_fin_is_a_half_close),
		with_watcher(closing_sends_a_fin_as_well),
		with_watcher(a_reset_means_gone),
		with_watcher(a_reset_after_a_fin_means_gone),
		with_watcher(both_directions_closed_mean_gone),
		with_watcher(what_happened_before_watching_is_reported),
		with_watcher(data_alone_is_no_event),
		with_watcher(unread_bytes_do_not_hide_a_fin),
		with_watcher(a_fin_long_after_unread_bytes_is_seen),
		with_watcher(a_removed_socket_is_not_reported),
		with_watcher(a_socket_can_be_watched_again),
		with_watcher(a_stale_event_never_hits_the_next_user_of_the_slot),
		with_watcher(removing_waits_for_a_running_callback),
		with_watcher(many_sockets_are_watched_each_for_itself),
		with_watcher(what_cannot_be_watched_is_refused),
		with_watcher(watching_a_socket_twice_is_refused_and_harms_nobody),
		with_watcher(a_watcher_without_memory_refuses_and_goes_on),
		cmocka_unit_test(a_watcher_that_cannot_be_had_leaves_nothing),
		with_watcher(an_earlier_timer_is_not_missed),
		with_watcher(deadlines_fire_in_order_and_not_early),
		with_watcher(nobody_hears_of_another_owners_socket),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
