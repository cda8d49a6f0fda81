/*
 * fixture.h - a server and a pool. At the end the pool is closed, its statistics must add up,
 * nothing may still be borrowed, dialed or waited for, and no socket may be left.
 */
#ifndef FIXTURE_H
#define FIXTURE_H

#include "pools.h"
#include "process_counts.h"

typedef struct fixture {
    server s;
    vcp_pool *pool;
    int sockets; /* before there was a server */
} fixture;

/* NULL: all defaults. The test accepts by hand, or calls server_start_echo(&f.s). */
static inline fixture fixture_new(const vcp_pool_options *options)
{
    fixture f;
    f.sockets = open_sockets();
    f.s = tcp_server();
    f.pool = pool_new(options);
    return f;
}

static inline void fixture_end_at(const char *file, int line, fixture *f)
{
    vcp_stats at_rest = stats_of(f->pool);
    int64_t end;
    check_stats_add_up(file, line, f->pool);
    check_equal(file, line, "borrowed", (long long)at_rest.borrowed, 0);
    check_equal(file, line, "dialing", (long long)at_rest.dialing, 0);
    check_equal(file, line, "waiting", (long long)at_rest.waiting, 0);
    check_equal(file, line, "the pool closes", vcp_pool_close(f->pool), VCP_OK);
    server_close(&f->s);
    end = now_ms() + at_most(LATENESS_MS);
    while (open_sockets() > f->sockets && now_ms() < end) {
        let_pass(1);
    }
    check_equal(file, line, "sockets left open", open_sockets() - f->sockets, 0);
}

#define FIXTURE_END(f) fixture_end_at(__FILE__, __LINE__, f)

#endif
