#ifndef HANGUP_SERVICE_HTTP_REQUEST_CANONICAL_H
#define HANGUP_SERVICE_HTTP_REQUEST_CANONICAL_H

/*
 * A request's head is read once and brought into one form; all that comes behind sees
 * only that:
 *
 *  - a target in absolute form is its path alone (RFC 9112, 3.2.2)
 *  - a field's value has no blanks around it (RFC 9110, 5.5)
 *  - a list that came in several lines is one field, joined by commas (RFC 9110, 5.3)
 *  - of a field that is no list there is one, or, where two would only confuse, none
 *
 * What cannot be brought into it is refused: names that are no tokens, with a blank before
 * the colon, or with a folded line in them (RFC 9112, 5.1 and 5.2), and whatever might
 * frame the body for a proxy and does not for us.
 */
#include "service/http/request.h"
#include "service/http/response.h"

/* ERR_BAD_REQUEST, with the reason in res: then nobody can tell where the request ends,
 * and the connection must be closed after the answer. ERR_NOMEM. */
enum err request_canonicalize(struct request *req, struct response *res);

#endif
