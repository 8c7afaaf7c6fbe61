#include "service/http/router.h"

#include <stdio.h>
#include <string.h>

const char *lane_name(enum lane lane)
{
	static const char *const names[] = {
		[LANE_SHORT] = "short", [LANE_LONG] = "long", [LANE_INLINE] = "inline"
	};
	return names[lane];
}

/* {NAME} in the pattern stands for one whole segment, which is not empty. */
static bool take_param(struct route_match *match, const char **pattern, const char **path)
{
	const char *name = *pattern + 1;
	const char *name_end = strchr(name, '}');
	const char *value_end = strchrnul(*path, '/');
	if (match->params_count == ROUTE_PARAMS_MAX || !name_end || value_end == *path)
		return false;
	match->params[match->params_count++] = (struct route_param){
		.name = { name, (size_t)(name_end - name) },
		.value = { *path, (size_t)(value_end - *path) },
	};
	*pattern = name_end + 1;
	*path = value_end;
	return true;
}

/* A path that ends in a slash, or has two in a row, is another path. */
static bool is_tidy(const char *path)
{
	size_t len = strlen(path);
	return path[0] == '/' && !strstr(path, "//") &&
		(len == 1 || path[len - 1] != '/');
}

/* Whether path has route's shape; ret_match then holds its parameters. Every request
 * passes by every route: most differ within their first characters. */
static bool matches(
	const struct route *route, const char *path, struct route_match *ret_match)
{
	const char *pattern = route->path;
	ret_match->route = route;
	ret_match->params_count = 0;
	while (*pattern) {
		if (*pattern == '{') {
			if (!take_param(ret_match, &pattern, &path))
				return false;
		} else if (*pattern++ != *path++) {
			return false;
		}
	}
	return *path == '\0';
}

static bool answers(const struct route *route, const char *method)
{
	if (strcmp(route->method, method) == 0)
		return true;
	return strcmp(method, "HEAD") == 0 && strcmp(route->method, "GET") == 0;
}

/* Which of two patterns that fit the same path says more about it: below 0 for a. At the
 * first segment where only one spells it out, that one; 0 when they differ in names only,
 * and so are one resource. */
static int compare(const char *a, const char *b)
{
	while (*a && *b) {
		if (*a == '{' && *b == '{') {
			a = strchr(a, '}') + 1;
			b = strchr(b, '}') + 1;
		} else if (*a == '{' || *b == '{') {
			return *a == '{' ? 1 : -1;
		} else {
			a++;
			b++;
		}
	}
	return 0;
}

/* The pattern that path belongs to, whatever the method; NULL when there is none. */
static const char *find_pattern(
	const struct route *routes, size_t count, const char *path)
{
	struct route_match ignored;
	const char *best = NULL;
	for (size_t i = 0; i < count && is_tidy(path); i++)
		if (matches(&routes[i], path, &ignored) &&
			(!best || compare(routes[i].path, best) < 0))
			best = routes[i].path;
	return best;
}

enum err route_find(const struct route *routes, size_t count, const char *method,
	const char *path, struct route_match *ret_match)
{
	struct route_match match;
	struct route_match found = { 0 };
	const char *pattern = NULL; /* of the resource, as far as was looked */
	for (size_t i = 0; i < count && is_tidy(path); i++) {
		if (!matches(&routes[i], path, &match))
			continue;
		int order = pattern ? compare(routes[i].path, pattern) : -1;
		if (order < 0) {
			pattern = routes[i].path;
			found.route = NULL;
		}
		if (order <= 0 && !found.route && answers(&routes[i], method))
			found = match;
	}
	*ret_match = found.route ? found : (struct route_match){ 0 };
	if (found.route)
		return ERR_OK;
	return pattern ? ERR_METHOD : ERR_NOT_FOUND;
}

static void add_method(char *list, size_t size, const char *method)
{
	size_t len = strlen(list);
	snprintf(list + len, size - len, "%s%s", len ? ", " : "", method);
}

void route_allow(const struct route *routes, size_t count, const char *path, char *ret,
	size_t size)
{
	const char *pattern = find_pattern(routes, count, path);
	struct route_match match;
	ret[0] = '\0';
	for (size_t i = 0; pattern && i < count; i++) {
		if (!matches(&routes[i], path, &match) ||
			compare(routes[i].path, pattern) != 0)
			continue;
		add_method(ret, size, routes[i].method);
		if (strcmp(routes[i].method, "GET") == 0)
			add_method(ret, size, "HEAD");
	}
	if (ret[0])
		add_method(ret, size, "OPTIONS");
}
