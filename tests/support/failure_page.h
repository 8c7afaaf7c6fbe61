#ifndef HANGUP_TESTS_SUPPORT_FAILURE_PAGE_H
#define HANGUP_TESTS_SUPPORT_FAILURE_PAGE_H

/*
 * The page that a test leaves when it fails: what it tried, what it expected and what
 * came instead, the order of events as it saw them, and how things stand. It is written
 * while the test runs, and printed to stderr only if the test fails: by an assertion, for
 * which failure_page_tear_down() is the test's teardown, or by losing its patience
 * (wait.h). One page is open at a time; it belongs to the test.
 *
 *	failure_page_open(&page, describe, &test);
 *	failure_page_tell(&page, "leaves by", "a half-close");
 *	failure_page_expect(&page, "status", "499");
 *	failure_page_event(&page, "the client leaves");      any thread may
 *	...
 *	failure_page_came(&page, "status", "%d", status);
 *	failure_page_check(&page);                           fails unless it is so
 *	failure_page_close(&page);                           all went well
 *
 * Texts are cut where they are too long for it, and events that are too many are counted.
 */
#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "service/core/clock.h"

enum { PAGE_TOLD_MAX = 8, PAGE_EXPECTED_MAX = 16, PAGE_EVENTS_MAX = 64 };

struct page_line {
	char name[32];
	char text[200];
};

struct page_expectation {
	char name[32];
	char expected[48];
	char came[48];
	bool has_come;
};

struct page_event {
	int64_t after_ns; /* the page was opened */
	char thread[16];
	char text[120];
};

struct failure_page {
	void (*describe)(void *arg, FILE *to); /* how things stand; may be NULL */
	void *arg;
	instant opened;
	pthread_t opener;

	pthread_mutex_t lock;
	struct page_line told[PAGE_TOLD_MAX]; /* lock, all that follow */
	struct page_expectation expectations[PAGE_EXPECTED_MAX];
	struct page_event events[PAGE_EVENTS_MAX];
	unsigned told_count;
	unsigned expectations_count;
	unsigned events_count; /* those without room, too */
};

/* describe is called in the thread that prints, which may be any, while others run. */
void failure_page_open(
	struct failure_page *page, void (*describe)(void *arg, FILE *to), void *arg);

/* What is tried: told once under each name. */
void failure_page_tell(struct failure_page *page, const char *name, const char *format,
	...) __attribute__((format(printf, 3, 4)));

/* What is expected under name, before it can come: a text, several with " or " between
 * them, or one of these. */
#define PAGE_NOTHING "(none)"
#define PAGE_NUMBER  "a number from 0"
void failure_page_expect(
	struct failure_page *page, const char *name, const char *expected);

/* What came under a name of which something is expected. */
void failure_page_came(struct failure_page *page, const char *name, const char *format,
	...) __attribute__((format(printf, 3, 4)));

void failure_page_event(struct failure_page *page, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Fails the test, with all that came otherwise, if something did. What has not come yet
 * is left for later. */
void failure_page_check(struct failure_page *page);

/* Nothing is printed any more. Fails the test if something expected was never looked
 * at: that would be an assertion that cannot fail. */
void failure_page_close(struct failure_page *page);

void failure_page_print(struct failure_page *page, FILE *to);

/* A teardown for cmocka: prints the page that is still open. */
int failure_page_tear_down(void **state);

#endif
