/* What the programs over apr_reslist share. */
#ifndef RESLIST_H
#define RESLIST_H

#include <apr_reslist.h>
#include <stdint.h>

/*
 * A list of at most so many connections (each an int *) to the address, idle ones included; life 0:
 * they live for ever.
 */
apr_reslist_t *new_reslist(char *address, int most, apr_interval_time_t life);

/* Opens so many connections and gives them back. */
void fill_reslist(apr_reslist_t *list, uint32_t count);

#endif
