/*
 * An exchange in every order in which its three threads can meet: the network thread,
 * a worker, and whoever fires the token.
 *
 * The exchange is the real one. libmicrohttpd, the client and the lane are stand-ins, so
 * that what threads do becomes steps of one thread, and their order a list of choices.
 * The test walks over all lists (explore()). Between two steps another thread may come
 * at every place where the code has a window: before it takes the exchange's lock, around
 * pool_submit(), at pool_remove(), and in the handler. What must hold of each:
 *
 *	- nothing waits for ever: when no step is left, the request has ended
 *	- once its token has fired it waits in no queue
 *	- a connection is resumed when it is suspended, and only then
 *	- a client that stays gets an answer, and one: or half of one, cut, of a stream
 *	- the exchange is listed until its end and freed after it (AddressSanitizer)
 */
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "service/core/cancel.h"
#include "service/core/stream.h"
#include "service/http/exchange_body.h"
#include "service/http/exchange_events.h"
#include "service/http/inflight.h"
#include "service/http/metrics.h"
#include "tests/support/cmocka.h"

/*
 * Choices: a list that is counted up like the digits of a number.
 */

enum { CHOICES_MAX = 200 };

static struct {
	unsigned digits[CHOICES_MAX];
	unsigned limits[CHOICES_MAX];
	unsigned len;
	unsigned at;
} path;

/* 0 to count - 1. */
static unsigned choose(unsigned count)
{
	if (path.at == path.len) {
		assert_true(path.len < CHOICES_MAX);
		path.digits[path.len] = 0;
		path.limits[path.len++] = count;
	}
	assert_int_equal(path.limits[path.at], count); /* the same way leads here */
	return path.digits[path.at++];
}

static bool next_path(void)
{
	while (path.len > 0 && path.digits[path.len - 1] + 1 == path.limits[path.len - 1])
		path.len--;
	if (path.len > 0)
		path.digits[path.len - 1]++;
	path.at = 0;
	return path.len > 0;
}

/* What happened in this walk, for who looks for the reason of a failure. */
static char story[4096];

static void tell(const char *event)
{
	size_t len = strlen(story);
	snprintf(story + len, sizeof story - len, " %s", event);
}

static void check(bool holds, const char *otherwise)
{
	if (!holds)
		fail_msg("%s:%s", otherwise, story);
}

/*
 * The world of one walk.
 */

enum step { BEGIN, BODY, COMPLETE, SENDING, LOSE, CLOSE, GONE };

enum handler_does { RETURNS_OK, RETURNS_ERROR, WOULD_WAIT, FLOWS, FLOWS_AND_FAILS };

static struct {
	struct route route;
	enum handler_does does;
	size_t body_len;
	bool wants_continue;

	struct exchange *exchange;
	struct inflight inflight;
	struct exchange_env env;

	enum step step; /* of the network thread */
	bool suspended;
	size_t body_left;
	bool on_network; /* whether that thread is inside a step; likewise the next */
	bool on_worker;
	bool on_firer;

	struct job *queued;
	bool fired;
	bool left;        /* the client has */
	bool too_late;    /* it fired when the answer was decided: it may be cut off */
	bool cut;         /* its connection was */
	bool handled;     /* the handler was called */
	unsigned answers; /* that the client got */
	ssize_t (*reader)(void *arg, uint64_t position, char *buffer, size_t size);
	void *reader_arg;
	unsigned responses; /* made and not yet destroyed */
} world;

static void others_may_run(void);

/*
 * The exchange's lock: before it is taken, anybody may come. The program's own
 * pthread_mutex_lock() comes before the C library's; ThreadSanitizer brings one itself.
 */
#ifndef __SANITIZE_THREAD__

typedef int lock_fn(pthread_mutex_t *lock);

int pthread_mutex_lock(pthread_mutex_t *lock)
{
	static lock_fn *real;
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "pthread_mutex_lock");
	if (world.exchange && lock == &world.exchange->lock)
		others_may_run();
	return real(lock);
}

#endif

/*
 * The lane: a queue of one.
 */

enum err pool_submit(struct pool *pool, struct job *job)
{
	(void)pool;
	others_may_run();
	if (choose(2) == 1) {
		tell("(full)");
		return ERR_BUSY;
	}
	assert_null(world.queued);
	world.queued = job;
	others_may_run();
	return ERR_OK;
}

bool pool_remove(struct pool *pool, struct job *job)
{
	(void)pool;
	others_may_run();
	bool there = world.queued == job;
	if (there)
		world.queued = NULL;
	return there;
}

void pool_block_begin(void)
{
}

void pool_block_end(void)
{
}

/*
 * The client.
 */

const char *client_address(const struct client *client)
{
	(void)client;
	return "127.0.0.1:1";
}

void client_expect(
	struct client *client, struct cancel *token, bool fin_counts, bool reset_counts)
{
	(void)client;
	(void)token;
	(void)fin_counts;
	(void)reset_counts;
}

void client_forget(struct client *client)
{
	assert_ptr_equal(client, &world);
}

void client_cut(struct client *client)
{
	assert_ptr_equal(client, &world);
	world.cut = true;
}

void client_send_last(struct client *client, const char *text, size_t len)
{
	assert_ptr_equal(client, &world);
	assert_true(len > 12 && strncmp(text, "HTTP/1.1 ", 9) == 0);
	world.answers++;
	world.cut = true;
}

/*
 * libmicrohttpd.
 */

void MHD_suspend_connection(struct MHD_Connection *connection)
{
	assert_ptr_equal(connection, &world);
	assert_true(world.on_network && !world.suspended);
	world.suspended = true;
}

void MHD_resume_connection(struct MHD_Connection *connection)
{
	assert_ptr_equal(connection, &world);
	assert_true(world.suspended);
	world.suspended = false;
}

static struct MHD_Response *new_response(void)
{
	world.responses++;
	return malloc(1);
}

struct MHD_Response *MHD_create_response_from_buffer_with_free_callback(
	size_t size, void *buffer, MHD_ContentReaderFreeCallback free_buffer)
{
	(void)size;
	free_buffer(buffer);
	world.reader = NULL;
	return new_response();
}

struct MHD_Response *MHD_create_response_from_callback(uint64_t size, size_t block_size,
	MHD_ContentReaderCallback reader, void *arg, MHD_ContentReaderFreeCallback done)
{
	(void)size;
	(void)block_size;
	assert_null(done);
	world.reader = reader;
	world.reader_arg = arg;
	return new_response();
}

enum MHD_Result MHD_add_response_header(
	struct MHD_Response *response, const char *name, const char *value)
{
	(void)response;
	(void)name;
	(void)value;
	return MHD_YES;
}

void MHD_destroy_response(struct MHD_Response *response)
{
	world.responses--;
	free(response);
}

/*
 * The handler.
 */

static enum err handle(struct request *req, struct response *res)
{
	static char much[48 * 1024];
	world.handled = true;
	others_may_run();
	if (world.does == WOULD_WAIT && !activity_may_wait())
		return ERR_WOULD_WAIT;
	enum err err = ERR_OK;
	if (world.does == FLOWS || world.does == FLOWS_AND_FAILS)
		err = response_write(res, (struct span){ much, sizeof much });
	if (err == ERR_OK)
		others_may_run();
	if (err == ERR_OK)
		err = response_write(res, SPAN_LITERAL("{}"));
	if (err == ERR_OK &&
		(world.does == RETURNS_ERROR || world.does == FLOWS_AND_FAILS))
		err = ERR_CONFLICT;
	enum err cancelled = err_of_token(req->cancel);
	return cancelled != ERR_OK ? cancelled : err;
}

/*
 * The steps of the three threads.
 */

static void run_worker(void)
{
	tell("worker{");
	struct job *job = world.queued;
	world.queued = NULL;
	world.on_worker = true;
	job->run(job);
	world.on_worker = false;
	tell("}");
}

/* Somebody else holds a count of the token, as who fires always does. */
static void fire(enum cancel_cause cause)
{
	struct cancel *token = cancel_ref(world.exchange->req.cancel);
	world.fired = true;
	world.left |= cause == CANCEL_CLIENT_GONE;
	world.too_late = exchange_phase_of(world.exchange->state) == PHASE_SENDING;
	world.on_firer = true;
	tell(cancel_cause_name(cause));
	tell("{");
	cancel_fire(token, cause);
	tell("}");
	world.on_firer = false;
	cancel_unref(token);
}

static void close_with(enum cancel_cause cause)
{
	world.step = GONE;
	exchange_closed(world.exchange, cause);
	world.exchange = NULL;
}

static void send_next(void)
{
	char buffer[64 * 1024];
	ssize_t got = MHD_CONTENT_READER_END_OF_STREAM;
	if (world.reader && !exchange_is_head(world.exchange))
		got = world.reader(world.reader_arg, 0, buffer, sizeof buffer);
	if (got == 0)
		assert_true(world.suspended);
	if (got != MHD_CONTENT_READER_END_OF_STREAM)
		return;
	world.step = CLOSE;
}

static void follow(enum exchange_next next)
{
	if (next == EXCHANGE_SEND) {
		assert_non_null(world.exchange->answer);
		world.answers++;
		world.step = SENDING;
	} else if (next == EXCHANGE_CLOSE) {
		world.step = LOSE;
	} else {
		assert_int_equal(world.suspended, next == EXCHANGE_SUSPENDED);
	}
}

static void receive(void)
{
	static char bytes[96 * 1024];
	size_t taken;
	size_t len = world.body_left < sizeof bytes ? world.body_left : sizeof bytes;
	enum exchange_next next = exchange_receive(
		world.exchange, (struct span){ bytes, len }, &taken);
	world.body_left -= taken;
	follow(next);
}

static void begin(void)
{
	struct request *req = &world.exchange->req;
	assert_int_equal(request_reserve(req, 3, 100), ERR_OK);
	req->method = request_keep(req, span_of(world.route.method));
	req->path = request_keep(req, span_of("/"));
	request_add_field(req, REQUEST_HEADER, SPAN_LITERAL("Host"), SPAN_LITERAL("x"));
	if (world.body_len > 0)
		request_add_field(req, REQUEST_HEADER, SPAN_LITERAL("Content-Type"),
			SPAN_LITERAL("application/json"));
	if (world.body_len > 0)
		request_add_field(req, REQUEST_HEADER, SPAN_LITERAL("Transfer-Encoding"),
			SPAN_LITERAL("chunked"));
	world.step = BODY;
	follow(exchange_begin(world.exchange, true));
}

/* libmicrohttpd notices a connection that was shut down, or reset, at its next step;
 * that it is shut down it may also overlook until it has sent everything. */
static void run_network(void)
{
	bool notices = (world.cut || world.left) && world.step != BEGIN &&
		(world.step == CLOSE || choose(2) == 1);
	notices |= world.step == LOSE;
	static const char *const names[] = { [BEGIN] = "begin{",
		[BODY] = "body{",
		[COMPLETE] = "complete{",
		[SENDING] = "send{",
		[CLOSE] = "close{" };
	tell(notices ? "lost{" : names[world.step]);
	world.on_network = true;
	if (notices)
		close_with(CANCEL_CLIENT_GONE);
	else if (world.step == BEGIN)
		begin();
	else if (world.step == BODY && world.body_left > 0)
		receive();
	else if (world.step == BODY || world.step == COMPLETE) {
		world.step = COMPLETE;
		follow(exchange_proceed(world.exchange));
	} else if (world.step == SENDING)
		send_next();
	else
		close_with(CANCEL_NONE);
	world.on_network = false;
	tell("}");
}

/* While a hook runs, cancel_unhook() would keep the network thread from closing, and
 * in this one thread it cannot wait. */
static bool network_may_run(void)
{
	return !world.on_network && !world.suspended && world.step != GONE &&
		!(world.on_firer && (world.step >= LOSE || world.cut || world.left));
}

static const enum cancel_cause causes[] = { CANCEL_CLIENT_GONE, CANCEL_OPERATOR };

/* Chooses one of the steps that are possible now; false when none was. */
static bool take_step(bool may_pass)
{
	bool network = network_may_run();
	bool worker = world.queued && !world.on_worker;
	bool firer = world.exchange && !world.fired && !world.on_firer;
	unsigned count = network + worker + 2 * firer;
	if (count == 0)
		return false;
	unsigned choice = choose(count + may_pass);
	if (choice == count)
		return false;
	if (network && choice-- == 0)
		run_network();
	else if (worker && choice-- == 0)
		run_worker();
	else
		fire(causes[choice]);
	return true;
}

static void others_may_run(void)
{
	while (take_step(true))
		;
}

/*
 * A walk.
 */

static void set_up(void)
{
	story[0] = '\0';
	world.step = BEGIN;
	world.suspended = world.on_network = world.on_worker = world.on_firer = false;
	world.queued = NULL;
	world.fired = world.left = world.too_late = world.cut = world.handled = false;
	world.answers = world.responses = 0;
	world.reader = NULL;
	world.body_left = world.body_len;
	world.route.path = "/";
	world.route.handle = handle;
	assert_int_equal(inflight_init(&world.inflight), ERR_OK);
	world.env = (struct exchange_env){
		.rules = { .routes = &world.route,
			.routes_count = 1,
			.max_body_bytes = 1 << 20,
			.max_import_bytes = 1 << 20 },
		.inflight = &world.inflight,
		.token = cancel_create(NULL),
		.metrics = metrics_create(&world.route, 1),
		.quiet = true,
	};
	assert_non_null(world.env.token);
	assert_non_null(world.env.metrics);
	world.exchange = exchange_create(
		&world.env, (struct client *)&world, (struct MHD_Connection *)&world);
	assert_non_null(world.exchange);
}

static void tear_down(void)
{
	check(world.step == GONE, "it waits for what never comes");
	assert_int_equal(world.inflight.count, 0);
	assert_int_equal(world.inflight.total, 1);
	assert_int_equal(world.inflight.working, 0);
	assert_int_equal(world.responses, 0);
	check(world.answers <= 1, "the client got two answers");
	check(world.answers == 1 || world.left || world.too_late,
		"a client that stayed got no answer");
	metrics_destroy(world.env.metrics);
	cancel_unref(world.env.token);
	inflight_finish(&world.inflight);
}

static void explore(void)
{
	unsigned walks = 0;
	path.len = path.at = 0;
	do {
		set_up();
		while (take_step(false))
			check(!world.fired || !world.queued,
				"it stays in the queue although nobody wants it");
		tear_down();
		walks++;
	} while (next_path());
	assert_true(walks > 10);
	print_message("%u orders\n", walks);
}

/*
 * Tests.
 */

static void try_handlers(bool flows)
{
	const enum handler_does plain[] = { RETURNS_OK, RETURNS_ERROR };
	const enum handler_does flowing[] = { FLOWS, FLOWS_AND_FAILS };
	for (size_t i = 0; i < 2; i++) {
		world.does = flows ? flowing[i] : plain[i];
		explore();
	}
}

static void a_short_read_ends_in_every_order(void **state)
{
	(void)state;
	world.route = (struct route){ .method = "GET", .lane = LANE_SHORT };
	try_handlers(false);
}

static void an_inline_answer_ends_in_every_order(void **state)
{
	(void)state;
	world.route = (struct route){ .method = "GET", .lane = LANE_INLINE };
	try_handlers(false);
}

static void a_read_that_is_tried_ends_in_every_order(void **state)
{
	(void)state;
	world.route = (struct route){
		.method = "GET", .lane = LANE_SHORT, .quick = true
	};
	try_handlers(false);
	world.does = WOULD_WAIT;
	explore();
}

static void a_gathered_body_ends_in_every_order(void **state)
{
	(void)state;
	world.route = (struct route){
		.method = "POST", .lane = LANE_SHORT, .body = BODY_BUFFERED
	};
	world.body_len = 100 * 1024;
	try_handlers(false);
	world.route.body_max = 1024; /* refused in the middle */
	try_handlers(false);
}

static void a_streamed_body_ends_in_every_order(void **state)
{
	(void)state;
	world.route = (struct route){
		.method = "POST", .lane = LANE_LONG, .body = BODY_STREAMED
	};
	world.body_len = 96 * 1024; /* more than the stream holds */
	try_handlers(false);
	world.body_len = 1024;
	try_handlers(false);
}

static void a_streamed_answer_ends_in_every_order(void **state)
{
	(void)state;
	world.route = (struct route){
		.method = "GET", .lane = LANE_LONG, .answer = ANSWER_STREAMED
	};
	try_handlers(true);
	try_handlers(false); /* so little, or so soon failed, that it does not flow */
}

static int reset(void **state)
{
	(void)state;
	memset(&world, 0, sizeof world);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_short_read_ends_in_every_order, reset),
		cmocka_unit_test_setup(an_inline_answer_ends_in_every_order, reset),
		cmocka_unit_test_setup(a_read_that_is_tried_ends_in_every_order, reset),
		cmocka_unit_test_setup(a_gathered_body_ends_in_every_order, reset),
		cmocka_unit_test_setup(a_streamed_body_ends_in_every_order, reset),
		cmocka_unit_test_setup(a_streamed_answer_ends_in_every_order, reset),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
