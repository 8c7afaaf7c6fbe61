#ifndef HANGUP_DB_SQLITE_SQL_FUNCTIONS_H
#define HANGUP_DB_SQLITE_SQL_FUNCTIONS_H

/*
 * SQL functions of our own, for what SQLite does not have or does slowly. They are
 * for queries only: a schema that used one could not be read by other programs.
 *
 * rfc3339(ms): the text that rfc3339_format() writes; NULL for anything but an integer.
 *
 * json_row(name, value, ...): what json_object() writes, byte for byte, in half the time,
 * for texts, numbers and NULL; JSON inside of it would be a text. What is not UTF-8 in a
 * text is U+FFFD in the JSON (service/core/json_text.h); json_object() would leave it, and
 * end the text at a NUL.
 *
 * json_row(value): what json_quote() writes, by the same rules.
 */
#include <sqlite3.h>

/* Returns SQLite's result code. */
int sql_functions_add(sqlite3 *sqlite);

#endif
