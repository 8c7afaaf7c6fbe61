#include "tests/support/process.h"

#include <signal.h>
#include <stdlib.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include "tests/support/cmocka.h"

enum { SETTINGS_MAX = 32, ENVIRONMENT_MAX = 512 };

static const char *const fixed_settings[] = { "PORT=0", "ADMIN_PORT=0", "LOG_FORMAT=json",
	"LOG_LEVEL=info" };

/* The first of a name counts. */
static void collect(const char *const *settings, const char **environment)
{
	size_t count = 0;
	for (size_t i = 0; settings[i]; i++)
		environment[count++] = settings[i];
	for (size_t i = 0; i < sizeof fixed_settings / sizeof *fixed_settings; i++)
		environment[count++] = fixed_settings[i];
	assert_true(count < SETTINGS_MAX);
	for (size_t i = 0; environ[i] && count < ENVIRONMENT_MAX; i++)
		environment[count++] = environ[i];
	environment[count] = NULL;
}

/* In the child: only what is safe between fork() and exec(). It does not outlive the
 * thread that started it, however that ends. */
static void become(char **argv, const char *const *environment, int log_fd)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (dup2(log_fd, STDERR_FILENO) >= 0)
		execve(argv[0], argv, (char *const *)environment);
	_exit(127);
}

static pid_t spawn(const char *const *settings, int log_fd)
{
	const char *environment[ENVIRONMENT_MAX + 1];
	char *argv[] = { getenv("HANGUP_BINARY"), (char *)"serve", NULL };
	assert_non_null(argv[0]);
	collect(settings, environment);
	pid_t pid = fork();
	assert_true(pid >= 0);
	if (pid == 0)
		become(argv, environment, log_fd);
	return pid;
}

void process_launch(struct process *process, const char *const *settings)
{
	*process = (struct process){ 0 };
	log_reader_start(&process->log, NULL, NULL);
	process->pid = spawn(settings, process->log.write_fd);
}

void process_start(struct process *process, const char *const *settings)
{
	process_launch(process, settings);
	json_t *line = log_reader_wait(&process->log, "listening", "addr", "127.0.0.1");
	process->port = (unsigned)log_int(line, "port");
	json_decref(line);
}

int process_end(struct process *process, int signal)
{
	int status = 0;
	kill(process->pid, signal);
	assert_int_equal(waitpid(process->pid, &status, 0), process->pid);
	process->pid = 0;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

void process_finish(struct process *process)
{
	if (process->pid > 0)
		process_end(process, SIGKILL);
	if (process->log.write_fd > 0)
		log_reader_stop(&process->log);
	*process = (struct process){ 0 };
}
