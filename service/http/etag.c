#include "service/http/etag.h"

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

struct tag {
	struct span text; /* quotes included; without data when there is none */
	bool weak;
};

/* Takes the tag that rest begins with. A quote cannot be escaped in it, and a comma
 * means nothing. */
static struct tag take_tag(struct span *rest)
{
	struct tag tag = { 0 };
	tag.weak = rest->len > 2 && memcmp(rest->data, "W/", 2) == 0;
	if (tag.weak)
		skip(rest, 2);
	if (rest->len < 2 || rest->data[0] != '"')
		return tag;
	const char *end = memchr(rest->data + 1, '"', rest->len - 1);
	if (!end)
		return tag;
	tag.text = (struct span){ rest->data, (size_t)(end - rest->data) + 1 };
	skip(rest, tag.text.len);
	return tag;
}

static bool is_any(struct span list)
{
	skip_any(&list, " \t");
	if (list.len == 0 || list.data[0] != '*')
		return false;
	skip(&list, 1);
	skip_any(&list, " \t");
	return list.len == 0;
}

static bool is_listed(struct span list, const char *etag, bool weak_counts)
{
	for (;;) {
		skip_any(&list, " \t,");
		struct tag tag = take_tag(&list);
		if (!tag.text.data)
			return false;
		if (span_is(tag.text, etag) && (weak_counts || !tag.weak))
			return true;
	}
}

bool etag_is_known(struct span if_none_match, const char *etag)
{
	return is_any(if_none_match) || is_listed(if_none_match, etag, true);
}

bool etag_is_meant(struct span if_match, const char *etag)
{
	return is_any(if_match) || is_listed(if_match, etag, false);
}
