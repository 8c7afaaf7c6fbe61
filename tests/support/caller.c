#include "tests/support/caller.h"

#include "db/stmt.h"

static enum err change(struct conn *conn, struct caller *caller)
{
	enum err err = add_note(conn, caller->text);
	if (err == ERR_OK && caller->sql)
		err = stmt_exec(conn, caller->sql);
	return err;
}

static enum err run(struct conn *conn, void *arg)
{
	struct caller *caller = arg;
	atomic_fetch_add(&caller->runs, 1);
	if (caller->gated) {
		gate_open(&caller->begun);
		gate_wait(&caller->go);
	}
	caller->made = change(conn, caller);
	if (caller->stubborn) {
		add_note(conn, "stubborn");
		return ERR_OK;
	}
	return caller->made == ERR_OK ? caller->result : caller->made;
}

static void call(void *arg)
{
	struct caller *caller = arg;
	struct db *db = caller->test->db;
	activity_enter(&caller->activity);
	caller->err = caller->max_ms > 0
		? db_write_long(db, caller->token, caller->max_ms, run, caller)
		: db_write(db, caller->token, run, caller);
	activity_enter(NULL);
}

void caller_start(struct caller *caller)
{
	caller->token = cancel_create(NULL);
	gate_init(&caller->begun);
	gate_init(&caller->go);
	actor_start(&caller->actor, call, caller);
}

static unsigned waiting(struct db *db)
{
	struct db_stats stats;
	db_stats(db, &stats);
	return stats.writes_waiting;
}

void caller_queue(struct caller *caller, unsigned nth)
{
	caller_start(caller);
	WAIT_UNTIL(waiting(caller->test->db) == nth);
}

enum err caller_join(struct caller *caller)
{
	actor_join(&caller->actor);
	cancel_unref(caller->token);
	gate_finish(&caller->go);
	gate_finish(&caller->begun);
	return caller->err;
}
