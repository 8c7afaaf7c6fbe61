#include "bench/support/service.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { START_NS = 200000, STARTS_MAX = 50000 };

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Returns -1 when nobody listens. */
static int try_connect(unsigned port)
{
	struct sockaddr_in address = { .sin_family = AF_INET,
		.sin_port = htons((uint16_t)port),
		.sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		die("socket");
	if (connect(fd, (struct sockaddr *)&address, sizeof address) == 0)
		return fd;
	close(fd);
	return -1;
}

int loopback_connect(unsigned port)
{
	int fd = try_connect(port);
	if (fd < 0)
		die("connect");
	return fd;
}

void loopback_send(int fd, const char *text)
{
	size_t len = strlen(text);
	if (send(fd, text, len, MSG_NOSIGNAL) != (ssize_t)len)
		die("send");
}

bool loopback_is_healthy(int fd)
{
	char answer[4096];
	size_t len = 0;
	ssize_t count = 1;
	loopback_send(fd, "GET /healthz HTTP/1.1\r\nHost: bench\r\n\r\n");
	while (count > 0 && !memchr(answer, '}', len) && len < sizeof answer) {
		count = recv(fd, answer + len, sizeof answer - len, 0);
		len += count > 0 ? (size_t)count : 0;
	}
	return count > 0 && len > 12 && memcmp(answer + 8, " 200", 4) == 0;
}

static void run(char **command, int output, pid_t parent)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (getppid() != parent)
		_exit(1); /* it has ended before it could be asked */
	dup2(output, STDOUT_FILENO);
	dup2(output, STDERR_FILENO);
	execvp(command[0], command);
	_exit(127);
}

void service_start(struct service *service, char **command)
{
	int ends[2];
	pid_t parent = getpid();
	if (pipe2(ends, O_CLOEXEC) != 0)
		die("pipe");
	service->pid = fork();
	if (service->pid < 0)
		die("fork");
	if (service->pid == 0)
		run(command, ends[1], parent);
	close(ends[1]);
	service->output = ends[0];
}

/* Its last lines have a place to go until it has ended. */
void service_stop(struct service *service)
{
	char rest[4096];
	kill(service->pid, SIGTERM);
	while (read(service->output, rest, sizeof rest) > 0)
		;
	waitpid(service->pid, NULL, 0);
	close(service->output);
}

void service_wait(const struct service *service, unsigned port)
{
	for (int i = 0; i < STARTS_MAX; i++) {
		int fd = try_connect(port);
		bool healthy = fd >= 0 && loopback_is_healthy(fd);
		if (fd >= 0)
			close(fd);
		if (healthy)
			return;
		if (waitpid(service->pid, NULL, WNOHANG) != 0)
			break;
		nanosleep(&(struct timespec){ .tv_nsec = START_NS }, NULL);
	}
	fprintf(stderr, "the service does not answer on port %u\n", port);
	exit(1);
}

int64_t service_cpu_ns(const struct service *service)
{
	clockid_t clock;
	struct timespec used;
	if (clock_getcpuclockid(service->pid, &clock) != 0 ||
		clock_gettime(clock, &used) != 0)
		die("clock_gettime");
	return (int64_t)used.tv_sec * 1000000000 + used.tv_nsec;
}
