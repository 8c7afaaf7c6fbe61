#include "handlers/rest/openapi_page.h"

#include "handlers/rest/app.h"
#include "service/http/response.h"

enum err openapi_handle(struct request *req, struct response *res)
{
	return response_write(res, span_of(app_of(req)->openapi));
}
