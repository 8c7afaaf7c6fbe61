#ifndef HANGUP_HANDLERS_OPS_ADMIN_CONTEXT_H
#define HANGUP_HANDLERS_OPS_ADMIN_CONTEXT_H

/*
 * What the admin listener's handlers share.
 */
#include "db/db.h"
#include "service/http/request.h"
#include "service/http/server.h"

struct prometheus;

/* request::app of its handlers. */
struct admin {
	struct server *listener; /* its own */
	struct server *watched;
	struct db *db;
	int64_t started_ms;
	void (*print_own)(struct prometheus *page); /* NULL: nothing */
};

static inline struct admin *admin_of(const struct request *req)
{
	return req->app;
}

#endif
