#include "service/http/percent.h"

static bool is_unreserved(unsigned char byte)
{
	static const char unreserved[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
					 "abcdefghijklmnopqrstuvwxyz"
					 "0123456789-._~";
	return memchr(unreserved, byte, sizeof unreserved - 1) != NULL;
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
