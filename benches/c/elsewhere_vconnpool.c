/*
 * What does not concern AMOUNT connections that are idle elsewhere, each in a destination of its
 * own. "refused": a dial of another address, whose limit is reached. "evicted": another address is
 * evicted; its one connection is borrowed, so nothing is closed. "refused-hit" and "evicted-hit":
 * the same, and after each of them one of the idle is borrowed and given back.
 */
#include "bench.h"
#include "destinations.h"
#include "pool.h"

static vcp_pool *pool;
static const char *address;

static void refuse(void)
{
    vcp_conn *conn;
    if (vcp_dial(pool, "tcp", address, &conn) != VCP_ERR_POOL_EXHAUSTED)
        fail("a dial beyond the limit");
}

static void evict(void)
{
    must(vcp_pool_evict(pool, "tcp", address));
}

static void hit(void)
{
    vcp_conn *conn;
    must(vcp_dial(pool, "tcp", next_destination(), &conn));
    must(vcp_conn_close(conn));
}

static void refusals(uint64_t count)
{
    while (count-- > 0)
        refuse();
}

static void evictions(uint64_t count)
{
    while (count-- > 0)
        evict();
}

static void refusals_and_hits(uint64_t count)
{
    while (count-- > 0) {
        refuse();
        hit();
    }
}

static void evictions_and_hits(uint64_t count)
{
    while (count-- > 0) {
        evict();
        hit();
    }
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"refused", "evicted", "refused-hit", "evicted-hit",
                                           NULL};
    void (*const cycles[])(uint64_t) = {refusals, evictions, refusals_and_hits, evictions_and_hits};
    int variant = variant_of(argc, argv, variants);
    vcp_pool_options options = pool_options();
    vcp_conn *conn;
    options.liveness = VCP_LIVENESS_WATCH;
    options.max_conns_per_address = 1;
    pool = new_pool(&options);
    address = argv[1];
    make_destinations(address, amount_of(argv));
    for (uint32_t i = 0; i < amount_of(argv); i++)
        fill(pool, destinations[i], 1);
    must(vcp_dial(pool, "tcp", address, &conn));
    return answer_runs(cycles[variant]);
}
