#include "service/core/buffer.h"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

void buffer_finish(struct buffer *buffer)
{
	free(buffer->data);
	*buffer = (struct buffer){ 0 };
}

/* The largest object that C can have: no sum or double of two such overflows. */
static const size_t size_max = PTRDIFF_MAX;

/* Of memory for needed bytes that spares the next few growths. */
static size_t grown_size(size_t size, size_t needed)
{
	enum { SMALLEST = 512 };
	size_t grown = size ? 2 * size : SMALLEST;
	return grown > needed ? grown : needed;
}

enum err buffer_reserve(struct buffer *buffer, size_t more)
{
	if (more <= buffer_room(buffer))
		return ERR_OK;
	if (more >= size_max - buffer->len)
		return ERR_NOMEM;
	size_t size = grown_size(buffer->size, buffer->len + more + 1);
	char *data = realloc(buffer->data, size);
	if (!data)
		return ERR_NOMEM;
	data[buffer->len] = '\0';
	buffer->data = data;
	buffer->size = size;
	return ERR_OK;
}

enum err buffer_append(struct buffer *buffer, struct span data)
{
	enum err err = buffer_reserve(buffer, data.len);
	if (err != ERR_OK || data.len == 0)
		return err;
	memcpy(buffer->data + buffer->len, data.data, data.len);
	buffer_extend(buffer, data.len);
	return ERR_OK;
}

enum err buffer_print(struct buffer *buffer, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	char *end = buffer->data ? buffer->data + buffer->len : NULL;
	int printed = vsnprintf(end, buffer->size - buffer->len, format, args);
	va_end(args);
	assert(printed >= 0);
	size_t len = (size_t)printed;
	if (len > buffer_room(buffer)) {
		buffer_extend(buffer, 0); /* takes back what did fit */
		enum err err = buffer_reserve(buffer, len);
		if (err != ERR_OK)
			return err;
		va_start(args, format);
		vsnprintf(buffer->data + buffer->len, len + 1, format, args);
		va_end(args);
	}
	buffer_extend(buffer, len);
	return ERR_OK;
}

void buffer_extend(struct buffer *buffer, size_t len)
{
	assert(len <= buffer_room(buffer));
	buffer->len += len;
	if (buffer->data)
		buffer->data[buffer->len] = '\0';
}

void buffer_clear(struct buffer *buffer)
{
	buffer->len = 0;
	buffer_extend(buffer, 0);
}

void buffer_drop_front(struct buffer *buffer, size_t len)
{
	assert(len <= buffer->len);
	if (len == 0)
		return;
	buffer->len -= len;
	memmove(buffer->data, buffer->data + len, buffer->len + 1);
}

char *buffer_detach(struct buffer *buffer)
{
	char *data = buffer->data;
	*buffer = (struct buffer){ 0 };
	return data;
}
