#include "tests/support/fault_vfs.h"

#include <pthread.h>
#include <sqlite3.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* A file of ours: SQLite's own follows it in memory. */
struct file {
	sqlite3_file base;
	bool is_wal;
	_Alignas(sqlite3_int64) char real[]; /* as SQLite aligns it */
};

static sqlite3_vfs vfs; /* the default one, but for what files it opens */
static struct {
	atomic_int left[FAULT_COUNT]; /* until the call that fails; 0: none will */
	atomic_bool struck;
	atomic_bool full;
	atomic_uint refusals;

	pthread_mutex_t lock;
	struct gate *reached[FAULT_COUNT]; /* lock */
	struct gate *go[FAULT_COUNT];      /* lock */
} disk = { .lock = PTHREAD_MUTEX_INITIALIZER };

static bool strikes(enum fault fault)
{
	int left = atomic_load(&disk.left[fault]);
	while (left > 0)
		if (atomic_compare_exchange_weak(&disk.left[fault], &left, left - 1))
			break;
	if (left != 1)
		return false;
	atomic_store(&disk.struck, true);
	return true;
}

static void wait_at_gate(enum fault kind)
{
	pthread_mutex_lock(&disk.lock);
	struct gate *reached = disk.reached[kind];
	struct gate *go = disk.go[kind];
	disk.reached[kind] = disk.go[kind] = NULL;
	pthread_mutex_unlock(&disk.lock);
	if (!go)
		return;
	gate_open(reached);
	gate_wait(go);
}

static sqlite3_file *real(sqlite3_file *base)
{
	return (sqlite3_file *)((struct file *)base)->real;
}

#define METHOD(base, method)    real(base)->pMethods->method
#define CALL(base, method, ...) METHOD(base, method)(real(base), __VA_ARGS__)

static int close_file(sqlite3_file *base)
{
	return METHOD(base, xClose)(real(base));
}

static int read_file(sqlite3_file *base, void *data, int len, sqlite3_int64 offset)
{
	return CALL(base, xRead, data, len, offset);
}

static int write_file(sqlite3_file *base, const void *data, int len, sqlite3_int64 offset)
{
	if (((struct file *)base)->is_wal)
		wait_at_gate(FAULT_WRITE);
	if (strikes(FAULT_WRITE))
		return SQLITE_IOERR_WRITE;
	if (atomic_load(&disk.full))
		return SQLITE_FULL;
	return CALL(base, xWrite, data, len, offset);
}

static int truncate_file(sqlite3_file *base, sqlite3_int64 size)
{
	return strikes(FAULT_TRUNCATE) ? SQLITE_IOERR_TRUNCATE
				       : CALL(base, xTruncate, size);
}

static int sync_file(sqlite3_file *base, int flags)
{
	if (((struct file *)base)->is_wal)
		wait_at_gate(FAULT_SYNC);
	return strikes(FAULT_SYNC) ? SQLITE_IOERR_FSYNC : CALL(base, xSync, flags);
}

static int file_size(sqlite3_file *base, sqlite3_int64 *ret_size)
{
	return CALL(base, xFileSize, ret_size);
}

static int lock_file(sqlite3_file *base, int level)
{
	int code = CALL(base, xLock, level);
	if (code == SQLITE_BUSY)
		atomic_fetch_add(&disk.refusals, 1);
	return code;
}

static int unlock_file(sqlite3_file *base, int level)
{
	return CALL(base, xUnlock, level);
}

static int check_reserved(sqlite3_file *base, int *ret_reserved)
{
	return CALL(base, xCheckReservedLock, ret_reserved);
}

static int control(sqlite3_file *base, int op, void *arg)
{
	return CALL(base, xFileControl, op, arg);
}

static int sector_size(sqlite3_file *base)
{
	return METHOD(base, xSectorSize)(real(base));
}

static int characteristics(sqlite3_file *base)
{
	return METHOD(base, xDeviceCharacteristics)(real(base));
}

static int shm_map(
	sqlite3_file *base, int page, int size, int extend, void volatile **ret)
{
	return CALL(base, xShmMap, page, size, extend, ret);
}

static int shm_lock(sqlite3_file *base, int offset, int count, int flags)
{
	return CALL(base, xShmLock, offset, count, flags);
}

static void shm_barrier(sqlite3_file *base)
{
	METHOD(base, xShmBarrier)(real(base));
}

static int shm_unmap(sqlite3_file *base, int delete)
{
	return CALL(base, xShmUnmap, delete);
}

static int fetch(sqlite3_file *base, sqlite3_int64 offset, int len, void **ret)
{
	return CALL(base, xFetch, offset, len, ret);
}

static int unfetch(sqlite3_file *base, sqlite3_int64 offset, void *data)
{
	return CALL(base, xUnfetch, offset, data);
}

static const sqlite3_io_methods methods = {
	.iVersion = 3,
	.xClose = close_file,
	.xRead = read_file,
	.xWrite = write_file,
	.xTruncate = truncate_file,
	.xSync = sync_file,
	.xFileSize = file_size,
	.xLock = lock_file,
	.xUnlock = unlock_file,
	.xCheckReservedLock = check_reserved,
	.xFileControl = control,
	.xSectorSize = sector_size,
	.xDeviceCharacteristics = characteristics,
	.xShmMap = shm_map,
	.xShmLock = shm_lock,
	.xShmBarrier = shm_barrier,
	.xShmUnmap = shm_unmap,
	.xFetch = fetch,
	.xUnfetch = unfetch,
};

static int open_file(sqlite3_vfs *self, const char *name, sqlite3_file *base, int flags,
	int *ret_flags)
{
	struct file *file = (struct file *)base;
	sqlite3_vfs *inner = self->pAppData;
	file->is_wal = (flags & SQLITE_OPEN_WAL) != 0;
	int code = inner->xOpen(inner, name, real(base), flags, ret_flags);
	base->pMethods = code == SQLITE_OK ? &methods : NULL;
	return code;
}

static void register_vfs(void)
{
	sqlite3_vfs *inner = sqlite3_vfs_find(NULL);
	if (!inner)
		abort();
	vfs = *inner;
	vfs.pNext = NULL;
	vfs.szOsFile += (int)sizeof(struct file);
	vfs.zName = "fault";
	vfs.pAppData = inner;
	vfs.xOpen = open_file;
	if (sqlite3_vfs_register(&vfs, 0) != SQLITE_OK)
		abort();
}

const char *fault_vfs_use(void)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	pthread_once(&once, register_vfs);
	fault_vfs_set_full(false);
	fault_vfs_gate_sync(NULL, NULL);
	for (int fault = 0; fault < FAULT_COUNT; fault++)
		fault_vfs_arm((enum fault)fault, 0);
	return vfs.zName;
}

void fault_vfs_arm(enum fault fault, int nth)
{
	atomic_store(&disk.left[fault], nth);
	atomic_store(&disk.struck, false);
}

bool fault_vfs_struck(void)
{
	return atomic_load(&disk.struck);
}

void fault_vfs_set_full(bool full)
{
	atomic_store(&disk.full, full);
}

static void set_gate(enum fault kind, struct gate *reached, struct gate *go)
{
	pthread_mutex_lock(&disk.lock);
	disk.reached[kind] = reached;
	disk.go[kind] = go;
	pthread_mutex_unlock(&disk.lock);
}

void fault_vfs_gate_sync(struct gate *reached, struct gate *go)
{
	set_gate(FAULT_SYNC, reached, go);
}

void fault_vfs_gate_write(struct gate *reached, struct gate *go)
{
	set_gate(FAULT_WRITE, reached, go);
}

unsigned fault_vfs_refusals(void)
{
	return atomic_load(&disk.refusals);
}
