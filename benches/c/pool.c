/* See pool.h. */
#include "pool.h"

#include <stdio.h>
#include <stdlib.h>

int64_t must(int64_t result)
{
    if (result < 0) {
        fprintf(stderr, "libvconnpool: %s\n", vcp_last_error());
        exit(EXIT_FAILURE);
    }
    return result;
}

vcp_pool_options pool_options(void)
{
    vcp_pool_options options;
    must(vcp_pool_options_init(&options, sizeof options));
    return options;
}

vcp_pool *new_pool(const vcp_pool_options *options)
{
    vcp_pool *pool;
    must(vcp_pool_new(options, &pool));
    return pool;
}
