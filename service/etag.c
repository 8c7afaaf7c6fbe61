#include "service/etag.h"

#include <inttypes.h>
#include <stdio.h>

void etag_of_version(int64_t version, char ret[static ETAG_SIZE])
{
	snprintf(ret, ETAG_SIZE, "\"%" PRId64 "\"", version);
}

static void skip(struct span *rest, size_t count)
{
	rest->data += count;
	rest->len -= count;
}

static void skip_any(struct span *rest, const char *characters)
{
	while (rest->len > 0 && rest->data[0] && strchr(characters, rest->data[0]))
		skip(rest, 1);
}

/* Takes the tag that rest begins with, quotes included, W/ left out. A quote cannot
 * be escaped in it, and a comma means nothing. Without data when there is none. */
static struct span take_tag(struct span *rest)
{
	if (rest->len > 2 && memcmp(rest->data, "W/", 2) == 0)
		skip(rest, 2);
	if (rest->len < 2 || rest->data[0] != '"')
		return (struct span){ 0 };
	const char *end = memchr(rest->data + 1, '"', rest->len - 1);
	if (!end)
		return (struct span){ 0 };
	struct span tag = { rest->data, (size_t)(end - rest->data) + 1 };
	skip(rest, tag.len);
	return tag;
}

bool etag_is_known(struct span if_none_match, const char *etag)
{
	struct span rest = if_none_match;
	skip_any(&rest, " \t");
	if (rest.len > 0 && rest.data[0] == '*') {
		skip(&rest, 1);
		skip_any(&rest, " \t");
		return rest.len == 0;
	}
	for (;;) {
		skip_any(&rest, " \t,");
		struct span tag = take_tag(&rest);
		if (!tag.data || span_is(tag, etag))
			return tag.data != NULL;
	}
}
