#ifndef HANGUP_TESTS_SUPPORT_CMOCKA_H
#define HANGUP_TESTS_SUPPORT_CMOCKA_H

/*
 * <cmocka.h> with the headers that it wants before it and does not include itself. Every
 * test and what supports it includes this one instead.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#endif
