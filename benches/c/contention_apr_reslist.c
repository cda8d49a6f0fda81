/* The contention over apr_reslist (APR-util), with AMOUNT connections. */
#include "bench.h"
#include "contention.h"
#include "reslist.h"

#include <stddef.h>

static apr_reslist_t *list;

static int take(void **held)
{
    if (apr_reslist_acquire(list, held) != APR_SUCCESS)
        fail("apr_reslist_acquire");
    return *(int *)*held;
}

static void give(void *held)
{
    if (apr_reslist_release(list, held) != APR_SUCCESS)
        fail("apr_reslist_release");
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"waiting", NULL};
    variant_of(argc, argv, variants);
    list = new_reslist(argv[1], (int)amount_of(argv), apr_time_from_sec(90));
    return answer_contentions(take, give);
}
