#include "service/http/percent.h"

static bool is_between(unsigned char byte, unsigned char first, unsigned char last)
{
	return byte >= first && byte <= last;
}

static bool is_unreserved(unsigned char byte)
{
	return is_between(byte, 'A', 'Z') || is_between(byte, 'a', 'z') ||
		is_between(byte, '0', '9') || (byte && strchr("-._~", byte));
}

enum err percent_append(struct buffer *out, struct span text)
{
	enum err err = ERR_OK;
	for (size_t i = 0; i < text.len && err == ERR_OK; i++) {
		struct span byte = { text.data + i, 1 };
		unsigned char value = (unsigned char)text.data[i];
		err = is_unreserved(value) ? buffer_append(out, byte)
					   : buffer_print(out, "%%%02X", value);
	}
	return err;
}
