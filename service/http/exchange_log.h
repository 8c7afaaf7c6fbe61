#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_LOG_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_LOG_H

/*
 * How an exchange ended, told in the metrics and in one log line. Private to the server; called by the
 * last owner, so nothing changes meanwhile but the token, which is looked at once.
 */
#include "service/http/exchange.h"

struct exchange_end {
	enum cancel_cause cause; /* what ended it before its time; CANCEL_NONE when it
				    * was answered */
	unsigned status;         /* what was sent; 499 when the client left before */
	/* With a cause; else NEVER. */
	enum exchange_state state; /* the one that the token fired in */
	instant fired;
	instant stopped; /* when nothing was done for it any more */
};

struct exchange_end exchange_end(const struct exchange *exchange);

/* Counts it in the server's metrics. */
void exchange_count(const struct exchange *exchange, const struct exchange_end *end);

void exchange_log(const struct exchange *exchange, const struct exchange_end *end);

#endif
