#include "service/http/json_reader.h"

#include <inttypes.h>
#include <stdio.h>

#include "service/http/problem.h"

enum {
	READ_AT_FIRST = 64 * 1024,
	PIECE_MAX = 256, /* for jansson: an item is shorter than that, mostly */
};

enum err json_reader_init(struct json_reader *reader, enum json_form form,
	size_t value_max, json_reader_fill *fill, void *fill_arg)
{
	*reader = (struct json_reader){
		.form = form,
		.value_max = value_max,
		.fill = fill,
		.fill_arg = fill_arg,
	};
	return buffer_reserve(&reader->read, READ_AT_FIRST);
}

void json_reader_finish(struct json_reader *reader)
{
	buffer_finish(&reader->read);
}

void json_reader_place(const struct json_reader *reader, char ret[static JSON_PLACE_SIZE])
{
	if (reader->form == JSON_FORM_LINES)
		snprintf(ret, JSON_PLACE_SIZE, "Line %" PRId64, reader->count);
	else
		snprintf(ret, JSON_PLACE_SIZE, "Item %" PRId64 " of the array",
			reader->count - 1);
}

/*
 * Filling the buffer.
 */

static struct span unused_bytes(const struct json_reader *reader)
{
	return (struct span){ reader->read.data + reader->start,
		reader->read.len - reader->start };
}

/* Moves what is left to the front; a buffer that is full all the same grows. */
static enum err make_room_behind(struct json_reader *reader)
{
	buffer_drop_front(&reader->read, reader->start);
	reader->start = 0;
	return buffer_reserve(&reader->read, 1);
}

/* Reads on behind what is left, unless the end has come. */
static enum err read_more(struct json_reader *reader)
{
	size_t len = 0;
	if (reader->ended)
		return ERR_OK;
	enum err err = make_room_behind(reader);
	if (err == ERR_OK)
		err = reader->fill(reader->fill_arg, reader->read.data + reader->read.len,
			buffer_room(&reader->read), &len);
	if (err != ERR_OK) {
		reader->failed = err;
		reader->ended = true;
		return err;
	}
	buffer_extend(&reader->read, len);
	reader->ended = len == 0;
	return ERR_OK;
}

static enum err skip_byte_order_mark(struct json_reader *reader)
{
	static const char mark[] = { '\xef', '\xbb', '\xbf' };
	enum err err = ERR_OK;
	reader->begun = true;
	while (err == ERR_OK && reader->read.len < sizeof mark && !reader->ended)
		err = read_more(reader);
	if (reader->read.len >= sizeof mark &&
		memcmp(reader->read.data, mark, sizeof mark) == 0)
		reader->start = sizeof mark;
	return err;
}

static enum err refuse_length(const struct json_reader *reader, struct response *res)
{
	char place[JSON_PLACE_SIZE];
	json_reader_place(reader, place);
	return problem(res, ERR_TOO_LARGE, "%s is longer than %zu bytes.", place,
		reader->value_max);
}

/* The value has been parsed: *ret_json gets it if it is within the limits. */
static enum err take_if_shallow(const struct json_reader *reader, json_t *json,
	struct response *res, json_t **ret_json)
{
	char place[JSON_PLACE_SIZE];
	json_reader_place(reader, place);
	enum err err = json_check_depth(json, place, res);
	if (err == ERR_OK)
		*ret_json = json;
	else
		json_decref(json);
	return err;
}

/*
 * Lines.
 */

static bool is_blank_line(struct span text)
{
	for (size_t i = 0; i < text.len; i++)
		if (!strchr(" \t\r", text.data[i]) || text.data[i] == '\0')
			return false;
	return true;
}

/* Cuts the next line off, without its LF; *ret_line has no data when there is none. */
static enum err cut_line(
	struct json_reader *reader, struct response *res, struct span *ret_line)
{
	size_t searched = 0;
	reader->count++;
	for (;;) {
		struct span rest = unused_bytes(reader);
		const char *end = rest.len > searched
			? memchr(rest.data + searched, '\n', rest.len - searched)
			: NULL;
		if ((end ? (size_t)(end - rest.data) : rest.len) > reader->value_max)
			return refuse_length(reader, res);
		if (end || reader->ended) {
			size_t len = end ? (size_t)(end - rest.data) : rest.len;
			reader->start += len + (end != NULL);
			*ret_line = (struct span){ end || len ? rest.data : NULL, len };
			return ERR_OK;
		}
		searched = rest.len;
		enum err err = read_more(reader);
		if (err != ERR_OK)
			return err;
	}
}

static enum err parse_line(const struct json_reader *reader, struct span line,
	struct response *res, json_t **ret_json)
{
	json_error_t error;
	char place[JSON_PLACE_SIZE];
	char where[2 * JSON_PLACE_SIZE];
	json_reader_place(reader, place);
	if (json_has_nul(line))
		return problem(res, ERR_NOT_JSON, "%s holds a NUL.", place);
	json_t *json = json_loadb(line.data, line.len, JSON_LIMITS, &error);
	if (json)
		return take_if_shallow(reader, json, res, ret_json);
	snprintf(where, sizeof where, "%s, column %d", place, error.column);
	return json_failed(&error, where, res);
}

static enum err next_line(
	struct json_reader *reader, struct response *res, json_t **ret_json)
{
	struct span line = { 0 };
	*ret_json = NULL;
	do {
		enum err err = cut_line(reader, res, &line);
		if (err != ERR_OK || !line.data)
			return err;
	} while (is_blank_line(line));
	return parse_line(reader, line, res, ret_json);
}

/*
 * An array. jansson parses an element out of the middle of it, asking for more bytes as
 * it goes, and says how many it took. What it asked for beyond that is part of the last
 * piece, which is still in the buffer: that is read anew only when it has been used up.
 */

/* json_load_callback_t. After the end, an error or a NUL (see json_has_nul()) there is
 * nothing more, however often it asks. */
static size_t give_piece(void *buffer, size_t size, void *arg)
{
	struct json_reader *reader = arg;
	if (reader->given > reader->value_max)
		return 0;
	if (unused_bytes(reader).len == 0 && read_more(reader) != ERR_OK)
		return 0;
	struct span rest = unused_bytes(reader);
	size_t len = rest.len < PIECE_MAX ? rest.len : PIECE_MAX;
	len = len < size ? len : size;
	const char *nul = memccpy(buffer, rest.data, '\0', len);
	if (nul)
		len = (size_t)(nul - (const char *)buffer) - 1;
	reader->start += len;
	reader->given += len;
	return len;
}

/* The next byte that is not white space, which is not yet used; '\0' at the end. A NUL
 * in the body is no JSON either. */
static enum err peek_char(struct json_reader *reader, char *ret_char)
{
	for (;;) {
		while (reader->start < reader->read.len) {
			char c = reader->read.data[reader->start];
			if (c != ' ' && c != '\t' && c != '\r' && c != '\n') {
				*ret_char = c;
				return ERR_OK;
			}
			reader->start++;
		}
		enum err err = read_more(reader);
		*ret_char = '\0';
		if (err != ERR_OK || reader->ended)
			return err;
	}
}

/* Uses up the next byte if it is that. */
static enum err accept_char(struct json_reader *reader, char wanted, bool *ret_there)
{
	char c;
	enum err err = peek_char(reader, &c);
	*ret_there = err == ERR_OK && c == wanted;
	reader->start += *ret_there;
	return err;
}

/* Something else than an array is JSON all the same, by the looks of it, or is not. */
static enum err open_array(struct json_reader *reader, struct response *res)
{
	char c;
	enum err err = peek_char(reader, &c);
	if (err != ERR_OK)
		return err;
	if (c != '[')
		return problem(res,
			c && strchr("{\"-0123456789tfn", c) ? ERR_INVALID : ERR_NOT_JSON,
			"The body must be one array.");
	reader->start++;
	return accept_char(reader, ']', &reader->closed);
}

/* Behind an element: whether there is another one. */
static enum err pass_comma(struct json_reader *reader, struct response *res)
{
	char place[JSON_PLACE_SIZE];
	bool comma = false;
	enum err err = accept_char(reader, ']', &reader->closed);
	if (err == ERR_OK && !reader->closed)
		err = accept_char(reader, ',', &comma);
	if (err != ERR_OK || reader->closed || comma)
		return err;
	json_reader_place(reader, place);
	return problem(
		res, ERR_NOT_JSON, "%s is not followed by a comma or a bracket.", place);
}

static enum err end_array(struct json_reader *reader, struct response *res)
{
	char c;
	enum err err = peek_char(reader, &c);
	if (err == ERR_OK && reader->start < reader->read.len)
		err = problem(res, ERR_NOT_JSON, "Something follows the array.");
	return err;
}

static enum err element_failed(
	const struct json_reader *reader, const json_error_t *error, struct response *res)
{
	char place[JSON_PLACE_SIZE];
	if (reader->failed != ERR_OK)
		return reader->failed;
	if ((size_t)error->position > reader->value_max)
		return refuse_length(reader, res);
	json_reader_place(reader, place);
	return json_failed(error, place, res);
}

/* It may be more than the last piece, of which the first bytes are no longer there: when
 * behind a number there is a part of a character beyond ASCII. Something that cannot be
 * there stands for it then. */
static void take_back(struct json_reader *reader, size_t len)
{
	if (len <= reader->start) {
		reader->start -= len;
		return;
	}
	reader->start = 0;
	reader->read.data[0] = '\x80';
}

static enum err parse_element(
	struct json_reader *reader, struct response *res, json_t **ret_json)
{
	json_error_t error;
	char c;
	enum err err = peek_char(reader, &c); /* what is before it is not part of it */
	if (err != ERR_OK)
		return err;
	reader->count++;
	reader->given = 0;
	json_t *json = json_load_callback(
		give_piece, reader, JSON_LIMITS | JSON_DISABLE_EOF_CHECK, &error);
	if (!json)
		return element_failed(reader, &error, res);
	take_back(reader, reader->given - (size_t)error.position);
	if ((size_t)error.position <= reader->value_max)
		return take_if_shallow(reader, json, res, ret_json);
	json_decref(json);
	return refuse_length(reader, res);
}

static enum err next_element(
	struct json_reader *reader, struct response *res, json_t **ret_json)
{
	enum err err = ERR_OK;
	*ret_json = NULL;
	if (!reader->closed)
		err = reader->count == 0 ? open_array(reader, res)
					 : pass_comma(reader, res);
	if (err != ERR_OK)
		return err;
	return reader->closed ? end_array(reader, res)
			      : parse_element(reader, res, ret_json);
}

enum err json_reader_next(
	struct json_reader *reader, struct response *res, json_t **ret_json)
{
	enum err err = reader->begun ? ERR_OK : skip_byte_order_mark(reader);
	if (err != ERR_OK)
		return err;
	if (reader->form == JSON_FORM_LINES)
		return next_line(reader, res, ret_json);
	return next_element(reader, res, ret_json);
}
