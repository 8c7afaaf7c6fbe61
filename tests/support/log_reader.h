#ifndef HANGUP_TESTS_SUPPORT_LOG_READER_H
#define HANGUP_TESTS_SUPPORT_LOG_READER_H

/*
 * The reader of the log: a thread at the other end of a pipe that keeps every
 * line, so that a test can wait for the one it is about. Any thread may wait.
 */
#include <jansson.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef void log_sink_fn(void *arg, const char *line);

struct log_reader {
	int read_fd;
	int write_fd; /* for log_start() */
	pthread_t thread;
	log_sink_fn *sink; /* set once: takes the lines, which are then not kept */
	void *sink_arg;

	pthread_mutex_t lock;
	pthread_cond_t more;
	char **lines; /* lock */
	size_t count; /* lock */
	size_t size;  /* lock */
};

/* sink may be NULL. */
void log_reader_start(struct log_reader *reader, log_sink_fn *sink, void *sink_arg);

/* Reads to the end and frees. Nobody writes to write_fd any more. */
void log_reader_stop(struct log_reader *reader);

/* Waits for the first line with this message whose field key has this text, and
 * parses it. The caller gets a reference. Aborts when none comes. */
json_t *log_reader_wait(struct log_reader *reader, const char *message, const char *key,
	const char *text);

/* The same, but does not wait: NULL when there is none yet. */
json_t *log_reader_find(struct log_reader *reader, const char *message, const char *key,
	const char *text);

/* The field's text or number; "" or -1 when the line has no such field. */
const char *log_text(const json_t *line, const char *key);
int64_t log_int(const json_t *line, const char *key);
double log_ms(const json_t *line, const char *key);

#endif
