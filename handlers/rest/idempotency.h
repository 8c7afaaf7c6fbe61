#ifndef HANGUP_HANDLERS_REST_IDEMPOTENCY_H
#define HANGUP_HANDLERS_REST_IDEMPOTENCY_H

/*
 * Idempotency-Key for handlers that change something (draft-ietf-httpapi-
 * idempotency-key-header): a client that did not see its answer repeats the request
 * under the same key, and gets the answer of the first.
 *
 *	struct claim claim = { 0 };
 *	enum err err = claim_key(claims, req, res, &claim);
 *	... for a streamed body: claim_hash() each piece, claim_seal() at its end ...
 *	err = db_write(db, req->cancel, change, ...), where change() begins with
 *		replay_answer(conn, &claim, res, &replayed), and if not replayed:
 *		makes the change, writes the answer to res
 *		keep_answer(conn, &claim, res)
 *	claim_release(&claim);
 *
 * All of it does nothing for a request without the header. A request that fails, or is
 * cancelled before its commit, leaves the key free.
 */
#include <sha2.h>
#include <sys/queue.h>

#include "db/kept_answers.h"
#include "service/http/request.h"
#include "service/http/response.h"

/* The keys that requests in flight have claimed. Any thread. */
struct claims;

struct claims *claims_create(void);         /* NULL when out of memory */
void claims_destroy(struct claims *claims); /* none is held; NULL is a no-op */

/* The claim of one request to its key, for as long as its handler runs. */
struct claim {
	struct claims *claims;  /* NULL: the request has no key */
	struct answer_key id;   /* its key points into the request */
	SHA2_CTX hash;          /* over the request so far */
	LIST_ENTRY(claim) link; /* claims::lock; claims::held; in it if claims is set */
};

/* Claims the request's key, if it has one, and starts its fingerprint with method,
 * path and, if it is buffered, body. ERR_BAD_REQUEST for a malformed key, ERR_IN_FLIGHT
 * when another request has it. */
enum err claim_key(struct claims *claims, const struct request *req, struct response *res,
	struct claim *claim);

/* Adds a piece of a streamed body to the fingerprint. */
void claim_hash(struct claim *claim, struct span piece);

/* A streamed body is complete: the fingerprint is final. */
void claim_seal(struct claim *claim);

void claim_release(struct claim *claim); /* a no-op without a key */

/* Answers with what is kept under the key, if anything is. ERR_KEY_REUSED when that
 * was for another request. In the transaction of the change. */
enum err replay_answer(struct conn *conn, const struct claim *claim, struct response *res,
	bool *ret_replayed);

/* Keeps res under the key. In the transaction of the change. */
enum err keep_answer(
	struct conn *conn, const struct claim *claim, const struct response *res);

#endif
