#ifndef HANGUP_TESTS_SUPPORT_METRICS_PAGE_H
#define HANGUP_TESTS_SUPPORT_METRICS_PAGE_H

/*
 * Reads pages in the text format 0.0.4 of Prometheus, more strictly than that does.
 */

/* Fails the test unless text is a page: each family has its help and type before its
 * samples, and comes once; names, labels and values are spelt as they must be; counters
 * and units have their suffixes; no series comes twice; the buckets of a histogram are
 * cumulative, and agree with its count. */
void metrics_page_check(const char *text);

/* The value of the series, spelt as in the page: "name{label=\"value\"}". -1 when there
 * is none. */
double metrics_page_value(const char *text, const char *series);

#endif
