#ifndef HANGUP_TESTS_SUPPORT_APP_SERVER_H
#define HANGUP_TESTS_SUPPORT_APP_SERVER_H

/*
 * The service with its own routes inside the test program, on the disk of fault_vfs.h,
 * and somebody else who has the same database open. A fixture for cmocka: *state is a
 * struct app_server. Without the janitor, who writes when he likes.
 */
#include <sqlite3.h>

#include "handlers/rest/app.h"
#include "handlers/settings.h"
#include "tests/support/http.h"
#include "tests/support/test_server.h"

struct app_server {
	struct app app; /* the first: handlers of the test's own find the rest by it */
	struct test_server server;
	struct config config; /* the defaults; http is taken from server */
	const struct route *routes;
	size_t routes_count;
	sqlite3 *stranger; /* another process, so to speak */
};

int app_server_setup(void **state); /* with the service's routes */
int app_server_teardown(void **state);

/* In parts, for a test with settings or routes of its own. */
struct app_server *app_server_create(void); /* not yet started */
void app_server_start(
	struct app_server *test, const struct route *routes, size_t routes_count);

/* Stops it and starts it again, on what is on the disk. */
void app_server_restart(struct app_server *test);

/* The stranger takes the lock of all writers, and gives it back. */
void app_server_lock(struct app_server *test);
void app_server_unlock(struct app_server *test);

/* What the stranger sees. */
int64_t app_server_int(struct app_server *test, const char *sql);
int64_t app_server_rows(struct app_server *test, const char *table); /* how many */

/* "Name: value" lines for http_request::headers. */
#define HEADERS(...) ((const char *const[]){ __VA_ARGS__, NULL })

#define JSON_BODY  "Content-Type: application/json"
#define MERGE_BODY "Content-Type: application/merge-patch+json"

/* One request and its answer. headers may be NULL, and so may body. */
void app_server_perform(struct app_server *test, const char *method, const char *path,
	const char *const *headers, const char *body, struct http_response *ret);

/* The same without the answer: only its status. */
unsigned app_server_status(struct app_server *test, const char *method, const char *path,
	const char *const *headers, const char *body);

/* POSTs while a long write has the writer, with a deadline that passes while it waits,
 * and not before: a time that is too short on a busy machine runs out on the way there,
 * which is another answer (504), and then a longer one is tried. */
void app_server_post_behind_a_write(struct app_server *test, const char *path,
	const char *body, struct http_response *ret);

#endif
