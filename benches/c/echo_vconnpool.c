/* A 64-byte echo by write(2) and read(2), over a connection that is borrowed anew for each. */
#include "bench.h"
#include "pool.h"

static vcp_pool *pool;
static const char *address;

static void cycles(uint64_t count)
{
    while (count-- > 0) {
        vcp_conn *conn;
        echo_over((int)must(vcp_dial(pool, "tcp", address, &conn)));
        must(vcp_conn_close(conn));
    }
}

int main(int argc, char **argv)
{
    vcp_pool_options options = pool_options_of(argc, argv);
    pool = new_pool(&options);
    address = argv[1];
    fill(pool, address, 1);
    return answer_hits(pool, cycles);
}
