#include "service/http/exchange_stream.h"

#include <microhttpd.h>

#include "service/core/stream.h"
#include "service/http/exchange_answer.h"

/*
 * The network thread's side.
 */

/* Cuts an answer that cannot be finished. Told so with END_WITH_ERROR, 0.9.75 closes
 * the connection after a resume only halfway, and keeps it until the idle timeout. So
 * it is told that this is the end, and finds that it can send no final chunk: a client
 * never takes what it got for the whole. */
static ssize_t cut_outgoing(struct exchange *exchange)
{
	client_cut(exchange->client);
	return MHD_CONTENT_READER_END_OF_STREAM;
}

/* Gives libmicrohttpd the next piece. It is asked only while the connection is there,
 * and so is the client. */
static ssize_t read_outgoing(void *arg, uint64_t position, char *buffer, size_t size)
{
	struct exchange *exchange = arg;
	(void)position;
	for (;;) {
		bool ended;
		enum err err;
		size_t len = stream_take(exchange->outgoing, buffer, size, &ended, &err);
		if (len > 0)
			return (ssize_t)len;
		if (ended)
			return MHD_CONTENT_READER_END_OF_STREAM;
		if (err != ERR_OK)
			return cut_outgoing(exchange);
		if (exchange_suspend(exchange))
			return 0;
	}
}

/*
 * The handler's side.
 */

/* The first piece. The network thread sees neither stream nor answer before it sees
 * STREAMING, under the lock. */
static enum err begin_flowing(struct exchange *exchange)
{
	exchange->outgoing = stream_create(exchange->req.cancel,
		exchange->env->stall_timeout_ms, exchange_call, exchange);
	if (!exchange->outgoing)
		return ERR_NOMEM;
	struct MHD_Response *answer = answer_make_streamed(exchange, read_outgoing);
	pthread_mutex_lock(&exchange->lock);
	exchange_become(exchange, EXCHANGE_STREAMING);
	exchange->answer = answer;
	pthread_mutex_unlock(&exchange->lock);
	return answer ? ERR_OK : ERR_NOMEM;
}

static enum err flush(struct response_sink *sink, struct response *res)
{
	struct exchange *exchange = (struct exchange *)((char *)sink -
		offsetof(struct exchange, sink));
	enum err err = ERR_OK;
	if (!exchange_is_head(exchange) && !exchange->outgoing)
		err = begin_flowing(exchange);
	if (!exchange_is_head(exchange) && err == ERR_OK)
		err = stream_write(exchange->outgoing, buffer_span(&res->body));
	atomic_fetch_add(&exchange->activity.bytes, (int64_t)res->body.len);
	buffer_clear(&res->body);
	return err;
}

void exchange_stream_offer(struct exchange *exchange)
{
	exchange->sink.flush = flush;
	exchange->res.sink = &exchange->sink;
}

void exchange_stream_end(struct exchange *exchange, enum err err)
{
	if (err == ERR_OK)
		err = flush(&exchange->sink, &exchange->res);
	exchange->result = err;
	pthread_mutex_lock(&exchange->lock);
	exchange->stopped = instant_now();
	pthread_mutex_unlock(&exchange->lock);
	if (err == ERR_OK)
		stream_end(exchange->outgoing);
	else
		stream_fail(exchange->outgoing, err);
}
