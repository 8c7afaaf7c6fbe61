#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#include "db/backup.h"
#include "db/db_current.h"
#include "handlers/commands.h"
#include "handlers/instance.h"
#include "handlers/routes.h"
#include "service/core/log.h"
#include "service/run/healthcheck.h"
#include "service/run/signals.h"
#include "service/run/version.h"

enum { EXIT_FAILED = 1 };

/*
 * serve
 */

static void log_listening(const struct instance *instance)
{
	const struct config *config = &instance->config;
	struct log_field admin_port = LOG_INT("admin_port", config->admin.port);
	if (!instance->admin)
		admin_port.kind = LOG_KIND_NONE;
	log_info("listening", LOG_STR("addr", config->http.listen_addr),
		LOG_INT("port", server_port(instance->server)),
		LOG_STR("admin_addr", instance->admin ? config->admin.addr : NULL),
		admin_port, LOG_STR("database", db_settings_path(&config->db)),
		LOG_STR("version", HANGUP_VERSION));
}

static void serve_until_signal(struct instance *instance, int signals)
{
	int64_t drain_timeout_ms = instance->config.http.drain_timeout_ms;
	log_listening(instance);
	int signal = signals_wait(signals);
	instant begun = instant_now();
	log_info("shutting down", LOG_STR("signal", sigabbrev_np(signal)),
		LOG_INT("drain_timeout_ms", drain_timeout_ms));
	server_drain(instance->server);
	const char *end = signals_wait_until_idle(
		signals, server_idle_fd(instance->server), drain_timeout_ms);
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
	struct instance *instance;
	(void)argc;
	(void)argv;
	int signals = signals_take();
	if (signals < 0) {
		log_error("no descriptor for signals",
			LOG_STR("reason", strerrordesc_np(errno)));
		return EXIT_FAILED;
	}
	allow_open_files(config);
	enum err err = instance_create(config, routes, routes_count, &instance);
	if (err == ERR_OK) {
		serve_until_signal(instance, signals);
		instance_destroy(instance);
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
	struct db_config db = config_db(config);
	(void)argc;
	(void)argv;
	return db_make_current(&db) == ERR_OK ? 0 : EXIT_FAILED;
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
	signals_wait(stopper->signals);
	cancel_fire(stopper->token, CANCEL_OPERATOR);
	return NULL;
}

/* Copies under a token that SIGTERM and SIGINT fire, so that they leave no half
 * of a copy behind. */
static enum err back_up_until_signal(const struct config *config, struct stopper *stopper,
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
	struct stopper stopper = { signals_take(), cancel_create(NULL) };
	enum err err = ERR_NOMEM;
	if (stopper.signals >= 0 && stopper.token)
		err = back_up_until_signal(config, &stopper, path, &report);
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
