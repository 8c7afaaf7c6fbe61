#ifndef HANGUP_SERVICE_CORE_PROMETHEUS_H
#define HANGUP_SERVICE_CORE_PROMETHEUS_H

/*
 * Writes figures as Prometheus reads them: text format 0.0.4
 * (https://prometheus.io/docs/instrumenting/exposition_formats/). A family is begun, and
 * its samples follow at once:
 *
 *	prometheus_family(&page, "requests_total", "counter", "Requests answered");
 *	prometheus_count(&page, NULL, 5);
 *
 * Nothing here asks what the figures mean. Errors stay in the FILE.
 */
#include <stdio.h>

#include "service/core/histogram.h"

#define PROMETHEUS_MEDIA "text/plain"
#define PROMETHEUS_TYPE  PROMETHEUS_MEDIA "; version=0.0.4"

struct prometheus {
	FILE *out;
	const char *prefix; /* the service's name; NULL: none. What names may not hold,
			     * such as a dash, is written as '_' */
	const char *name;   /* of the family; set by prometheus_family() */
};

/* name, type and help are literals: nothing in them needs escaping. */
void prometheus_family(
	struct prometheus *page, const char *name, const char *type, const char *help);

struct prometheus_label {
	const char *name;  /* a literal */
	const char *value; /* anything; escaped here */
};

enum { PROMETHEUS_LABELS_MAX = 4 };

/* Samples of the family. labels ends with a zeroed one; NULL: none. */
void prometheus_count(const struct prometheus *page,
	const struct prometheus_label *labels, uint64_t value);
void prometheus_seconds(
	const struct prometheus *page, const struct prometheus_label *labels, int64_t ns);

/* All series of a histogram; at most PROMETHEUS_LABELS_MAX labels. */
void prometheus_histogram(const struct prometheus *page,
	const struct prometheus_label *labels, const struct histogram *histogram);

#endif
