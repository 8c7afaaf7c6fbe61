#include "tests/support/log_reader.h"

#include <assert.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "service/core/clock.h"
#include "tests/support/wait.h"

static void keep(struct log_reader *reader, const char *line)
{
	pthread_mutex_lock(&reader->lock);
	if (reader->count == reader->size) {
		reader->size = reader->size ? 2 * reader->size : 64;
		reader->lines = realloc(
			reader->lines, reader->size * sizeof *reader->lines);
		assert(reader->lines);
	}
	reader->lines[reader->count++] = strdup(line);
	pthread_cond_broadcast(&reader->more);
	pthread_mutex_unlock(&reader->lock);
}

static void *read_all(void *arg)
{
	struct log_reader *reader = arg;
	FILE *file = fdopen(reader->read_fd, "r");
	char *line = NULL;
	size_t size = 0;
	assert(file);
	while (getline(&line, &size, file) > 0) {
		if (reader->sink)
			reader->sink(reader->sink_arg, line);
		else
			keep(reader, line);
	}
	free(line);
	fclose(file);
	return NULL;
}

void log_reader_start(struct log_reader *reader, log_sink_fn *sink, void *sink_arg)
{
	int fds[2];
	int failed = pipe2(fds, O_CLOEXEC);
	assert(!failed);
	*reader = (struct log_reader){
		.read_fd = fds[0], .write_fd = fds[1], .sink = sink, .sink_arg = sink_arg
	};
	pthread_mutex_init(&reader->lock, NULL);
	clock_cond_init(&reader->more);
	failed = pthread_create(&reader->thread, NULL, read_all, reader);
	assert(!failed);
}

void log_reader_stop(struct log_reader *reader)
{
	close(reader->write_fd);
	pthread_join(reader->thread, NULL);
	for (size_t i = 0; i < reader->count; i++)
		free(reader->lines[i]);
	free(reader->lines);
	pthread_cond_destroy(&reader->more);
	pthread_mutex_destroy(&reader->lock);
}

const char *log_text(const json_t *line, const char *key)
{
	const char *text = json_string_value(json_object_get(line, key));
	return text ? text : "";
}

int64_t log_int(const json_t *line, const char *key)
{
	const json_t *value = json_object_get(line, key);
	return json_is_integer(value) ? json_integer_value(value) : -1;
}

double log_ms(const json_t *line, const char *key)
{
	const json_t *value = json_object_get(line, key);
	return json_is_number(value) ? json_number_value(value) : -1;
}

static json_t *parse_if_it(
	const char *text, const char *message, const char *key, const char *wanted)
{
	json_t *line = json_loads(text, JSON_REJECT_DUPLICATES, NULL);
	if (line && strcmp(log_text(line, "message"), message) == 0 &&
		strcmp(log_text(line, key), wanted) == 0)
		return line;
	json_decref(line);
	return NULL;
}

/* Lock held. */
static json_t *find(const struct log_reader *reader, size_t from, const char *message,
	const char *key, const char *text)
{
	json_t *line = NULL;
	for (size_t i = from; !line && i < reader->count; i++)
		line = parse_if_it(reader->lines[i], message, key, text);
	return line;
}

json_t *log_reader_find(
	struct log_reader *reader, const char *message, const char *key, const char *text)
{
	pthread_mutex_lock(&reader->lock);
	json_t *line = find(reader, 0, message, key, text);
	pthread_mutex_unlock(&reader->lock);
	return line;
}

/* Lock held; it is given back, for what the test has to say may want the log. */
static void give_up(
	struct log_reader *reader, const char *message, const char *key, const char *text)
{
	fprintf(stderr, "no log line \"%s\" with %s \"%s\"; there are:\n", message, key,
		text);
	for (size_t i = 0; i < reader->count; i++)
		fputs(reader->lines[i], stderr);
	pthread_mutex_unlock(&reader->lock);
	patience_lost();
}

json_t *log_reader_wait(
	struct log_reader *reader, const char *message, const char *key, const char *text)
{
	instant until = instant_add_ms(instant_now(), PATIENCE_MS);
	pthread_mutex_lock(&reader->lock);
	json_t *line = NULL;
	size_t seen = 0;
	while (!(line = find(reader, seen, message, key, text))) {
		seen = reader->count;
		while (reader->count == seen)
			if (!clock_cond_wait(&reader->more, &reader->lock, until))
				give_up(reader, message, key, text);
	}
	pthread_mutex_unlock(&reader->lock);
	return line;
}
