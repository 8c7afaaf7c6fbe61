#include "service/core/stream.h"

#include <pthread.h>
#include <stdlib.h>

#include "service/core/activity.h"

struct stream {
	struct cancel *token;
	int64_t stall_ms;
	void (*wake)(void *arg);
	void *arg;

	pthread_mutex_t lock;
	pthread_cond_t changed; /* for the worker: bytes went in or out, or it ended */
	size_t start;           /* lock: of the bytes that wait, in the ring */
	size_t used;            /* lock: how many they are */
	int64_t total;          /* lock: how many went in */
	bool network_waits;     /* lock: it was told to suspend */
	bool ended;             /* lock: nothing more goes in */
	enum err failed;        /* lock: ERR_OK until then */
	char ring[STREAM_CAPACITY];
};

struct stream *stream_create(
	struct cancel *token, int64_t stall_ms, void (*wake)(void *arg), void *arg)
{
	struct stream *stream = malloc(sizeof *stream);
	if (!stream)
		return NULL;
	/* The ring's pages are left alone until they are used. */
	memset(stream, 0, offsetof(struct stream, ring));
	stream->token = cancel_ref(token);
	stream->stall_ms = stall_ms;
	stream->wake = wake;
	stream->arg = arg;
	pthread_mutex_init(&stream->lock, NULL);
	clock_cond_init(&stream->changed);
	return stream;
}

void stream_destroy(struct stream *stream)
{
	if (!stream)
		return;
	cancel_unref(stream->token);
	pthread_cond_destroy(&stream->changed);
	pthread_mutex_destroy(&stream->lock);
	free(stream);
}

/* At most two pieces: up to the ring's end, and from its start. */
static size_t put_in_ring(struct stream *stream, struct span data)
{
	size_t room = STREAM_CAPACITY - stream->used;
	size_t len = data.len < room ? data.len : room;
	size_t at = (stream->start + stream->used) % STREAM_CAPACITY;
	size_t first = len < STREAM_CAPACITY - at ? len : STREAM_CAPACITY - at;
	if (len > 0) {
		memcpy(stream->ring + at, data.data, first);
		memcpy(stream->ring, data.data + first, len - first);
	}
	stream->used += len;
	stream->total += (int64_t)len;
	return len;
}

static size_t take_from_ring(struct stream *stream, char *buffer, size_t size)
{
	size_t len = size < stream->used ? size : stream->used;
	size_t to_end = STREAM_CAPACITY - stream->start;
	size_t first = len < to_end ? len : to_end;
	memcpy(buffer, stream->ring + stream->start, first);
	memcpy(buffer + first, stream->ring, len - first);
	stream->start = (stream->start + len) % STREAM_CAPACITY;
	stream->used -= len;
	return len;
}

/* What stops the worker's call; lock held. */
static enum err stopped_by(const struct stream *stream)
{
	enum err err = err_of_token(stream->token);
	return err != ERR_OK ? err : stream->failed;
}

/* Tells the network thread, if it waits for that, that it can go on; lock held, and
 * given up for the call. */
static void wake_network(struct stream *stream)
{
	if (!stream->network_waits)
		return;
	stream->network_waits = false;
	pthread_mutex_unlock(&stream->lock);
	stream->wake(stream->arg);
	pthread_mutex_lock(&stream->lock);
}

/* One wait of the worker, until something changed; lock held. Past until the token
 * is fired, outside the lock, because its hooks take it. */
static void wait_for_network(struct stream *stream, instant until)
{
	if (clock_cond_wait(&stream->changed, &stream->lock, until))
		return;
	pthread_mutex_unlock(&stream->lock);
	cancel_fire(stream->token, CANCEL_DEADLINE);
	pthread_mutex_lock(&stream->lock);
}

/* A wait that the token ends: the slow part of stream_write() and stream_read(). */
struct patience {
	struct cancel_waiter waiter;
	instant begun;
	instant until;
};

static void patience_begin(struct patience *patience, struct stream *stream)
{
	patience->begun = activity_client_wait_begin();
	patience->until = stream->stall_ms > 0
		? instant_add_ms(patience->begun, stream->stall_ms)
		: INSTANT_NEVER;
	cancel_wait_begin(
		&patience->waiter, stream->token, &stream->lock, &stream->changed);
}

static void patience_end(struct patience *patience)
{
	cancel_wait_end(&patience->waiter);
	activity_client_wait_end(patience->begun);
}

static enum err write_patiently(struct stream *stream, struct span data)
{
	struct patience patience;
	enum err err;
	patience_begin(&patience, stream);
	pthread_mutex_lock(&stream->lock);
	for (;;) {
		size_t len = put_in_ring(stream, data);
		data = (struct span){ data.data + len, data.len - len };
		if (stream->used >= STREAM_CAPACITY / 2)
			wake_network(stream);
		err = stopped_by(stream);
		if (err != ERR_OK || data.len == 0)
			break;
		if (stream->used ==
			STREAM_CAPACITY) /* still, after the lock was given up */
			wait_for_network(stream, patience.until);
	}
	pthread_mutex_unlock(&stream->lock);
	patience_end(&patience);
	return err;
}

enum err stream_write(struct stream *stream, struct span data)
{
	pthread_mutex_lock(&stream->lock);
	enum err err = stopped_by(stream);
	bool fits = err == ERR_OK && data.len <= STREAM_CAPACITY - stream->used;
	if (fits) {
		put_in_ring(stream, data);
		if (stream->used >= STREAM_CAPACITY / 2)
			wake_network(stream);
	}
	pthread_mutex_unlock(&stream->lock);
	return err != ERR_OK || fits ? err : write_patiently(stream, data);
}

/* Whether stream_read() has an answer; lock held. */
static bool is_readable(const struct stream *stream)
{
	return stream->used > 0 || stream->ended;
}

static void read_now(struct stream *stream, char *buffer, size_t size, size_t *ret_len)
{
	*ret_len = take_from_ring(stream, buffer, size);
	if (stream->used <= STREAM_CAPACITY / 2)
		wake_network(stream);
}

static enum err read_patiently(
	struct stream *stream, char *buffer, size_t size, size_t *ret_len)
{
	struct patience patience;
	enum err err;
	patience_begin(&patience, stream);
	pthread_mutex_lock(&stream->lock);
	while ((err = stopped_by(stream)) == ERR_OK && !is_readable(stream))
		wait_for_network(stream, patience.until);
	if (err == ERR_OK)
		read_now(stream, buffer, size, ret_len);
	pthread_mutex_unlock(&stream->lock);
	patience_end(&patience);
	return err;
}

enum err stream_read(struct stream *stream, char *buffer, size_t size, size_t *ret_len)
{
	pthread_mutex_lock(&stream->lock);
	enum err err = stopped_by(stream);
	bool ready = err == ERR_OK && is_readable(stream);
	if (ready)
		read_now(stream, buffer, size, ret_len);
	pthread_mutex_unlock(&stream->lock);
	return err != ERR_OK || ready ? err
				      : read_patiently(stream, buffer, size, ret_len);
}

size_t stream_offer(struct stream *stream, struct span data)
{
	pthread_mutex_lock(&stream->lock);
	size_t len = put_in_ring(stream, data);
	stream->network_waits = len < data.len;
	pthread_cond_signal(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
	return len;
}

size_t stream_take(struct stream *stream, char *buffer, size_t size, bool *ret_ended,
	enum err *ret_err)
{
	pthread_mutex_lock(&stream->lock);
	size_t len = stream->failed == ERR_OK ? take_from_ring(stream, buffer, size) : 0;
	*ret_err = stream->failed;
	*ret_ended = len == 0 && stream->ended;
	stream->network_waits = len == 0 && !stream->ended && stream->failed == ERR_OK;
	pthread_cond_signal(&stream->changed);
	pthread_mutex_unlock(&stream->lock);
	return len;
}

static void close_stream(struct stream *stream, enum err err)
{
	pthread_mutex_lock(&stream->lock);
	if (!stream->ended && stream->failed == ERR_OK) {
		stream->ended = err == ERR_OK;
		stream->failed = err;
	}
	pthread_cond_broadcast(&stream->changed);
	wake_network(stream);
	pthread_mutex_unlock(&stream->lock);
}

void stream_end(struct stream *stream)
{
	close_stream(stream, ERR_OK);
}

void stream_fail(struct stream *stream, enum err err)
{
	close_stream(stream, err);
}

int64_t stream_bytes(struct stream *stream)
{
	pthread_mutex_lock(&stream->lock);
	int64_t total = stream->total;
	pthread_mutex_unlock(&stream->lock);
	return total;
}
