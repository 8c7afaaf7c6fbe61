#ifndef HANGUP_SERVICE_CORE_SCATTER_H
#define HANGUP_SERVICE_CORE_SCATTER_H

/*
 * Numbers that look random and are not: no secret can be made of them. A pure function,
 * the same everywhere and for ever.
 */
#include <stdint.h>

/* A step of splitmix64 (https://prng.di.unimi.it/splitmix64.c). One-to-one: no two numbers
 * give the same, and neighbours give ones that have nothing in common. */
static inline uint64_t scatter(uint64_t number)
{
	number += UINT64_C(0x9e3779b97f4a7c15);
	number = (number ^ number >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
	number = (number ^ number >> 27) * UINT64_C(0x94d049bb133111eb);
	return number ^ number >> 31;
}

#endif
