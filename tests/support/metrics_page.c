#include "tests/support/metrics_page.h"

#include <assert.h>
#include <regex.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka.h"

#define NAME  "[a-zA-Z_][a-zA-Z0-9_]*"
#define LABEL NAME "=\"([^\"\\\n]|\\\\[\\\\\"n])*\""

enum { LINES_MAX = 4096 };

struct page {
	char *text; /* owned: cut into lines */
	char *lines[LINES_MAX];
	size_t count;
	size_t at;
};

static bool matches(const char *line, const char *pattern)
{
	regex_t regex;
	assert(regcomp(&regex, pattern, REG_EXTENDED | REG_NOSUB) == 0);
	bool found = regexec(&regex, line, 0, NULL, 0) == 0;
	regfree(&regex);
	return found;
}

static void cut_into_lines(struct page *page, const char *text)
{
	size_t len = strlen(text);
	*page = (struct page){ .text = strdup(text) };
	assert_true(len > 0 && text[len - 1] == '\n');
	char *rest = page->text;
	for (char *line; (line = strsep(&rest, "\n")) && rest;) {
		assert_true(page->count < LINES_MAX);
		page->lines[page->count++] = line;
	}
}

static bool ends_with(const char *text, const char *end)
{
	size_t len = strlen(text);
	size_t end_len = strlen(end);
	return len >= end_len && strcmp(text + len - end_len, end) == 0;
}

/* "# HELP name text", and "# TYPE name type" behind it. */
static void check_head(struct page *page, char *name, char *type)
{
	char other[128];
	const char *help = page->lines[page->at++];
	if (!matches(help, "^# HELP " NAME " [^ ].*\\.$") || page->at == page->count)
		fail_msg("no HELP: %s", help);
	const char *line = page->lines[page->at++];
	if (!matches(line, "^# TYPE " NAME " (counter|gauge|histogram)$"))
		fail_msg("no TYPE: %s", line);
	sscanf(help, "# HELP %127s", name);
	sscanf(line, "# TYPE %127s %31s", other, type);
	assert_string_equal(name, other);
	if ((strcmp(type, "counter") == 0) != ends_with(name, "_total"))
		fail_msg("%s is a %s", name, type);
}

static bool is_sample_of(const char *line, const char *name, const char *type)
{
	size_t len = strcspn(line, "{ ");
	size_t name_len = strlen(name);
	if (len < name_len || strncmp(line, name, name_len) != 0)
		return false;
	char suffix[32];
	snprintf(suffix, sizeof suffix, "%.*s", (int)(len - name_len), line + name_len);
	if (strcmp(type, "histogram") != 0)
		return suffix[0] == '\0';
	return strcmp(suffix, "_bucket") == 0 || strcmp(suffix, "_sum") == 0 ||
		strcmp(suffix, "_count") == 0;
}

static void check_sample(const char *line)
{
	if (!matches(
		    line, "^" NAME "(\\{" LABEL "(," LABEL ")*\\})? [0-9]+(\\.[0-9]+)?$"))
		fail_msg("no sample: %s", line);
}

/* The length of what comes before the value: a label may hold blanks. */
static size_t series_len(const char *line)
{
	return (size_t)(strrchr(line, ' ') - line);
}

static void check_once(const struct page *page)
{
	for (size_t i = 0; i < page->count; i++) {
		size_t len = page->lines[i][0] == '#' ? strlen(page->lines[i])
						      : series_len(page->lines[i]);
		for (size_t j = i + 1; j < page->count; j++)
			if (strncmp(page->lines[i], page->lines[j], len + 1) == 0)
				fail_msg("twice: %s", page->lines[i]);
	}
}

/* One series' buckets, sum and count. */
static void check_histogram(struct page *page)
{
	double last_bound = -1;
	uint64_t last = 0;
	const char *bound = "";
	const char *line;
	for (; (line = page->lines[page->at]) && strstr(line, "_bucket{"); page->at++) {
		check_sample(line);
		bound = strstr(line, "le=\"");
		assert_non_null(bound);
		bound += strlen("le=\"");
		assert_true(strtod(bound, NULL) > last_bound);
		last_bound = strtod(bound, NULL);
		uint64_t value = strtoull(line + series_len(line), NULL, 10);
		assert_true(value >= last);
		last = value;
		if (strncmp(bound, "+Inf\"", strlen("+Inf\"")) == 0) {
			page->at++;
			break;
		}
	}
	if (strncmp(bound, "+Inf\"", strlen("+Inf\"")) != 0)
		fail_msg("no last bucket before: %s", line);
	check_sample(page->lines[page->at]);
	assert_non_null(strstr(page->lines[page->at++], "_sum"));
	check_sample(line = page->lines[page->at++]);
	assert_non_null(strstr(line, "_count"));
	assert_int_equal(strtoull(line + series_len(line), NULL, 10), last);
}

static void check_family(struct page *page)
{
	char name[128];
	char type[32];
	check_head(page, name, type);
	while (page->at < page->count && page->lines[page->at][0] != '#') {
		const char *line = page->lines[page->at];
		if (!is_sample_of(line, name, type))
			fail_msg("not of %s: %s", name, line);
		if (strcmp(type, "histogram") == 0)
			check_histogram(page);
		else
			check_sample(page->lines[page->at++]);
	}
}

void metrics_page_check(const char *text)
{
	static struct page page;
	cut_into_lines(&page, text);
	check_once(&page);
	while (page.at < page.count)
		check_family(&page);
	free(page.text);
}

double metrics_page_value(const char *text, const char *series)
{
	size_t len = strlen(series);
	for (const char *line = text; *line; line = strchr(line, '\n') + 1)
		if (strncmp(line, series, len) == 0 && line[len] == ' ')
			return strtod(line + len, NULL);
	return -1;
}
