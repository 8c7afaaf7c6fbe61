/*
 * What lines look like, and that writing them neither loses one silently nor
 * holds up whoever logs. JSON is checked by another library's parser.
 */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <jansson.h>

#include "service/core/log.h"
#include "service/core/log_line.h"
#include "tests/support/cmocka.h"

static const int64_t some_ms = 1795414028123; /* 2026-11-23T06:07:08.123Z */
static const struct log_style text_style = { LOG_FORMAT_TEXT, false };
static const struct log_style json_style = { LOG_FORMAT_JSON, false };

/*
 * Lines.
 */

/* One line, NUL-terminated; valid until the next call. */
static const char *line_of(
	struct log_style style, const struct log_field *fields, size_t count)
{
	static char line[LOG_LINE_SIZE + 1];
	size_t len = log_line_format(
		line, style, some_ms, LOG_LEVEL_INFO, "listening", fields, count);
	assert_in_range(len, 1, LOG_LINE_SIZE);
	assert_int_equal(line[len - 1], '\n');
	line[len] = '\0';
	assert_ptr_equal(strchr(line, '\n'), line + len - 1);
	return line;
}

static json_t *parsed(const char *line)
{
	json_error_t error;
	json_t *json = json_loads(line, JSON_REJECT_DUPLICATES | JSON_ALLOW_NUL, &error);
	if (!json)
		fail_msg("%s in: %s", error.text, line);
	return json;
}

#define FIELDS(...)                                                 \
	(const struct log_field[]){ __VA_ARGS__ },                  \
		sizeof((const struct log_field[]){ __VA_ARGS__ }) / \
		sizeof(struct log_field)

static void text_is_aligned_for_people(void **state)
{
	(void)state;
	assert_string_equal(
		line_of(text_style,
			FIELDS(LOG_STR("addr", "::1"), LOG_INT("port", 8080))),
		"2026-11-23T06:07:08.123Z INFO  listening                addr=::1 port=8080\n");
}

static void text_quotes_what_could_be_misread(void **state)
{
	(void)state;
	assert_string_equal(
		strstr(line_of(text_style,
			       FIELDS(LOG_STR("a", ""), LOG_STR("b", "x y"),
				       LOG_STR("c", "x=y"), LOG_STR("d", "\"\\"),
				       LOG_STR("e", "a\nb\033[0m"),
				       LOG_STR("f", "/v1/things?q"))),
			" a="),
		" a=\"\" b=\"x y\" c=\"x=y\" d=\"\\\"\\\\\" e=\"a\\nb\\u001b[0m\" f=/v1/things?q\n");
}

static void text_is_coloured_by_level(void **state)
{
	(void)state;
	const struct log_style style = { LOG_FORMAT_TEXT, true };
	assert_string_equal(line_of(style, FIELDS(LOG_BOOL("tls", false))),
		"2026-11-23T06:07:08.123Z\033[32m INFO  \033[0mlistening                tls=false\n");
}

static void json_is_an_object_a_line(void **state)
{
	(void)state;
	assert_string_equal(
		line_of(json_style,
			FIELDS(LOG_STR("addr", "::1"), LOG_NAME("state", "sending"),
				LOG_INT("port", 8080), LOG_MS("took_ms", 1234567),
				LOG_BOOL("tls", 2), LOG_ERR(ERR_DEADLINE))),
		"{\"time\":\"2026-11-23T06:07:08.123Z\",\"level\":\"info\","
		"\"message\":\"listening\",\"addr\":\"::1\",\"state\":\"sending\",\"port\":8080,"
		"\"took_ms\":1.235,\"tls\":true,\"error\":\"deadline\"}\n");
}

static void an_absent_text_leaves_its_field_out(void **state)
{
	(void)state;
	struct span absent = { NULL, 0 };
	struct span empty = SPAN_LITERAL("");
	assert_non_null(strstr(
		line_of(json_style,
			FIELDS(LOG_STR("a", NULL), LOG_NAME("b", NULL),
				LOG_SPAN("c", absent), { 0 }, LOG_SPAN("d", empty))),
		"\"message\":\"listening\",\"d\":\"\"}\n"));
}

static void the_time_of_each_second_is_right(void **state)
{
	(void)state;
	static const struct {
		int64_t ms;
		const char *time;
	} cases[] = {
		{ some_ms, "2026-11-23T06:07:08.123Z" },
		{ some_ms + 876, "2026-11-23T06:07:08.999Z" },
		{ some_ms + 877, "2026-11-23T06:07:09.000Z" },
		{ some_ms, "2026-11-23T06:07:08.123Z" },
		{ 0, "1970-01-01T00:00:00.000Z" },
	};
	char line[LOG_LINE_SIZE];
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
		log_line_format(
			line, text_style, cases[i].ms, LOG_LEVEL_INFO, "x", NULL, 0);
		assert_memory_equal(line, cases[i].time, strlen(cases[i].time));
	}
}

static void numbers_are_exact(void **state)
{
	(void)state;
	assert_string_equal(
		strstr(line_of(text_style,
			       FIELDS(LOG_INT("a", 0), LOG_INT("b", INT64_MAX),
				       LOG_INT("c", INT64_MIN), LOG_INT("d", -1),
				       LOG_MS("e", 0), LOG_MS("f", 499), LOG_MS("g", 500),
				       LOG_MS("h", 999999499), LOG_MS("i", -1500000),
				       LOG_MS("j", INT64_MIN), LOG_MS("k", INT64_MAX))),
			" a="),
		" a=0 b=9223372036854775807 c=-9223372036854775808 d=-1 e=0.000 f=0.000 g=0.001"
		" h=999.999 i=-1.500 j=-9223372036854.776 k=9223372036854.776\n");
}

/* What a JSON parser makes of a text field with these bytes. */
static void assert_reads_as(struct span bytes, struct span expected)
{
	json_t *json = parsed(line_of(json_style, FIELDS(LOG_SPAN("x", bytes))));
	const json_t *x = json_object_get(json, "x");
	assert_int_equal(json_string_length(x), expected.len);
	assert_memory_equal(json_string_value(x), expected.data, expected.len);
	json_decref(json);
}

static void every_ascii_byte_survives_json(void **state)
{
	(void)state;
	for (int byte = 0; byte < 0x80; byte++) {
		const char text[] = { 'a', (char)byte, 'z' };
		assert_reads_as((struct span){ text, 3 }, (struct span){ text, 3 });
		assert_reads_as(
			(struct span){ text + 1, 1 }, (struct span){ text + 1, 1 });
		const char *line = line_of(
			json_style, FIELDS(LOG_SPAN("x", ((struct span){ text, 3 }))));
		for (const char *at = line; at[1]; at++)
			assert_in_range(*at, ' ', '~');
	}
}

static void every_character_survives_json(void **state)
{
	(void)state;
	static const char *const texts[] = { "\u00a0", "\u00ff", "\u07ff", "\u0800",
		"\ue000", "\xed\x9f\xbf", "\uffff", "\U00010000", "\U0010ffff",
		"na\u00efve \u20ac \U0001f600!", "\xc2\x80", "\xc2\x9b" };
	for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
		assert_reads_as(span_of(texts[i]), span_of(texts[i]));
}

static void terminals_get_no_control_characters(void **state)
{
	(void)state;
	assert_non_null(strstr(line_of(text_style,
				       FIELDS(LOG_STR("x",
					       "\xc2\x9b"
					       "2J\x7f"))),
		" x=\"\\u009b2J\\u007f\"\n"));
}

static void invalid_utf8_is_replaced(void **state)
{
	(void)state;
#define BAD "\xef\xbf\xbd"
	static const char *const cases[][2] = {
		{ "\x80", BAD },
		{ "a\xff"
		  "b",
			"a" BAD "b" },
		{ "\xc3", BAD },
		{ "\xc3(", BAD "(" },
		{ "\xc0\xaf", BAD BAD },                 /* overlong */
		{ "\xe0\x80\x80", BAD BAD BAD },         /* overlong */
		{ "\xed\xa0\x80", BAD BAD BAD },         /* a surrogate */
		{ "\xf4\x90\x80\x80", BAD BAD BAD BAD }, /* above U+10FFFF */
		{ "\xf5\x80\x80\x80", BAD BAD BAD BAD },
		{ "\xe2\x82", BAD BAD },
		{ "\xf0\x9f\x98", BAD BAD BAD },
		{ "\xe2\x82\xac\xe2", "\xe2\x82\xac" BAD },
	};
	for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
		assert_reads_as(span_of(cases[i][0]), span_of(cases[i][1]));
}

/* Around every place where a line can become too long. */
static void an_overlong_line_is_cut_and_says_so(void **state)
{
	(void)state;
	static const char *const fillers[] = { "x", "\n", "\x01", "\"", "\xff", "\u00e9",
		"\U0001f600" };
	static char text[LOG_LINE_SIZE + 200];
	for (size_t i = 0; i < sizeof fillers / sizeof fillers[0]; i++) {
		size_t unit = strlen(fillers[i]);
		for (size_t len = 0; len + unit <= sizeof text; len += unit) {
			memcpy(text + len, fillers[i], unit);
			if (len % 64 > 4 && len < LOG_LINE_SIZE - 400 && len % 97)
				continue;
			struct span span = { text, len };
			json_t *json = parsed(line_of(json_style,
				FIELDS(LOG_SPAN("x", span), LOG_INT("y", INT64_MIN),
					LOG_NAME("z", "a_name_of_some_length"),
					LOG_STR("q", "end"))));
			bool whole = json_object_get(json, "q") != NULL &&
				json_string_length(json_object_get(json, "q")) == 3;
			assert_int_equal(
				!whole, json_is_true(json_object_get(json, "truncated")));
			json_decref(json);
			line_of(text_style, FIELDS(LOG_SPAN("x", span), LOG_INT("y", 1)));
		}
	}
}

/*
 * The log as a whole: it writes to one end of a pipe, a thread of the test
 * collects what comes out of the other.
 */

struct reader {
	int in;
	int out;
	char *text; /* set by the thread */
	size_t len;
	pthread_t thread;
};

static void *collect(void *arg)
{
	struct reader *reader = arg;
	size_t size = 0;
	ssize_t got;
	do {
		if (size - reader->len < 65536)
			reader->text = realloc(reader->text, size = 2 * size + 65537);
		got = read(
			reader->out, reader->text + reader->len, size - 1 - reader->len);
		if (got > 0)
			reader->len += (size_t)got;
	} while (got > 0);
	reader->text[reader->len] = '\0';
	return NULL;
}

static void reader_open(struct reader *reader)
{
	int ends[2];
	assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
	*reader = (struct reader){ .in = ends[1], .out = ends[0] };
}

static void reader_read(struct reader *reader)
{
	assert_int_equal(pthread_create(&reader->thread, NULL, collect, reader), 0);
}

/* Ends the stream; what was written is in text. */
static void reader_close(struct reader *reader)
{
	close(reader->in);
	pthread_join(reader->thread, NULL);
	close(reader->out);
}

static size_t lines_in(const char *text)
{
	size_t lines = 0;
	for (; (text = strchr(text, '\n')); text++)
		lines++;
	return lines;
}

static void levels_below_the_threshold_are_not_written(void **state)
{
	(void)state;
	static const char *const expected[LOG_LEVELS] = { "diwe", "iwe", "we", "e" };
	int evaluated = 0;
	for (int level = 0; level < LOG_LEVELS; level++) {
		struct reader reader;
		reader_open(&reader);
		reader_read(&reader);
		assert_int_equal(
			log_start((enum log_level)level, LOG_FORMAT_TEXT, reader.in),
			ERR_OK);
		log_debug("d", LOG_INT("n", ++evaluated));
		log_info("i");
		log_warn("w");
		log_error("e");
		log_line(LOG_LEVEL_DEBUG, "d", NULL, 0);
		log_stop();
		reader_close(&reader);
		assert_int_equal(
			lines_in(reader.text), strlen(expected[level]) + (level == 0));
		for (const char *message = expected[level]; *message; message++) {
			char padded[] = " ? ";
			padded[1] = *message;
			assert_non_null(strstr(reader.text, padded));
		}
		free(reader.text);
	}
	assert_int_equal(evaluated, 1);
}

static void it_starts_once_and_again_after_a_stop(void **state)
{
	(void)state;
	for (int round = 0; round < 3; round++) {
		struct reader reader;
		reader_open(&reader);
		reader_read(&reader);
		assert_int_equal(
			log_start(LOG_LEVEL_INFO, LOG_FORMAT_JSON, reader.in), ERR_OK);
		assert_int_equal(
			log_start(LOG_LEVEL_INFO, LOG_FORMAT_JSON, reader.in), ERR_BUSY);
		log_info("while it runs");
		log_stop();
		log_stop();
		log_info("directly");
		reader_close(&reader);
		assert_int_equal(lines_in(reader.text), 2);
		assert_non_null(strstr(reader.text, "while it runs"));
		assert_non_null(strstr(strchr(reader.text, '\n'), "\"directly\""));
		free(reader.text);
	}
}

static void logging_keeps_errno(void **state)
{
	(void)state;
	struct reader reader;
	reader_open(&reader);
	reader_read(&reader);
	assert_int_equal(log_start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, reader.in), ERR_OK);
	errno = ENOTTY;
	log_info("running");
	assert_int_equal(errno, ENOTTY);
	log_stop();
	reader_close(&reader);
	free(reader.text);
	errno = ENOTTY;
	log_info("into a closed fd");
	assert_int_equal(errno, ENOTTY);
}

enum { WRITERS = 8, LINES_EACH = 4000 };

static void *write_lines(void *arg)
{
	const int64_t *writer = arg;
	char long_text[300];
	memset(long_text, 'a' + (int)*writer, sizeof long_text);
	for (int64_t i = 0; i < LINES_EACH; i++)
		log_info("line", LOG_INT("writer", *writer), LOG_INT("n", i),
			LOG_SPAN(
				"text", ((struct span){ long_text, (size_t)(i % 300) })));
	return NULL;
}

static int64_t int_of(const json_t *line, const char *key)
{
	return json_integer_value(json_object_get(line, key));
}

/* Checks that every line is whole, and each writer's are in order; returns how
 * many there are, reports of drops aside, whose sum is added to *dropped. */
static int64_t check_lines(char *text, int64_t *dropped)
{
	int64_t next[WRITERS] = { 0 };
	int64_t count = 0;
	char *saved = NULL;
	for (char *at = strtok_r(text, "\n", &saved); at;
		at = strtok_r(NULL, "\n", &saved)) {
		json_t *line = parsed(at);
		*dropped += int_of(line, "lines");
		if (!json_object_get(line, "lines")) {
			int64_t writer = int_of(line, "writer");
			size_t len = json_string_length(json_object_get(line, "text"));
			assert_true(int_of(line, "n") >= next[writer]);
			next[writer] = int_of(line, "n") + 1;
			assert_int_equal(len, int_of(line, "n") % 300);
			count++;
		}
		json_decref(line);
	}
	return count;
}

static void run_writers(void)
{
	pthread_t threads[WRITERS];
	int64_t numbers[WRITERS];
	for (int i = 0; i < WRITERS; i++) {
		numbers[i] = i;
		assert_int_equal(
			pthread_create(&threads[i], NULL, write_lines, &numbers[i]), 0);
	}
	for (int i = 0; i < WRITERS; i++)
		pthread_join(threads[i], NULL);
}

static void lines_of_many_threads_are_whole_in_order_and_accounted_for(void **state)
{
	(void)state;
	struct reader reader;
	int64_t dropped = 0;
	uint64_t dropped_before = log_dropped();
	reader_open(&reader);
	reader_read(&reader);
	assert_int_equal(log_start(LOG_LEVEL_INFO, LOG_FORMAT_JSON, reader.in), ERR_OK);
	run_writers();
	log_stop();
	reader_close(&reader);
	int64_t written = check_lines(reader.text, &dropped);
	assert_int_equal(written + dropped, WRITERS * LINES_EACH);
	assert_int_equal(log_dropped() - dropped_before, dropped);
	free(reader.text);
}

/* Nobody reads while the writers write, far more than the buffer and the pipe
 * hold: that they end at all is the first half of the proof. */
static void a_blocked_reader_holds_nobody_up_and_learns_what_it_missed(void **state)
{
	(void)state;
	struct reader reader;
	int64_t dropped = 0;
	uint64_t dropped_before = log_dropped();
	reader_open(&reader);
	assert_int_equal(log_start(LOG_LEVEL_INFO, LOG_FORMAT_JSON, reader.in), ERR_OK);
	run_writers();
	run_writers();
	assert_true(log_dropped() > dropped_before);
	reader_read(&reader);
	log_stop();
	reader_close(&reader);
	/* The second run begins anew: order was checked above. */
	int64_t written = 0;
	char *saved = NULL;
	for (char *at = strtok_r(reader.text, "\n", &saved); at;
		at = strtok_r(NULL, "\n", &saved)) {
		json_t *line = parsed(at);
		dropped += int_of(line, "lines");
		written += json_object_get(line, "lines") == NULL;
		json_decref(line);
	}
	assert_int_equal(written + dropped, 2 * WRITERS * LINES_EACH);
	assert_int_equal(log_dropped() - dropped_before, dropped);
	free(reader.text);
}

/* Fills a non-blocking pipe's log: EAGAIN is waited out, not spun on. */
static void a_non_blocking_fd_loses_nothing(void **state)
{
	(void)state;
	struct reader reader;
	enum { LINES = 2000 };
	reader_open(&reader);
	assert_int_equal(fcntl(reader.in, F_SETFL, O_NONBLOCK), 0);
	assert_true(fcntl(reader.in, F_SETPIPE_SZ, 4096) >= 4096);
	assert_int_equal(log_start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, reader.in), ERR_OK);
	for (int i = 0; i < LINES; i++)
		log_info("x", LOG_INT("i", i));
	reader_read(&reader);
	log_stop();
	reader_close(&reader);
	assert_int_equal(lines_in(reader.text), LINES);
	free(reader.text);
}

static void a_reader_that_left_costs_lines_but_not_the_program(void **state)
{
	(void)state;
	struct reader reader;
	uint64_t dropped_before = log_dropped();
	signal(SIGPIPE, SIG_DFL);
	reader_open(&reader);
	close(reader.out);
	assert_int_equal(log_start(LOG_LEVEL_INFO, LOG_FORMAT_TEXT, reader.in), ERR_OK);
	log_info("one");
	log_info("two");
	log_stop();
	assert_int_equal(log_dropped() - dropped_before, 2);
	log_info("three, directly");
	assert_int_equal(log_dropped() - dropped_before, 3);
	close(reader.in);
	sigset_t pending;
	sigpending(&pending);
	assert_false(sigismember(&pending, SIGPIPE));
}

/* In a child: the thread that is left behind would disturb the other tests. */
static void stopping_does_not_wait_for_a_stuck_reader_for_ever(void **state)
{
	(void)state;
	pid_t child = fork();
	if (child == 0) {
		struct reader reader;
		alarm(60);
		reader_open(&reader);
		log_start(LOG_LEVEL_INFO, LOG_FORMAT_JSON, reader.in);
		write_lines(&(int64_t){ 0 });
		log_stop();
		log_info("later");
		_exit(log_start(LOG_LEVEL_INFO, LOG_FORMAT_JSON, reader.in) == ERR_BUSY
				? 7
				: 1);
	}
	int status = 0;
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 7);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(text_is_aligned_for_people),
		cmocka_unit_test(text_quotes_what_could_be_misread),
		cmocka_unit_test(text_is_coloured_by_level),
		cmocka_unit_test(json_is_an_object_a_line),
		cmocka_unit_test(an_absent_text_leaves_its_field_out),
		cmocka_unit_test(the_time_of_each_second_is_right),
		cmocka_unit_test(numbers_are_exact),
		cmocka_unit_test(every_ascii_byte_survives_json),
		cmocka_unit_test(every_character_survives_json),
		cmocka_unit_test(terminals_get_no_control_characters),
		cmocka_unit_test(invalid_utf8_is_replaced),
		cmocka_unit_test(an_overlong_line_is_cut_and_says_so),
		cmocka_unit_test(levels_below_the_threshold_are_not_written),
		cmocka_unit_test(it_starts_once_and_again_after_a_stop),
		cmocka_unit_test(
			lines_of_many_threads_are_whole_in_order_and_accounted_for),
		cmocka_unit_test(
			a_blocked_reader_holds_nobody_up_and_learns_what_it_missed),
		cmocka_unit_test(a_non_blocking_fd_loses_nothing),
		/* From here on drops are left over, which the next log would report. */
		cmocka_unit_test(logging_keeps_errno),
		cmocka_unit_test(a_reader_that_left_costs_lines_but_not_the_program),
		cmocka_unit_test(stopping_does_not_wait_for_a_stuck_reader_for_ever),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
