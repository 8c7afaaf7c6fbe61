#include "tests/support/holding.h"

#include "service/http/request.h"
#include "service/http/response.h"
#include "tests/support/cmocka.h"

void holding_init(struct holding *holding)
{
	*holding = (struct holding){ 0 };
	gate_init(&holding->held);
	gate_init(&holding->let_go);
}

void holding_finish(struct holding *holding)
{
	gate_finish(&holding->held);
	gate_finish(&holding->let_go);
}

static void be_held(struct holding *holding)
{
	atomic_fetch_add(&holding->held_count, 1);
	gate_open(&holding->held);
	gate_wait(&holding->let_go);
}

static enum err change_nothing(struct conn *conn, void *arg)
{
	(void)conn;
	(void)arg;
	return ERR_OK;
}

static enum err change_nothing_slowly(struct conn *conn, void *arg)
{
	(void)conn;
	be_held(arg);
	return ERR_OK;
}

static enum err answer_unless(enum err err, struct response *res, struct span text)
{
	return err == ERR_OK ? response_write(res, text) : err;
}

/*
 * Handlers that hold.
 */

static void let_go_too(void *arg, enum cancel_cause cause)
{
	struct holding *holding = arg;
	(void)cause;
	gate_open(&holding->let_go);
}

typedef enum err hold_fn(struct holding *holding, struct cancel *token);

/* Around every handler that holds. */
static enum err hold(struct request *req, hold_fn *fn)
{
	struct holding *holding = req->app;
	struct cancel_hook hook = { 0 };
	if (holding->heeds_cancel)
		cancel_hook(req->cancel, &hook, let_go_too, holding);
	enum err err = fn(holding, req->cancel);
	if (holding->heeds_cancel)
		cancel_unhook(req->cancel, &hook);
	return err;
}

static enum err have_thread(struct holding *holding, struct cancel *token)
{
	(void)token;
	be_held(holding);
	return ERR_OK;
}

static enum err have_writer(struct holding *holding, struct cancel *token)
{
	return db_write(holding->db, token, change_nothing_slowly, holding);
}

static enum err have_reader(struct holding *holding, struct cancel *token)
{
	AUTO_CONN *conn = NULL;
	enum err err = db_read(holding->db, token, &conn);
	if (err == ERR_OK)
		be_held(holding);
	return err;
}

enum err hold_lane(struct request *req, struct response *res)
{
	return answer_unless(hold(req, have_thread), res, SPAN_LITERAL("\"held\""));
}

enum err hold_writer(struct request *req, struct response *res)
{
	return answer_unless(hold(req, have_writer), res, SPAN_LITERAL("\"written\""));
}

enum err hold_reader(struct request *req, struct response *res)
{
	return answer_unless(hold(req, have_reader), res, SPAN_LITERAL("\"held\""));
}

/*
 * Handlers that come by.
 */

enum err answer_at_once(struct request *req, struct response *res)
{
	(void)req;
	return response_write(res, SPAN_LITERAL("\"quick\""));
}

enum err write_nothing(struct request *req, struct response *res)
{
	struct holding *holding = req->app;
	enum err err = db_write(holding->db, req->cancel, change_nothing, NULL);
	return answer_unless(err, res, SPAN_LITERAL("\"written\""));
}

enum err wait_until_cancelled(struct request *req, struct response *res)
{
	(void)res;
	return err_of_cause(cancel_sleep(req->cancel, INSTANT_NEVER));
}

/*
 * Without a request.
 */

static void write_slowly(void *arg)
{
	struct holding *holding = arg;
	holding->err = holding->max_ms > 0
		? db_write_long(holding->db, holding->token, holding->max_ms,
			  change_nothing_slowly, holding)
		: have_writer(holding, holding->token);
}

void holding_take_writer(struct holding *holding, int64_t max_ms)
{
	holding->token = cancel_create(NULL);
	holding->max_ms = max_ms;
	actor_start(&holding->actor, write_slowly, holding);
	gate_wait(&holding->held);
}

void holding_give_writer(struct holding *holding)
{
	gate_open(&holding->let_go);
	actor_join(&holding->actor);
	cancel_unref(holding->token);
	assert_int_equal(holding->err, ERR_OK);
}
