#ifndef HANGUP_TESTS_SUPPORT_FAULT_VFS_H
#define HANGUP_TESTS_SUPPORT_FAULT_VFS_H

/*
 * The default VFS of SQLite with a disk that fails when told: an I/O error at the
 * nth write, sync or truncate; a disk without space; a sync that waits at a gate.
 * One disk for the program; any thread may call anything here.
 */
#include <stdbool.h>

#include "tests/support/gate.h"

enum fault {
	FAULT_WRITE,
	FAULT_SYNC,
	FAULT_TRUNCATE,
	FAULT_COUNT,
};

/* Registers the VFS at the first call and makes its disk sound. Returns the name
 * that db_config::vfs takes. */
const char *fault_vfs_use(void);

/* The nth call of that kind from now on fails, once; 0 disarms. */
void fault_vfs_arm(enum fault fault, int nth);

/* Whether the fault armed last has struck. */
bool fault_vfs_struck(void);

/* While it is full every write fails for want of space. */
void fault_vfs_set_full(bool full);

/* How often a lock on a database file was refused because another held it. */
unsigned fault_vfs_refusals(void);

/* The next sync of a WAL opens reached and waits for go. Both must be initialised. */
void fault_vfs_gate_sync(struct gate *reached, struct gate *go);

/* The same for the next write to a WAL. */
void fault_vfs_gate_write(struct gate *reached, struct gate *go);

#endif
