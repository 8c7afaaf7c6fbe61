#ifndef HANGUP_TESTS_SUPPORT_FAULT_ALLOC_H
#define HANGUP_TESTS_SUPPORT_FAULT_ALLOC_H

/*
 * Makes an allocation fail: a program that calls this gets a calloc() and a
 * realloc() that count down. Other threads than the caller's are not concerned.
 */
#include <stdbool.h>

/* False in a build whose sanitizer has the allocator for itself: a test that
 * needs failures then calls skip(). */
bool fault_alloc_works(void);

/* The nth call from now on fails, once; 0 disarms. True when the fault armed
 * before has struck. */
bool fault_alloc_arm(int nth);

#endif
