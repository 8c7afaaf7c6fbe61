#include "tests/support/failure_page.h"

#include <assert.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "tests/support/cmocka.h"
#include "tests/support/wait.h"

/* Whoever takes it prints it: once, even if two threads lose their patience. */
static _Atomic(struct failure_page *) open_page;

static void print_open_page(void)
{
	char *text = NULL;
	size_t len = 0;
	struct failure_page *page = atomic_exchange(&open_page, NULL);
	FILE *file = page ? open_memstream(&text, &len) : NULL;
	if (!file)
		return;
	failure_page_print(page, file);
	fclose(file);
	fwrite(text, 1, len, stderr); /* at once: other threads print as well */
	free(text);
}

void failure_page_open(
	struct failure_page *page, void (*describe)(void *arg, FILE *to), void *arg)
{
	*page = (struct failure_page){ .describe = describe,
		.arg = arg,
		.opened = instant_now(),
		.opener = pthread_self() };
	pthread_mutex_init(&page->lock, NULL);
	atomic_store(&open_page, page);
	patience_on_loss(print_open_page);
}

int failure_page_tear_down(void **state)
{
	(void)state;
	print_open_page();
	return 0;
}

/*
 * Writing.
 */

#define PRINT_INTO(array, format)                                   \
	do {                                                        \
		va_list args_;                                      \
		va_start(args_, format);                            \
		vsnprintf((array), sizeof(array), (format), args_); \
		va_end(args_);                                      \
	} while (0)

void failure_page_tell(
	struct failure_page *page, const char *name, const char *format, ...)
{
	pthread_mutex_lock(&page->lock);
	assert(page->told_count < PAGE_TOLD_MAX);
	struct page_line *line = &page->told[page->told_count++];
	snprintf(line->name, sizeof line->name, "%s", name);
	PRINT_INTO(line->text, format);
	pthread_mutex_unlock(&page->lock);
}

void failure_page_expect(
	struct failure_page *page, const char *name, const char *expected)
{
	pthread_mutex_lock(&page->lock);
	assert(page->expectations_count < PAGE_EXPECTED_MAX);
	struct page_expectation *it = &page->expectations[page->expectations_count++];
	assert(strlen(name) < sizeof it->name);
	assert(strlen(expected) < sizeof it->expected);
	strcpy(it->name, name);
	strcpy(it->expected, expected);
	pthread_mutex_unlock(&page->lock);
}

/* Lock held. */
static struct page_expectation *find_expectation(
	struct failure_page *page, const char *name)
{
	for (unsigned i = 0; i < page->expectations_count; i++)
		if (strcmp(page->expectations[i].name, name) == 0)
			return &page->expectations[i];
	return NULL;
}

void failure_page_came(
	struct failure_page *page, const char *name, const char *format, ...)
{
	pthread_mutex_lock(&page->lock);
	struct page_expectation *it = find_expectation(page, name);
	assert(it); /* else it would be compared with nothing */
	PRINT_INTO(it->came, format);
	it->has_come = true;
	pthread_mutex_unlock(&page->lock);
}

static void name_this_thread(const struct failure_page *page, char *name, size_t size)
{
	if (pthread_equal(page->opener, pthread_self()))
		snprintf(name, size, "the test");
	else
		pthread_getname_np(pthread_self(), name, size);
}

void failure_page_event(struct failure_page *page, const char *format, ...)
{
	int64_t after_ns = instant_diff_ns(page->opened, instant_now());
	pthread_mutex_lock(&page->lock);
	unsigned i = page->events_count++;
	if (i < PAGE_EVENTS_MAX) {
		struct page_event *event = &page->events[i];
		event->after_ns = after_ns;
		name_this_thread(page, event->thread, sizeof event->thread);
		PRINT_INTO(event->text, format);
	}
	pthread_mutex_unlock(&page->lock);
}

/*
 * Comparing.
 */

static bool is_number(const char *text)
{
	char *end;
	double number = strtod(text, &end);
	return end > text && *end == '\0' && number >= 0;
}

/* Whether text is one of those between which alternatives has " or ". */
static bool is_one_of(const char *text, const char *alternatives)
{
	static const char between[] = " or ";
	size_t len = strlen(text);
	for (const char *at = alternatives; at;) {
		const char *end = strstr(at, between);
		size_t this_len = end ? (size_t)(end - at) : strlen(at);
		if (this_len == len && strncmp(at, text, len) == 0)
			return true;
		at = end ? end + strlen(between) : NULL;
	}
	return false;
}

static bool is_as_expected(const struct page_expectation *it)
{
	if (strcmp(it->expected, PAGE_NUMBER) == 0)
		return is_number(it->came);
	return is_one_of(it->came, it->expected);
}

static bool came_otherwise(const struct page_expectation *it)
{
	return it->has_come && !is_as_expected(it);
}

void failure_page_check(struct failure_page *page)
{
	unsigned wrong = 0;
	pthread_mutex_lock(&page->lock);
	for (unsigned i = 0; i < page->expectations_count; i++) {
		const struct page_expectation *it = &page->expectations[i];
		if (!came_otherwise(it))
			continue;
		print_error("%s: %s, not %s\n", it->name, it->came, it->expected);
		wrong++;
	}
	pthread_mutex_unlock(&page->lock);
	if (wrong > 0)
		fail_msg("%u of what was expected came otherwise", wrong);
}

void failure_page_close(struct failure_page *page)
{
	const char *missing = NULL;
	for (unsigned i = 0; i < page->expectations_count && !missing; i++)
		if (!page->expectations[i].has_come)
			missing = page->expectations[i].name;
	if (missing)
		fail_msg("nobody looked at what came as \"%s\"", missing);
	atomic_store(&open_page, NULL);
	pthread_mutex_destroy(&page->lock);
}

/*
 * Printing.
 */

static void print_expectation(const struct page_expectation *it, FILE *to)
{
	fprintf(to, "%s  %-27s  %-27s  %s\n", came_otherwise(it) ? "!!" : "  ", it->name,
		it->expected, it->has_come ? it->came : "(not looked at yet)");
}

static void print_events(const struct failure_page *page, FILE *to)
{
	fprintf(to, "\nevents, after ms\n");
	for (unsigned i = 0; i < page->events_count && i < PAGE_EVENTS_MAX; i++) {
		const struct page_event *event = &page->events[i];
		fprintf(to, "%12.3f  %-15s  %s\n", (double)event->after_ns / 1e6,
			event->thread, event->text);
	}
	if (page->events_count > PAGE_EVENTS_MAX)
		fprintf(to, "%12s  and %u more\n", "",
			page->events_count - PAGE_EVENTS_MAX);
}

void failure_page_print(struct failure_page *page, FILE *to)
{
	fprintf(to, "\n======== a failed test ========\n");
	pthread_mutex_lock(&page->lock);
	for (unsigned i = 0; i < page->told_count; i++)
		fprintf(to, "%-27s  %s\n", page->told[i].name, page->told[i].text);
	fprintf(to, "\n    %-27s  %-27s  %s\n", "", "expected", "came");
	for (unsigned i = 0; i < page->expectations_count; i++)
		print_expectation(&page->expectations[i], to);
	print_events(page, to);
	pthread_mutex_unlock(&page->lock);
	fprintf(to, "\nhow things stand\n");
	if (page->describe)
		page->describe(page->arg, to);
	fprintf(to, "======== its end ========\n");
}
