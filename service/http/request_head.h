#ifndef HANGUP_SERVICE_HTTP_REQUEST_HEAD_H
#define HANGUP_SERVICE_HTTP_REQUEST_HEAD_H

/*
 * Looks at the head of a request, once it is complete: is the request sound, which
 * route is it for, how long may it take, what body will come. All of that before
 * any work is done for it. It knows nothing of sockets or threads.
 */
#include "service/http/request.h"
#include "service/http/response.h"

struct request_rules {
	const struct route *routes; /* the table; what follows are the settings' */
	size_t routes_count;
	size_t max_body_bytes;
	size_t max_import_bytes;    /* of a body that is streamed */
	bool own_names_only;        /* Host must be a name or address of loopback */
	int64_t request_timeout_ms; /* 0: none */
	int64_t stream_timeout_ms;  /* of a request that streams; 0: none */
};

/* What is to be expected of the request. */
struct expectation {
	bool has_body;
	bool unframed; /* where the body ends, and the next request begins, is unsure */
	bool is_last; /* no request follows on this connection: unframed, or HTTP/1.0 with a
		       * coding that it does not know (RFC 9112, 6.1) */
	bool wants_continue; /* Expect: 100-continue: the client waits before it sends */
	size_t body_len;     /* Content-Length; 0 when it is not said */
	size_t body_max;
	int64_t timeout_ms; /* the earlier of the route's and the client's; 0: none */
};

/* Fills in req's route, id and trace id. An error is the answer: res then has what
 * there is to say. ERR_OK with req->route NULL: res is the whole answer (OPTIONS).
 * *ret is always written. */
enum err request_head_check(const struct request_rules *rules, struct request *req,
	struct response *res, bool is_http_1_1, struct expectation *ret);

#endif
