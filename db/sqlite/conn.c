#include "db/sqlite/conn.h"

#include <assert.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "db/sqlite/sql_functions.h"
#include "service/core/activity.h"
#include "service/core/log.h"
#include "service/core/os.h"

/*
 * How a token reaches the statement, and nobody else's. There are three ways,
 * because each alone loses cancellations:
 *
 * - stop_if_unwanted() is asked every 1000 opcodes and reads the token.
 * - wait_for_lock() replaces SQLite's busy handler, which sleeps and hears
 *   nothing, by a sleep that the token ends.
 * - interrupt() is a hook on the token: it sets SQLite's interrupt flag at once,
 *   which is read more often than the first is asked, inside single opcodes too.
 *
 * The moment at which the token fires, and what becomes of it:
 *
 * - Before the first step. sqlite3_step() clears the flag when no statement is
 *   active, so the interrupt may be lost. conn_ready() reads the token before
 *   every step; if it fires between that and the clearing, the progress handler
 *   finds it within 1000 opcodes, or the busy handler before it sleeps.
 * - While a step runs. The flag stops it; so does the progress handler.
 * - Between two steps. A statement is active, so the flag stays, and conn_ready()
 *   reads the token anyway.
 * - After the last step, before conn_unbind(). The flag is set and hits nobody:
 *   every statement has been released by then, so the next user's first step, or
 *   its first prepare, clears it. For this conn_unbind() must have returned, and
 *   it returns only when the hook is not running and never will. Without waiting
 *   it out, sqlite3_interrupt() could come after that clearing.
 * - During COMMIT or ROLLBACK. They are exempt (transaction.c): conn_unbind() comes
 *   before them, and by the argument above no flag of before reaches them.
 *
 * An interrupted change inside a transaction rolls the whole of it back. So the
 * writer binds a connection to somebody's token only for a transaction that is
 * that somebody's alone.
 *
 * The handlers are installed once, with the connection as their argument, and
 * read its token: lending a connection costs a hook and its removal.
 */

#define PROGRESS_OPCODES 1000 /* some 20 microseconds */
#define SHORT_PAUSES     20   /* of 1 ms, while the lock may be held for a commit only */
#define LONG_PAUSE_MS    10

/* A small page cache, because a sort run is as long as it is, and cannot be
 * interrupted; the operating system's cache stands in for it. Mapping the file spares
 * point reads a system call for each page; a scan would leave all of it mapped. */
#define COMMON_PRAGMAS "PRAGMA cache_size = -2000;"
#define MAP_FILE       "PRAGMA mmap_size = 1073741824;"

#define WRITER_PRAGMAS               \
	"PRAGMA synchronous = FULL;" \
	"PRAGMA journal_size_limit = 67108864;" /* a WAL that grew gives its space back */

static const struct {
	int flags;
	bool foreign_keys;
	bool writes;
	const char *pragmas;
} roles[] = {
	[CONN_READER] = { SQLITE_OPEN_READWRITE, true, false,
		COMMON_PRAGMAS MAP_FILE "PRAGMA query_only = ON;" },
	[CONN_LONG_READER] = { SQLITE_OPEN_READWRITE, true, false,
		COMMON_PRAGMAS "PRAGMA mmap_size = 0; PRAGMA query_only = ON;" },
	[CONN_WRITER] = { SQLITE_OPEN_READWRITE, true, true,
		COMMON_PRAGMAS MAP_FILE WRITER_PRAGMAS },
	[CONN_MIGRATOR] = { SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE, false, true,
		COMMON_PRAGMAS WRITER_PRAGMAS },
};

static const enum err errors[] = {
	[SQLITE_OK] = ERR_OK,
	[SQLITE_ERROR] = ERR_INTERNAL,
	[SQLITE_INTERNAL] = ERR_INTERNAL,
	[SQLITE_PERM] = ERR_IO,
	[SQLITE_ABORT] = ERR_INTERNAL,
	[SQLITE_BUSY] = ERR_BUSY,
	[SQLITE_LOCKED] = ERR_BUSY,
	[SQLITE_NOMEM] = ERR_NOMEM,
	[SQLITE_READONLY] = ERR_READ_ONLY,
	[SQLITE_INTERRUPT] = ERR_INTERNAL, /* by nobody that we know */
	[SQLITE_IOERR] = ERR_IO,
	[SQLITE_CORRUPT] = ERR_CORRUPT,
	[SQLITE_NOTFOUND] = ERR_INTERNAL,
	[SQLITE_FULL] = ERR_DISK_FULL,
	[SQLITE_CANTOPEN] = ERR_IO,
	[SQLITE_PROTOCOL] = ERR_BUSY, /* too many contend for the WAL's locks */
	[SQLITE_EMPTY] = ERR_INTERNAL,
	[SQLITE_SCHEMA] = ERR_INTERNAL,
	[SQLITE_TOOBIG] = ERR_TOO_LARGE,
	[SQLITE_CONSTRAINT] = ERR_CONFLICT,
	[SQLITE_MISMATCH] = ERR_CONFLICT, /* not an integer for an INTEGER PRIMARY KEY */
	[SQLITE_MISUSE] = ERR_INTERNAL,
	[SQLITE_NOLFS] = ERR_IO,
	[SQLITE_AUTH] = ERR_INTERNAL,
	[SQLITE_FORMAT] = ERR_INTERNAL,
	[SQLITE_RANGE] = ERR_INTERNAL,
	[SQLITE_NOTADB] = ERR_CORRUPT,
};

/* The disk may be full in ways that SQLite reports as plain I/O errors: a quota,
 * a file that may not be larger, the shared-memory file. */
static bool disk_is_full(sqlite3 *sqlite)
{
	return err_of_errno(sqlite3_system_errno(sqlite)) == ERR_DISK_FULL;
}

static bool is_past_limit(const struct conn *conn)
{
	return conn->stop_at.ns != INSTANT_NEVER.ns &&
		!instant_before(instant_now(), conn->stop_at);
}

/* Why what runs on conn is to stop; ERR_OK when it is not. */
static enum err stop_reason(const struct conn *conn)
{
	if (!conn->token)
		return ERR_OK;
	enum err err = err_of_token(conn->token);
	if (err == ERR_OK && is_past_limit(conn))
		return ERR_BUSY;
	return err;
}

/* What SQLite says when it was stopped. SQLITE_ERROR as well: while it makes a virtual
 * table it runs its own parser, and of an interrupt heard in there it only says that
 * the table's constructor failed. */
static bool may_be_stopped(int code)
{
	return code == SQLITE_INTERRUPT || code == SQLITE_BUSY || code == SQLITE_ERROR;
}

static enum err translate(const struct conn *conn, int code)
{
	int primary = code & 0xff;
	if (may_be_stopped(primary)) {
		enum err err = stop_reason(conn);
		if (err != ERR_OK)
			return err;
		if (!activity_may_wait())
			return ERR_WOULD_WAIT;
	}
	if (code == SQLITE_IOERR_NOMEM)
		return ERR_NOMEM;
	if (primary == SQLITE_IOERR && disk_is_full(conn->sqlite))
		return ERR_DISK_FULL;
	if ((size_t)primary < sizeof errors / sizeof *errors)
		return errors[primary];
	return ERR_INTERNAL;
}

enum err conn_error(struct conn *conn, int code)
{
	conn->failed = translate(conn, code);
	return conn->failed;
}

bool conn_transaction_is_open(const struct conn *conn)
{
	return !sqlite3_get_autocommit(conn->sqlite);
}

enum err conn_loss(const struct conn *conn)
{
	return conn->failed == ERR_OK ? ERR_INTERNAL : conn->failed;
}

enum err conn_ready(struct conn *conn)
{
	if (conn->in_transaction && !conn_transaction_is_open(conn))
		return conn_loss(conn);
	return err_of_token(conn->token);
}

/* SQLite counts a cached statement's opcodes on from its last use, so the first call
 * may come early; the second has PROGRESS_OPCODES behind it. */
static bool is_past_quick(struct conn *conn)
{
	return !activity_may_wait() && ++conn->progress > 1;
}

static int stop_if_unwanted(void *arg)
{
	return stop_reason(arg) != ERR_OK || is_past_quick(arg);
}

static bool is_awaited(const struct conn *conn)
{
	return !conn->is_awaited || conn->is_awaited(conn->awaited_arg);
}

/* Returns nonzero to try for the lock again. */
static int wait_for_lock(void *arg, int pauses)
{
	struct conn *conn = arg;
	instant now = instant_now();
	if (!conn->token || !activity_may_wait() || !is_awaited(conn))
		return 0;
	if (pauses == 0)
		conn->busy_until = instant_min(
			conn->stop_at, instant_add_ms(now, conn->busy_timeout_ms));
	if (!instant_before(now, conn->busy_until))
		return 0;
	instant next = instant_add_ms(now, pauses < SHORT_PAUSES ? 1 : LONG_PAUSE_MS);
	return cancel_sleep(conn->token, instant_min(next, conn->busy_until)) ==
		CANCEL_NONE;
}

static void interrupt(void *arg, enum cancel_cause cause)
{
	struct conn *conn = arg;
	(void)cause;
	sqlite3_interrupt(conn->sqlite);
}

void conn_bind(struct conn *conn, struct cancel *token)
{
	assert(!conn->token);
	conn->token = token;
	conn->stop_at = INSTANT_NEVER;
	conn->progress = 0;
	if (token)
		cancel_hook(token, &conn->hook, interrupt, conn);
}

void conn_unbind(struct conn *conn)
{
	if (conn->token)
		cancel_unhook(conn->token, &conn->hook);
	conn->token = NULL;
}

/* SQLite's own words for what an enum err cannot tell. What is part of an ordinary
 * day stays out: the error that is returned says it all. */
static void log_complaint(void *arg, int code, const char *message)
{
	(void)arg;
	switch (code & 0xff) {
	case SQLITE_BUSY:
	case SQLITE_CONSTRAINT:
	case SQLITE_INTERRUPT:
	case SQLITE_NOTICE:
	case SQLITE_SCHEMA:
		return;
	default:
		log_warn("sqlite", LOG_INT("code", code), LOG_STR("says", message));
	}
}

/* Once, before SQLite is used. No mutexes, since no connection is shared, and no
 * memory statistics, whose lock every allocation of every thread would take.
 * Refused, harmlessly, when the program has started SQLite already. */
static void configure_sqlite(void)
{
	sqlite3_config(SQLITE_CONFIG_MULTITHREAD);
	sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
	sqlite3_config(SQLITE_CONFIG_LOG, log_complaint, NULL);
}

/* What a damaged or hostile database file, or a slip in our SQL, could exploit. */
static void harden(sqlite3 *sqlite)
{
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
	sqlite3_db_config(sqlite, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
}

static int note_mode(void *ret_is_wal, int count, char **values, char **names)
{
	(void)count;
	(void)names;
	*(bool *)ret_is_wal = strcmp(values[0], "wal") == 0;
	return 0;
}

/* SQLite answers with the mode it kept when the file system cannot do WAL. */
static enum err switch_to_wal(struct conn *conn)
{
	bool is_wal = false;
	enum err err = conn_ready(conn);
	if (err != ERR_OK)
		return err;
	int code = sqlite3_exec(
		conn->sqlite, "PRAGMA journal_mode = WAL", note_mode, &is_wal, NULL);
	if (code != SQLITE_OK)
		return conn_error(conn, code);
	return is_wal ? ERR_OK : ERR_IO;
}

/* Of several programs that meet a new database at once one changes its mode. SQLite
 * reads the mode first and changes it under the same read lock: whoever holds a read
 * lock is refused the write lock without its busy handler being asked, since two that
 * wait so would wait for each other. Here the read lock is gone, and waiting is safe. */
static enum err use_wal(struct conn *conn)
{
	enum err err = switch_to_wal(conn);
	for (int pauses = 0; err == ERR_BUSY && wait_for_lock(conn, pauses); pauses++)
		err = switch_to_wal(conn);
	return err == ERR_BUSY ? conn_error(conn, SQLITE_BUSY) : err; /* or the token's */
}

static enum err set_up(struct conn *conn, enum conn_role role)
{
	sqlite3_extended_result_codes(conn->sqlite, 1);
	sqlite3_progress_handler(conn->sqlite, PROGRESS_OPCODES, stop_if_unwanted, conn);
	sqlite3_busy_handler(conn->sqlite, wait_for_lock, conn);
	sqlite3_db_config(conn->sqlite, SQLITE_DBCONFIG_ENABLE_FKEY,
		roles[role].foreign_keys, NULL);
	harden(conn->sqlite);
	int code = sql_functions_add(conn->sqlite);
	if (code == SQLITE_OK)
		code = sqlite3_exec(conn->sqlite, roles[role].pragmas, NULL, NULL, NULL);
	if (code != SQLITE_OK)
		return conn_error(conn, code);
	bool reads = role == CONN_READER || role == CONN_LONG_READER;
	return reads ? ERR_OK : use_wal(conn);
}

/* A file that it may not write SQLite opens all the same, without a word
 * (https://sqlite.org/c3ref/open.html): the first change would say so, to a client. */
static bool is_read_only(const struct conn *conn)
{
	return sqlite3_db_readonly(conn->sqlite, "main") == 1;
}

enum err conn_open(const struct db_config *config, enum conn_role role,
	struct cancel *token, struct conn **ret_conn)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, configure_sqlite);

	struct conn *conn = calloc(1, sizeof *conn);
	if (!conn)
		return ERR_NOMEM;
	conn->snapshot_at = INSTANT_NEVER;
	conn->busy_timeout_ms = config->busy_timeout_ms;
	int code = sqlite3_open_v2(config->path, &conn->sqlite,
		roles[role].flags | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE,
		config->vfs);
	stmt_cache_init(&conn->cache, conn->sqlite);
	enum err err = conn_error(conn, code);
	if (err == ERR_OK && roles[role].writes && is_read_only(conn))
		err = ERR_READ_ONLY;
	if (err == ERR_OK) {
		conn_bind(conn, token);
		err = set_up(conn, role);
	}
	if (err == ERR_OK)
		*ret_conn = conn;
	else
		conn_close(conn);
	return err;
}

void conn_close(struct conn *conn)
{
	if (!conn)
		return;
	conn_unbind(conn);
	stmt_cache_finish(&conn->cache);
	sqlite3_close(conn->sqlite);
	free(conn);
}
