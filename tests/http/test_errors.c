/*
 * What the server refuses by itself, before any handler runs or on its behalf: each
 * with a problem document that says why, and with the connection left usable unless
 * there is no way.
 */
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <microhttpd.h>

#include "service/http/problem.h"
#include "tests/support/cmocka.h"
#include "tests/support/http.h"
#include "tests/support/raw.h"
#include "tests/support/test_server.h"

enum { BODY_MAX = 1024 };

struct fixture {
	struct test_server server;
	atomic_uint handled; /* requests that reached a handler */
};

/*
 * Handlers.
 */

static enum err show_thing(struct request *req, struct response *res)
{
	struct fixture *fixture = req->app;
	struct span id = request_param(req, "id");
	atomic_fetch_add(&fixture->handled, 1);
	json_t *json = json_pack("{ss%}", "id", id.data, id.len);
	char *text = json_dumps(json, JSON_COMPACT);
	enum err err = response_write(res, span_of(text));
	free(text);
	json_decref(json);
	return err;
}

static enum err take_thing(struct request *req, struct response *res)
{
	struct fixture *fixture = req->app;
	json_t *json = NULL;
	char text[64];
	atomic_fetch_add(&fixture->handled, 1);
	enum err err = request_json(req, res, &json);
	if (err != ERR_OK)
		return err;
	json_decref(json);
	snprintf(text, sizeof text, "{\"bytes\":%zu}", req->body.len);
	res->status = 201;
	return response_write(res, span_of(text));
}

static enum err find_things(struct request *req, struct response *res)
{
	struct span q;
	enum err err = request_query(req, "q", &q);
	if (err != ERR_OK)
		return problem(res, err, "q must be there once, and without NUL.");
	return response_write(res, SPAN_LITERAL("[]"));
}

static enum err break_rules(struct request *req, struct response *res)
{
	(void)req;
	response_write(res, SPAN_LITERAL("half an answer"));
	response_header(res, "ETag", "\"1\"");
	problem_field(res, "/name", "must not be empty");
	problem_field(res, "/quantity", "must be 0 or more");
	return problem_fields(res);
}

static enum err fail_inside(struct request *req, struct response *res)
{
	(void)req;
	(void)res;
	return ERR_IO;
}

/* Without being cancelled: a probe of a service that drains, say. */
static enum err say_shutdown(struct request *req, struct response *res)
{
	(void)req;
	(void)res;
	return ERR_SHUTDOWN;
}

static enum err answer_csv(struct request *req, struct response *res)
{
	(void)req;
	enum err err = response_header(res, "Content-Type", "text/csv");
	return err == ERR_OK ? response_write(res, SPAN_LITERAL("a,b\n")) : err;
}

static const struct route routes[] = {
	{ "GET", "/things", find_things, .lane = LANE_SHORT },
	{ "POST", "/things", take_thing, .lane = LANE_SHORT, .body = BODY_BUFFERED,
		.body_max = BODY_MAX },
	{ "GET", "/things/{id}", show_thing, .lane = LANE_SHORT },
	{ "PUT", "/things/{id}", take_thing, .lane = LANE_INLINE, .body = BODY_BUFFERED },
	{ "GET", "/inline/{id}", show_thing, .lane = LANE_INLINE },
	{ "GET", "/invalid", break_rules, .lane = LANE_SHORT },
	{ "GET", "/broken", fail_inside, .lane = LANE_SHORT },
	{ "GET", "/ending", say_shutdown, .lane = LANE_SHORT },
	{ "GET", "/table", answer_csv, .lane = LANE_SHORT, .produces = "text/csv" },
};

/*
 * Fixture.
 */

static int set_up(void **state)
{
	static struct fixture fixture;
	fixture = (struct fixture){ 0 };
	test_server_init(&fixture.server);
	test_server_start(
		&fixture.server, routes, sizeof routes / sizeof *routes, &fixture);
	*state = &fixture;
	return 0;
}

static int tear_down(void **state)
{
	struct fixture *fixture = *state;
	test_server_stop(&fixture->server);
	return 0;
}

static void perform(struct fixture *fixture, const struct http_request *req,
	struct http_response *ret)
{
	http_perform(fixture->server.port, req, ret);
}

/* The connection still serves. */
static void assert_goes_on(struct raw *raw)
{
	struct http_response res;
	raw_send(raw, "GET /things/next HTTP/1.1\r\nHost: x\r\n\r\n");
	raw_read(raw, &res);
	assert_int_equal(res.status, 200);
	assert_string_equal(res.body, "{\"id\":\"next\"}");
	http_response_finish(&res);
}

/*
 * Refusals, one after the other over one connection.
 */

#define HOST "Host: x\r\n"
#define JSON "Content-Type: application/json\r\n"

struct refusal {
	const char *request;
	unsigned status;
	const char *type;
	const char *detail; /* a part of it; NULL: whatever */
	const char *allow;  /* NULL: none */
};

static const struct refusal refusals[] = {
	{ "GET /nothing HTTP/1.1\r\n" HOST "\r\n", 404, "/problems/not-found", NULL,
		NULL },
	{ "GET /things/ HTTP/1.1\r\n" HOST "\r\n", 404, "/problems/not-found", NULL,
		NULL },
	{ "GET /things/1/2 HTTP/1.1\r\n" HOST "\r\n", 404, "/problems/not-found", NULL,
		NULL },
	{ "GET //things HTTP/1.1\r\n" HOST "\r\n", 404, "/problems/not-found", NULL,
		NULL },
	{ "GET /Things HTTP/1.1\r\n" HOST "\r\n", 404, "/problems/not-found", NULL,
		NULL },
	{ "POST /nothing HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}", 404,
		"/problems/not-found", NULL, NULL },

	{ "DELETE /things/1 HTTP/1.1\r\n" HOST "\r\n", 405,
		"/problems/method-not-allowed", NULL, "GET, HEAD, PUT, OPTIONS" },
	{ "PATCH /things HTTP/1.1\r\n" HOST JSON "Content-Length: 2\r\n\r\n{}", 405,
		"/problems/method-not-allowed", NULL, "GET, HEAD, POST, OPTIONS" },
	{ "BREW /invalid HTTP/1.1\r\n" HOST "\r\n", 405, "/problems/method-not-allowed",
		NULL, "GET, HEAD, OPTIONS" },
	{ "get /things/1 HTTP/1.1\r\n" HOST "\r\n", 405, "/problems/method-not-allowed",
		NULL, "GET, HEAD, PUT, OPTIONS" },

	{ "GET /things/1 HTTP/1.1\r\n" HOST "Accept: text/html\r\n\r\n", 406,
		"/problems/not-acceptable", "application/json", NULL },
	{ "GET /things/1 HTTP/1.1\r\n" HOST "Accept: application/json;q=0, */*\r\n\r\n",
		406, "/problems/not-acceptable", NULL, NULL },
	{ "GET /table HTTP/1.1\r\n" HOST "Accept: application/json\r\n\r\n", 406,
		"/problems/not-acceptable", "text/csv", NULL },

	{ "POST /things HTTP/1.1\r\n" HOST "Content-Type: text/plain\r\n"
	  "Content-Length: 2\r\n\r\n{}",
		415, "/problems/unsupported-media-type", "application/json", NULL },
	{ "POST /things HTTP/1.1\r\n" HOST "Content-Length: 2\r\n\r\n{}", 415,
		"/problems/unsupported-media-type", NULL, NULL },

	{ "POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: 9\r\n\r\n{\n\"a\": b}",
		400, "/problems/not-json", "Line 2", NULL },
	{ "POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: 0\r\n\r\n", 400,
		"/problems/not-json", NULL, NULL },
	{ "POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: 4\r\n\r\n{} x", 400,
		"/problems/not-json", NULL, NULL },
	{ "POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: 13\r\n\r\n"
	  "{\"a\":1,\"a\":2}",
		422, "/problems/validation", "duplicate", NULL },
	{ "POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: 8\r\n\r\n\"\\u0000\"",
		422, "/problems/validation", "\\u0000", NULL },
	{ "POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: 4\r\n\r\n\"\xc3\x28\"",
		400, "/problems/not-json", NULL, NULL },
	{ "POST /things HTTP/1.1\r\n" HOST JSON
	  "Content-Length: 5\r\n\r\n\"\xed\xa0\x80\"",
		400, "/problems/not-json", NULL, NULL },
	{ "POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: 66\r\n\r\n"
	  "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]",
		422, "/problems/validation", "deeper than 32", NULL },
	{ "PUT /things/1 HTTP/1.1\r\n" HOST JSON "Content-Length: 1\r\n\r\n[", 400,
		"/problems/not-json", "Line 1", NULL },

	{ "GET /things?q=a&q=b HTTP/1.1\r\n" HOST "\r\n", 400, "/problems/bad-request",
		"once", NULL },
	{ "GET /things?q=%00 HTTP/1.1\r\n" HOST "\r\n", 400, "/problems/bad-request",
		NULL, NULL },

	{ "GET /things/1 HTTP/1.1\r\n" HOST "X-Request-Timeout: 0\r\n\r\n", 400,
		"/problems/bad-request", "X-Request-Timeout", NULL },
	{ "GET /things/1 HTTP/1.1\r\n" HOST "X-Request-Timeout: -1\r\n\r\n", 400,
		"/problems/bad-request", "X-Request-Timeout", NULL },
	{ "GET /things/1 HTTP/1.1\r\n" HOST "X-Request-Timeout: 1s\r\n\r\n", 400,
		"/problems/bad-request", "\"1s\"", NULL },
	{ "GET /things/1 HTTP/1.1\r\n" HOST "X-Envoy-Expected-Rq-Timeout-Ms: 1.5\r\n\r\n",
		400, "/problems/bad-request", "X-Envoy", NULL },

#if MHD_VERSION < 0x01000000 /* 1.0 refuses these itself */
	{ "GET /things/1 HTTP/1.1\r\n\r\n", 400, "/problems/bad-request", "Host", NULL },
	{ "GET /things/1 HTTP/1.1\r\n" HOST "Host: y\r\n\r\n", 400,
		"/problems/bad-request", "Host", NULL },
#endif
	{ "GET /invalid HTTP/1.1\r\n" HOST "\r\n", 422, "/problems/validation", NULL,
		NULL },
	{ "GET /broken HTTP/1.1\r\n" HOST "\r\n", 500, "/problems/storage", NULL, NULL },
	{ "GET /ending HTTP/1.1\r\n" HOST "\r\n", 503, "/problems/shutdown", NULL, NULL },
};

static void assert_refusal(struct raw *raw, const struct refusal *refusal)
{
	struct http_response res;
	raw_send(raw, refusal->request);
	raw_read(raw, &res);
	if (res.status != refusal->status)
		print_error("to: %s\n", refusal->request);
	json_t *problem = http_problem(&res, refusal->status, refusal->type);
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	if (refusal->detail && !strstr(detail, refusal->detail))
		fail_msg("\"%s\" does not say \"%s\"", detail, refusal->detail);
	if (refusal->allow)
		assert_string_equal(http_header(&res, "Allow"), refusal->allow);
	else
		assert_null(http_header(&res, "Allow"));
	assert_null(http_header(&res, "Connection"));
	json_decref(problem);
	http_response_finish(&res);
}

static void every_refusal_says_why_and_keeps_the_connection(void **state)
{
	struct fixture *fixture = *state;
	struct raw raw;
	raw_connect(&raw, fixture->server.port);
	for (size_t i = 0; i < sizeof refusals / sizeof *refusals; i++) {
		assert_refusal(&raw, &refusals[i]);
		assert_goes_on(&raw);
	}
	raw_close(&raw);
}

/*
 * Requests that can be read in two ways.
 */

/* libmicrohttpd 1.0 refuses these itself, in HTML; 0.9.75 leaves them to us. */
static void assert_refused_as_ambiguous(const struct http_response *res)
{
	if (MHD_VERSION < 0x01000000)
		http_assert_problem(res, 400, "/problems/bad-request");
	else
		assert_int_equal(res->status, 400);
}

static void a_request_without_one_host_is_refused(void **state)
{
	static const char *const heads[] = {
		"GET /things/1 HTTP/1.1\r\n\r\n",
		"GET /things/1 HTTP/1.1\r\n" HOST "Host: y\r\n\r\n",
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof heads / sizeof *heads; i++) {
		struct raw raw;
		struct http_response res;
		raw_connect(&raw, fixture->server.port);
		raw_send(&raw, heads[i]);
		raw_read(&raw, &res);
		assert_refused_as_ambiguous(&res);
		http_response_finish(&res);
		raw_close(&raw);
	}
	assert_int_equal(atomic_load(&fixture->handled), 0);
}

static const char *const unsure[] = {
	"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
	"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}",
	"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding: gzip\r\n\r\n{}",
	"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding: \r\n\r\n{}",
};

/* Sends a head and what may be its body, and behind that what must not be taken for a
 * request; reads the first answer. */
static void smuggle(struct fixture *fixture, const char *head, struct raw *raw,
	struct http_response *ret)
{
	raw_connect(raw, fixture->server.port);
	raw_sendf(raw,
		"POST /things HTTP/1.1\r\n" HOST JSON "%s"
		"GET /things/smuggled HTTP/1.1\r\n" HOST "\r\n",
		head);
	raw_read(raw, ret);
}

/* What follows could be meant as a request, or not: it must not be taken for one. */
static void a_request_of_unsure_length_is_the_last_of_its_connection(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof unsure / sizeof *unsure; i++) {
		struct raw raw;
		struct http_response res;
		smuggle(fixture, unsure[i], &raw, &res);
		assert_refused_as_ambiguous(&res);
		assert_string_equal(http_header(&res, "Connection"), "close");
		http_response_finish(&res);
		assert_true(raw_is_closed(&raw));
		raw_close(&raw);
	}
	assert_int_equal(atomic_load(&fixture->handled), 0);
}

/* Where a proxy may see a length that libmicrohttpd does not. Which of us refuses it, and
 * in which words, differs from version to version. */
static const char *const hidden[] = {
	"Content-Length : 2\r\n\r\n{}",
	"Content-Length\t: 2\r\n\r\n{}",
	"Content-Length: 2\r\n ;x\r\n\r\n{}",
	"Content-Length: 0\r\nContent-Length : 2\r\n\r\n{}",
	"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding: chunked\r\n ,x\r\n\r\n0\r\n\r\n",
	"Transfer-Encoding\x0b: chunked\r\n\r\n0\r\n\r\n",
	"X Y: z\r\nContent-Length: 2\r\n\r\n{}",
#if MHD_VERSION < 0x01000000 /* 1.0 unfolds and trims, as RFC 9112, 5.2 and 5.1 allow */
	"Content-Length: 2 \r\n\r\n{}",
	"Content-Length:\r\n 2\r\n\r\n{}",
	"Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n",
#endif
};

static void a_hidden_length_is_refused_and_the_last_of_its_connection(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof hidden / sizeof *hidden; i++) {
		struct raw raw;
		struct http_response res;
		smuggle(fixture, hidden[i], &raw, &res);
		if (res.status != 400)
			fail_msg("%u to: %s", res.status, hidden[i]);
		http_response_finish(&res);
		/* What 0.9.75 refuses itself has its head twice. */
		assert_true(raw_read_to_end(&raw));
		raw_close(&raw);
	}
	assert_int_equal(atomic_load(&fixture->handled), 0);
}

/*
 * Paths with more than one reading.
 */

static void an_encoded_slash_or_nul_in_the_path_is_refused(void **state)
{
	static const char *const paths[] = {
		"/things/a%2fb",
		"/things%2F1",
		"/things/%00",
		"/things/1%00",
		"/%2f/things/1",
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct http_response res;
		http_get(fixture->server.port, paths[i], &res);
		http_assert_problem(&res, 400, "/problems/bad-request");
		http_response_finish(&res);
	}
	/* In the query they are data. */
	assert_int_equal(http_get_status(fixture->server.port, "/things?q=a%2fb"), 200);
	assert_int_equal(atomic_load(&fixture->handled), 0);
}

static void other_encoded_bytes_of_the_path_are_decoded(void **state)
{
	struct fixture *fixture = *state;
	struct http_response res;
	http_get(fixture->server.port, "/%74hings/%41%20%c3%a4%25", &res);
	assert_int_equal(res.status, 200);
	assert_string_equal(res.body, "{\"id\":\"A \u00e4%\"}");
	http_response_finish(&res);
}

/*
 * Bodies over the limit.
 */

static void assert_too_large(struct raw *raw)
{
	struct http_response res;
	raw_read(raw, &res);
	json_t *problem = http_problem(&res, 413, "/problems/too-large");
	const char *detail = json_string_value(json_object_get(problem, "detail"));
	assert_non_null(strstr(detail, "1024 bytes"));
	json_decref(problem);
	http_response_finish(&res);
}

static void send_filler(struct raw *raw, size_t len)
{
	char *filler = malloc(len);
	assert_non_null(filler);
	memset(filler, ' ', len);
	raw_send_bytes(raw, filler, len);
	free(filler);
}

static void a_body_over_its_limit_is_refused_and_the_connection_kept(void **state)
{
	struct fixture *fixture = *state;
	struct raw raw;
	raw_connect(&raw, fixture->server.port);
	raw_sendf(&raw,
		"POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: %d\r\n\r\n",
		BODY_MAX + 1);
	send_filler(&raw, BODY_MAX + 1);
	assert_too_large(&raw);
	assert_goes_on(&raw);
	raw_close(&raw);
}

static void a_body_at_its_limit_is_taken(void **state)
{
	struct fixture *fixture = *state;
	struct raw raw;
	struct http_response res;
	raw_connect(&raw, fixture->server.port);
	raw_sendf(&raw,
		"POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: %d\r\n\r\n",
		BODY_MAX);
	send_filler(&raw, BODY_MAX - 2);
	raw_send(&raw, "{}");
	raw_read(&raw, &res);
	assert_int_equal(res.status, 201);
	assert_string_equal(res.body, "{\"bytes\":1024}");
	http_response_finish(&res);
	raw_close(&raw);
}

/* Its length is not said: it is counted. */
static void a_chunked_body_over_its_limit_is_refused(void **state)
{
	enum { CHUNK = 256, CHUNKS = BODY_MAX / CHUNK + 1 };
	struct fixture *fixture = *state;
	struct raw raw;
	raw_connect(&raw, fixture->server.port);
	raw_send(&raw,
		"POST /things HTTP/1.1\r\n" HOST JSON
		"Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < CHUNKS; i++) {
		raw_send(&raw, "100\r\n");
		send_filler(&raw, CHUNK);
		raw_send(&raw, "\r\n");
	}
	raw_send(&raw, "0\r\n\r\n");
	assert_too_large(&raw);
	assert_goes_on(&raw);
	raw_close(&raw);
}

/* libmicrohttpd 1.0.1 takes the end of an extension's line for content. */
#if MHD_VERSION < 0x01000000
#define CHUNK_3 "3;x=y\r\n"
#else
#define CHUNK_3 "3\r\n"
#endif

static void a_chunked_body_within_its_limit_is_taken(void **state)
{
	struct fixture *fixture = *state;
	struct raw raw;
	struct http_response res;
	raw_connect(&raw, fixture->server.port);
	raw_send(&raw,
		"POST /things HTTP/1.1\r\n" HOST JSON
		"Transfer-Encoding: chunked\r\n\r\n" CHUNK_3
		"{\"a\r\n4\r\n\":1}\r\n0\r\n\r\n");
	raw_read(&raw, &res);
	assert_int_equal(res.status, 201);
	assert_string_equal(res.body, "{\"bytes\":7}");
	http_response_finish(&res);
	assert_goes_on(&raw);
	raw_close(&raw);
}

/* The client is told before it has sent any of it, and then closes or is closed. */
static void a_huge_body_is_refused_before_it_is_read(void **state)
{
	struct fixture *fixture = *state;
	struct raw raw;
	raw_connect(&raw, fixture->server.port);
	raw_send(&raw,
		"POST /things HTTP/1.1\r\n" HOST JSON
		"Content-Length: 9999999999\r\n\r\n");
	assert_too_large(&raw);
	assert_true(raw_is_closed(&raw));
	raw_close(&raw);
}

static void a_client_that_waits_for_100_is_refused_before_it_sends(void **state)
{
	static const struct {
		const char *head;
		unsigned status;
		const char *type;
	} rows[] = {
		{ "POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: 2000\r\n", 413,
			"/problems/too-large" },
		{ "POST /things HTTP/1.1\r\n" HOST "Content-Length: 20\r\n", 415,
			"/problems/unsupported-media-type" },
		{ "POST /nothing HTTP/1.1\r\n" HOST JSON "Content-Length: 20\r\n", 404,
			"/problems/not-found" },
		{ "DELETE /things HTTP/1.1\r\n" HOST "Content-Length: 20\r\n", 405,
			"/problems/method-not-allowed" },
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct raw raw;
		struct http_response res;
		raw_connect(&raw, fixture->server.port);
		raw_sendf(&raw, "%sExpect: 100-continue\r\n\r\n", rows[i].head);
		assert_true(raw_expect(&raw, "HTTP/1.1 4")); /* no 100 comes before it */
		raw_close(&raw);

		raw_connect(&raw, fixture->server.port);
		raw_sendf(&raw, "%sExpect: 100-continue\r\n\r\n", rows[i].head);
		raw_read(&raw, &res);
		http_assert_problem(&res, rows[i].status, rows[i].type);
		http_response_finish(&res);
		raw_close(&raw);
	}
}

static void a_client_that_waits_for_100_gets_it_when_its_body_is_wanted(void **state)
{
	struct fixture *fixture = *state;
	struct raw raw;
	struct http_response res;
	raw_connect(&raw, fixture->server.port);
	raw_send(&raw,
		"POST /things HTTP/1.1\r\n" HOST JSON
		"Content-Length: 2\r\nExpect: 100-continue\r\n\r\n");
	assert_true(raw_expect(&raw, "HTTP/1.1 100 Continue\r\n\r\n"));
	raw_send(&raw, "{}");
	raw_read(&raw, &res);
	assert_int_equal(res.status, 201);
	http_response_finish(&res);
	assert_goes_on(&raw);
	raw_close(&raw);
}

/*
 * Headers.
 */

static void a_good_request_id_is_kept_and_another_replaced(void **state)
{
	static const char *const good[] = { "a", "A.b_c-9", "0123456789abcdef" };
	static const char *const bad[] = { "", "a b", "a/b", "\xc3\xa4", "a\"b", "a;b" };
	enum { LONGEST = 128 };
	struct fixture *fixture = *state;
	char header[LONGEST + 64];
	const char *const headers[] = { header, NULL };
	const struct http_request req = { .path = "/things/1", .headers = headers };
	struct http_response res;

	for (size_t i = 0; i < sizeof good / sizeof *good; i++) {
		snprintf(header, sizeof header, "X-Request-Id: %s", good[i]);
		perform(fixture, &req, &res);
		assert_string_equal(http_header(&res, "X-Request-Id"), good[i]);
		http_response_finish(&res);
		json_decref(test_server_log_line(&fixture->server, good[i]));
	}
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
		snprintf(header, sizeof header, "X-Request-Id: %s", bad[i]);
		perform(fixture, &req, &res);
		const char *id = http_header(&res, "X-Request-Id");
		assert_int_equal(strspn(id, "0123456789abcdef"), strlen(id));
		assert_int_equal(strlen(id), 16);
		http_response_finish(&res);
	}
	for (int len = LONGEST; len <= LONGEST + 1; len++) {
		snprintf(header, sizeof header, "X-Request-Id: %0*d", len, 7);
		perform(fixture, &req, &res);
		size_t kept = strlen(http_header(&res, "X-Request-Id"));
		assert_int_equal(kept, len == LONGEST ? LONGEST : 16);
		http_response_finish(&res);
	}
}

static void two_requests_never_get_the_same_id(void **state)
{
	struct fixture *fixture = *state;
	struct http_response first;
	struct http_response second;
	http_get(fixture->server.port, "/things/1", &first);
	http_get(fixture->server.port, "/things/1", &second);
	assert_string_not_equal(http_header(&first, "X-Request-Id"),
		http_header(&second, "X-Request-Id"));
	http_response_finish(&first);
	http_response_finish(&second);
}

static void every_answer_has_the_headers_that_all_have(void **state)
{
	static const char *const paths[] = {
		"/things/1",
		"/inline/1",
		"/nothing",
		"/invalid",
		"/table",
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct http_response res;
		http_get(fixture->server.port, paths[i], &res);
		assert_string_equal(
			http_header(&res, "X-Content-Type-Options"), "nosniff");
		assert_string_equal(http_header(&res, "Cache-Control"), "no-store");
		assert_non_null(http_header(&res, "X-Request-Id"));
		assert_non_null(http_header(&res, "Content-Type"));
		http_response_finish(&res);
	}
}

static void the_trace_id_is_in_the_log_line_if_it_is_one(void **state)
{
	static const struct {
		const char *header;
		const char *trace;
	} rows[] = {
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
			"0af7651916cd43dd8448eb211c80319c" },
		{ "cc-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-later",
			"0af7651916cd43dd8448eb211c80319c" },
		{ "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-more", "" },
		{ "00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", "" },
		{ "00-00000000000000000000000000000000-b7ad6b7169203331-01", "" },
		{ "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01", "" },
		{ "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", "" },
		{ "00-0af7651916cd43dd8448eb211c80319c", "" },
		{ "", "" },
	};
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		char id[16];
		struct raw raw;
		struct http_response res;
		snprintf(id, sizeof id, "trace-%zu", i);
		raw_connect(&raw, fixture->server.port);
		raw_sendf(&raw,
			"GET /things/1 HTTP/1.1\r\n" HOST
			"X-Request-Id: %s\r\ntraceparent: %s\r\n\r\n",
			id, rows[i].header);
		raw_read(&raw, &res);
		assert_int_equal(res.status, 200);
		http_response_finish(&res);
		raw_close(&raw);
		json_t *line = test_server_log_line(&fixture->server, id);
		assert_string_equal(log_text(line, "trace"), rows[i].trace);
		json_decref(line);
	}
}

static void the_log_line_tells_what_was_asked_and_answered(void **state)
{
	struct fixture *fixture = *state;
	struct http_response res;
	const char *const headers[] = { "X-Request-Id: told", NULL };
	perform(fixture,
		&(struct http_request){ .path = "/things/a%20b", .headers = headers },
		&res);
	json_t *line = test_server_log_line(&fixture->server, "told");
	assert_string_equal(log_text(line, "method"), "GET");
	assert_string_equal(log_text(line, "route"), "/things/{id}");
	assert_string_equal(log_text(line, "path"), "/things/a b");
	assert_int_equal(log_int(line, "status"), 200);
	assert_int_equal(log_int(line, "bytes"), res.body_len);
	assert_null(json_object_get(line, "error"));
	assert_null(json_object_get(line, "cause"));
	assert_true(log_ms(line, "total_ms") >= log_ms(line, "run_ms"));
	json_decref(line);
	http_response_finish(&res);
}

static void every_broken_rule_of_a_body_is_told_at_once(void **state)
{
	struct fixture *fixture = *state;
	struct http_response res;
	http_get(fixture->server.port, "/invalid", &res);
	json_t *problem = http_problem(&res, 422, "/problems/validation");
	json_t *errors = json_object_get(problem, "errors");
	assert_int_equal(json_array_size(errors), 2);
	json_t *second = json_array_get(errors, 1);
	assert_string_equal(
		json_string_value(json_object_get(second, "pointer")), "/quantity");
	assert_null(http_header(&res, "ETag")); /* nothing is left of the half answer */
	json_decref(problem);
	http_response_finish(&res);
}

/*
 * HEAD and OPTIONS.
 */

static void head_is_get_without_the_body(void **state)
{
	static const char *const paths[] = { "/things/1", "/inline/1", "/table",
		"/nothing" };
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof paths / sizeof *paths; i++) {
		struct raw raw;
		struct http_response get;
		struct http_response head;
		raw_connect(&raw, fixture->server.port);
		raw_sendf(&raw, "GET %s HTTP/1.1\r\n" HOST "X-Request-Id: same\r\n\r\n",
			paths[i]);
		raw_read(&raw, &get);
		raw_sendf(&raw, "HEAD %s HTTP/1.1\r\n" HOST "X-Request-Id: same\r\n\r\n",
			paths[i]);
		raw_read_without_body(&raw, &head);
		assert_true(head.whole);
		assert_int_equal(head.status, get.status);
		assert_int_equal(head.fields_count, get.fields_count);
		assert_string_equal(http_header(&head, "Content-Length"),
			http_header(&get, "Content-Length"));
		assert_string_equal(http_header(&head, "Content-Type"),
			http_header(&get, "Content-Type"));
		http_response_finish(&get);
		http_response_finish(&head);
		assert_goes_on(&raw); /* and no body came after all */
		raw_close(&raw);
	}
}

static void options_tells_the_methods(void **state)
{
	static const struct {
		const char *path;
		const char *allow;
	} rows[] = {
		{ "/things", "GET, HEAD, POST, OPTIONS" },
		{ "/things/1", "GET, HEAD, PUT, OPTIONS" },
		{ "*", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" },
	};
	struct fixture *fixture = *state;
	struct raw raw;
	raw_connect(&raw, fixture->server.port);
	for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
		struct http_response res;
		raw_sendf(&raw, "OPTIONS %s HTTP/1.1\r\n" HOST "\r\n", rows[i].path);
		raw_read(&raw, &res);
		assert_int_equal(res.status, 204);
		assert_string_equal(http_header(&res, "Allow"), rows[i].allow);
		assert_null(http_header(&res, "Content-Length")); /* RFC 9110, 8.6 */
		http_response_finish(&res);
	}
	assert_goes_on(&raw);
	raw_close(&raw);
}

/*
 * What never becomes a request: libmicrohttpd refuses it by itself, and closes.
 */

static const char *const malformed[] = {
	"GET /things/1\r\n\r\n",
	"GET /things/1 HTTP/1.1\r\nno colon\r\n" HOST "\r\n",
	"GET /things/1 HTTP/2.0\r\n" HOST "\r\n",
	"POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: -2\r\n\r\n{}",
	"POST /things HTTP/1.1\r\n" HOST JSON "Content-Length: 2x\r\n\r\n{}",
	"POST /things HTTP/1.1\r\n" HOST JSON
	"Content-Length: 99999999999999999999999\r\n\r\n",
	"POST /things HTTP/1.1\r\n" HOST JSON "Transfer-Encoding: chunked\r\n\r\nzz\r\n",
	"GARBAGE\r\n\r\n",
	"\x16\x03\x01\x02\x01\xfc\x03\x03\r\n\r\n" /* TLS, nearly */,
};

static void what_is_malformed_is_refused_and_the_connection_closed(void **state)
{
	struct fixture *fixture = *state;
	for (size_t i = 0; i < sizeof malformed / sizeof *malformed; i++) {
		struct raw raw;
		struct http_response res;
		raw_connect(&raw, fixture->server.port);
		raw_send(&raw, malformed[i]);
		raw_read(&raw, &res);
		if (res.status != 0)
			assert_in_range(res.status, 400, 505);
		http_response_finish(&res);
		raw_read_to_end(&raw);
		raw_close(&raw);
	}
	assert_int_equal(atomic_load(&fixture->handled), 0);
}

static void headers_over_their_limit_are_refused(void **state)
{
	struct fixture *fixture = *state;
	struct raw raw;
	struct http_response res;
	raw_connect(&raw, fixture->server.port);
	raw_send(&raw, "GET /things/1 HTTP/1.1\r\n" HOST "X-Filler: ");
	send_filler(&raw, 2 * (size_t)fixture->server.config.max_header_bytes);
	raw_send(&raw, "\r\n\r\n");
	raw_read(&raw, &res);
	if (res.status != 0) /* the kernel's reset may overtake it */
		assert_int_equal(res.status, 431);
	http_response_finish(&res);
	raw_read_to_end(&raw);
	raw_close(&raw);
	assert_int_equal(atomic_load(&fixture->handled), 0);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(every_refusal_says_why_and_keeps_the_connection),
		TEST(a_request_without_one_host_is_refused),
		TEST(a_request_of_unsure_length_is_the_last_of_its_connection),
		TEST(a_hidden_length_is_refused_and_the_last_of_its_connection),
		TEST(an_encoded_slash_or_nul_in_the_path_is_refused),
		TEST(other_encoded_bytes_of_the_path_are_decoded),
		TEST(a_body_over_its_limit_is_refused_and_the_connection_kept),
		TEST(a_body_at_its_limit_is_taken),
		TEST(a_chunked_body_over_its_limit_is_refused),
		TEST(a_chunked_body_within_its_limit_is_taken),
		TEST(a_huge_body_is_refused_before_it_is_read),
		TEST(a_client_that_waits_for_100_is_refused_before_it_sends),
		TEST(a_client_that_waits_for_100_gets_it_when_its_body_is_wanted),
		TEST(a_good_request_id_is_kept_and_another_replaced),
		TEST(two_requests_never_get_the_same_id),
		TEST(every_answer_has_the_headers_that_all_have),
		TEST(the_trace_id_is_in_the_log_line_if_it_is_one),
		TEST(the_log_line_tells_what_was_asked_and_answered),
		TEST(every_broken_rule_of_a_body_is_told_at_once),
		TEST(head_is_get_without_the_body),
		TEST(options_tells_the_methods),
		TEST(what_is_malformed_is_refused_and_the_connection_closed),
		TEST(headers_over_their_limit_are_refused),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
