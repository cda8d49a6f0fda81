/* Threads that share the cycles of a run. Knows no pool. */
#ifndef TEAM_H
#define TEAM_H

#include <stdint.h>

enum { TEAM = 8 };

/* Starts TEAM threads and returns cycles that all of them do together, each its share. To be called once. */
void (*by_team(void (*cycles)(uint64_t count)))(uint64_t count);

#endif
