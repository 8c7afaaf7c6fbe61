#include "handlers/rest/idempotency.h"

#include <pthread.h>
#include <stdlib.h>

#include "service/http/problem.h"

enum { KEY_MAX = 255 };

/* A list is enough: it is as long as there are requests with a key in flight. */
struct claims {
	pthread_mutex_t lock;
	LIST_HEAD(, claim) held; /* lock; claim::link */
};

struct claims *claims_create(void)
{
	struct claims *claims = calloc(1, sizeof *claims);
	if (!claims)
		return NULL;
	pthread_mutex_init(&claims->lock, NULL);
	LIST_INIT(&claims->held);
	return claims;
}

void claims_destroy(struct claims *claims)
{
	if (!claims)
		return;
	pthread_mutex_destroy(&claims->lock);
	free(claims);
}

static bool is_key(struct span key)
{
	if (key.len < 1 || key.len > KEY_MAX)
		return false;
	for (size_t i = 0; i < key.len; i++)
		if (key.data[i] < '!' || key.data[i] > '~')
			return false;
	return true;
}

static bool is_claimed(const struct claims *claims, struct span key)
{
	const struct claim *claim;
	LIST_FOREACH(claim, &claims->held, link)
		if (claim->id.key.len == key.len &&
			memcmp(claim->id.key.data, key.data, key.len) == 0)
			return true;
	return false;
}

static void hold_claim(struct claims *claims, struct claim *claim)
{
	LIST_INSERT_HEAD(&claims->held, claim, link);
	claim->claims = claims;
}

static enum err hold_unless_claimed(struct claims *claims, struct claim *claim)
{
	pthread_mutex_lock(&claims->lock);
	bool claimed = is_claimed(claims, claim->id.key);
	if (!claimed)
		hold_claim(claims, claim);
	pthread_mutex_unlock(&claims->lock);
	return claimed ? ERR_IN_FLIGHT : ERR_OK;
}

/* With its end, so that "ab", "c" is not "a", "bc". */
static void hash_text(struct claim *claim, const char *text)
{
	SHA256Update(&claim->hash, (const uint8_t *)text, strlen(text) + 1);
}

static void start_hash(struct claim *claim, const struct request *req)
{
	SHA256Init(&claim->hash);
	hash_text(claim, req->method);
	hash_text(claim, req->path);
	claim_hash(claim, req->body);
	if (!req->incoming)
		claim_seal(claim);
}

enum err claim_key(struct claims *claims, const struct request *req, struct response *res,
	struct claim *claim)
{
	unsigned count = request_header_count(req, "Idempotency-Key");
	claim->id.key = request_header(req, "Idempotency-Key");
	if (count == 0)
		return ERR_OK;
	if (count > 1 || !is_key(claim->id.key))
		return problem(res, ERR_BAD_REQUEST,
			"Idempotency-Key must be there once, with 1 to %d visible ASCII characters.",
			KEY_MAX);
	enum err err = hold_unless_claimed(claims, claim);
	if (err == ERR_OK)
		start_hash(claim, req);
	return err;
}

void claim_hash(struct claim *claim, struct span piece)
{
	if (claim->claims && piece.len > 0)
		SHA256Update(&claim->hash, (const uint8_t *)piece.data, piece.len);
}

void claim_seal(struct claim *claim)
{
	if (claim->claims)
		SHA256Final(claim->id.fingerprint, &claim->hash);
}

void claim_release(struct claim *claim)
{
	struct claims *claims = claim->claims;
	if (!claims)
		return;
	pthread_mutex_lock(&claims->lock);
	LIST_REMOVE(claim, link);
	pthread_mutex_unlock(&claims->lock);
	claim->claims = NULL;
}

static enum err set_header(struct response *res, const char *name, struct span value)
{
	char text[256];
	if (!value.data)
		return ERR_OK;
	if (value.len >= sizeof text)
		return ERR_CORRUPT; /* we never kept one as long */
	memcpy(text, value.data, value.len);
	text[value.len] = '\0';
	return response_header(res, name, text);
}

static enum err write_answer(const struct kept_answer *answer, struct response *res)
{
	res->status = answer->status;
	enum err err = set_header(res, "Location", answer->location);
	if (err == ERR_OK)
		err = set_header(res, "ETag", answer->etag);
	if (err == ERR_OK)
		err = response_header(res, "Idempotency-Replayed", "true");
	return err == ERR_OK ? response_write(res, answer->body) : err;
}

enum err replay_answer(struct conn *conn, const struct claim *claim, struct response *res,
	bool *ret_replayed)
{
	AUTO_STMT *rows = NULL;
	struct kept_answer answer;
	*ret_replayed = false;
	if (!claim->claims)
		return ERR_OK;
	enum err err = kept_answer_find(conn, &claim->id, wall_ms(), &rows, &answer);
	if (err != ERR_OK || !rows)
		return err;
	response_reset(res);
	*ret_replayed = true;
	return write_answer(&answer, res);
}

enum err keep_answer(
	struct conn *conn, const struct claim *claim, const struct response *res)
{
	const struct kept_answer answer = {
		.status = res->status,
		.location = span_of(response_find_header(res, "Location")),
		.etag = span_of(response_find_header(res, "ETag")),
		.body = buffer_span(&res->body),
	};
	return claim->claims ? kept_answer_add(conn, &claim->id, wall_ms(), &answer)
			     : ERR_OK;
}
