#include "tests/support/fault_alloc.h"

#include <errno.h>
#include <stdlib.h>

#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define SANITIZED 1
#endif

static _Thread_local int left; /* until the one that fails; 0: none will */
static _Thread_local bool struck;

bool fault_alloc_arm(int nth)
{
	bool had_struck = struck;
	left = nth;
	struck = false;
	return had_struck;
}

#ifdef SANITIZED

bool fault_alloc_works(void)
{
	return false;
}

#else

bool fault_alloc_works(void)
{
	return true;
}

/* The C library's own, under the names that it exports for this purpose. */
void *__libc_calloc(size_t count, size_t size);
void *__libc_realloc(void *old, size_t size);

static bool strikes(void)
{
	if (left == 0 || --left > 0)
		return false;
	struck = true;
	errno = ENOMEM;
	return true;
}

void *calloc(size_t count, size_t size)
{
	return strikes() ? NULL : __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
	return strikes() ? NULL : __libc_realloc(old, size);
}

#endif
