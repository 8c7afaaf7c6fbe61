#include "tests/support/stage_page.h"

#include <stdlib.h>
#include <string.h>

/*
 * The log line. That of a request that is not begun has no id, but its client's address.
 */

static const char *line_key(const struct stage_test *test)
{
	return test->stage->state ? "id" : "client";
}

static const char *line_text(const struct stage_test *test)
{
	return test->stage->state ? "victim" : test->victim.address;
}

static const char *line_message(const struct stage_test *test)
{
	return test->stage->state ? "request" : "request not begun";
}

static json_t *find_line(struct stage_test *test)
{
	return log_reader_find(
		&test->server.log, line_message(test), line_key(test), line_text(test));
}

bool stage_has_ended(struct stage_test *test)
{
	json_t *line = find_line(test);
	json_decref(line);
	return line != NULL;
}

static void keep_line(struct stage_test *test, const json_t *line)
{
	char *text = json_dumps(line, JSON_COMPACT | JSON_REAL_PRECISION(15));
	snprintf(test->log_line, sizeof test->log_line, "%s", text ? text : "");
	free(text);
}

/* The page names the fields so. */
struct field_name {
	char text[32];
};

static struct field_name name_of(const char *field)
{
	struct field_name name;
	snprintf(name.text, sizeof name.text, "log line's %s", field);
	return name;
}

void stage_expect_log(struct stage_test *test, const char *field, const char *expected)
{
	failure_page_expect(&test->page, name_of(field).text, expected);
}

static void take_field(struct failure_page *page, const char *name, const json_t *value)
{
	if (!value) {
		failure_page_came(page, name, "%s", PAGE_NOTHING);
	} else if (json_is_string(value)) {
		failure_page_came(page, name, "%s", json_string_value(value));
	} else {
		char *text = json_dumps(value, JSON_ENCODE_ANY | JSON_COMPACT);
		failure_page_came(page, name, "%s", text ? text : "(no memory)");
		free(text);
	}
}

/* Of the fields of which something is expected. */
static void take_fields(struct stage_test *test, const json_t *line)
{
	static const char prefix[] = "log line's ";
	struct failure_page *page = &test->page;
	for (unsigned i = 0; i < page->expectations_count; i++) {
		const char *name = page->expectations[i].name;
		if (strncmp(name, prefix, strlen(prefix)) == 0)
			take_field(
				page, name, json_object_get(line, name + strlen(prefix)));
	}
}

void stage_check_log(struct stage_test *test)
{
	json_t *line = log_reader_wait(
		&test->server.log, line_message(test), line_key(test), line_text(test));
	keep_line(test, line);
	failure_page_event(&test->page, "the log line is there");
	take_fields(test, line);
	json_decref(line);
	failure_page_check(&test->page);
}

/*
 * How things stand.
 */

static void print_log_line(struct stage_test *test, FILE *to)
{
	json_t *line = test->log_line[0] || !test->runs ? NULL : find_line(test);
	if (line)
		keep_line(test, line);
	json_decref(line);
	fprintf(to, "%-27s  %s\n", "the victim's log line",
		test->log_line[0] ? test->log_line : "(none yet)");
}

static void print_handlers(struct stage_test *test, FILE *to)
{
	int result = atomic_load(&test->result);
	fprintf(to, "%-27s  %u begun, %s, %u uninvited\n", "handlers",
		atomic_load(&test->begun),
		result < 0 ? "not returned" : err_name((enum err)result),
		atomic_load(&test->uninvited));
}

static void print_gate(struct gate *gate, const char *name, FILE *to)
{
	fprintf(to, " %s %s", gate_is_open(gate) ? "open" : "shut", name);
}

static void print_gates(struct stage_test *test, FILE *to)
{
	fprintf(to, "%-27s ", "gates");
	print_gate(&test->holding.held, "held,", to);
	print_gate(&test->holding.let_go, "let_go,", to);
	print_gate(&test->reached, "reached,", to);
	print_gate(&test->fired, "fired,", to);
	print_gate(&test->synced, "synced,", to);
	print_gate(&test->sync, "sync\n", to);
}

static void print_lane(const char *name, const struct pool_stats *lane, FILE *to)
{
	fprintf(to, "%-27s  %u queued, %u running, %u waiting, %llu refused\n", name,
		lane->queued, lane->running, lane->waiting,
		(unsigned long long)lane->refused);
}

static void print_server_stats(struct stage_test *test, FILE *to)
{
	struct server_stats stats = test_server_stats(&test->server);
	fprintf(to, "%-27s  %u in flight, %u connections, %llu begun\n", "the server",
		stats.in_flight, stats.connections, (unsigned long long)stats.requests);
	fprintf(to, "%-27s ", "cancelled");
	for (int i = CANCEL_NONE + 1; i < CANCEL_CAUSES; i++)
		fprintf(to, " %llu %s%s", (unsigned long long)stats.cancelled[i],
			cancel_cause_name((enum cancel_cause)i),
			i + 1 < CANCEL_CAUSES ? "," : "\n");
	print_lane("the short lane", &stats.lanes[LANE_SHORT], to);
	print_lane("the long lane", &stats.lanes[LANE_LONG], to);
}

static void print_db_stats(struct stage_test *test, FILE *to)
{
	struct db_stats stats = test_db_stats(&test->server);
	fprintf(to,
		"%-27s  %u readers lent, %u waited for, %u writes waiting, %llu committed, "
		"%llu undone\n",
		"the database", stats.readers_lent, stats.readers_waited_for,
		stats.writes_waiting, (unsigned long long)stats.writes_committed,
		(unsigned long long)stats.writes_undone);
}

static enum err print_request(void *arg, const struct request_view *view)
{
	fprintf(arg, "%-27s  %s %s of %s: %s, waits for %s\n", "in flight",
		view->begun ? view->id : "(not begun)",
		view->route ? view->route->path : "", view->client, view->state,
		view->waits_for ? view->waits_for : "nothing");
	return ERR_OK;
}

void stage_describe(void *arg, FILE *to)
{
	struct stage_test *test = arg;
	print_log_line(test, to);
	print_handlers(test, to);
	if (!test->runs) {
		fprintf(to, "%-27s  not running\n", "the server");
		return;
	}
	print_gates(test, to);
	print_db_stats(test, to);
	if (!test->server.server) {
		fprintf(to, "%-27s  shut down\n", "the server");
		return;
	}
	print_server_stats(test, to);
	server_visit_requests(test->server.server, print_request, to);
}
