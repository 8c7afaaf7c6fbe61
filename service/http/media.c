#include "service/http/media.h"

#include <strings.h>

enum { QUALITY_MAX = 1000 };

static struct span trim(struct span text)
{
	while (text.len > 0 && (text.data[0] == ' ' || text.data[0] == '\t'))
		text = (struct span){ text.data + 1, text.len - 1 };
	while (text.len > 0 &&
		(text.data[text.len - 1] == ' ' || text.data[text.len - 1] == '\t'))
		text.len--;
	return text;
}

/* Cuts off what comes before the first separator, and the separator. */
static struct span cut(struct span *rest, char separator)
{
	const char *end = rest->len ? memchr(rest->data, separator, rest->len) : NULL;
	struct span piece = { rest->data, end ? (size_t)(end - rest->data) : rest->len };
	size_t used = piece.len + (end ? 1 : 0);
	*rest = (struct span){ rest->data + used, rest->len - used };
	return trim(piece);
}

static bool same(struct span a, struct span b)
{
	return a.len == b.len && strncasecmp(a.data, b.data, a.len) == 0;
}

bool media_is_among(struct span content_type, const char *types)
{
	struct span list = span_of(types);
	struct span type = cut(&content_type, ';');
	while (list.len > 0)
		if (same(cut(&list, ','), type))
			return true;
	return false;
}

/* "0.25" as 250. A weight without its leading zero, such as the ".2" of older Java
 * clients, is taken for what it means, and what is no weight at all says nothing: only a
 * zero refuses (RFC 9110, 12.4.2). */
static int parse_quality(struct span text)
{
	int quality = 0;
	int unit = QUALITY_MAX;
	bool has_digit = false;
	bool is_zero = true;
	for (size_t i = 0; i < text.len; i++) {
		char c = text.data[i];
		if (c == '.' && unit == QUALITY_MAX) {
			unit /= 10;
		} else if (c >= '0' && c <= '9') {
			bool whole = unit == QUALITY_MAX;
			quality = whole ? 10 * quality : quality;
			quality += (c - '0') * unit;
			unit = whole ? unit : unit / 10;
			has_digit = true;
			is_zero &= c == '0';
		} else {
			return QUALITY_MAX;
		}
		if (quality > QUALITY_MAX)
			quality = QUALITY_MAX;
	}
	if (!has_digit)
		return QUALITY_MAX;
	return quality == 0 && !is_zero ? 1 : quality;
}

static int quality_of(struct span params)
{
	while (params.len > 0) {
		struct span param = cut(&params, ';');
		struct span name = cut(&param, '=');
		if (same(name, SPAN_LITERAL("q")))
			return parse_quality(trim(param));
	}
	return QUALITY_MAX;
}

/* 3 for the type itself, 2 for its main type, 1 for anything, 0 for no match. */
static int specificity(struct span range, struct span type)
{
	const char *slash = memchr(type.data, '/', type.len);
	struct span main_type = { type.data, (size_t)(slash - type.data) };
	if (same(range, type))
		return 3;
	if (span_is(range, "*/*"))
		return 1;
	if (range.len < 2 || memcmp(range.data + range.len - 2, "/*", 2) != 0)
		return 0;
	return same((struct span){ range.data, range.len - 2 }, main_type) ? 2 : 0;
}

static int quality(struct span accept, struct span type)
{
	int best = 0;
	int result = 0;
	if (trim(accept).len == 0)
		return QUALITY_MAX;
	while (accept.len > 0) {
		struct span params = cut(&accept, ',');
		int fit = specificity(cut(&params, ';'), type);
		if (fit > best) {
			best = fit;
			result = quality_of(params);
		}
	}
	return result;
}

int media_quality(struct span accept, const char *type)
{
	return quality(accept, span_of(type));
}

bool media_is_wanted(struct span accept, const char *types)
{
	struct span list = span_of(types);
	while (list.len > 0)
		if (quality(accept, cut(&list, ',')) > 0)
			return true;
	return false;
}
