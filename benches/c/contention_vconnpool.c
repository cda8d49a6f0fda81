/* The contention over libvconnpool, with AMOUNT connections. */
#include "bench.h"
#include "contention.h"
#include "pool.h"

enum { LONGEST_WAIT_MS = 60000 };

static vcp_pool *pool;
static const char *address;

static int take(void **held)
{
    vcp_conn *conn;
    int fd = (int)must(vcp_dial(pool, "tcp", address, &conn));
    *held = conn;
    return fd;
}

static void give(void *held)
{
    must(vcp_conn_close(held));
}

int main(int argc, char **argv)
{
    vcp_pool_options options = pool_options_of(argc, argv);
    options.max_conns = amount_of(argv);
    options.wait_timeout_ms = LONGEST_WAIT_MS;
    pool = new_pool(&options);
    address = argv[1];
    return answer_contentions(take, give);
}
