#ifndef HANGUP_SERVICE_HTTP_REQUEST_LIST_H
#define HANGUP_SERVICE_HTTP_REQUEST_LIST_H

/*
 * The requests in flight, as an operator sees them, and how he ends one. Any thread,
 * while the server is there; neither call waits for a request.
 */
#include "service/http/inflight.h"
#include "service/http/request.h"

/* One request, copied: it may have ended by the time it is looked at. */
struct request_view {
	bool begun; /* its headers have come; else the next four say nothing yet */
	char id[REQUEST_ID_SIZE];
	char method[24];
	char path[256];            /* percent-decoded, and cut when longer: any bytes */
	const struct route *route; /* NULL: none fits */
	const char *state;         /* static, as in the log */
	const char *waits_for;     /* static; NULL: it runs */
	char client[64];
	instant began;
	instant deadline; /* INSTANT_NEVER: none */
	int64_t rows;
	int64_t bytes; /* of a streamed answer */
};

/* What it returns other than ERR_OK ends the visit. It may do as it likes: no lock is
 * held while it runs. */
typedef enum err request_view_fn(void *arg, const struct request_view *view);

/* Shows fn every request in flight, the oldest first. Returns what fn did, or
 * ERR_NOMEM. While they are copied no request begins or ends, some 0.1 us for each. */
enum err request_list_visit(struct inflight *inflight, request_view_fn *fn, void *arg);

/* Cancels the requests in flight with this id: all of them, for a client may choose
 * the id that another has. Returns how many that were; one that ends by itself in the
 * same moment may count. The hooks of their tokens run in the caller's thread. */
unsigned request_list_cancel(
	struct inflight *inflight, const char *id, enum cancel_cause cause);

#endif
