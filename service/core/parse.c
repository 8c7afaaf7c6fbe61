#include "service/core/parse.h"

bool parse_positive(struct span text, int64_t max, int64_t *ret)
{
	int64_t value = 0;
	for (size_t i = 0; i < text.len; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		int digit = text.data[i] - '0';
		if (value > (max - digit) / 10)
			return false;
		value = 10 * value + digit;
	}
	if (value < 1)
		return false;
	*ret = value;
	return true;
}
