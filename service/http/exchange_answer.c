#include "service/http/exchange_answer.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/http/exchange.h"

static void add_headers(const struct exchange *exchange, struct MHD_Response *answer)
{
	const struct response *res = &exchange->res;
	/* 304 tells nothing of what the client has (RFC 9110, 15.4.5), but its length,
	 * which libmicrohttpd takes from the body that it does not send. */
	bool typed = res->body.len > 0 && res->status != 304;
	MHD_add_response_header(answer, "X-Request-Id", exchange->req.id);
	MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
	if (!response_find_header(res, "Cache-Control"))
		MHD_add_response_header(answer, "Cache-Control", "no-store");
	if (typed && !response_find_header(res, "Content-Type"))
		MHD_add_response_header(answer, "Content-Type", "application/json");
	for (unsigned i = 0; i < res->headers_count; i++)
		MHD_add_response_header(
			answer, res->headers[i].name, res->headers[i].value);
}

/* The answer that res holds, whose body it takes. NULL when out of memory. */
static struct MHD_Response *make_whole(struct exchange *exchange)
{
	struct response *res = &exchange->res;
	struct MHD_Response *answer = MHD_create_response_from_buffer_with_free_callback(
		res->body.len, res->body.data, free);
	if (!answer)
		return NULL;
	add_headers(exchange, answer);
	exchange->answer_len = res->body.len;
	buffer_detach(&res->body); /* it is the answer's */
	return answer;
}

/* The answer to HEAD where GET would stream has neither a body nor a length to tell
 * of, which libmicrohttpd knows from HTTP/1.0 only: with chunked coding it would
 * send the empty chunk that ends a body (measured with 0.9.75). */
struct MHD_Response *answer_make_streamed(
	struct exchange *exchange, answer_reader *reader)
{
	enum { BLOCK = 32 * 1024 };
	struct MHD_Response *answer = MHD_create_response_from_callback(
		MHD_SIZE_UNKNOWN, BLOCK, reader, exchange, NULL);
	if (!answer)
		return NULL;
	if (exchange_is_head(exchange))
		MHD_set_response_options(
			answer, MHD_RF_HTTP_1_0_COMPATIBLE_STRICT, MHD_RO_END);
	add_headers(exchange, answer);
	return answer;
}

static void print_answer(const struct exchange *exchange, FILE *out)
{
	const struct response *res = &exchange->res;
	fprintf(out, "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %zu\r\n",
		res->status, MHD_get_reason_phrase_for(res->status), res->body.len);
	fprintf(out, "X-Request-Id: %s\r\nX-Content-Type-Options: nosniff\r\n",
		exchange->req.id);
	fprintf(out, "Cache-Control: no-store\r\n");
	if (!response_find_header(res, "Content-Type"))
		fprintf(out, "Content-Type: application/json\r\n");
	for (unsigned i = 0; i < res->headers_count; i++)
		fprintf(out, "%s: %s\r\n", res->headers[i].name, res->headers[i].value);
	fprintf(out, "\r\n");
	if (exchange_sends_body(exchange))
		fwrite(res->body.data, 1, res->body.len, out);
}

/* Writes the answer past libmicrohttpd, which in the middle of a request can only be
 * told to close: its request handler may queue a response when the headers are
 * complete and when the body is, not between (MHD_queue_response, measured with
 * 0.9.75). Lock held, and the network's side still there: libmicrohttpd has nothing of
 * its own to send, and gets no answer from here on. (It may be about to say "100
 * Continue": that finds this direction closed, or comes behind an answer that says
 * how long it is, and that the connection is closed.) */
static void send_past(struct exchange *exchange)
{
	char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);
	if (out)
		print_answer(exchange, out);
	if (out && fclose(out) == 0)
		client_send_last(exchange->client, text, len);
	else
		client_cut(exchange->client);
	free(text);
}

void answer_destroy(struct MHD_Response *answer)
{
	if (answer)
		MHD_destroy_response(answer);
}

/*
 * Handing over.
 */

static ssize_t read_nothing(void *exchange, uint64_t position, char *buffer, size_t size)
{
	(void)exchange;
	(void)position;
	(void)buffer;
	(void)size;
	return MHD_CONTENT_READER_END_OF_STREAM;
}

/* NULL: the connection is closed instead, since nobody is left to get it, or there is
 * no memory for it. */
static struct MHD_Response *make_decided(struct exchange *exchange)
{
	if (exchange->result == ERR_CLIENT_GONE)
		return NULL;
	if (exchange->result == ERR_OK && exchange_streams(exchange) &&
		exchange_is_head(exchange))
		return answer_make_streamed(exchange, read_nothing);
	return make_whole(exchange);
}

/* Says past libmicrohttpd how the request ended, if somebody is there to hear it. Lock
 * held: the network thread, which is called first, neither goes on with the request nor
 * gives its connection up before it has had the lock. */
static void end_past(struct exchange *exchange)
{
	exchange_become(exchange, EXCHANGE_PAST);
	if (!exchange->client)
		return;
	if (exchange->result == ERR_CLIENT_GONE)
		client_cut(exchange->client);
	else
		send_past(exchange);
}

void exchange_hand_over(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	if (exchange_is_mid_body(exchange->state)) {
		end_past(exchange);
	} else {
		exchange_become(exchange, EXCHANGE_ANSWERED);
		exchange->answer = make_decided(exchange);
	}
	pthread_mutex_unlock(&exchange->lock);
}

void exchange_hand_over_settled(struct exchange *exchange)
{
	pthread_mutex_lock(&exchange->lock);
	if (exchange->state == EXCHANGE_SETTLED) {
		exchange->running = instant_now();
		exchange_become(exchange, EXCHANGE_ANSWERED);
		exchange->answer = make_decided(exchange);
	}
	pthread_mutex_unlock(&exchange->lock);
}

void exchange_cut_short(struct exchange *exchange, enum err err)
{
	exchange_conclude(exchange, err);
	end_past(exchange);
}
