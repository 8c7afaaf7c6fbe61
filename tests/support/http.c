#include "tests/support/http.h"

#include <assert.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include <curl/curl.h>

#include "service/core/buffer.h"
#include "tests/support/cmocka.h"
#include "tests/support/wait.h"

/*
 * Responses.
 */

const char *http_header(const struct http_response *res, const char *name)
{
	for (unsigned i = 0; i < res->fields_count; i++)
		if (strcasecmp(res->fields[i].name, name) == 0)
			return res->fields[i].value;
	return NULL;
}

static void take_field(struct http_response *res, char *line)
{
	char *colon = strchr(line, ':');
	if (!colon || res->fields_count == HTTP_FIELDS_MAX)
		return;
	*colon = '\0';
	res->fields[res->fields_count++] = (struct http_field){ line,
		colon + 1 + strspn(colon + 1, " ") };
}

void http_response_take_head(struct http_response *res, char *head)
{
	char *rest;
	char *line = strtok_r(head, "\r\n", &rest);
	res->head = head;
	if (!line || sscanf(line, "HTTP/%*s %u", &res->status) != 1)
		return;
	while ((line = strtok_r(NULL, "\r\n", &rest)))
		take_field(res, line);
}

void http_response_finish(struct http_response *res)
{
	free(res->head);
	free(res->body);
	*res = (struct http_response){ 0 };
}

static void assert_header(
	const struct http_response *res, const char *name, const char *value)
{
	const char *found = http_header(res, name);
	if (!found || strcmp(found, value) != 0)
		fail_msg("%s: \"%s\" instead of \"%s\"", name, found ? found : "(none)",
			value);
}

json_t *http_problem(const struct http_response *res, unsigned status, const char *type)
{
	json_error_t error;
	if (res->status != status)
		fail_msg("status %u instead of %u: %s", res->status, status,
			res->body ? res->body : "");
	assert_true(res->whole);
	assert_header(res, "Content-Type", "application/problem+json");
	assert_header(res, "X-Content-Type-Options", "nosniff");
	assert_header(res, "Cache-Control", "no-store");
	json_t *problem = json_loads(
		res->body ? res->body : "", JSON_REJECT_DUPLICATES, &error);
	if (!problem)
		fail_msg("%s in: %s", error.text, res->body);
	assert_string_equal(json_string_value(json_object_get(problem, "type")), type);
	assert_int_equal(json_integer_value(json_object_get(problem, "status")), status);
	assert_true(json_is_string(json_object_get(problem, "title")));
	assert_true(json_is_string(json_object_get(problem, "detail")));
	assert_header(res, "X-Request-Id",
		json_string_value(json_object_get(problem, "instance")));
	return problem;
}

json_t *http_json(const struct http_response *res)
{
	json_error_t error;
	json_t *json = json_loadb(res->body ? res->body : "", res->body_len,
		JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!json)
		fail_msg("%s in: %s", error.text, res->body ? res->body : "(no body)");
	return json;
}

void http_assert_problem(
	const struct http_response *res, unsigned status, const char *type)
{
	json_decref(http_problem(res, status, type));
}

/*
 * Transfers.
 */

struct transfer {
	CURL *easy;
	struct curl_slist *headers;
	struct buffer head;
	struct buffer body;
};

static void append(struct buffer *buffer, const char *data, size_t len)
{
	enum err err = buffer_append(buffer, (struct span){ data, len });
	assert(err == ERR_OK);
}

/* Interim answers (100) have a head of their own: the last one counts. */
static size_t on_head(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	if (count > 5 && memcmp(data, "HTTP/", 5) == 0)
		buffer_clear(&transfer->head);
	append(&transfer->head, data, size * count);
	return size * count;
}

static size_t on_body(char *data, size_t size, size_t count, void *arg)
{
	struct transfer *transfer = arg;
	append(&transfer->body, data, size * count);
	return size * count;
}

static void set_body(CURL *easy, const struct http_request *req)
{
	size_t len = req->body_len ? req->body_len : strlen(req->body);
	curl_easy_setopt(easy, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)len);
	curl_easy_setopt(easy, CURLOPT_COPYPOSTFIELDS, req->body);
}

static void set_headers(struct transfer *transfer, const struct http_request *req)
{
	for (size_t i = 0; req->headers && req->headers[i]; i++)
		transfer->headers = curl_slist_append(transfer->headers, req->headers[i]);
	curl_easy_setopt(transfer->easy, CURLOPT_HTTPHEADER, transfer->headers);
}

static void set_up(struct transfer *transfer, CURL *easy, unsigned port,
	const struct http_request *req)
{
	char url[512];
	*transfer = (struct transfer){ .easy = easy };
	curl_easy_reset(easy);
	snprintf(url, sizeof url, "http://127.0.0.1:%u%s", port, req->path);
	curl_easy_setopt(easy, CURLOPT_URL, url);
	curl_easy_setopt(easy, CURLOPT_PATH_AS_IS, 1L);
	curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(easy, CURLOPT_PROXY, "");
	curl_easy_setopt(easy, CURLOPT_TIMEOUT_MS, (long)PATIENCE_MS);
	curl_easy_setopt(easy, CURLOPT_HEADERFUNCTION, on_head);
	curl_easy_setopt(easy, CURLOPT_HEADERDATA, transfer);
	curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(easy, CURLOPT_WRITEDATA, transfer);
	if (req->body)
		set_body(easy, req);
	if (req->method && strcmp(req->method, "HEAD") == 0)
		curl_easy_setopt(easy, CURLOPT_NOBODY, 1L);
	else if (req->method)
		curl_easy_setopt(easy, CURLOPT_CUSTOMREQUEST, req->method);
	set_headers(transfer, req);
}

static void take_response(
	struct transfer *transfer, CURLcode code, struct http_response *ret)
{
	*ret = (struct http_response){ .whole = code == CURLE_OK };
	if (transfer->head.data)
		http_response_take_head(ret, buffer_detach(&transfer->head));
	ret->body_len = transfer->body.len;
	ret->body = buffer_detach(&transfer->body);
}

static void clean_up(struct transfer *transfer)
{
	curl_slist_free_all(transfer->headers);
	buffer_finish(&transfer->head);
	buffer_finish(&transfer->body);
}

/*
 * Sessions.
 */

struct http_session {
	CURL *easy;
	unsigned port;
	unsigned connections;
};

struct http_session *http_session_create(unsigned port)
{
	struct http_session *session = calloc(1, sizeof *session);
	assert_non_null(session);
	session->easy = curl_easy_init();
	session->port = port;
	return session;
}

void http_session_destroy(struct http_session *session)
{
	curl_easy_cleanup(session->easy);
	free(session);
}

void http_session_perform(struct http_session *session, const struct http_request *req,
	struct http_response *ret)
{
	struct transfer transfer;
	long opened = 0;
	set_up(&transfer, session->easy, session->port, req);
	CURLcode code = curl_easy_perform(session->easy);
	curl_easy_getinfo(session->easy, CURLINFO_NUM_CONNECTS, &opened);
	session->connections += (unsigned)opened;
	take_response(&transfer, code, ret);
	clean_up(&transfer);
	if (code != CURLE_OK)
		fail_msg("%s: %s", req->path, curl_easy_strerror(code));
}

unsigned http_session_connections(const struct http_session *session)
{
	return session->connections;
}

void http_perform(
	unsigned port, const struct http_request *req, struct http_response *ret)
{
	struct http_session *session = http_session_create(port);
	http_session_perform(session, req, ret);
	http_session_destroy(session);
}

void http_get(unsigned port, const char *path, struct http_response *ret)
{
	http_perform(port, &(struct http_request){ .path = path }, ret);
}

unsigned http_get_status(unsigned port, const char *path)
{
	struct http_response res;
	http_get(port, path, &res);
	unsigned status = res.status;
	http_response_finish(&res);
	return status;
}

static void expect(struct http_response *res, const char *body)
{
	assert_int_equal(res->status, 200);
	assert_string_equal(res->body, body);
	http_response_finish(res);
}

void http_get_expecting(unsigned port, const char *path, const char *body)
{
	struct http_response res;
	http_get(port, path, &res);
	expect(&res, body);
}

/*
 * Calls in a thread of their own.
 */

struct http_call {
	CURLM *multi;
	struct transfer transfer;
	CURLcode code;
	atomic_bool hung_up;
	pthread_t thread;
};

static bool is_done(struct http_call *call)
{
	int left;
	CURLMsg *message = curl_multi_info_read(call->multi, &left);
	if (!message || message->msg != CURLMSG_DONE)
		return false;
	call->code = message->data.result;
	return true;
}

static void *transfer(void *arg)
{
	struct http_call *call = arg;
	int running;
	curl_multi_add_handle(call->multi, call->transfer.easy);
	do {
		curl_multi_perform(call->multi, &running);
		if (is_done(call))
			break;
		curl_multi_poll(call->multi, NULL, 0, PATIENCE_MS, NULL);
	} while (!atomic_load(&call->hung_up));
	curl_multi_remove_handle(call->multi, call->transfer.easy);
	curl_easy_cleanup(
		call->transfer.easy); /* with the connection, if in mid-transfer */
	return NULL;
}

struct http_call *http_start(unsigned port, const struct http_request *req)
{
	struct http_call *call = calloc(1, sizeof *call);
	assert_non_null(call);
	call->multi = curl_multi_init();
	call->code = CURLE_ABORTED_BY_CALLBACK;
	set_up(&call->transfer, curl_easy_init(), port, req);
	assert_int_equal(pthread_create(&call->thread, NULL, transfer, call), 0);
	return call;
}

struct http_call *http_start_get(unsigned port, const char *path)
{
	return http_start(port, &(struct http_request){ .path = path });
}

void http_join(struct http_call *call, struct http_response *ret)
{
	pthread_join(call->thread, NULL);
	curl_multi_cleanup(call->multi);
	if (ret)
		take_response(&call->transfer, call->code, ret);
	clean_up(&call->transfer);
	free(call);
}

void http_join_expecting(struct http_call *call, const char *body)
{
	struct http_response res;
	http_join(call, &res);
	expect(&res, body);
}

void http_hang_up(struct http_call *call)
{
	atomic_store(&call->hung_up, true);
	curl_multi_wakeup(call->multi);
	http_join(call, NULL);
}
