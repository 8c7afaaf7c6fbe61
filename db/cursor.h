#ifndef HANGUP_DB_CURSOR_H
#define HANGUP_DB_CURSOR_H

/*
 * A cursor says where a page of a sorted list ended: the sort key and the id of
 * its last row. The next page starts behind that place, whether the row is still
 * there or not, so that nothing is skipped or repeated when rows come and go.
 *
 * Clients carry it as an opaque text (base64url, RFC 4648, 5) that begins with a
 * format version and a checksum over the place and the list it belongs to. That
 * finds cursors that were cut, mistyped, or given to another list. It keeps no
 * secret and proves no origin: a forged one reads the same rows from elsewhere.
 */
#include <stdint.h>

#include "service/core/error.h"
#include "service/core/span.h"

enum {
	CURSOR_KEY_MAX = 800,                       /* bytes of a text key */
	CURSOR_HEAD_SIZE = 1 + 3 * sizeof(int64_t), /* version, checksum, ... */
	CURSOR_BYTES_MAX = CURSOR_HEAD_SIZE + CURSOR_KEY_MAX,
	CURSOR_SIZE = (CURSOR_BYTES_MAX * 4 + 2) / 3 + 1, /* as a text, with its NUL */
};

struct cursor {
	int64_t id;
	int64_t number;   /* the key of a list sorted by a number; else 0 */
	struct span text; /* the key of one sorted by a text; else without data */
};

/* The mark of a list: start with CURSOR_LIST and add all that decides which rows
 * it has and in what order. */
#define CURSOR_LIST UINT64_C(14695981039346656037)
uint64_t cursor_list_add(uint64_t list, struct span part);

/* NUL-terminates ret. ERR_INTERNAL when the key is longer than CURSOR_KEY_MAX. */
enum err cursor_write(
	const struct cursor *cursor, uint64_t list, char ret[static CURSOR_SIZE]);

/* ERR_BAD_REQUEST when encoded is not a cursor of that list. ret_cursor->text
 * points into key. */
enum err cursor_read(struct span encoded, uint64_t list, char key[static CURSOR_KEY_MAX],
	struct cursor *ret_cursor);

#endif
