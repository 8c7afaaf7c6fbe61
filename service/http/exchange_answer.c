#include "service/http/exchange_answer.h"

#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>

#include "service/http/exchange.h"

static const char *header_or(
	const struct response *res, const char *name, const char *other)
{
	for (unsigned i = 0; i < res->headers_count; i++)
		if (strcmp(res->headers[i].name, name) == 0)
			return res->headers[i].value;
	return other;
}

static void add_headers(const struct exchange *exchange, struct MHD_Response *answer)
{
	const struct response *res = &exchange->res;
	/* 304 tells nothing of what the client has (RFC 9110, 15.4.5), but its length,
	 * which libmicrohttpd takes from the body that it does not send. */
	bool typed = res->body_len > 0 && res->status != 304;
	MHD_add_response_header(answer, "X-Request-Id", exchange->req.id);
	MHD_add_response_header(answer, "X-Content-Type-Options", "nosniff");
	if (!header_or(res, "Cache-Control", NULL))
		MHD_add_response_header(answer, "Cache-Control", "no-store");
	if (typed && !header_or(res, "Content-Type", NULL))
		MHD_add_response_header(answer, "Content-Type", "application/json");
	for (unsigned i = 0; i < res->headers_count; i++)
		MHD_add_response_header(
			answer, res->headers[i].name, res->headers[i].value);
}

struct MHD_Response *answer_make(struct exchange *exchange)
{
	struct response *res = &exchange->res;
	struct MHD_Response *answer = MHD_create_response_from_buffer_with_free_callback(
		res->body_len, res->body, free);
	if (!answer)
		return NULL;
	res->body = NULL;
	add_headers(exchange, answer);
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
		res->status, MHD_get_reason_phrase_for(res->status), res->body_len);
	fprintf(out, "X-Request-Id: %s\r\nX-Content-Type-Options: nosniff\r\n",
		exchange->req.id);
	fprintf(out, "Cache-Control: no-store\r\n");
	if (!header_or(res, "Content-Type", NULL))
		fprintf(out, "Content-Type: application/json\r\n");
	for (unsigned i = 0; i < res->headers_count; i++)
		fprintf(out, "%s: %s\r\n", res->headers[i].name, res->headers[i].value);
	fprintf(out, "\r\n");
	if (exchange_sends_body(exchange))
		fwrite(res->body, 1, res->body_len, out);
}

void answer_send_past(struct exchange *exchange)
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
