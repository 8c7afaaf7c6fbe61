#include "service/core/json_text.h"

#include <stdint.h>

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
	const uint64_t ones = 0x0101010101010101, tops = 0x8080808080808080;
	uint64_t quote = bytes ^ ones * '"';
	uint64_t backslash = bytes ^ ones * '\\';
	return (((bytes - ones * ' ') & ~bytes) | ((quote - ones) & ~quote) |
		       ((backslash - ones) & ~backslash)) &
		tops;
}

/* Copies what is plain in steps of eight bytes; returns its length, which may be less than
 * that of all that is plain. */
static size_t copy_plain(char *out, struct span text)
{
	uint64_t bytes;
	size_t len = 0;
	for (; text.len - len >= sizeof bytes; len += sizeof bytes) {
		memcpy(&bytes, text.data + len, sizeof bytes);
		if (any_needs_escape(bytes))
			break;
		memcpy(out + len, &bytes, sizeof bytes);
	}
	return len;
}

char *json_print_string(char *out, struct span text)
{
	*out++ = '"';
	size_t done = copy_plain(out, text);
	out += done;
	for (; done < text.len; done++) {
		unsigned char c = (unsigned char)text.data[done];
		if (needs_escape(c))
			out = json_escape(out, c);
		else
			*out++ = text.data[done];
	}
	*out++ = '"';
	return out;
}
