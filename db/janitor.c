#include "db/janitor.h"

#include <pthread.h>
#include <stdlib.h>

#include "db/kept_answers.h"
#include "service/core/log.h"

enum { PURGED_AT_ONCE = 100, PAUSE_MS = 60000 };

struct janitor {
	struct db *db;
	struct cancel *token;
	pthread_t thread;
	bool started;
};

static enum err purge_some(struct conn *conn, void *arg)
{
	return kept_answers_purge(conn, wall_ms(), PURGED_AT_ONCE, arg);
}

/* Until there were fewer than could be purged at once. */
static enum err purge_all(struct janitor *janitor)
{
	int64_t purged = PURGED_AT_ONCE;
	enum err err = ERR_OK;
	while (err == ERR_OK && purged == PURGED_AT_ONCE)
		err = db_write(janitor->db, janitor->token, purge_some, &purged);
	return err;
}

static void *purge_now_and_then(void *arg)
{
	struct janitor *janitor = arg;
	do {
		enum err err = purge_all(janitor);
		if (err != ERR_OK && !err_is_cancelled(err))
			log_warn("cannot throw old answers away", LOG_ERR(err));
	} while (cancel_sleep(janitor->token, instant_add_ms(instant_now(), PAUSE_MS)) ==
		CANCEL_NONE);
	return NULL;
}

enum err janitor_create(struct db *db, struct janitor **ret_janitor)
{
	struct janitor *janitor = calloc(1, sizeof *janitor);
	if (!janitor)
		return ERR_NOMEM;
	janitor->db = db;
	janitor->token = cancel_create(NULL);
	janitor->started = janitor->token &&
		pthread_create(&janitor->thread, NULL, purge_now_and_then, janitor) == 0;
	if (!janitor->started) {
		janitor_destroy(janitor);
		return ERR_NOMEM;
	}
	pthread_setname_np(janitor->thread, "janitor");
	*ret_janitor = janitor;
	return ERR_OK;
}

void janitor_destroy(struct janitor *janitor)
{
	if (!janitor)
		return;
	if (janitor->started) {
		cancel_fire(janitor->token, CANCEL_SHUTDOWN);
		pthread_join(janitor->thread, NULL);
	}
	cancel_unref(janitor->token);
	free(janitor);
}
