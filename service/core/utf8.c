#include "service/core/utf8.h"

/* By the first byte: how many bytes the character has, and what its second byte may
 * be (RFC 3629, section 4); all further ones are 80 to BF. */
static const struct lead {
	unsigned char first;
	unsigned char last;
	unsigned char bytes;
	unsigned char second_first;
	unsigned char second_last;
} leads[] = {
	{ 0x00, 0x7f, 1, 0, 0 },
	{ 0xc2, 0xdf, 2, 0x80, 0xbf },
	{ 0xe0, 0xe0, 3, 0xa0, 0xbf },
	{ 0xe1, 0xec, 3, 0x80, 0xbf },
	{ 0xed, 0xed, 3, 0x80, 0x9f },
	{ 0xee, 0xef, 3, 0x80, 0xbf },
	{ 0xf0, 0xf0, 4, 0x90, 0xbf },
	{ 0xf1, 0xf3, 4, 0x80, 0xbf },
	{ 0xf4, 0xf4, 4, 0x80, 0x8f },
};

static bool is_between(unsigned char byte, unsigned char first, unsigned char last)
{
	return byte >= first && byte <= last;
}

static const struct lead *find_lead(unsigned char byte)
{
	for (size_t i = 0; i < sizeof leads / sizeof *leads; i++)
		if (is_between(byte, leads[i].first, leads[i].last))
			return &leads[i];
	return NULL;
}

size_t utf8_character(struct span text)
{
	const unsigned char *bytes = (const unsigned char *)text.data;
	const struct lead *lead = text.len > 0 ? find_lead(bytes[0]) : NULL;
	if (!lead || lead->bytes > text.len)
		return 0;
	if (lead->bytes > 1 &&
		!is_between(bytes[1], lead->second_first, lead->second_last))
		return 0;
	for (size_t i = 2; i < lead->bytes; i++)
		if (!is_between(bytes[i], 0x80, 0xbf))
			return 0;
	return lead->bytes;
}

int64_t utf8_length(struct span text)
{
	int64_t count = 0;
	for (size_t at = 0; at < text.len; count++) {
		size_t size = utf8_character(
			(struct span){ text.data + at, text.len - at });
		if (size == 0)
			return -1;
		at += size;
	}
	return count;
}

bool utf8_has_control(struct span text)
{
	const unsigned char *bytes = (const unsigned char *)text.data;
	for (size_t i = 0; i < text.len; i++) {
		if (bytes[i] < 0x20 || bytes[i] == 0x7f)
			return true;
		if (i > 0 && bytes[i - 1] == 0xc2 &&
			bytes[i] < 0xa0) /* U+0080 to U+009F */
			return true;
	}
	return false;
}
