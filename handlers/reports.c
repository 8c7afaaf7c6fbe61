#include "db/reports.h"

#include <inttypes.h>
#include <stdio.h>

#include "handlers/rest/app.h"
#include "handlers/routes.h"

static enum err write_group(const struct inventory_group *group, void *arg)
{
	struct response *res = arg;
	bool first = res->body.data[res->body.len - 1] == '[';
	char total_value[WIDE_UINT_SIZE];
	char numbers[256];
	wide_uint_format(group->total_value_cents, total_value);
	snprintf(numbers, sizeof numbers,
		",\"count\":%" PRId64 ",\"total_quantity\":%" PRId64
		",\"total_value_cents\":%s,"
		"\"median_price_cents\":%" PRId64 "%s}",
		group->count, group->total_quantity, total_value,
		group->median_price_twice / 2, group->median_price_twice % 2 ? ".5" : "");
	enum err err = response_write(
		res, span_of(first ? "{\"category\":" : ",{\"category\":"));
	if (err == ERR_OK)
		err = response_write(res, group->category_json);
	return err == ERR_OK ? response_write(res, span_of(numbers)) : err;
}

enum err reports_handle_inventory(struct request *req, struct response *res)
{
	AUTO_CONN *conn = NULL;
	enum err err = db_read_long(app_of(req)->db, req->cancel, &conn);
	if (err == ERR_OK)
		err = response_write(res, SPAN_LITERAL("{\"groups\":["));
	if (err == ERR_OK)
		err = report_inventory(conn, write_group, res);
	return err == ERR_OK ? response_write(res, SPAN_LITERAL("]}")) : err;
}
