#include "service/core/json_text.h"

#include <stdint.h>

#include "service/core/utf8.h"

#define TOP_BITS UINT64_C(0x8080808080808080) /* of eight bytes; none in ASCII */

char *json_escape(char *out, unsigned char c)
{
	static const char digits[] = "0123456789abcdef";
	static const char after_backslash[] = {
		['"'] = '"',
		['\\'] = '\\',
		['\b'] = 'b',
		['\f'] = 'f',
		['\n'] = 'n',
		['\r'] = 'r',
		['\t'] = 't',
	};
	*out++ = '\\';
	if (c < sizeof after_backslash && after_backslash[c]) {
		*out++ = after_backslash[c];
		return out;
	}
	*out++ = 'u';
	*out++ = '0';
	*out++ = '0';
	*out++ = digits[c >> 4];
	*out++ = digits[c & 0xf];
	return out;
}

static bool needs_escape(unsigned char c)
{
	return c < ' ' || c == '"' || c == '\\';
}

/* Whether any of eight bytes needs one. The three lines are "has a byte less than n" and
 * twice "has a zero byte", which subtract from all eight at once and look for a borrow. */
static bool any_needs_escape(uint64_t bytes)
{
	const uint64_t ones = 0x0101010101010101;
	uint64_t quote = bytes ^ ones * '"';
	uint64_t backslash = bytes ^ ones * '\\';
	return (((bytes - ones * ' ') & ~bytes) | ((quote - ones) & ~quote) |
		       ((backslash - ones) & ~backslash)) &
		TOP_BITS;
}

/* Copies what is plain in steps of eight bytes; returns its length, which may be less than
 * that of all that is plain. Adds every byte to *bits. */
static size_t copy_plain(char *out, struct span text, uint64_t *bits)
{
	uint64_t bytes;
	size_t len = 0;
	for (; text.len - len >= sizeof bytes; len += sizeof bytes) {
		memcpy(&bytes, text.data + len, sizeof bytes);
		if (any_needs_escape(bytes))
			break;
		*bits |= bytes;
		memcpy(out + len, &bytes, sizeof bytes);
	}
	return len;
}

/* How many bytes text begins with that are UTF-8. Most of those that are no ASCII stand
 * between many that are. */
static size_t utf8_run(struct span text)
{
	size_t at = 0;
	while (at < text.len) {
		size_t size = 1;
		if ((unsigned char)text.data[at] >= 0x80)
			size = utf8_character(
				(struct span){ text.data + at, text.len - at });
		if (size == 0)
			break;
		at += size;
	}
	return at;
}

/* Somebody else's rows, a million times rarer than ours. */
static char *print_broken(char *out, struct span text)
{
	static const char replacement[] = { '\xef', '\xbf', '\xbd' }; /* U+FFFD */
	for (size_t at = 0, good = 0; at < text.len; at++) {
		unsigned char c = (unsigned char)text.data[at];
		if (at >= good)
			good = at +
				utf8_run((struct span){ text.data + at, text.len - at });
		if (at >= good) {
			memcpy(out, replacement, sizeof replacement);
			out += sizeof replacement;
		} else if (needs_escape(c)) {
			out = json_escape(out, c);
		} else {
			*out++ = text.data[at];
		}
	}
	return out;
}

/* Written as if it were UTF-8, and looked at only if any of it is not ASCII. */
char *json_print_string(char *out, struct span text)
{
	uint64_t bits = 0;
	char *start = ++out;
	start[-1] = '"';
	size_t done = copy_plain(out, text, &bits);
	out += done;
	for (; done < text.len; done++) {
		unsigned char c = (unsigned char)text.data[done];
		bits |= c;
		if (needs_escape(c))
			out = json_escape(out, c);
		else
			*out++ = text.data[done];
	}
	if ((bits & TOP_BITS) && utf8_run(text) < text.len)
		out = print_broken(start, text);
	*out++ = '"';
	return out;
}
