#include "service/core/log_line.h"

#include "service/core/clock.h"
#include "service/core/json_text.h"
#include "service/core/utf8.h"

enum {
	TAIL_BYTES = 32,   /* for what ends a cut line: quote, truncated, brace */
	NUMBER_BYTES = 24, /* the longest: -9223372036854.776 */
	TIME_BYTES = RFC3339_SIZE - 1,
	MESSAGE_COLUMNS = 24, /* of text: where the fields begin */
};

/* The line as far as it has been written. */
struct line {
	char *at;
	char *end; /* TAIL_BYTES before the end of the memory */
	bool cut;  /* something did not fit: nothing more is added */
	struct log_style style;
};

static const char *const level_names[LOG_LEVELS] = {
	[LOG_LEVEL_DEBUG] = "debug",
	[LOG_LEVEL_INFO] = "info",
	[LOG_LEVEL_WARN] = "warn",
	[LOG_LEVEL_ERROR] = "error",
};

/* As in level_names, but all of one width. */
static const char *const level_columns[LOG_LEVELS] = {
	[LOG_LEVEL_DEBUG] = " DEBUG ",
	[LOG_LEVEL_INFO] = " INFO  ",
	[LOG_LEVEL_WARN] = " WARN  ",
	[LOG_LEVEL_ERROR] = " ERROR ",
};

static const char *const level_colours[LOG_LEVELS] = {
	[LOG_LEVEL_DEBUG] = "\033[2m",
	[LOG_LEVEL_INFO] = "\033[32m",
	[LOG_LEVEL_WARN] = "\033[33m",
	[LOG_LEVEL_ERROR] = "\033[31m",
};

static bool has_room(struct line *line, size_t bytes)
{
	/* A closing quote may have gone beyond end. */
	if (line->at > line->end || (size_t)(line->end - line->at) < bytes)
		line->cut = true;
	return !line->cut;
}

/* Into room that is known to be there. */
static void put_bytes(struct line *line, const char *bytes, size_t len)
{
	memcpy(line->at, bytes, len);
	line->at += len;
}

static void put_word(struct line *line, const char *word)
{
	put_bytes(line, word, strlen(word));
}

static void put_char(struct line *line, char c)
{
	*line->at++ = c;
}

/*
 * Texts.
 */

/* Whether c stands for itself in a JSON string. */
static bool is_plain(unsigned char c)
{
	return c >= ' ' && c < 0x7f && c != '"' && c != '\\';
}

/* Whether c needs no quotes round it in the text format. */
static bool is_bare(unsigned char c)
{
	return is_plain(c) && c != ' ' && c != '=';
}

static size_t run_of(bool (*is)(unsigned char), struct span text)
{
	size_t len = 0;
	while (len < text.len && is((unsigned char)text.data[len]))
		len++;
	return len;
}

static void put_escape(struct line *line, unsigned char c)
{
	line->at = json_escape(line->at, c);
}

/* Writes the character that text begins with, which is not plain; returns how
 * much of text it was. */
static size_t put_special(struct line *line, struct span text)
{
	const unsigned char *bytes = (const unsigned char *)text.data;
	if (bytes[0] < 0x80) {
		put_escape(line, bytes[0]);
		return 1;
	}
	size_t len = utf8_character(text);
	if (len == 0) {
		put_bytes(line, "\xef\xbf\xbd", 3); /* U+FFFD */
		return 1;
	}
	/* U+0080 to U+009F: control characters, which terminals obey. */
	if (bytes[0] == 0xc2 && bytes[1] < 0xa0)
		put_escape(line, bytes[1]);
	else
		put_bytes(line, text.data, len);
	return len;
}

/* A text without the quotes, cut where there is no room for more. */
static void put_escaped(struct line *line, struct span text)
{
	while (text.len > 0) {
		size_t room = (size_t)(line->end - line->at);
		size_t len = run_of(is_plain, text);
		put_bytes(line, text.data, len < room ? len : room);
		if (len > room)
			line->cut = true;
		if (len >= text.len || !has_room(line, JSON_ESCAPE_MAX))
			return;
		text.data += len;
		text.len -= len;
		len = put_special(line, text);
		text.data += len;
		text.len -= len;
	}
}

static void put_quoted(struct line *line, struct span text)
{
	put_char(line, '"');
	put_escaped(line, text);
	put_char(line, '"');
}

static void put_text(struct line *line, const struct log_field *field)
{
	struct span text = field->text;
	bool bare = line->style.format == LOG_FORMAT_TEXT && text.len > 0 &&
		run_of(is_bare, text) == text.len;
	if (bare && has_room(line, text.len))
		put_bytes(line, text.data, text.len);
	else
		put_quoted(line, text);
}

static void put_name(struct line *line, const struct log_field *field)
{
	bool quoted = line->style.format == LOG_FORMAT_JSON;
	if (quoted)
		put_char(line, '"');
	put_bytes(line, field->text.data, field->text.len);
	if (quoted)
		put_char(line, '"');
}

/*
 * Numbers.
 */

/* At least min_digits. */
static void put_digits(struct line *line, uint64_t number, int min_digits)
{
	char digits[NUMBER_BYTES];
	char *first = digits + sizeof digits;
	for (; number > 0 || min_digits > 0; number /= 10, min_digits--)
		*--first = (char)('0' + number % 10);
	put_bytes(line, first, (size_t)(digits + sizeof digits - first));
}

/* Writes the sign of number; returns the rest of it. */
static uint64_t put_sign(struct line *line, int64_t number)
{
	if (number >= 0)
		return (uint64_t)number;
	put_char(line, '-');
	return -(uint64_t)number; /* right for INT64_MIN, too */
}

static void put_int(struct line *line, const struct log_field *field)
{
	put_digits(line, put_sign(line, field->number), 1);
}

static void put_ms(struct line *line, const struct log_field *field)
{
	uint64_t us = (put_sign(line, field->number) + 500) / 1000;
	put_digits(line, us / 1000, 1);
	put_char(line, '.');
	put_digits(line, us % 1000, 3);
}

static void put_bool(struct line *line, const struct log_field *field)
{
	put_word(line, field->number ? "true" : "false");
}

/*
 * Fields.
 */

static const struct {
	void (*put)(struct line *line, const struct log_field *field);
	bool is_text;
} kinds[] = {
	[LOG_KIND_NAME] = { put_name, true },
	[LOG_KIND_TEXT] = { put_text, true },
	[LOG_KIND_INT] = { put_int, false },
	[LOG_KIND_MS] = { put_ms, false },
	[LOG_KIND_BOOL] = { put_bool, false },
};

static void put_key(struct line *line, const struct log_field *field)
{
	bool json = line->style.format == LOG_FORMAT_JSON;
	put_bytes(line, json ? ",\"" : " ", json ? 2 : 1);
	put_bytes(line, field->key, field->key_len);
	put_bytes(line, json ? "\":" : "=", json ? 2 : 1);
}

static void put_field(struct line *line, const struct log_field *field)
{
	if (field->kind == LOG_KIND_NONE)
		return;
	if (kinds[field->kind].is_text && !field->text.data)
		return;
	size_t name_len = field->kind == LOG_KIND_NAME ? field->text.len : 0;
	if (!has_room(line, field->key_len + name_len + NUMBER_BYTES))
		return;
	put_key(line, field);
	kinds[field->kind].put(line, field);
}

/*
 * Lines.
 */

/* Most lines of a thread fall into the same second as the one before. */
static void put_time(struct line *line, int64_t now_ms)
{
	static _Thread_local int64_t second = INT64_MIN;
	static _Thread_local char text[RFC3339_SIZE];
	if (now_ms / 1000 != second) {
		second = now_ms / 1000;
		rfc3339_format(now_ms, text);
	}
	unsigned ms = (unsigned)(now_ms % 1000);
	text[TIME_BYTES - 4] = (char)('0' + ms / 100);
	text[TIME_BYTES - 3] = (char)('0' + ms / 10 % 10);
	text[TIME_BYTES - 2] = (char)('0' + ms % 10);
	put_bytes(line, text, TIME_BYTES);
}

static void begin_json(
	struct line *line, int64_t now_ms, enum log_level level, const char *message)
{
	put_word(line, "{\"time\":\"");
	put_time(line, now_ms);
	put_word(line, "\",\"level\":\"");
	put_word(line, level_names[level]);
	put_word(line, "\",\"message\":");
	put_quoted(line, span_of(message));
}

static void begin_text(struct line *line, int64_t now_ms, enum log_level level,
	const char *message, bool has_fields)
{
	put_time(line, now_ms);
	if (line->style.colour)
		put_word(line, level_colours[level]);
	put_word(line, level_columns[level]);
	if (line->style.colour)
		put_word(line, "\033[0m");
	const char *column = line->at + MESSAGE_COLUMNS;
	put_escaped(line, span_of(message));
	while (has_fields && line->at < column)
		put_char(line, ' ');
}

static void end_line(struct line *line)
{
	bool json = line->style.format == LOG_FORMAT_JSON;
	if (line->cut)
		put_word(line, json ? ",\"truncated\":true" : " truncated=true");
	put_word(line, json ? "}\n" : "\n");
}

size_t log_line_format(char ret[static LOG_LINE_SIZE], struct log_style style,
	int64_t now_ms, enum log_level level, const char *message,
	const struct log_field *fields, size_t count)
{
	struct line line = { ret, ret + LOG_LINE_SIZE - TAIL_BYTES, false, style };
	if (style.format == LOG_FORMAT_JSON)
		begin_json(&line, now_ms, level, message);
	else
		begin_text(&line, now_ms, level, message, count > 0);
	for (size_t i = 0; i < count && !line.cut; i++)
		put_field(&line, &fields[i]);
	end_line(&line);
	return (size_t)(line.at - ret);
}
