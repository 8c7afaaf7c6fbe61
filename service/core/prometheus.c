#include "service/core/prometheus.h"

#include <assert.h>
#include <inttypes.h>
#include <stdbool.h>

static bool is_name_char(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static void print_name(const struct prometheus *page)
{
	for (const char *at = page->prefix; at && *at; at++)
		fputc(is_name_char(*at) ? *at : '_', page->out);
	fprintf(page->out, "%s%s", page->prefix ? "_" : "", page->name);
}

void prometheus_family(
	struct prometheus *page, const char *name, const char *type, const char *help)
{
	page->name = name;
	fputs("# HELP ", page->out);
	print_name(page);
	fprintf(page->out, " %s\n# TYPE ", help);
	print_name(page);
	fprintf(page->out, " %s\n", type);
}

static void print_escaped(FILE *out, const char *text)
{
	for (; *text; text++) {
		if (*text == '\\' || *text == '"')
			fputc('\\', out);
		if (*text == '\n')
			fputs("\\n", out);
		else
			fputc(*text, out);
	}
}

static void print_labels(FILE *out, const struct prometheus_label *labels)
{
	const char *between = "{";
	for (; labels && labels->name; labels++) {
		fprintf(out, "%s%s=\"", between, labels->name);
		print_escaped(out, labels->value);
		fputc('"', out);
		between = ",";
	}
	if (between[0] == ',')
		fputc('}', out);
}

static void print_series(const struct prometheus *page, const char *suffix,
	const struct prometheus_label *labels)
{
	print_name(page);
	fputs(suffix, page->out);
	print_labels(page->out, labels);
}

static void print_count(const struct prometheus *page, const char *suffix,
	const struct prometheus_label *labels, uint64_t value)
{
	print_series(page, suffix, labels);
	fprintf(page->out, " %" PRIu64 "\n", value);
}

static void print_seconds(const struct prometheus *page, const char *suffix,
	const struct prometheus_label *labels, int64_t ns)
{
	enum { NS_PER_S = 1000000000 };
	print_series(page, suffix, labels);
	fprintf(page->out, " %" PRId64 ".%09" PRId64 "\n", ns / NS_PER_S, ns % NS_PER_S);
}

void prometheus_count(const struct prometheus *page,
	const struct prometheus_label *labels, uint64_t value)
{
	print_count(page, "", labels, value);
}

void prometheus_seconds(
	const struct prometheus *page, const struct prometheus_label *labels, int64_t ns)
{
	print_seconds(page, "", labels, ns);
}

/* Copies labels and adds one whose value is still to come, which it returns. */
static struct prometheus_label *add_bound(const struct prometheus_label *labels,
	struct prometheus_label ret[static PROMETHEUS_LABELS_MAX + 2])
{
	size_t count = 0;
	for (; labels && labels[count].name; count++) {
		assert(count < PROMETHEUS_LABELS_MAX);
		ret[count] = labels[count];
	}
	ret[count] = (struct prometheus_label){ "le", NULL };
	ret[count + 1] = (struct prometheus_label){ 0 };
	return &ret[count];
}

/* Buckets are cumulative. The count is what they sum up to, and not one of its own, so
 * that it is the last bucket's even while others count. */
void prometheus_histogram(const struct prometheus *page,
	const struct prometheus_label *labels, const struct histogram *histogram)
{
	struct prometheus_label all[PROMETHEUS_LABELS_MAX + 2];
	struct prometheus_label *bound = add_bound(labels, all);
	uint64_t count = 0;
	for (size_t i = 0; i <= HISTOGRAM_BOUNDS; i++) {
		count += atomic_load(&histogram->counts[i]);
		bound->value = i < HISTOGRAM_BOUNDS ? histogram_bounds[i].seconds
						    : "+Inf";
		print_count(page, "_bucket", all, count);
	}
	print_seconds(page, "_sum", labels, (int64_t)atomic_load(&histogram->sum_ns));
	print_count(page, "_count", labels, count);
}
