/*
 * The cycle: one of AMOUNT idle connections of one destination is borrowed and given back.
 * "threads": WATCH, on threads. "session": STRICT, a session of a driver that tells its socket.
 */
#include "bench.h"
#include "pool.h"
#include "threads.h"

#include <stdlib.h>
#include <unistd.h>

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

static int fd_of(void *session)
{
    return *(const int *)session;
}

static void end_session(void *session)
{
    close(fd_of(session));
    free(session);
}

static int open_session(void *user, const vcp_session_request *request, vcp_session *session)
{
    (void)user;
    int *fd = malloc(sizeof *fd);
    if (fd == NULL)
        return 1;
    *fd = connect_to(request->address);
    session->data = fd;
    session->free_data = end_session;
    session->fd = fd_of;
    return 0;
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"strict", "watch", "threads", "session", NULL};
    int variant = variant_of(argc, argv, variants);
    vcp_pool_options options = pool_options();
    if (variant == 3)
        options.open_session = open_session;
    else if (variant > 0)
        options.liveness = VCP_LIVENESS_WATCH;
    keep_at_least(&options, amount_of(argv));
    pool = new_pool(&options);
    address = argv[1];
    fill(pool, address, amount_of(argv));
    return answer_hits(pool, variant == 2 ? on_threads(cycles) : cycles);
}
