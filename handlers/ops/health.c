#include "handlers/ops/health.h"

#include "service/http/problem.h"
#include "service/http/request.h"

/* For whoever restarts the process when it answers nothing any more: asks nobody. */
enum err ops_handle_health(struct request *req, struct response *res)
{
	(void)req;
	return response_write(res, SPAN_LITERAL("{\"status\":\"ok\"}"));
}

/* For whoever decides to send requests here, or no more. A database that answers too
 * late is a reason, not a deadline of the probe's. */
enum err ops_handle_readiness(struct request *req, struct response *res)
{
	const char *reason = "";
	enum err err = req->ready ? req->ready(req->app, req->cancel, &reason) : ERR_OK;
	if (err == ERR_OK && !req->draining)
		return response_write(res, SPAN_LITERAL("{\"status\":\"ready\"}"));
	if (err_is_cancelled(err) && err != ERR_DEADLINE)
		return err;
	return problem(res, req->draining ? ERR_SHUTDOWN : ERR_BUSY, "Not ready: %s%s%s.",
		req->draining ? "the service is shutting down" : "",
		req->draining && err != ERR_OK ? ", and " : "", reason);
}
