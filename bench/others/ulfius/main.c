/*
 * The inventory service as it is written with Ulfius: a function for each endpoint, a
 * json_t for each row, an import's body in memory, a thread for each connection, as
 * ulfius_start_framework() has it. bench/compare measures it beside hangup; it serves a
 * database that hangup has made.
 *
 * SQLite connections come from a pool behind a mutex. One for each thread would be one
 * for each client that keeps its connection open: too many files and page caches.
 *
 * Ulfius does not tell a handler that its client has left.
 *
 * Usage: ulfius_service PORT DATABASE
 */
#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sqlite3.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <ulfius.h>

enum {
	NAME_MAX_CHARS = 200,
	CATEGORY_MAX_CHARS = 64,
	LIMIT_MAX = 1000,
	READERS = 16,
	BLOCK_SIZE = 65536,
};

#define QUANTITY_MAX INT64_C(2147483647)
#define PRICE_MAX    INT64_C(9007199254740991)

/*
 * The database.
 */

#define COLUMNS \
	"id, name, category, quantity, price_cents, created_at, updated_at, version"

enum { GET, LIST, EXPORT, REPORT, INSERT, BEGIN, COMMIT, ROLLBACK, STATEMENTS };

static const char *const statements[STATEMENTS] = {
	[GET] = "SELECT " COLUMNS " FROM items WHERE id = ?",
	[LIST] = "SELECT " COLUMNS " FROM items ORDER BY id LIMIT ?",
	[EXPORT] = "SELECT " COLUMNS " FROM items ORDER BY id",
	/* The middle one of an odd number of prices is at both places. */
	[REPORT] =
		"WITH ranked AS (SELECT category, price_cents, quantity,"
		" row_number() OVER (PARTITION BY category ORDER BY price_cents) AS place,"
		" count(*) OVER (PARTITION BY category) AS among FROM items)"
		" SELECT category, count(*), sum(quantity), sum(quantity * price_cents),"
		" avg(CASE WHEN place IN ((among + 1) / 2, among / 2 + 1)"
		" THEN price_cents END)"
		" FROM ranked GROUP BY category ORDER BY category",
	[INSERT] = "INSERT INTO items (name, category, quantity, price_cents, created_at,"
		   " updated_at, version) VALUES (?1, ?2, ?3, ?4, ?5, ?5, 1)",
	[BEGIN] = "BEGIN IMMEDIATE",
	[COMMIT] = "COMMIT",
	[ROLLBACK] = "ROLLBACK",
};

struct conn {
	struct pool *pool;
	struct conn *next; /* pool's lock */
	sqlite3 *sqlite;
	sqlite3_stmt *stmts[STATEMENTS];
};

struct pool {
	pthread_mutex_t lock;
	pthread_cond_t given_back;
	struct conn *idle; /* lock */
};

#define POOL_INIT                                                         \
	{                                                                 \
		PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, NULL \
	}

static struct pool readers = POOL_INIT;
static struct pool writers = POOL_INIT; /* of one */

/* The settings that hangup's connections have. An import changes pages of every index
 * over and over; a cache that has room for them all writes each of them once. */
#define PRAGMAS                      \
	"PRAGMA journal_mode = WAL;" \
	"PRAGMA synchronous = FULL;" \
	"PRAGMA foreign_keys = ON;"  \
	"PRAGMA mmap_size = 1073741824;"
#define READER_PRAGMAS PRAGMAS "PRAGMA cache_size = -2000; PRAGMA query_only = ON;"
#define WRITER_PRAGMAS PRAGMAS "PRAGMA cache_size = -262144;"

static struct conn *take(struct pool *pool)
{
	pthread_mutex_lock(&pool->lock);
	while (!pool->idle)
		pthread_cond_wait(&pool->given_back, &pool->lock);
	struct conn *conn = pool->idle;
	pool->idle = conn->next;
	pthread_mutex_unlock(&pool->lock);
	return conn;
}

static void give_back(struct conn *conn)
{
	struct pool *pool = conn->pool;
	pthread_mutex_lock(&pool->lock);
	conn->next = pool->idle;
	pool->idle = conn;
	pthread_mutex_unlock(&pool->lock);
	pthread_cond_signal(&pool->given_back);
}

static void open_conn(struct pool *pool, const char *file, const char *pragmas)
{
	struct conn *conn = calloc(1, sizeof *conn);
	if (!conn)
		exit(1);
	conn->pool = pool;
	int code = sqlite3_open_v2(
		file, &conn->sqlite, SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX, NULL);
	sqlite3_busy_timeout(conn->sqlite, 5000);
	if (code == SQLITE_OK)
		code = sqlite3_exec(conn->sqlite, pragmas, NULL, NULL, NULL);
	for (int i = 0; i < STATEMENTS && code == SQLITE_OK; i++)
		code = sqlite3_prepare_v3(conn->sqlite, statements[i], -1,
			SQLITE_PREPARE_PERSISTENT, &conn->stmts[i], NULL);
	if (code != SQLITE_OK) {
		fprintf(stderr, "%s: %s\n", file, sqlite3_errmsg(conn->sqlite));
		exit(1);
	}
	give_back(conn);
}

static void close_pool(struct pool *pool)
{
	while (pool->idle) {
		struct conn *conn = pool->idle;
		pool->idle = conn->next;
		for (int i = 0; i < STATEMENTS; i++)
			sqlite3_finalize(conn->stmts[i]);
		sqlite3_close(conn->sqlite);
		free(conn);
	}
}

/* Runs a statement that has no rows. */
static bool run(sqlite3_stmt *stmt)
{
	int code = sqlite3_step(stmt);
	sqlite3_reset(stmt);
	return code == SQLITE_DONE;
}

/*
 * Items.
 */

static int64_t now_ms(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void format_time(int64_t ms, char ret[static 40])
{
	time_t seconds = (time_t)(ms / 1000);
	struct tm tm;
	gmtime_r(&seconds, &tm);
	size_t len = strftime(ret, 40, "%Y-%m-%dT%H:%M:%S", &tm);
	snprintf(ret + len, 40 - len, ".%03dZ", (int)(ms % 1000));
}

static json_t *item(int64_t id, const char *name, const char *category, int64_t quantity,
	int64_t price_cents, int64_t created_ms, int64_t updated_ms, int64_t version)
{
	char created[40];
	char updated[40];
	format_time(created_ms, created);
	format_time(updated_ms, updated);
	return json_pack("{s:I, s:s, s:s, s:I, s:I, s:s, s:s, s:I}", "id", (json_int_t)id,
		"name", name, "category", category, "quantity", (json_int_t)quantity,
		"price_cents", (json_int_t)price_cents, "created_at", created,
		"updated_at", updated, "version", (json_int_t)version);
}

static json_t *item_of_row(sqlite3_stmt *row)
{
	return item(sqlite3_column_int64(row, 0),
		(const char *)sqlite3_column_text(row, 1),
		(const char *)sqlite3_column_text(row, 2), sqlite3_column_int64(row, 3),
		sqlite3_column_int64(row, 4), sqlite3_column_int64(row, 5),
		sqlite3_column_int64(row, 6), sqlite3_column_int64(row, 7));
}

struct new_item {
	const char *name;
	const char *category;
	json_int_t quantity;
	json_int_t price_cents;
};

/* 1 to max characters, none of them a control character. */
static bool is_text(const char *text, size_t len, size_t max)
{
	size_t chars = 0;
	for (size_t i = 0; i < len; i++) {
		unsigned char c = (unsigned char)text[i];
		if (c < 0x20 || c == 0x7f)
			return false;
		if (c == 0xc2 && (unsigned char)text[i + 1] < 0xa0)
			return false;
		chars += (c & 0xc0) != 0x80;
	}
	return chars >= 1 && chars <= max;
}

/* Its texts are json's. */
static bool read_item(json_t *json, struct new_item *ret_item)
{
	struct new_item new = { 0 };
	size_t name_len;
	size_t category_len;
	if (json_unpack_ex(json, NULL, JSON_STRICT, "{s:s%, s:s%, s?I, s?I}", "name",
		    &new.name, &name_len, "category", &new.category, &category_len,
		    "quantity", &new.quantity, "price_cents", &new.price_cents) != 0)
		return false;
	if (!is_text(new.name, name_len, NAME_MAX_CHARS) ||
		!is_text(new.category, category_len, CATEGORY_MAX_CHARS) ||
		new.quantity < 0 || new.quantity > QUANTITY_MAX || new.price_cents < 0 ||
		new.price_cents > PRICE_MAX)
		return false;
	*ret_item = new;
	return true;
}

static bool insert(struct conn *conn, const struct new_item *new, int64_t now)
{
	sqlite3_stmt *stmt = conn->stmts[INSERT];
	sqlite3_bind_text(stmt, 1, new->name, -1, SQLITE_STATIC);
	sqlite3_bind_text(stmt, 2, new->category, -1, SQLITE_STATIC);
	sqlite3_bind_int64(stmt, 3, new->quantity);
	sqlite3_bind_int64(stmt, 4, new->price_cents);
	sqlite3_bind_int64(stmt, 5, now);
	return run(stmt);
}

/*
 * Endpoints.
 */

typedef const struct _u_request request;
typedef struct _u_response response;

/* Takes body. */
static int answer(response *res, unsigned status, json_t *body)
{
	ulfius_set_json_body_response(res, status, body);
	json_decref(body);
	return U_CALLBACK_COMPLETE;
}

static int refuse(response *res, unsigned status, const char *detail)
{
	return answer(res, status, json_pack("{s:s}", "error", detail));
}

static bool read_number(const char *text, int64_t *ret)
{
	char *end = NULL;
	errno = 0;
	long long number = text ? strtoll(text, &end, 10) : 0;
	if (errno != 0 || end == text || !end || *end != '\0')
		return false;
	*ret = number;
	return true;
}

static int get_health(request *req, response *res, void *arg)
{
	(void)req;
	(void)arg;
	return answer(res, 200, json_pack("{s:s}", "status", "ok"));
}

static void add_etag(response *res, int64_t version)
{
	char etag[32];
	snprintf(etag, sizeof etag, "\"%lld\"", (long long)version);
	ulfius_add_header_to_response(res, "ETag", etag);
}

static int get_item(request *req, response *res, void *arg)
{
	int64_t id;
	json_t *json = NULL;
	(void)arg;
	if (!read_number(u_map_get(req->map_url, "id"), &id))
		return refuse(res, 404, "no such resource");
	struct conn *conn = take(&readers);
	sqlite3_stmt *stmt = conn->stmts[GET];
	sqlite3_bind_int64(stmt, 1, id);
	int code = sqlite3_step(stmt);
	if (code == SQLITE_ROW) {
		json = item_of_row(stmt);
		add_etag(res, sqlite3_column_int64(stmt, 7));
	}
	sqlite3_reset(stmt);
	give_back(conn);
	if (code != SQLITE_ROW && code != SQLITE_DONE)
		return U_CALLBACK_ERROR;
	return json ? answer(res, 200, json) : refuse(res, 404, "no such item");
}

/* Runs stmt and returns what json_of makes of its rows; NULL if it failed. */
static json_t *rows_to_json(sqlite3_stmt *stmt, json_t *json_of(sqlite3_stmt *row))
{
	json_t *rows = json_array();
	int code;
	while ((code = sqlite3_step(stmt)) == SQLITE_ROW)
		json_array_append_new(rows, json_of(stmt));
	sqlite3_reset(stmt);
	if (code == SQLITE_DONE)
		return rows;
	json_decref(rows);
	return NULL;
}

static int get_items(request *req, response *res, void *arg)
{
	int64_t limit;
	(void)arg;
	if (!read_number(u_map_get(req->map_url, "limit"), &limit) || limit < 1 ||
		limit > LIMIT_MAX)
		return refuse(res, 400, "limit must be 1 to 1000");
	struct conn *conn = take(&readers);
	sqlite3_bind_int64(conn->stmts[LIST], 1, limit);
	json_t *items = rows_to_json(conn->stmts[LIST], item_of_row);
	give_back(conn);
	if (!items)
		return U_CALLBACK_ERROR;
	return answer(res, 200, json_pack("{s:o}", "items", items));
}

static int post_item(request *req, response *res, void *arg)
{
	struct new_item new;
	char location[64];
	(void)arg;
	json_t *body = ulfius_get_json_body_request(req, NULL);
	if (!body)
		return refuse(res, 400, "the body must be one item");
	if (!read_item(body, &new)) {
		json_decref(body);
		return refuse(res, 422, "the item breaks a rule");
	}
	int64_t now = now_ms();
	struct conn *conn = take(&writers);
	bool done = insert(conn, &new, now);
	int64_t id = sqlite3_last_insert_rowid(conn->sqlite);
	give_back(conn);
	json_t *json = done ? item(id, new.name, new.category, new.quantity,
				      new.price_cents, now, now, 1)
			    : NULL;
	json_decref(body);
	if (!json)
		return U_CALLBACK_ERROR;
	snprintf(location, sizeof location, "/v1/items/%lld", (long long)id);
	ulfius_add_header_to_response(res, "Location", location);
	add_etag(res, 1);
	return answer(res, 201, json);
}

/* An export on its way: what did not fit of a row waits for the next block. */
struct export
{
	struct conn *conn;
	int code;   /* of the last step */
	char *line; /* or NULL */
	size_t len;
	size_t sent;
};

/* False when there is none left, or on an error. */
static bool next_line(struct export *export)
{
	if (export->code != SQLITE_ROW) /* a further step would start again */
		return false;
	export->code = sqlite3_step(export->conn->stmts[EXPORT]);
	if (export->code != SQLITE_ROW)
		return false;
	json_t *json = item_of_row(export->conn->stmts[EXPORT]);
	export->line = json_dumps(json, JSON_COMPACT);
	export->len = strlen(export->line);
	export->sent = 0;
	export->line[export->len++] = '\n'; /* in the place of the NUL */
	json_decref(json);
	return true;
}

static ssize_t export_block(void *arg, uint64_t offset, char *block, size_t max)
{
	struct export *export = arg;
	size_t filled = 0;
	(void)offset;
	while (filled < max && (export->line || next_line(export))) {
		size_t len = export->len - export->sent;
		if (len > max - filled)
			len = max - filled;
		memcpy(block + filled, export->line + export->sent, len);
		filled += len;
		export->sent += len;
		if (export->sent < export->len)
			break;
		free(export->line);
		export->line = NULL;
	}
	if (filled > 0)
		return (ssize_t)filled;
	return export->code == SQLITE_DONE ? U_STREAM_END : U_STREAM_ERROR;
}

static void end_export(void *arg)
{
	struct export *export = arg;
	sqlite3_reset(export->conn->stmts[EXPORT]);
	give_back(export->conn);
	free(export->line);
	free(export);
}

static int get_export(request *req, response *res, void *arg)
{
	(void)req;
	(void)arg;
	struct export *export = calloc(1, sizeof *export);
	if (!export)
		return U_CALLBACK_ERROR;
	export->conn = take(&readers);
	export->code = SQLITE_ROW;
	ulfius_add_header_to_response(res, "Content-Type", "application/x-ndjson");
	ulfius_set_stream_response(res, 200, export_block, end_export,
		U_STREAM_SIZE_UNKNOWN, BLOCK_SIZE, export);
	return U_CALLBACK_COMPLETE;
}

/* Returns the status of the answer. */
static unsigned insert_lines(
	struct conn *conn, const char *text, size_t len, json_int_t *ret_count)
{
	const char *end = text + len;
	int64_t now = now_ms();
	while (text < end) {
		struct new_item new;
		const char *newline = memchr(text, '\n', (size_t)(end - text));
		const char *line_end = newline ? newline : end;
		json_t *json = json_loadb(text, (size_t)(line_end - text), 0, NULL);
		unsigned status = !json ? 400 : !read_item(json, &new) ? 422 : 200;
		if (status == 200 && !insert(conn, &new, now))
			status = 500;
		json_decref(json);
		++*ret_count;
		if (status != 200)
			return status;
		text = line_end + 1;
	}
	return 200;
}

static int post_import(request *req, response *res, void *arg)
{
	json_int_t count = 0;
	char detail[64];
	(void)arg;
	struct conn *conn = take(&writers);
	unsigned status = run(conn->stmts[BEGIN]) ? 200 : 500;
	if (status == 200)
		status = insert_lines(
			conn, req->binary_body, req->binary_body_length, &count);
	if (status == 200 && !run(conn->stmts[COMMIT]))
		status = 500;
	if (status != 200)
		run(conn->stmts[ROLLBACK]);
	give_back(conn);
	if (status == 500)
		return U_CALLBACK_ERROR;
	if (status == 200)
		return answer(res, 200, json_pack("{s:I}", "imported", count));
	snprintf(detail, sizeof detail, "line %lld is no item", (long long)count);
	return refuse(res, status, detail);
}

static json_t *number(double value)
{
	return value == (double)(json_int_t)value ? json_integer((json_int_t)value)
						  : json_real(value);
}

static json_t *group_of_row(sqlite3_stmt *row)
{
	return json_pack("{s:s, s:I, s:I, s:I, s:o}", "category",
		(const char *)sqlite3_column_text(row, 0), "count",
		(json_int_t)sqlite3_column_int64(row, 1), "total_quantity",
		(json_int_t)sqlite3_column_int64(row, 2), "total_value_cents",
		(json_int_t)sqlite3_column_int64(row, 3), "median_price_cents",
		number(sqlite3_column_double(row, 4)));
}

/* Tells bench_leave when it has ended. */
static int get_report(request *req, response *res, void *arg)
{
	(void)req;
	(void)arg;
	struct conn *conn = take(&readers);
	json_t *groups = rows_to_json(conn->stmts[REPORT], group_of_row);
	give_back(conn);
	int result = groups ? answer(res, 200, json_pack("{s:o}", "groups", groups))
			    : U_CALLBACK_ERROR;
	puts("report ended");
	return result;
}

static const struct endpoint {
	const char *method;
	const char *path;
	unsigned priority; /* 0 is asked first */
	int (*handle)(request *req, response *res, void *arg);
} endpoints[] = {
	{ "GET", "/healthz", 0, get_health },
	{ "GET", "/v1/items", 0, get_items },
	{ "POST", "/v1/items", 0, post_item },
	{ "GET", "/v1/items/export", 0, get_export },
	{ "POST", "/v1/items/import", 0, post_import },
	{ "GET", "/v1/items/:id", 1, get_item },
	{ "GET", "/v1/reports/inventory", 0, get_report },
};

static bool start(struct _u_instance *instance, struct sockaddr_in *address)
{
	if (ulfius_init_instance(instance, ntohs(address->sin_port), address, NULL) !=
		U_OK)
		return false;
	for (size_t i = 0; i < sizeof endpoints / sizeof *endpoints; i++)
		ulfius_add_endpoint_by_val(instance, endpoints[i].method, NULL,
			endpoints[i].path, endpoints[i].priority, endpoints[i].handle,
			NULL);
	return ulfius_start_framework(instance) == U_OK;
}

int main(int argc, char **argv)
{
	struct _u_instance instance;
	sigset_t ends;
	int signal_number;
	if (argc != 3) {
		fprintf(stderr, "Usage: %s PORT DATABASE\n", argv[0]);
		return 2;
	}
	setvbuf(stdout, NULL, _IOLBF, 0); /* bench_leave reads lines as they come */
	sigemptyset(&ends);
	sigaddset(&ends, SIGINT);
	sigaddset(&ends, SIGTERM);
	pthread_sigmask(SIG_BLOCK, &ends, NULL);

	for (int i = 0; i < READERS; i++)
		open_conn(&readers, argv[2], READER_PRAGMAS);
	open_conn(&writers, argv[2], WRITER_PRAGMAS);
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)atoi(argv[1])),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	if (!start(&instance, &address)) {
		fprintf(stderr, "cannot serve on port %s\n", argv[1]);
		return 1;
	}
	sigwait(&ends, &signal_number);
	ulfius_stop_framework(&instance);
	ulfius_clean_instance(&instance);
	close_pool(&readers);
	close_pool(&writers);
	return 0;
}
