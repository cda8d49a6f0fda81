/* The crowd over libvconnpool. */
#include "bench.h"
#include "crowd.h"
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
    static const char *const variants[] = {"strict", "watch", NULL};
    static const int32_t livenesses[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_WATCH};
    vcp_pool_options options = pool_options();
    options.liveness = livenesses[variant_of(argc, argv, variants)];
    options.max_conns = CROWD_CONNS;
    options.wait_timeout_ms = LONGEST_WAIT_MS;
    pool = new_pool(&options);
    address = argv[1];
    return answer_crowds(take, give);
}
