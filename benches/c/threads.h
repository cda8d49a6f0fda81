/* Threads that share the cycles of a run. Knows no pool. */
#ifndef THREADS_H
#define THREADS_H

#include <stdint.h>

enum { THREADS = 8 };

/*
 * Starts THREADS threads and returns cycles that all of them do together, each its share. To be
 * called once.
 */
void (*on_threads(void (*cycles)(uint64_t count)))(uint64_t count);

#endif
