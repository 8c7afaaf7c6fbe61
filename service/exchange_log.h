#ifndef HANGUP_SERVICE_EXCHANGE_LOG_H
#define HANGUP_SERVICE_EXCHANGE_LOG_H

/*
 * How an exchange ended, in one log line. Private to the server; called by the
 * last owner, so nothing changes meanwhile.
 */
#include "service/cancel.h"

struct exchange;

/* What ended the request before its time; CANCEL_NONE when it was answered. */
enum cancel_cause exchange_cause(const struct exchange *exchange);

void exchange_log(const struct exchange *exchange, enum cancel_cause cause);

#endif
