/* What the contestants over apr_reslist share. */
#ifndef RESLIST_H
#define RESLIST_H

#include <apr_reslist.h>

/* A list of at most so many connections (each an int *) to the address, idle ones included; life 0: they live for ever. */
apr_reslist_t *new_reslist(char *address, int most, apr_interval_time_t life);

#endif
