#ifndef HANGUP_SERVICE_HTTP_JSON_READER_H
#define HANGUP_SERVICE_HTTP_JSON_READER_H

/*
 * A reader takes a body of any size apart into the JSON values that it is made of,
 * while it arrives: the lines of NDJSON, or the elements of one array. It holds the
 * value that it is at, and nothing of those before. json.h has the limits of each.
 *
 * Lines end with LF or CRLF, the last one also with the body; blank ones are passed
 * over, but counted. Either form may begin with a byte-order mark (RFC 8259, 8.1). An
 * empty body is no lines; it is not an array.
 */
#include "service/core/buffer.h"
#include "service/http/json.h"

/* Reads up to size bytes on; *ret_len is 0 at the end. Any error of it ends the
 * reading, and is what json_reader_next() returns. */
typedef enum err json_reader_fill(void *arg, char *buffer, size_t size, size_t *ret_len);

enum json_form { JSON_FORM_LINES, JSON_FORM_ARRAY };

struct json_reader {
	enum json_form form;
	size_t value_max; /* bytes; a longer value is ERR_TOO_LARGE */
	json_reader_fill *fill;
	void *fill_arg;

	int64_t count; /* of lines or elements so far */
	bool begun;
	bool closed;     /* JSON_FORM_ARRAY: its bracket has come */
	bool ended;      /* fill() had no more */
	enum err failed; /* what fill() returned */

	struct buffer read; /* what fill() gave, as far as it is kept */
	size_t start;       /* of what of that is not yet used */
	size_t given; /* JSON_FORM_ARRAY: bytes of the element that jansson was given */
};

/* ERR_NOMEM; then json_reader_finish() is not needed, nor does it harm. */
enum err json_reader_init(struct json_reader *reader, enum json_form form,
	size_t value_max, json_reader_fill *fill, void *fill_arg);
void json_reader_finish(struct json_reader *reader);

/* The next value; *ret_json is NULL after the last. The caller gets a reference. What
 * is wrong is in res, with the place: ERR_NOT_JSON, ERR_INVALID for a number out of
 * range or a body that is something else than an array, ERR_TOO_LARGE, ERR_NOMEM. Not
 * to be called again after an error. */
enum err json_reader_next(
	struct json_reader *reader, struct response *res, json_t **ret_json);

/* Where the value returned last is: "Line 1", or "Item 0 of the array". */
enum { JSON_PLACE_SIZE = 48 };
void json_reader_place(
	const struct json_reader *reader, char ret[static JSON_PLACE_SIZE]);

#endif
