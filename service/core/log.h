#ifndef HANGUP_SERVICE_CORE_LOG_H
#define HANGUP_SERVICE_CORE_LOG_H

/*
 * The log: one line an event, a message and typed fields, as text for people or
 * as JSON for machines.
 *
 *	log_info("listening", LOG_STR("addr", addr), LOG_INT("port", port));
 *
 * Levels, formats and the kinds of fields are in log_field.h.
 *
 * Any thread may log, and none is ever held up by whoever reads the log: a line
 * goes into a bounded buffer that one thread writes out, within 10 ms, a batch
 * at a time. When the reader is so slow that the buffer is full, lines are
 * dropped and counted; the line after the gap says how many.
 *
 * Before log_start() and after log_stop() there is no such thread: a line is
 * written at once, by the caller, who waits for it. So nothing needs to know
 * whether the log has been started.
 *
 * exit: what is in the buffer is lost unless log_stop() came first.
 * A crash, abort() or SIGKILL loses the last 10 ms of lines.
 * fork: the child has no log thread; it must not log before it calls exec.
 * A reader that has gone away (EPIPE), a full disk: the lines are dropped and
 * counted, no SIGPIPE is raised, and each later batch is tried once.
 */
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "service/core/error.h"
#include "service/core/log_field.h"

/*
 * Writing a line.
 */

extern atomic_int log_threshold; /* the least level that is written */

static inline bool log_enabled(enum log_level level)
{
	return (int)level >= atomic_load_explicit(&log_threshold, memory_order_relaxed);
}

/* Writes a line if level is enabled. A line longer than 8 KiB is cut at the
 * field that does not fit and gets "truncated": true. Any thread, but no signal
 * handler. Keeps errno. */
void log_line(enum log_level level, const char *message, const struct log_field *fields,
	size_t count);

/* log_info(message, fields...): the fields are not evaluated when the level is
 * not enabled. */
#define log_debug(...) LOG_AT(LOG_LEVEL_DEBUG, __VA_ARGS__, { 0 })
#define log_info(...)  LOG_AT(LOG_LEVEL_INFO, __VA_ARGS__, { 0 })
#define log_warn(...)  LOG_AT(LOG_LEVEL_WARN, __VA_ARGS__, { 0 })
#define log_error(...) LOG_AT(LOG_LEVEL_ERROR, __VA_ARGS__, { 0 })
/* For a level that is decided at run time. */
#define log_at(level, ...) LOG_AT(level, __VA_ARGS__, { 0 })

/* The { 0 } is a field of LOG_KIND_NONE: ISO C knows no empty list. */
#define LOG_AT(level, message, ...)                                                 \
	do {                                                                        \
		if (log_enabled(level))                                             \
			log_line((level), (message),                                \
				(const struct log_field[]){ __VA_ARGS__ },          \
				sizeof((const struct log_field[]){ __VA_ARGS__ }) / \
					sizeof(struct log_field));                  \
	} while (0)

/*
 * Lifecycle: the main thread's, once at a time.
 */

/* Starts the thread that writes to fd, which stays the caller's and must remain
 * open until log_stop() has returned and nobody logs any more. Text is coloured
 * when fd is a terminal. ERR_BUSY when already started, ERR_IO when a thread
 * cannot be had. */
enum err log_start(enum log_level level, enum log_format format, int fd);

/* Writes what is in the buffer and ends the thread; log_start() may follow.
 * Level, format and fd stay for the lines written directly from here on. Waits
 * for the reader for 2 s at most, so that a stuck one cannot keep a program from
 * ending: then the thread is left to itself, and until it has got rid of its
 * lines log_start() is ERR_BUSY. */
void log_stop(void);

/* Lines dropped since the program started. Any thread. */
uint64_t log_dropped(void);

#endif
