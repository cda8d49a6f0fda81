/* A fresh connection, a 64-byte echo over it and its close, over a pool that keeps nothing. */
#include "bench.h"
#include "pool.h"

static vcp_pool *pool;
static const char *address;

/* The echo by vcp_conn_write and vcp_conn_read. */
static void by_calls(uint64_t count)
{
    while (count-- > 0) {
        vcp_conn *conn;
        must(vcp_dial(pool, "tcp", address, &conn));
        echo_over_conn(conn);
        must(vcp_conn_close(conn));
    }
}

/* The echo by write(2) and read(2) on the descriptor. */
static void by_descriptor(uint64_t count)
{
    while (count-- > 0) {
        vcp_conn *conn;
        echo_over((int)must(vcp_dial(pool, "tcp", address, &conn)));
        must(vcp_conn_close(conn));
    }
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"calls", "descriptor", NULL};
    void (*const cycles[])(uint64_t) = {by_calls, by_descriptor};
    int variant = variant_of(argc, argv, variants);
    vcp_pool_options options = pool_options();
    options.max_idle_per_address = 0;
    pool = new_pool(&options);
    address = argv[1];
    return answer_runs(cycles[variant]);
}
