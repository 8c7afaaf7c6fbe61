#include "service/http/http_settings.h"

#include <inttypes.h>
#include <sched.h>

/*
 * Defaults that depend on the machine and on the threads there are.
 */

static int64_t clamp(int64_t value, int64_t least, int64_t most)
{
	if (value < least)
		value = least;
	return value < most ? value : most;
}

/* Those that this process may use; a container's may be fewer than there are. */
static int64_t cores(void)
{
	cpu_set_t set;
	return sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
}

static void derive_short_running(void *part)
{
	struct http_settings *http = part;
	http->short_running = clamp(2 * cores(), 4, http->short_threads);
}

static void derive_long_running(void *part)
{
	struct http_settings *http = part;
	http->long_running = clamp(cores(), 2, http->long_threads);
}

/*
 * What they must be to each other.
 */

static bool fits(const char *running_name, int64_t running, const char *threads_name,
	int64_t threads, FILE *complaints)
{
	if (running <= threads)
		return true;
	fprintf(complaints,
		"%s: %" PRId64 " is not at most %s, which is %" PRId64
		": each runs on a thread\n",
		running_name, running, threads_name, threads);
	return false;
}

static bool running_fits_threads(const void *part, FILE *complaints)
{
	const struct http_settings *http = part;
	bool short_fits = fits("SHORT_RUNNING", http->short_running, "SHORT_THREADS",
		http->short_threads, complaints);
	bool long_fits = fits("LONG_RUNNING", http->long_running, "LONG_THREADS",
		http->long_threads, complaints);
	return short_fits && long_fits;
}

/*
 * The settings.
 */

#define MIB         (1 << 20)
#define TIB         ((int64_t)1 << 40)
#define THREADS_MAX 1024
#define QUEUE_MAX   1000000

#define FIELD(field) offsetof(struct http_settings, field)

static const struct setting http_setting_list[] = {
	{ "LISTEN_ADDR", &setting_address, FIELD(listen_addr), "127.0.0.1",
		"address of the public listener", .basic = true },
	{ "PORT", &setting_number, FIELD(port), "8080",
		"its port; 0 takes a free one and logs it", .basic = true, .min = 0,
		.max = 65535 },

	{ "REQUEST_TIMEOUT_MS", &setting_number, FIELD(request_timeout_ms), "30000",
		"ms until a request is answered 504", .min = 1, .max = SETTING_DAY_MS },
	{ "STREAM_TIMEOUT_MS", &setting_number, FIELD(stream_timeout_ms), "0",
		"the same for imports and exports; 0 for none", .min = 0,
		.max = SETTING_DAY_MS },
	{ "STALL_TIMEOUT_MS", &setting_number, FIELD(stall_timeout_ms), "30000",
		"ms without a byte moving until an import or export is ended", .min = 1,
		.max = SETTING_DAY_MS },
	{ "DRAIN_TIMEOUT_MS", &setting_number, FIELD(drain_timeout_ms), "10000",
		"ms that requests get to finish at shutdown", .min = 0,
		.max = SETTING_DAY_MS },
	{ "IDLE_TIMEOUT_MS", &setting_number, FIELD(idle_timeout_ms), "60000",
		"ms until an idle connection is closed; rounded up to seconds", .min = 1,
		.max = SETTING_DAY_MS },

	{ "MAX_CONNECTIONS", &setting_number, FIELD(max_connections), "10000",
		"connections at a time", .min = 1, .max = 1000000 },
	{ "MAX_CONNECTIONS_PER_ADDRESS", &setting_number,
		FIELD(max_connections_per_address), "0",
		"of which from one client address; 0 for no limit", .min = 0,
		.max = 1000000 },
	{ "MAX_HEADER_BYTES", &setting_number, FIELD(max_header_bytes), "8192",
		"bytes of a request's line and headers", .min = 1024, .max = MIB },
	{ "MAX_BODY_BYTES", &setting_number, FIELD(max_body_bytes), "1048576",
		"bytes of a body, and of one line of an import", .min = 1,
		.max = 256 * MIB },
	{ "MAX_IMPORT_BYTES", &setting_number, FIELD(max_import_bytes), "1073741824",
		"bytes of an import", .min = 1, .max = TIB },

	{ "HTTP_THREADS", &setting_number, FIELD(http_threads), "1",
		"threads that read requests and send answers", .min = 1, .max = 64 },
	{ "SHORT_THREADS", &setting_number, FIELD(short_threads), "64",
		"short requests begun at a time: running or waiting", .min = 1,
		.max = THREADS_MAX },
	{ "SHORT_RUNNING", &setting_number, FIELD(short_running),
		"twice the cores, at least 4, at most SHORT_THREADS",
		"of which may use the processor", .min = 1, .max = THREADS_MAX,
		.derive = derive_short_running },
	{ "SHORT_QUEUE", &setting_number, FIELD(short_queue), "1024",
		"short requests that may queue; one more is answered 503", .min = 0,
		.max = QUEUE_MAX },
	{ "LONG_THREADS", &setting_number, FIELD(long_threads), "4",
		"reports, imports and exports begun at a time", .min = 1,
		.max = THREADS_MAX },
	{ "LONG_RUNNING", &setting_number, FIELD(long_running),
		"the cores, at least 2, at most LONG_THREADS",
		"of which may use the processor", .min = 1, .max = THREADS_MAX,
		.derive = derive_long_running },
	{ "LONG_QUEUE", &setting_number, FIELD(long_queue), "16",
		"long requests that may queue; one more is answered 503", .min = 0,
		.max = QUEUE_MAX },
	{ "LONG_NICE", &setting_number, FIELD(long_nice), "10",
		"how far long requests step back where processors are scarce", .min = 0,
		.max = 19 },
	{ 0 },
};

const struct setting_table http_setting_table = { http_setting_list,
	running_fits_threads };
