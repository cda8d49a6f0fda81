/*
 * The cycle over apr_reslist (APR-util): no key, no check, up to 8 idle, as libvconnpool's default. "expiring": what is idle for
 * 90 s goes, as libvconnpool's default; "for-ever": nothing does, which spares it the clock.
 */
#include "bench.h"

#include <apr_general.h>
#include <apr_reslist.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST_IDLE = 8, IDLE_S = 90 };

static apr_reslist_t *list;

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

static void cycles(uint64_t count)
{
    while (count-- > 0) {
        void *resource;
        if (apr_reslist_acquire(list, &resource) != APR_SUCCESS)
            fail("apr_reslist_acquire");
        if (apr_reslist_release(list, resource) != APR_SUCCESS)
            fail("apr_reslist_release");
    }
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"expiring", "for-ever", NULL};
    const apr_interval_time_t lives[] = {apr_time_from_sec(IDLE_S), 0};
    apr_interval_time_t life = lives[variant_of(argc, argv, variants)];
    apr_pool_t *pool;
    if (apr_initialize() != APR_SUCCESS || apr_pool_create(&pool, NULL) != APR_SUCCESS)
        fail("apr_initialize");
    if (apr_reslist_create(&list, 0, MOST_IDLE, MOST_IDLE, life, open_one, close_one, argv[1], pool) != APR_SUCCESS)
        fail("apr_reslist_create");
    return answer_runs(cycles);
}
