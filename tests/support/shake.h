#ifndef HANGUP_TESTS_SUPPORT_SHAKE_H
#define HANGUP_TESTS_SUPPORT_SHAKE_H

/*
 * Shakes the order in which threads run: a thread that asks for it gives up the
 * processor at random around locking and unlocking, which is where the order
 * matters. Windows of a few nanoseconds are then hit by a small machine, too, and
 * by one that has other work. Without effect under the thread sanitizer, which
 * needs pthread_mutex_lock() for itself.
 */

/* From now on the calling thread is shaken; 0 ends it. */
void shake(unsigned seed);

#endif
