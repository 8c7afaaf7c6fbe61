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

void percent_print(struct span text, FILE *out)
{
	for (size_t i = 0; i < text.len; i++) {
		unsigned char byte = (unsigned char)text.data[i];
		if (is_unreserved(byte))
			fputc(byte, out);
		else
			fprintf(out, "%%%02X", byte);
	}
}
