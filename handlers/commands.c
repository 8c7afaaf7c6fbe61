#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "db/backup.h"
#include "handlers/app.h"
#include "handlers/commands.h"
#include "handlers/routes.h"
#include "service/core/log.h"
#include "service/run/healthcheck.h"
#include "service/run/version.h"

enum { EXIT_FAILED = 1 };

/*
 * serve
 */

/* Makes SIGTERM and SIGINT readable from a descriptor. They must be blocked before
 * any thread is made that would inherit another mask. -1 and errno. */
static int take_signals(void)
{
	sigset_t signals;
	sigemptyset(&signals);
	sigaddset(&signals, SIGTERM);
	sigaddset(&signals, SIGINT);
	pthread_sigmask(SIG_BLOCK, &signals, NULL);
	return signalfd(-1, &signals, SFD_CLOEXEC);
}

static int wait_for_signal(int signals)
{
	struct signalfd_siginfo signal;
	while (read(signals, &signal, sizeof signal) != sizeof signal)
		;
	return (int)signal.ssi_signo;
}

/* What ended the drain. */
static const char *wait_until_idle(int signals, int idle, int64_t timeout_ms)
{
	struct pollfd fds[] = { { .fd = idle, .events = POLLIN },
		{ .fd = signals, .events = POLLIN } };
	instant end = instant_add_ms(instant_now(), timeout_ms);
	struct timespec left;
	int ready;
	do {
		int64_t left_ns = instant_diff_ns(instant_now(), end);
		left = instant_timespec((instant){ left_ns > 0 ? left_ns : 0 });
		ready = ppoll(fds, 2, &left, NULL);
	} while (ready < 0 && errno == EINTR);
	if (fds[0].revents)
		return "idle";
	return ready > 0 ? "second signal" : "timeout";
}

static void log_listening(const struct app *app)
{
	const struct config *config = &app->config;
	struct log_field admin_port = LOG_INT("admin_port", config->admin.port);
	if (!app->admin)
		admin_port.kind = LOG_KIND_NONE;
	log_info("listening", LOG_STR("addr", config->http.listen_addr),
		LOG_INT("port", server_port(app->server)),
		LOG_STR("admin_addr", app->admin ? config->admin.addr : NULL), admin_port,
		LOG_STR("database", db_settings_path(&config->db)),
		LOG_STR("version", HANGUP_VERSION));
}

static void serve_until_signal(struct app *app, int signals)
{
	log_listening(app);
	int signal = wait_for_signal(signals);
	instant begun = instant_now();
	log_info("shutting down", LOG_STR("signal", sigabbrev_np(signal)),
		LOG_INT("drain_timeout_ms", app->config.http.drain_timeout_ms));
	server_drain(app->server);
	const char *end = wait_until_idle(
		signals, server_idle_fd(app->server), app->config.http.drain_timeout_ms);
	log_info("drained", LOG_NAME("ended_by", end),
		LOG_MS("after_ms", instant_diff_ns(begun, instant_now())));
}

/* A connection is an open file. What shells and service managers give is 1024, for the
 * sake of programs that call select(), which we do not: see "File Descriptor Limit" in
 * systemd.exec(5). */
static void allow_open_files(const struct config *config)
{
	enum { BESIDE_CONNECTIONS = 256 };
	rlim_t wanted = (rlim_t)config->http.max_connections + BESIDE_CONNECTIONS;
	struct rlimit limit;
	if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur >= wanted)
		return;
	limit.rlim_cur = wanted < limit.rlim_max ? wanted : limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	getrlimit(RLIMIT_NOFILE, &limit); /* what came of it */
	if (limit.rlim_cur < wanted)
		log_warn("fewer open files are allowed than MAX_CONNECTIONS needs",
			LOG_INT("allowed", (int64_t)limit.rlim_cur),
			LOG_INT("needed", (int64_t)wanted));
}

int command_serve(const struct config *config, int argc, char **argv)
{
	struct app *app;
	(void)argc;
	(void)argv;
	int signals = take_signals();
	if (signals < 0) {
		log_error("no descriptor for signals",
			LOG_STR("reason", strerrordesc_np(errno)));
		return EXIT_FAILED;
	}
	allow_open_files(config);
	enum err err = app_create(config, routes, routes_count, &app);
	if (err == ERR_OK) {
		serve_until_signal(app, signals);
		app_destroy(app);
		log_info("stopped");
	} else {
		log_error("cannot serve", LOG_NAME("error", err_name(err)));
	}
	close(signals);
	return err == ERR_OK ? 0 : EXIT_FAILED;
}

/*
 * migrate
 */

int command_migrate(const struct config *config, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	return app_migrate(config) == ERR_OK ? 0 : EXIT_FAILED;
}

/*
 * backup
 */

struct stopper {
	int signals;
	struct cancel *token;
};

static void *stop_on_signal(void *arg)
{
	struct stopper *stopper = arg;
	wait_for_signal(stopper->signals);
	cancel_fire(stopper->token, CANCEL_OPERATOR);
	return NULL;
}

/* Copies under a token that SIGTERM and SIGINT fire, so that they leave no half
 * of a copy behind. */
static enum err back_up(const struct config *config, struct stopper *stopper,
	const char *path, struct backup_report *report)
{
	struct db_config settings = config_db(config);
	pthread_t thread;
	if (pthread_create(&thread, NULL, stop_on_signal, stopper) != 0)
		return ERR_NOMEM;
	enum err err = db_backup(&settings, stopper->token, path, report);
	kill(getpid(), SIGTERM); /* blocked: all it does is to end the thread */
	pthread_join(thread, NULL);
	return err;
}

int command_backup(const struct config *config, int argc, char **argv)
{
	const char *path = argv[0];
	struct backup_report report = { .message = "too little memory" };
	(void)argc;
	struct stopper stopper = { take_signals(), cancel_create(NULL) };
	enum err err = ERR_NOMEM;
	if (stopper.signals >= 0 && stopper.token)
		err = back_up(config, &stopper, path, &report);
	if (err == ERR_OK)
		log_info("backed up the database", LOG_STR("path", path),
			LOG_INT("bytes", report.bytes));
	else
		log_error("cannot back up the database", LOG_STR("path", path),
			LOG_STR("reason", report.message), LOG_ERR(err));
	cancel_unref(stopper.token);
	if (stopper.signals >= 0)
		close(stopper.signals);
	return err == ERR_OK ? 0 : EXIT_FAILED;
}

/*
 * healthcheck, config
 */

int command_healthcheck(const struct config *config, int argc, char **argv)
{
	enum { TIMEOUT_MS = 2000 };
	const char *addr = config->http.listen_addr;
	unsigned port = (unsigned)config->http.port;
	(void)argc;
	(void)argv;
	enum err err = healthcheck(addr, port, TIMEOUT_MS);
	if (err == ERR_OK)
		return 0;
	const char *reason = err == ERR_BUSY ? "it answers, but not 200"
		: err == ERR_DEADLINE        ? "no answer in time"
					     : "no connection";
	fprintf(stderr, "not healthy: %s port %u: %s\n", addr, port, reason);
	return EXIT_FAILED;
}

int command_config(const struct config *config, int argc, char **argv)
{
	(void)argc;
	(void)argv;
	settings_print(&config_settings, config, stdout);
	return 0;
}
