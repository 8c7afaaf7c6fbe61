/*
 * The yardstick for point reads: libmicrohttpd, one epoll thread, answering every
 * request with the same bytes. Usage: bench_constant PORT; ends with its input.
 */
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static enum MHD_Result answer(void *arg, struct MHD_Connection *connection,
	const char *path, const char *method, const char *version, const char *data,
	size_t *data_len, void **context)
{
	static int begun;
	(void)path;
	(void)method;
	(void)version;
	(void)data;
	(void)data_len;
	if (!*context) {
		*context = &begun;
		return MHD_YES;
	}
	return MHD_queue_response(connection, MHD_HTTP_OK, arg);
}

int main(int argc, char **argv)
{
	/* As long as an item. */
	static char body[] =
		"{\"id\":123456,\"name\":\"Constant Answer 123456\",\"category\":\"category-056\","
		"\"quantity\":123,\"price_cents\":4567,\"created_at\":\"2026-01-01T00:00:00.000Z\","
		"\"updated_at\":\"2026-01-01T00:00:00.000Z\",\"version\":1}";
	uint16_t port = argc > 1 ? (uint16_t)atoi(argv[1]) : 0;
	struct MHD_Response *response = MHD_create_response_from_buffer(
		strlen(body), body, MHD_RESPMEM_PERSISTENT);
	MHD_add_response_header(response, "Content-Type", "application/json");
	struct MHD_Daemon *daemon = MHD_start_daemon(MHD_USE_EPOLL_INTERNAL_THREAD, port,
		NULL, NULL, answer, response, MHD_OPTION_END);
	if (!daemon) {
		fprintf(stderr, "cannot listen on port %u\n", port);
		return 1;
	}
	while (getchar() != EOF)
		;
	MHD_stop_daemon(daemon);
	MHD_destroy_response(response);
	return 0;
}
