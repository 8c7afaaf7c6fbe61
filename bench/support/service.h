#ifndef HANGUP_BENCH_SUPPORT_SERVICE_H
#define HANGUP_BENCH_SUPPORT_SERVICE_H

/*
 * A service in a process of its own, whoever wrote it, on a port of the loopback. What
 * cannot be done ends the measurement with a message.
 */
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

int loopback_connect(unsigned port);

/* Sends all of text. */
void loopback_send(int fd, const char *text);

/* Asks for /healthz, and reads the answer up to the first brace that closes; the
 * connection stays open. False when it was no 200. */
bool loopback_is_healthy(int fd);

struct service {
	pid_t pid;
	int output; /* what it prints, on stdout and stderr */
};

/* Runs command, which ends with NULL and whose first word is sought in PATH. It ends
 * with this program, however that ends. */
void service_start(struct service *service, char **command);
void service_stop(struct service *service);

/* Waits until it answers /healthz on port, and asks again at least every 0.2 ms. */
void service_wait(const struct service *service, unsigned port);

/* The processor time that it has used, in nanoseconds. */
int64_t service_cpu_ns(const struct service *service);

#endif
