#ifndef HANGUP_DB_KEPT_ANSWERS_H
#define HANGUP_DB_KEPT_ANSWERS_H

/*
 * Answers kept under the keys that clients gave their requests (Idempotency-Key), so
 * that a request can be repeated without a second effect. Find and keep belong into
 * the transaction of the change that they make safe.
 */
#include "db/stmt.h"

enum { FINGERPRINT_SIZE = 32 };

/* For this long a key stands for its request: 24 h. */
#define KEPT_ANSWER_MS INT64_C(86400000)

struct kept_answer {
	unsigned status;
	struct span location; /* without data: the answer had no such header */
	struct span etag;
	struct span body;
};

/* What a client calls its request, and what the request was. */
struct answer_key {
	struct span key;
	unsigned char fingerprint[FINGERPRINT_SIZE];
};

/* Looks for the answer under key. *ret_rows holds it until the release; without an
 * answer *ret_rows is NULL, and so is it for one past its time, which is thrown away.
 * ERR_KEY_REUSED when key stands for another request. For a transaction that writes. */
enum err kept_answer_find(struct conn *conn, const struct answer_key *key, int64_t now_ms,
	struct stmt **ret_rows, struct kept_answer *ret_answer);

/* Keeps answer under key, which must not be taken. */
enum err kept_answer_add(struct conn *conn, const struct answer_key *key, int64_t now_ms,
	const struct kept_answer *answer);

/* Throws away at most limit of those past their time, the oldest first, and says how
 * many that were. */
enum err kept_answers_purge(
	struct conn *conn, int64_t now_ms, int64_t limit, int64_t *ret_purged);

#endif
