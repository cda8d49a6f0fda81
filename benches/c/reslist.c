/* See reslist.h. */
#include "reslist.h"
#include "bench.h"

#include <apr_general.h>
#include <stdlib.h>
#include <unistd.h>

static apr_status_t open_one(void **resource, void *address, apr_pool_t *pool)
{
    int *fd = apr_palloc(pool, sizeof *fd);
    *fd = connect_to(address);
    *resource = fd;
    return APR_SUCCESS;
}

static apr_status_t close_one(void *resource, void *address, apr_pool_t *pool)
{
    (void)address;
    (void)pool;
    close(*(int *)resource);
    return APR_SUCCESS;
}

apr_reslist_t *new_reslist(char *address, int most, apr_interval_time_t life)
{
    apr_pool_t *pool;
    apr_reslist_t *list;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS)
        fail("apr_initialize");
    if (apr_reslist_create(&list, 0, most, most, life, open_one, close_one, address, pool) !=
        APR_SUCCESS)
        fail("apr_reslist_create");
    return list;
}

void fill_reslist(apr_reslist_t *list, uint32_t count)
{
    void **resources = calloc(count, sizeof *resources);
    if (resources == NULL)
        fail("calloc");
    for (uint32_t i = 0; i < count; i++)
        if (apr_reslist_acquire(list, &resources[i]) != APR_SUCCESS)
            fail("apr_reslist_acquire");
    for (uint32_t i = 0; i < count; i++)
        if (apr_reslist_release(list, resources[i]) != APR_SUCCESS)
            fail("apr_reslist_release");
    free(resources);
}
