#include "db/sqlite/wal.h"

#include <stddef.h>
#include <sys/stat.h>

/*
 * A checkpoint runs after the answers, not inside the commit as SQLite's own would:
 * nobody waits for it but the next transaction. It is the writer's thread's, because beside
 * a writer that never pauses it would never catch up with the log. A reader with an
 * old snapshot holds it up; it is tried again only every CHECKPOINT_FRAMES, since it
 * sorts what it could not copy each time.
 */
#define CHECKPOINT_FRAMES 1000 /* 4 MB */

/* SQLite calls it after every commit; frames counts from the log's last restart. */
static int note_frames(void *arg, sqlite3 *sqlite, const char *name, int frames)
{
	struct wal *wal = arg;
	(void)sqlite;
	(void)name;
	if ((unsigned)frames < wal->frames)
		wal->checkpoint_at = CHECKPOINT_FRAMES;
	wal->frames = (unsigned)frames;
	return SQLITE_OK;
}

void wal_init(struct wal *wal, sqlite3 *sqlite)
{
	wal->sqlite = sqlite;
	wal->path = sqlite3_filename_wal(sqlite3_db_filename(sqlite, "main"));
	wal->frames = 0;
	wal->checkpoint_at = CHECKPOINT_FRAMES;
	sqlite3_wal_hook(sqlite, note_frames, wal);
}

int64_t wal_bytes(const struct wal *wal)
{
	struct stat stat_of_it;
	return stat(wal->path, &stat_of_it) == 0 ? stat_of_it.st_size : 0;
}

/* What it cannot do, the next one does: the log holds everything. */
void wal_checkpoint_if_due(struct wal *wal)
{
	int in_wal = 0;
	int copied = 0;
	if (wal->frames < wal->checkpoint_at)
		return;
	sqlite3_wal_checkpoint_v2(
		wal->sqlite, NULL, SQLITE_CHECKPOINT_PASSIVE, &in_wal, &copied);
	wal->checkpoint_at = wal->frames + CHECKPOINT_FRAMES;
	if (copied < in_wal && wal_bytes(wal) > wal->max_bytes)
		wal->free_up(wal->arg);
}

void wal_truncate(struct wal *wal)
{
	sqlite3_wal_checkpoint_v2(
		wal->sqlite, NULL, SQLITE_CHECKPOINT_TRUNCATE, NULL, NULL);
}
