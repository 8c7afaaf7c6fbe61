#ifndef HANGUP_SERVICE_CORE_BUFFER_H
#define HANGUP_SERVICE_CORE_BUFFER_H

/*
 * A buffer is a run of bytes that grows at its end: a body, a line, a text that is put
 * together. It belongs to one thread at a time, and blocks nowhere.
 *
 * What always holds:
 *
 *  - Zeroed it is empty, and everything here may be done to it:
 *        struct buffer buffer = { 0 };
 *  - As long as nothing was ever added, data is NULL and size is 0. From then on data is
 *    owned, came from malloc(), and has a NUL behind the last byte, which len does not
 *    count: data[len] == '\0'. The bytes may be any, NUL included.
 *  - len < size, or both are 0. Of data[] nothing else is defined behind that NUL.
 *  - Whatever makes it grow may move data: hold no pointer into it across such a call, and
 *    append no part of a buffer to itself.
 *  - ERR_NOMEM, the only error, leaves it as it was. A length that no memory could hold
 *    is ERR_NOMEM too.
 */
#include "service/core/error.h"
#include "service/core/span.h"

struct buffer {
	char *data;
	size_t len;  /* of what is in it, in bytes */
	size_t size; /* of the memory at data, in bytes */
};

/* Frees its memory; it is empty again, and may be used. */
void buffer_finish(struct buffer *buffer);

/*
 * Looking.
 */

/* All of it, until it is changed. Has data even when it is empty: "present and empty". */
static inline struct span buffer_span(const struct buffer *buffer)
{
	return (struct span){ buffer->data ? buffer->data : "", buffer->len };
}

/* The same as a C string, which ends at its first NUL. */
static inline const char *buffer_text(const struct buffer *buffer)
{
	return buffer->data ? buffer->data : "";
}

/* How many bytes can be added before it grows. */
static inline size_t buffer_room(const struct buffer *buffer)
{
	return buffer->size ? buffer->size - buffer->len - 1 : 0;
}

/*
 * Adding.
 */

/* Makes room for more bytes behind those in it. Memory at least doubles when it grows, so
 * that adding byte by byte costs a constant each; a first reserve that is larger than what
 * small ones get is given exactly what it asks for. */
enum err buffer_reserve(struct buffer *buffer, size_t more);

enum err buffer_append(struct buffer *buffer, struct span data);

/* Appends what printf() would print, whole or not at all. */
enum err buffer_print(struct buffer *buffer, const char *format, ...)
	__attribute__((format(printf, 2, 3)));

/* Says that len bytes were written behind those in it, at data + buffer->len: for read()
 * and its like, after buffer_reserve(). At most buffer_room(). */
void buffer_extend(struct buffer *buffer, size_t len);

/*
 * Taking away. The memory stays, for what comes next.
 */

void buffer_clear(struct buffer *buffer);

/* Drops the first len bytes and moves the others to the front: a copy, so not for each
 * byte. At most buffer->len. */
void buffer_drop_front(struct buffer *buffer, size_t len);

/* Gives the memory away: the caller frees it with free(). NULL when nothing was ever added.
 * The buffer is empty, as if zeroed. */
char *buffer_detach(struct buffer *buffer);

#endif
