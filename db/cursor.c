#include "db/cursor.h"

/*
 * Version 1, integers with the highest byte first:
 *	1 byte   version
 *	8 bytes  checksum of list and of all that follows
 *	8 bytes  id
 *	8 bytes  number
 *	the rest: text
 */
enum { VERSION = 1, CHECKSUM_AT = 1, ID_AT = 9, NUMBER_AT = 17 };

static const char digits[] =
	"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

/* FNV-1a (http://www.isthe.com/chongo/tech/comp/fnv/). */
static uint64_t hash(uint64_t hash, const unsigned char *bytes, size_t len)
{
	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * UINT64_C(1099511628211);
	return hash;
}

static void put_integer(unsigned char *ret, uint64_t value)
{
	for (int i = 7; i >= 0; i--, value >>= 8)
		ret[i] = (unsigned char)value;
}

static uint64_t get_integer(const unsigned char *bytes)
{
	uint64_t value = 0;
	for (int i = 0; i < 8; i++)
		value = value << 8 | bytes[i];
	return value;
}

/* With the length, so that two parts cannot pass for other two. */
uint64_t cursor_list_add(uint64_t list, struct span part)
{
	unsigned char len[8];
	put_integer(len, part.data ? part.len : UINT64_MAX);
	list = hash(list, len, sizeof len);
	return hash(list, (const unsigned char *)part.data, part.len);
}

static void encode(const unsigned char *bytes, size_t len, char *ret)
{
	uint32_t bits = 0;
	unsigned count = 0;
	for (size_t i = 0; i < len; i++) {
		bits = bits << 8 | bytes[i];
		for (count += 8; count >= 6; count -= 6)
			*ret++ = digits[bits >> (count - 6) & 63];
	}
	if (count > 0)
		*ret++ = digits[bits << (6 - count) & 63];
	*ret = '\0';
}

/* Returns the number of bytes; 0 when text is not base64url as encode() writes it. */
static size_t decode(struct span text, unsigned char ret[static CURSOR_BYTES_MAX])
{
	uint32_t bits = 0;
	unsigned count = 0;
	size_t len = 0;
	if (text.len >= CURSOR_SIZE)
		return 0;
	for (size_t i = 0; i < text.len; i++) {
		const char *digit = memchr(digits, text.data[i], sizeof digits - 1);
		if (!digit)
			return 0;
		bits = bits << 6 | (uint32_t)(digit - digits);
		count += 6;
		if (count >= 8)
			ret[len++] = (unsigned char)(bits >> (count -= 8));
	}
	bool canonical = count < 6 && (bits & ((1u << count) - 1)) == 0;
	return canonical ? len : 0;
}

static uint64_t checksum(uint64_t list, const unsigned char *bytes, size_t len)
{
	return hash(list, bytes + ID_AT, len - ID_AT);
}

enum err cursor_write(
	const struct cursor *cursor, uint64_t list, char ret[static CURSOR_SIZE])
{
	unsigned char bytes[CURSOR_BYTES_MAX] = { VERSION };
	if (cursor->text.len > CURSOR_KEY_MAX)
		return ERR_INTERNAL;
	size_t len = CURSOR_HEAD_SIZE + cursor->text.len;
	put_integer(bytes + ID_AT, (uint64_t)cursor->id);
	put_integer(bytes + NUMBER_AT, (uint64_t)cursor->number);
	if (cursor->text.len > 0)
		memcpy(bytes + CURSOR_HEAD_SIZE, cursor->text.data, cursor->text.len);
	put_integer(bytes + CHECKSUM_AT, checksum(list, bytes, len));
	encode(bytes, len, ret);
	return ERR_OK;
}

enum err cursor_read(struct span encoded, uint64_t list, char key[static CURSOR_KEY_MAX],
	struct cursor *ret_cursor)
{
	unsigned char bytes[CURSOR_BYTES_MAX];
	size_t len = decode(encoded, bytes);
	if (len < CURSOR_HEAD_SIZE || bytes[0] != VERSION ||
		get_integer(bytes + CHECKSUM_AT) != checksum(list, bytes, len))
		return ERR_BAD_REQUEST;
	memcpy(key, bytes + CURSOR_HEAD_SIZE, len - CURSOR_HEAD_SIZE);
	*ret_cursor = (struct cursor){
		.id = (int64_t)get_integer(bytes + ID_AT),
		.number = (int64_t)get_integer(bytes + NUMBER_AT),
		.text = { key, len - CURSOR_HEAD_SIZE },
	};
	return ERR_OK;
}
