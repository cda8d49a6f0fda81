/*
 * A 64-byte echo over a connection that is borrowed anew for each: by write(2) and read(2) under
 * "watch" and "strict", by vcp_conn_write and vcp_conn_read under "watch-calls".
 */
#include "bench.h"
#include "pool.h"

static vcp_pool *pool;
static const char *address;

static void by_descriptor(uint64_t count)
{
    while (count-- > 0) {
        vcp_conn *conn;
        echo_over((int)must(vcp_dial(pool, "tcp", address, &conn)));
        must(vcp_conn_close(conn));
    }
}

static void by_calls(uint64_t count)
{
    while (count-- > 0) {
        vcp_conn *conn;
        must(vcp_dial(pool, "tcp", address, &conn));
        echo_over_conn(conn);
        must(vcp_conn_close(conn));
    }
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"strict", "watch", "watch-calls", NULL};
    int variant = variant_of(argc, argv, variants);
    vcp_pool_options options = pool_options();
    options.liveness = variant == 0 ? VCP_LIVENESS_STRICT : VCP_LIVENESS_WATCH;
    pool = new_pool(&options);
    address = argv[1];
    fill(pool, address, 1);
    return answer_hits(pool, variant == 2 ? by_calls : by_descriptor);
}
