/* What the programs over libvconnpool share. */
#ifndef POOL_H
#define POOL_H

#include <stdint.h>
#include <vconnpool.h>

/* Passes a result of the library on, or ends the program with the library's message. */
int64_t must(int64_t result);

/* The defaults. */
vcp_pool_options pool_options(void);

/* The defaults with the liveness that the variant names: "strict" or "watch". */
vcp_pool_options pool_options_of(int argc, char **argv);

/* Lets a destination keep so many, if that is more than the default. */
void keep_at_least(vcp_pool_options *options, uint32_t count);

/* A pool that lives as long as the program. */
vcp_pool *new_pool(const vcp_pool_options *options);

/* The pool's numbers as they are now. */
vcp_stats stats_of(vcp_pool *pool);

/*
 * Dials so many connections to the address, gives all of them back, and ends the program unless the
 * pool keeps them.
 */
void fill(vcp_pool *pool, const char *address, uint32_t count);

/* As echo_over, by vcp_conn_write and vcp_conn_read. */
void echo_over_conn(vcp_conn *conn);

/*
 * As answer_runs; ends the program unless every cycle borrowed one idle connection and none was
 * dialed.
 */
int answer_hits(vcp_pool *pool, void (*cycles)(uint64_t count));

#endif
