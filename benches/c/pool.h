/* What the contestants over libvconnpool share. */
#ifndef POOL_H
#define POOL_H

#include <stdint.h>
#include <vconnpool.h>

/* Passes a result of the library on, or ends the program with the library's message. */
int64_t must(int64_t result);

/* The defaults. */
vcp_pool_options pool_options(void);

/* A pool that lives as long as the program. */
vcp_pool *new_pool(const vcp_pool_options *options);

#endif
