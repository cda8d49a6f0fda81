/*
 * The cycle over apr_reslist (APR-util): no key, no check, up to 8 idle, as libvconnpool's default;
 * AMOUNT are. "expiring": what is idle for 90 s goes, as libvconnpool's default; "for-ever":
 * nothing does, which spares it the clock; "threads": expiring, on threads.
 */
#include "bench.h"
#include "reslist.h"
#include "threads.h"

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
    static const char *const variants[] = {"expiring", "for-ever", "threads", NULL};
    const apr_interval_time_t expiring = apr_time_from_sec(IDLE_S);
    const apr_interval_time_t lives[] = {expiring, 0, expiring};
    int variant = variant_of(argc, argv, variants);
    list = new_reslist(argv[1], MOST_IDLE, lives[variant]);
    fill_reslist(list, amount_of(argv));
    return answer_kept_runs(variant == 2 ? on_threads(cycles) : cycles);
}
