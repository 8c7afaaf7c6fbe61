#include "tests/support/app_server.h"

#include <stdio.h>
#include <stdlib.h>

#include "handlers/openapi_parts.h"
#include "handlers/routes.h"
#include "tests/support/cmocka.h"
#include "tests/support/fault_vfs.h"
#include "tests/support/test_db.h"
#include "tests/support/wait.h"

struct app_server *app_server_create(void)
{
	struct app_server *test = calloc(1, sizeof *test);
	assert_non_null(test);
	test_server_init(&test->server);
	test->server.ready = app_ready;
	settings_default(&config_settings, &test->config);
	test->server.db_config.vfs = fault_vfs_use();
	return test;
}

static void open_app(struct app_server *test)
{
	test_server_open_db(&test->server);
	test->config.http = test->server.config;
	enum err err = app_init(
		&test->app, &test->config, test->server.db, openapi_parts);
	assert_int_equal(err, ERR_OK);
}

void app_server_start(
	struct app_server *test, const struct route *its_routes, size_t its_routes_count)
{
	test->routes = its_routes;
	test->routes_count = its_routes_count;
	open_app(test);
	test->stranger = test_db_stranger(test->server.db_path);
	test_server_start(&test->server, its_routes, its_routes_count, &test->app);
}

void app_server_restart(struct app_server *test)
{
	struct server_setup setup = { .settings = &test->server.config,
		.routes = test->routes,
		.routes_count = test->routes_count,
		.app = &test->app,
		.ready = app_ready };
	test_server_wait_at_rest(&test->server);
	test_server_shut_down(&test->server);
	app_finish(&test->app);
	db_close(test->server.db);
	open_app(test);
	assert_int_equal(server_create(&setup, &test->server.server), ERR_OK);
	test->server.port = server_port(test->server.server);
}

int app_server_setup(void **state)
{
	struct app_server *test = app_server_create();
	app_server_start(test, routes, routes_count);
	*state = test;
	return 0;
}

int app_server_teardown(void **state)
{
	struct app_server *test = *state;
	sqlite3_close(test->stranger);
	test_server_stop(&test->server);
	app_finish(&test->app);
	free(test);
	return 0;
}

void app_server_lock(struct app_server *test)
{
	stranger_exec(test->stranger, "BEGIN IMMEDIATE");
}

void app_server_unlock(struct app_server *test)
{
	stranger_exec(test->stranger, "ROLLBACK");
}

int64_t app_server_int(struct app_server *test, const char *sql)
{
	return stranger_int(test->stranger, sql);
}

int64_t app_server_rows(struct app_server *test, const char *table)
{
	char sql[64];
	snprintf(sql, sizeof sql, "SELECT count(*) FROM %s", table);
	return app_server_int(test, sql);
}

void app_server_perform(struct app_server *test, const char *method, const char *path,
	const char *const *headers, const char *body, struct http_response *ret)
{
	const struct http_request req = {
		.method = method, .path = path, .headers = headers, .body = body
	};
	http_perform(test->server.port, &req, ret);
}

unsigned app_server_status(struct app_server *test, const char *method, const char *path,
	const char *const *headers, const char *body)
{
	struct http_response res;
	app_server_perform(test, method, path, headers, body, &res);
	unsigned status = res.status;
	http_response_finish(&res);
	return status;
}

void app_server_post_behind_a_write(struct app_server *test, const char *path,
	const char *body, struct http_response *ret)
{
	char limit[64];
	for (int ms = 50;; ms *= 2) {
		snprintf(limit, sizeof limit, "X-Request-Timeout: %d.%03d", ms / 1000,
			ms % 1000);
		app_server_perform(
			test, "POST", path, HEADERS(JSON_BODY, limit), body, ret);
		if (ret->status != 504 || ms > PATIENCE_MS)
			return;
		http_response_finish(ret);
	}
}
