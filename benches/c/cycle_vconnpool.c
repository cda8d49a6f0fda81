/*
 * The cycle: one of AMOUNT idle connections of one destination is borrowed and given back.
 * "threads": WATCH, on threads.
 */
#include "bench.h"
#include "pool.h"
#include "threads.h"

static vcp_pool *pool;
static const char *address;

static void cycles(uint64_t count)
{
    while (count-- > 0) {
        vcp_conn *conn;
        must(vcp_dial(pool, "tcp", address, &conn));
        must(vcp_conn_close(conn));
    }
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"strict", "watch", "threads", NULL};
    int variant = variant_of(argc, argv, variants);
    vcp_pool_options options = pool_options();
    options.liveness = variant == 0 ? VCP_LIVENESS_STRICT : VCP_LIVENESS_WATCH;
    keep_at_least(&options, amount_of(argv));
    pool = new_pool(&options);
    address = argv[1];
    fill(pool, address, amount_of(argv));
    return answer_hits(pool, variant == 2 ? on_threads(cycles) : cycles);
}
