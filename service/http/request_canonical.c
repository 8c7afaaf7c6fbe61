#include "service/http/request_canonical.h"

#include <string.h>
#include <strings.h>

#include "service/http/problem.h"

/*
 * The target.
 */

/* What follows the scheme and its slashes; NULL when path is no absolute form. */
static const char *after_scheme(const char *path)
{
	static const char *const schemes[] = { "http://", "https://" };
	for (size_t i = 0; i < sizeof schemes / sizeof *schemes; i++)
		if (strncasecmp(path, schemes[i], strlen(schemes[i])) == 0)
			return path + strlen(schemes[i]);
	return NULL;
}

static void drop_authority(struct request *req)
{
	const char *authority = after_scheme(req->path);
	if (!authority)
		return;
	const char *path = strchr(authority, '/');
	req->path = path ? path : "/";
}

/*
 * One field.
 */

static bool is_alphanumeric(unsigned char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* RFC 9110, 5.6.2 */
static bool is_token(struct span text)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char c = (unsigned char)text.data[i];
		if (!is_alphanumeric(c) && (c == '\0' || !strchr("!#$%&'*+-.^_`|~", c)))
			return false;
	}
	return text.len > 0;
}

static const char *const framing[] = { "Content-Length", "Transfer-Encoding" };

/* Whether name begins with that of a field that frames the body. */
static const char *begins_like_framing(struct span name)
{
	for (size_t i = 0; i < sizeof framing / sizeof *framing; i++)
		if (strncasecmp(name.data, framing[i], strlen(framing[i])) == 0)
			return framing[i];
	return NULL;
}

/* Neither NUL nor a line's end can be in a value (RFC 9110, 5.5). */
static bool is_value(struct span value)
{
	return value.len == 0 ||
		(!memchr(value.data, '\0', value.len) &&
			!memchr(value.data, '\r', value.len) &&
			!memchr(value.data, '\n', value.len));
}

/* The value stays NUL-terminated: its text is the request's own. */
static struct span without_blanks(struct span value)
{
	while (value.len > 0 && strchr(" \t", value.data[0]))
		value = (struct span){ value.data + 1, value.len - 1 };
	while (value.len > 0 && strchr(" \t", value.data[value.len - 1]))
		value.len--;
	((char *)value.data)[value.len] = '\0';
	return value;
}

/* libmicrohttpd 0.9.75 keeps a blank before the colon in the name, and appends a folded
 * line to the name of the field before it. A length that is hidden so is none for it, but
 * may be one for a proxy, so a name that only begins like one is refused as well; and
 * blanks around its value, which the one may take for a part of it and the other not. */
static enum err canonicalize_field(struct request_field *field, struct response *res)
{
	if (!is_token(field->name))
		return problem(
			res, ERR_BAD_REQUEST, "The name of a header field is no token.");
	if (!is_value(field->value))
		return problem(res, ERR_BAD_REQUEST,
			"The value of a header field holds a NUL or a line's end.");
	const char *framing_name = begins_like_framing(field->name);
	struct span value = without_blanks(field->value);
	if (framing_name &&
		(field->name.len != strlen(framing_name) || value.len < field->value.len))
		return problem(res, ERR_BAD_REQUEST,
			"The length of the body is given in a form that can be misread.");
	field->value = value;
	return ERR_OK;
}

/*
 * Fields of the same name. What is in none of these tables is refused when its reader
 * counts it (request_header_count()), or its first line counts.
 */

static const char *const lists[] = { "Accept", "Accept-Charset", "Accept-Encoding",
	"Accept-Language", "Cache-Control", "Connection", "Content-Encoding", "Expect",
	"Forwarded", "If-Match", "If-None-Match", "Prefer", "TE", "Trailer", "Upgrade",
	"Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", NULL };

/* Given twice they say nothing that anybody could rely on: as if they were not there. */
static const char *const ignored_twice[] = { "traceparent", "X-Request-Id", NULL };

static const char *const refused_twice[] = { "Authorization", "Content-Type", NULL };

static bool is_among(struct span name, const char *const names[])
{
	for (; *names; names++)
		if (strcasecmp(name.data, *names) == 0)
			return true;
	return false;
}

static bool is_same_name(const struct request_field *a, const struct request_field *b)
{
	return a->kind == REQUEST_HEADER && b->kind == REQUEST_HEADER &&
		a->name.len == b->name.len && strcasecmp(a->name.data, b->name.data) == 0;
}

/* How many fields from index on have the name of the one there. */
static unsigned count_lines(const struct request *req, unsigned index)
{
	unsigned count = 1;
	for (unsigned i = index + 1; i < req->fields_count; i++)
		count += is_same_name(&req->fields[index], &req->fields[i]);
	return count;
}

/* Removes the lines of a field behind its first at index, and that one too unless it is to
 * stay. */
static void remove_lines(struct request *req, unsigned index, bool first_stays)
{
	const struct request_field first = req->fields[index];
	unsigned kept = index + first_stays;
	for (unsigned i = index + 1; i < req->fields_count; i++)
		if (!is_same_name(&first, &req->fields[i]))
			req->fields[kept++] = req->fields[i];
	req->fields_count = kept;
}

static enum err join_lines(struct request *req, unsigned index)
{
	const struct request_field *first = &req->fields[index];
	size_t size = 1;
	for (unsigned i = index; i < req->fields_count; i++)
		if (is_same_name(first, &req->fields[i]))
			size += req->fields[i].value.len + 2;
	char *text = request_keep_more(req, size);
	if (!text)
		return ERR_NOMEM;
	char *end = text;
	for (unsigned i = index; i < req->fields_count; i++) {
		struct span value = req->fields[i].value;
		if (!is_same_name(first, &req->fields[i]))
			continue;
		end = mempcpy(end, ", ", i == index ? 0 : 2);
		end = mempcpy(end, value.data, value.len);
	}
	*end = '\0';
	req->fields[index].value = (struct span){ text, (size_t)(end - text) };
	remove_lines(req, index, true);
	return ERR_OK;
}

/* The field at index is there more than once. */
static enum err settle_lines(
	struct request *req, struct response *res, unsigned index, bool *ret_gone)
{
	struct span name = req->fields[index].name;
	*ret_gone = is_among(name, ignored_twice);
	if (is_among(name, lists))
		return join_lines(req, index);
	if (is_among(name, refused_twice))
		return problem(res, ERR_BAD_REQUEST, "%.64s is given twice.", name.data);
	if (*ret_gone)
		remove_lines(req, index, false);
	return ERR_OK;
}

/* Most requests have no field twice, so what this costs is to compare lengths of names. */
static enum err settle_repeated(struct request *req, struct response *res)
{
	for (unsigned i = 0; i < req->fields_count;) {
		bool gone = false;
		enum err err = ERR_OK;
		if (req->fields[i].kind == REQUEST_HEADER && count_lines(req, i) > 1)
			err = settle_lines(req, res, i, &gone);
		if (err != ERR_OK)
			return err;
		i += !gone;
	}
	return ERR_OK;
}

enum err request_canonicalize(struct request *req, struct response *res)
{
	enum err err = ERR_OK;
	drop_authority(req);
	for (unsigned i = 0; err == ERR_OK && i < req->fields_count; i++)
		if (req->fields[i].kind == REQUEST_HEADER)
			err = canonicalize_field(&req->fields[i], res);
	return err == ERR_OK ? settle_repeated(req, res) : err;
}
