#include "service/core/log.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <unistd.h>

#include "service/core/clock.h"
#include "service/core/log_line.h"
#include "service/core/os.h"

enum {
	BATCH_BYTES = 512 * 1024,
	LULL_MS = 10,   /* between batches, so that a busy log is written in few */
	STOP_MS = 2000, /* how long log_stop() waits for a reader */
};

/* Not a buffer that grows: what a busy log may take is said here, once and for all. */
struct log_batch {
	size_t len;                              /* up to BATCH_BYTES */
	char bytes[BATCH_BYTES + LOG_LINE_SIZE]; /* the end is for the report of drops */
};

static struct log_batch batches[2]; /* one is filled while the other is written */

static struct {
	pthread_mutex_t lock;      /* a leaf; never held while the log thread writes */
	pthread_cond_t work;       /* the log thread waits for it */
	pthread_cond_t ended;      /* log_stop() waits for it */
	struct log_batch *filling; /* lock */
	bool running;           /* lock: lines go to a batch. Unset by the thread's end */
	bool stopping;          /* lock */
	bool asleep;            /* lock: the thread waits for a first line */
	uint64_t dropped;       /* lock: not yet reported */
	uint64_t dropped_total; /* lock */
	bool torn;              /* whoever writes: the output ends amidst a line */
	pthread_t thread;       /* log_start() and log_stop() */
	int fd;                 /* lock; constant while running */
} state = {
	.lock = PTHREAD_MUTEX_INITIALIZER,
	.filling = &batches[0],
	.fd = STDERR_FILENO,
};

atomic_int log_threshold = LOG_LEVEL_INFO;
static atomic_int current_format = LOG_FORMAT_TEXT;
static atomic_bool coloured;

static struct log_style current_style(void)
{
	return (struct log_style){
		.format = (enum log_format)atomic_load_explicit(
			&current_format, memory_order_relaxed),
		.colour = atomic_load_explicit(&coloured, memory_order_relaxed),
	};
}

/*
 * Writing out.
 */

static uint64_t count_lines(struct span text)
{
	uint64_t lines = 0;
	for (size_t i = 0; i < text.len; i++)
		lines += text.data[i] == '\n';
	return lines;
}

/* Returns how many lines were lost. SIGPIPE must be blocked. */
static uint64_t write_lines(int fd, struct span text)
{
	/* Ends the line that an earlier failure left unfinished: it is lost, the
	 * next one must not be. */
	if (state.torn && write_all(fd, SPAN_LITERAL("\n")) == 1)
		state.torn = false;
	size_t done = state.torn ? 0 : write_all(fd, text);
	if (done > 0)
		state.torn = text.data[done - 1] != '\n';
	return count_lines((struct span){ text.data + done, text.len - done });
}

static void count_drops(uint64_t lines)
{
	state.dropped += lines;
	state.dropped_total += lines;
}

/* Without the log thread, in the caller; lock held. A SIGPIPE of ours is taken
 * back before the caller can get it. */
static void write_directly(struct span line)
{
	sigset_t sigpipe, before, pending;
	sigemptyset(&sigpipe);
	sigaddset(&sigpipe, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
	sigpending(&pending);
	count_drops(write_lines(state.fd, line));
	if (!sigismember(&pending, SIGPIPE))
		sigtimedwait(&sigpipe, NULL, &(struct timespec){ 0 });
	pthread_sigmask(SIG_SETMASK, &before, NULL);
}

/*
 * The log thread.
 */

/* Adds the count of drops to a batch that is about to be written, so that it
 * stands where the gap is; returns it. Lock held. */
static uint64_t report_drops(struct log_batch *batch)
{
	uint64_t dropped = state.dropped;
	if (dropped == 0)
		return 0;
	struct log_field lines = LOG_INT("lines", (int64_t)dropped);
	batch->len += log_line_format(batch->bytes + batch->len, current_style(),
		wall_ms(), LOG_LEVEL_WARN, "log lines dropped", &lines, 1);
	state.dropped = 0;
	return dropped;
}

/* Writes what has been gathered. Lock held; released meanwhile. */
static void write_batch(void)
{
	struct log_batch *full = state.filling;
	state.filling = full == &batches[0] ? &batches[1] : &batches[0];
	uint64_t reported = report_drops(full);
	int fd = state.fd;
	pthread_mutex_unlock(&state.lock);
	uint64_t lost = write_lines(fd, (struct span){ full->bytes, full->len });
	pthread_mutex_lock(&state.lock);
	full->len = 0;
	if (lost > 0 && reported > 0) {
		lost--; /* the report itself, which is the last line */
		state.dropped += reported;
	}
	count_drops(lost);
}

/* Lets lines gather. Lock held. */
static void lull(void)
{
	instant until = instant_add_ms(instant_now(), LULL_MS);
	while (!state.stopping && state.filling->len < BATCH_BYTES / 2)
		if (!clock_cond_wait(&state.work, &state.lock, until))
			break;
}

static void *write_batches(void *unused)
{
	(void)unused;
	pthread_mutex_lock(&state.lock);
	while (state.filling->len > 0 || !state.stopping) {
		state.asleep = state.filling->len == 0;
		if (state.asleep) {
			pthread_cond_wait(&state.work, &state.lock);
			continue;
		}
		write_batch();
		lull();
	}
	state.running = false;
	pthread_cond_broadcast(&state.ended);
	pthread_mutex_unlock(&state.lock);
	return NULL;
}

/*
 * Callers.
 */

/* Whether the log thread should be told. Lock held. */
static bool gather_line(struct span line)
{
	struct log_batch *batch = state.filling;
	if (batch->len + line.len > BATCH_BYTES) {
		count_drops(1);
		return false;
	}
	bool was_half_full = batch->len >= BATCH_BYTES / 2;
	memcpy(batch->bytes + batch->len, line.data, line.len);
	batch->len += line.len;
	bool tell = state.asleep || (!was_half_full && batch->len >= BATCH_BYTES / 2);
	state.asleep = false;
	return tell;
}

static void emit_line(struct span line)
{
	bool tell = false;
	pthread_mutex_lock(&state.lock);
	if (state.running)
		tell = gather_line(line);
	else
		write_directly(line);
	pthread_mutex_unlock(&state.lock);
	if (tell)
		pthread_cond_signal(&state.work);
}

void log_line(enum log_level level, const char *message, const struct log_field *fields,
	size_t count)
{
	if (!log_enabled(level))
		return;
	int saved_errno = errno;
	char line[LOG_LINE_SIZE];
	size_t len = log_line_format(
		line, current_style(), wall_ms(), level, message, fields, count);
	emit_line((struct span){ line, len });
	errno = saved_errno;
}

uint64_t log_dropped(void)
{
	pthread_mutex_lock(&state.lock);
	uint64_t dropped = state.dropped_total;
	pthread_mutex_unlock(&state.lock);
	return dropped;
}

/*
 * Lifecycle.
 */

static void init_conds(void)
{
	clock_cond_init(&state.work);
	clock_cond_init(&state.ended);
}

/* The thread takes no signals: they are for those who wait for them, and a
 * SIGPIPE stays pending until its end. */
static enum err start_thread(void)
{
	sigset_t all, before;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int failed = pthread_create(&state.thread, NULL, write_batches, NULL);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	if (failed)
		return ERR_IO;
	pthread_setname_np(state.thread, "log");
	return ERR_OK;
}

enum err log_start(enum log_level level, enum log_format format, int fd)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, init_conds);
	pthread_mutex_lock(&state.lock);
	enum err err = state.running ? ERR_BUSY : ERR_OK;
	if (err == ERR_OK) {
		state.stopping = false;
		err = start_thread();
	}
	if (err == ERR_OK) {
		state.running = true;
		state.fd = fd;
		atomic_store(&log_threshold, level);
		atomic_store(&current_format, format);
		atomic_store(&coloured, isatty(fd));
	}
	pthread_mutex_unlock(&state.lock);
	return err;
}

void log_stop(void)
{
	pthread_mutex_lock(&state.lock);
	bool started = state.running && !state.stopping;
	instant until = instant_add_ms(instant_now(), STOP_MS);
	if (started) {
		state.stopping = true;
		pthread_cond_signal(&state.work);
		while (state.running)
			if (!clock_cond_wait(&state.ended, &state.lock, until))
				break;
	}
	bool ended = !state.running;
	pthread_mutex_unlock(&state.lock);
	if (started && ended)
		pthread_join(state.thread, NULL);
	else if (started)
		pthread_detach(state.thread);
}
