#include "service/http/request_head.h"

#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <strings.h>
#include <sys/random.h>

#include "service/core/address.h"
#include "service/core/scatter.h"
#include "service/http/media.h"
#include "service/http/problem.h"
#include "service/http/request_canonical.h"

enum { DAY_MS = 86400000, MS_PER_S = 1000 };

static bool is_id_char(char c)
{
	return (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
		(c >= '0' && c <= '9') || c == '.' || c == '_' || c == '-';
}

static bool is_request_id(struct span id)
{
	if (id.len < 1 || id.len >= REQUEST_ID_SIZE)
		return false;
	for (size_t i = 0; i < id.len; i++)
		if (!is_id_char(id.data[i]))
			return false;
	return true;
}

static pthread_once_t seeded = PTHREAD_ONCE_INIT;
static uint64_t seed;

static void draw_seed(void)
{
	if (getrandom(&seed, sizeof seed, 0) != sizeof seed)
		seed = (uint64_t)instant_now().ns;
}

/* Unique within the process, because scatter() is one-to-one, and as good as unique among
 * processes. */
static uint64_t new_id(void)
{
	static _Atomic uint64_t count;
	pthread_once(&seeded, draw_seed);
	return scatter(seed + atomic_fetch_add(&count, 1));
}

static void write_hex(uint64_t number, char ret[static 17])
{
	static const char digits[] = "0123456789abcdef";
	for (int i = 15; i >= 0; i--, number >>= 4)
		ret[i] = digits[number & 15];
	ret[16] = '\0';
}

static void take_id(struct request *req)
{
	struct span id = request_header(req, "X-Request-Id");
	if (is_request_id(id))
		memcpy(req->id, id.data, id.len + 1);
	else
		write_hex(new_id(), req->id);
}

static bool is_hex(const char *text, size_t len)
{
	for (size_t i = 0; i < len; i++)
		if (!strchr("0123456789abcdef", text[i]))
			return false;
	return true;
}

/* 00-<32 hex>-<16 hex>-<2 hex>; all zeroes is invalid (W3C Trace Context, 3.2.2). */
static void take_trace(struct request *req)
{
	enum { TRACE_AT = 3, PARENT_AT = 36, FLAGS_AT = 53, LEN = 55 };
	struct span value = request_header(req, "traceparent");
	const char *text = value.data;
	if (value.len < LEN || strncmp(text, "ff", 2) == 0 ||
		(value.len > LEN && (text[LEN] != '-' || strncmp(text, "00", 2) == 0)))
		return;
	if (!is_hex(text, 2) || text[2] != '-' || !is_hex(text + TRACE_AT, 32) ||
		text[PARENT_AT - 1] != '-' || !is_hex(text + PARENT_AT, 16) ||
		text[FLAGS_AT - 1] != '-' || !is_hex(text + FLAGS_AT, 2))
		return;
	if (strspn(text + TRACE_AT, "0") >= 32 || strspn(text + PARENT_AT, "0") >= 16)
		return;
	memcpy(req->trace_id, text + TRACE_AT, 32);
}

/* Digits with at most one point among them, as milliseconds, rounded up. More than the
 * maximum is the maximum: who asks for so long asks for nothing. */
static bool parse_decimal_ms(struct span text, int64_t ms_per_unit, int64_t *ret_ms)
{
	if (text.len == 0 || strspn(text.data, "0123456789.") != text.len)
		return false;
	if (text.data[0] == '.' || text.data[text.len - 1] == '.' ||
		strchr(text.data, '.') != strrchr(text.data, '.'))
		return false;
	double exact = strtod(text.data, NULL) * (double)ms_per_unit;
	if (exact <= 0)
		return false;
	if (exact > DAY_MS)
		exact = DAY_MS;
	int64_t ms = (int64_t)exact;
	*ret_ms = (double)ms < exact ? ms + 1 : ms;
	return true;
}

struct timeout_header {
	const char *name;
	int64_t ms_per_unit;
	bool fraction;
	const char *allowed;
};

static const struct timeout_header timeout_headers[] = {
	{ "X-Request-Timeout", MS_PER_S, true, "seconds, such as 0.25, above 0" },
	{ "X-Envoy-Expected-Rq-Timeout-Ms", 1, false, "whole milliseconds, above 0" },
};

/* Lowers *timeout_ms, where 0 is none, to what the header asks for. */
static enum err take_timeout(const struct request *req, struct response *res,
	const struct timeout_header *header, int64_t *timeout_ms)
{
	int64_t ms;
	struct span value = request_header(req, header->name);
	if (!value.data)
		return ERR_OK;
	bool sound = request_header_count(req, header->name) == 1 &&
		(header->fraction || !strchr(value.data, '.')) &&
		parse_decimal_ms(value, header->ms_per_unit, &ms);
	if (!sound)
		return problem(res, ERR_BAD_REQUEST, "%s: \"%.32s\" is not %s.",
			header->name, value.data, header->allowed);
	if (*timeout_ms == 0 || ms < *timeout_ms)
		*timeout_ms = ms;
	return ERR_OK;
}

static enum err take_timeouts(
	const struct request *req, struct response *res, int64_t *timeout_ms)
{
	enum err err = ERR_OK;
	for (size_t i = 0;
		err == ERR_OK && i < sizeof timeout_headers / sizeof timeout_headers[0];
		i++)
		err = take_timeout(req, res, &timeout_headers[i], timeout_ms);
	return err;
}

/* What libmicrohttpd lets through although a proxy before it may read it in another
 * way (RFC 9112, 6.3): the body must have one length. */
static enum err check_framing(const struct request *req, struct response *res)
{
	unsigned lengths = request_header_count(req, "Content-Length");
	unsigned codings = request_header_count(req, "Transfer-Encoding");
	if (lengths > 1 || codings > 1 || lengths + codings > 1)
		return problem(
			res, ERR_BAD_REQUEST, "The length of the body is given twice.");
	struct span length = request_header(req, "Content-Length");
	if (lengths == 1 &&
		(length.len == 0 || strspn(length.data, "0123456789") != length.len))
		return problem(res, ERR_BAD_REQUEST, "Content-Length is no number.");
	if (codings == 1 &&
		strcasecmp(request_header(req, "Transfer-Encoding").data, "chunked") != 0)
		return problem(
			res, ERR_BAD_REQUEST, "Transfer-Encoding can only be chunked.");
	return ERR_OK;
}

static bool is_chunked(const struct request *req)
{
	return request_header(req, "Transfer-Encoding").data != NULL;
}

/* The host in a Host field, without its port and the brackets of IPv6. */
static struct span host_without_port(struct span host)
{
	bool bracketed = host.len > 0 && host.data[0] == '[';
	struct span name = { host.data + bracketed, host.len - bracketed };
	name.len = strcspn(name.data, bracketed ? "]" : ":");
	bool closed = !bracketed || name.data[name.len] == ']';
	return closed ? name : (struct span){ "", 0 };
}

static bool is_loopback_name(struct span host)
{
	char text[INET6_ADDRSTRLEN];
	union address address;
	socklen_t len;
	struct span name = host_without_port(host);
	if (name.len >= sizeof text)
		return false;
	memcpy(text, name.data, name.len);
	text[name.len] = '\0';
	return strcasecmp(text, "localhost") == 0 ||
		(address_parse(text, 0, &address, &len) && address_is_loopback(&address));
}

/* Who listens on loopback and asks nobody who he is has no other guard than that. A page
 * whose name was made to mean 127.0.0.1 (DNS rebinding) gets a browser past it, but the
 * browser says that name. */
static enum err check_host(const struct request_rules *rules, const struct request *req,
	struct response *res)
{
	struct span host = request_header(req, "Host");
	if (!rules->own_names_only || !host.data || is_loopback_name(host))
		return ERR_OK;
	return problem(res, ERR_MISDIRECTED,
		"Here Host must be localhost or an address of loopback.");
}

/* Likewise for what the request is about (RFC 9112, 3.2). */
static enum err check_target(
	const struct request *req, struct response *res, bool is_http_1_1)
{
	unsigned hosts = request_header_count(req, "Host");
	if (hosts > 1 || (is_http_1_1 && hosts == 0))
		return problem(res, ERR_BAD_REQUEST, "There must be one Host header.");
	if (req->ambiguous_path)
		return problem(
			res, ERR_BAD_REQUEST, "The path holds an encoded slash or NUL.");
	return ERR_OK;
}

static const char *or_json(const char *types)
{
	return types ? types : "application/json";
}

/* What a PATCH of the resource may be (RFC 5789, 3.1), if it has one. */
static enum err tell_patch_types(const struct request_rules *rules,
	const struct request *req, struct response *res)
{
	struct route_match patch;
	enum err err = route_find(
		rules->routes, rules->routes_count, "PATCH", req->path, &patch);
	if (err != ERR_OK)
		return ERR_OK;
	return response_header(res, "Accept-Patch", or_json(patch.route->consumes));
}

static enum err find_route(
	const struct request_rules *rules, struct request *req, struct response *res)
{
	char allow[64];
	enum err err = route_find(
		rules->routes, rules->routes_count, req->method, req->path, &req->match);
	req->route = req->match.route;
	if (err != ERR_METHOD)
		return err;
	route_allow(rules->routes, rules->routes_count, req->path, allow, sizeof allow);
	enum err noted = response_header(res, "Allow", allow);
	if (noted == ERR_OK)
		noted = tell_patch_types(rules, req, res);
	if (noted != ERR_OK)
		return noted;
	if (strcmp(req->method, "OPTIONS") != 0)
		return err;
	res->status = 204;
	return ERR_OK;
}

/* OPTIONS * asks about the server as a whole (RFC 9110, 9.3.7). */
static bool asks_about_server(const struct request *req)
{
	return strcmp(req->method, "OPTIONS") == 0 && strcmp(req->path, "*") == 0;
}

/* No coding is undone here, and what is still coded is no JSON. */
static enum err check_coding(const struct request *req, struct response *res)
{
	struct span coding = request_header(req, "Content-Encoding");
	if (!coding.data || media_is_among(coding, "identity"))
		return ERR_OK;
	enum err err = response_header(res, "Accept-Encoding", "identity");
	return err != ERR_OK
		? err
		: problem(res, ERR_MEDIA_TYPE,
			  "A Content-Encoding is not taken: send the body as it is.");
}

static enum err refuse_type(const struct request *req, struct response *res)
{
	const char *consumes = or_json(req->route->consumes);
	enum err err = ERR_OK;
	if (strcmp(req->method, "PATCH") == 0) /* RFC 5789, 2.2 */
		err = response_header(res, "Accept-Patch", consumes);
	return err != ERR_OK
		? err
		: problem(res, ERR_MEDIA_TYPE, "The Content-Type must be %s.", consumes);
}

static enum err check_media(const struct request *req, struct response *res)
{
	const struct route *route = req->route;
	const char *produces = or_json(route->produces);
	if (!media_is_wanted(request_header(req, "Accept"), produces))
		return problem(res, ERR_NOT_ACCEPTABLE, "This resource answers with %s.",
			produces);
	if (route->body == BODY_NONE)
		return ERR_OK;
	if (!media_is_among(
		    request_header(req, "Content-Type"), or_json(route->consumes)))
		return refuse_type(req, res);
	return check_coding(req, res);
}

/* Saturates: whatever is too large for a size_t is too large for every limit. */
static size_t parse_length(struct span text)
{
	size_t length = 0;
	for (size_t i = 0; i < text.len; i++)
		if (__builtin_mul_overflow(length, (size_t)10, &length) ||
			__builtin_add_overflow(
				length, (size_t)(text.data[i] - '0'), &length))
			return SIZE_MAX;
	return length;
}

static void expect_body(const struct request *req, struct expectation *ret)
{
	struct span expect = request_header(req, "Expect");
	ret->body_len = parse_length(request_header(req, "Content-Length"));
	ret->has_body = ret->body_len > 0 || is_chunked(req);
	ret->wants_continue = ret->has_body && expect.data &&
		strcasecmp(expect.data, "100-continue") == 0;
}

static void take_limits_of_route(const struct request_rules *rules,
	const struct route *route, struct expectation *ret)
{
	bool body_streams = route->body == BODY_STREAMED;
	bool streams = body_streams || route->answer == ANSWER_STREAMED;
	ret->timeout_ms = streams ? rules->stream_timeout_ms : rules->request_timeout_ms;
	if (route->timeout_ms != 0)
		ret->timeout_ms = route->timeout_ms > 0 ? route->timeout_ms : 0;
	ret->body_max = body_streams ? rules->max_import_bytes : rules->max_body_bytes;
	if (route->body_max != 0)
		ret->body_max = route->body_max;
}

static enum err check_route(const struct request_rules *rules, const struct request *req,
	struct response *res, struct expectation *ret)
{
	const struct route *route = req->route;
	take_limits_of_route(rules, route, ret);
	enum err err = take_timeouts(req, res, &ret->timeout_ms);
	if (err == ERR_OK)
		err = check_media(req, res);
	if (err == ERR_OK && route->body != BODY_NONE && ret->body_len > ret->body_max)
		err = problem(res, ERR_TOO_LARGE, "The body must be at most %zu bytes.",
			ret->body_max);
	return err;
}

enum err request_head_check(const struct request_rules *rules, struct request *req,
	struct response *res, bool is_http_1_1, struct expectation *ret)
{
	*ret = (struct expectation){ .timeout_ms = rules->request_timeout_ms };
	enum err err = request_canonicalize(req, res);
	take_id(req);
	take_trace(req);
	expect_body(req, ret);
	if (err == ERR_OK)
		err = check_framing(req, res);
	ret->unframed = err != ERR_OK;
	ret->is_last = ret->unframed || (!is_http_1_1 && is_chunked(req));
	if (err == ERR_OK)
		err = check_target(req, res, is_http_1_1);
	if (err == ERR_OK)
		err = check_host(rules, req, res);
	if (err != ERR_OK)
		return err;
	if (asks_about_server(req)) {
		res->status = 204;
		return response_header(
			res, "Allow", "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
	}
	err = find_route(rules, req, res);
	if (err != ERR_OK || !req->route)
		return err;
	return check_route(rules, req, res, ret);
}
