/* The cycle over AMOUNT destinations with one idle connection each, visited at random. */
#include "bench.h"
#include "destinations.h"
#include "pool.h"

static vcp_pool *pool;

static void cycles(uint64_t count)
{
    while (count-- > 0) {
        vcp_conn *conn;
        must(vcp_dial(pool, "tcp", next_destination(), &conn));
        must(vcp_conn_close(conn));
    }
}

int main(int argc, char **argv)
{
    vcp_pool_options options = pool_options_of(argc, argv);
    pool = new_pool(&options);
    make_destinations(argv[1], amount_of(argv));
    for (uint32_t i = 0; i < amount_of(argv); i++)
        fill(pool, destinations[i], 1);
    return answer_hits(pool, cycles);
}
