/*
 * The cycle over apr_reslist (APR-util): no key, no check, up to 8 idle, as libvconnpool's default. "expiring": what is idle for
 * 90 s goes, as libvconnpool's default; "for-ever": nothing does, which spares it the clock.
 */
#include "bench.h"
#include "reslist.h"

enum { MOST_IDLE = 8, IDLE_S = 90 };

static apr_reslist_t *list;

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
    list = new_reslist(argv[1], MOST_IDLE, life);
    return answer_runs(cycles);
}
