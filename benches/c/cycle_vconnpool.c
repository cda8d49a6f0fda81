/* The cycle: an idle connection is borrowed and given back. */
#include "bench.h"
#include "pool.h"

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
    static const char *const variants[] = {"strict", "watch", NULL};
    static const int32_t livenesses[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_WATCH};
    vcp_pool_options options = pool_options();
    options.liveness = livenesses[variant_of(argc, argv, variants)];
    pool = new_pool(&options);
    address = argv[1];
    return answer_runs(cycles);
}
