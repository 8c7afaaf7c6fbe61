#ifndef HANGUP_SERVICE_HTTP_EXCHANGE_END_H
#define HANGUP_SERVICE_HTTP_EXCHANGE_END_H

/*
 * How an exchange ends: told in the metrics and in one log line, then freed. Private to
 * the server.
 */
#include "service/http/exchange.h"

/* Gives up a count of exchange: the last one ends it. The caller holds no lock, and
 * does not know the exchange afterwards. */
void exchange_let_go(struct exchange *exchange);

#endif
