/*
 * A server restarts while 500 connections to it are idle; the time is that of the first dial
 * afterwards. "borrow": the pool holds the dead ones; "fresh": it holds none, the 500 are plain
 * sockets. The server is this program's own: listening is all it does.
 */
#include "bench.h"
#include "pool.h"

#include <arpa/inet.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

enum { IDLE = 500 };

static bool is_fresh;
static vcp_pool *pool;
static struct sockaddr_in name;
static char address[32];
static int listener;

/* The server ends and is there again: each of its connections has ended. */
static void restart(const int *accepted)
{
    for (int i = 0; i < IDLE; i++)
        close(accepted[i]);
    close(listener);
    listener = listen_on_loopback(&name, 2 * IDLE);
}

static uint64_t timed_dial(void)
{
    vcp_conn *conn;
    uint64_t start = now_ns();
    int fd = (int)must(vcp_dial(pool, "tcp", address, &conn));
    uint64_t took = now_ns() - start;
    char byte;
    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0)
        fail("a dead connection was handed out");
    must(vcp_conn_discard(conn));
    return took;
}

static uint64_t one_restart(void)
{
    static vcp_conn *conns[IDLE];
    static int plain[IDLE], accepted[IDLE];
    for (int i = 0; i < IDLE; i++) {
        if (is_fresh)
            plain[i] = connect_to(address);
        else
            must(vcp_dial(pool, "tcp", address, &conns[i]));
        accepted[i] = accept(listener, NULL, NULL);
        if (accepted[i] < 0)
            fail("accept");
    }
    for (int i = 0; i < IDLE && !is_fresh; i++)
        must(vcp_conn_close(conns[i]));
    restart(accepted);
    uint64_t took = timed_dial();
    for (int i = 0; i < IDLE && is_fresh; i++)
        close(plain[i]);
    /* The next one begins with an empty pool. */
    must(vcp_pool_evict(pool, NULL, NULL));
    return took;
}

static uint64_t restarts(uint64_t count)
{
    uint64_t took = 0;
    while (count-- > 0)
        took += one_restart();
    return took;
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"borrow", "fresh", NULL};
    vcp_pool_options options = pool_options();
    is_fresh = variant_of(argc, argv, variants) == 1;
    options.max_idle_per_address = IDLE;
    pool = new_pool(&options);
    listener = listen_on_loopback(&name, 2 * IDLE);
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(name.sin_port));
    return answer_timed_runs(restarts);
}
