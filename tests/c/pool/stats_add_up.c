/*
 * At rest: dials - dial_failures + puts = idle + borrowed + gets + detached + stale + dirty + all
 * closed. Section 4.
 */
#include "check.h"

TEST(a_new_pool_has_counted_nothing, "stats: All counters start at 0")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_stats stats = stats_of(pool);
    const unsigned char *bytes = (const unsigned char *)&stats.dials;
    size_t i;
    for (i = 0; i < sizeof stats - offsetof(vcp_stats, dials); i++) {
        CHECK_EQ(bytes[i], 0);
    }
    CHECK_EQ(stats.size, sizeof stats);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(dials_reuses_and_releases_are_counted,
     "stats: dials, reuses, releases and the gauges count what happened")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    vcp_stats stats;
    int i;
    for (i = 0; i < 5; i++) {
        give_back(borrow(f.pool, &f.s));
        CHECK_STATS_ADD_UP(f.pool);
    }
    conn = borrow(f.pool, &f.s);
    CHECK_STATS_ADD_UP(f.pool);
    stats = stats_of(f.pool);
    CHECK_EQ(stats.dials, 1);
    CHECK_EQ(stats.dial_failures, 0);
    CHECK_EQ(stats.reuses, 5);
    CHECK_EQ(stats.releases, 5);
    CHECK_EQ(stats.borrowed, 1);
    CHECK_EQ(stats.idle, 0);
    CHECK_EQ(stats.dialing, 0);
    CHECK_EQ(stats.waiting, 0);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(failed_dials_are_counted_twice_and_cancel_out,
     "stats: dials includes dial_failures; bad arguments are no dial")
{
    server refusing = refusing_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    CHECK_EQ(vcp_dial(pool, "tcp", refusing.address, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_EQ(stats_of(pool).dial_failures, 1);
    CHECK_STATS_ADD_UP(pool);
    /* What never became a dial is not counted. */
    CHECK_EQ(vcp_dial(pool, "tcp", "portless", &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* One connection ends in each way that this version knows, and the sum holds after each. */
TEST(the_sum_holds_after_every_kind_of_ending,
     "stats: The at-rest identity holds after each kind of ending")
{
    server s = tcp_server();
    server other = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    vcp_stats stats;
    char byte;
    int fd;
    int peer;
    int foreign;
    int peers[16];
    int count = 0;
    options.max_idle_per_address = 1;
    options.max_conns = 3;
    options.max_uses = 2;
    options.verify_release = 1;
    pool = pool_new(&options);

    /* discarded by the borrower, and by failed I/O */
    conn = borrow(pool, &s);
    peers[count++] = server_accept(&s);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    conn = borrow(pool, &s);
    peers[count++] = server_accept(&s);
    CHECK_EQ(vcp_conn_set_deadline(conn, 0), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(stats_of(pool).closed_discarded, 2);

    /* detached, gotten, put */
    conn = borrow(pool, &s);
    peers[count++] = server_accept(&s);
    fd = vcp_conn_detach(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, NULL), VCP_OK);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_get(pool, s.network, s.address, NULL), fd);
    CHECK_STATS_ADD_UP(pool);
    close(fd);

    /* used up */
    give_back(borrow(pool, &s));
    peers[count++] = server_accept(&s);
    give_back(borrow(pool, &s));
    CHECK_EQ(stats_of(pool).closed_max_uses, 1);
    CHECK_STATS_ADD_UP(pool);

    /* no room to keep it */
    conn = borrow(pool, &s);
    peers[count++] = server_accept(&s);
    give_back(borrow_fresh(pool, &s));
    peers[count++] = server_accept(&s);
    give_back(conn);
    CHECK_EQ(stats_of(pool).closed_idle_full, 1);
    CHECK_STATS_ADD_UP(pool);

    /* evicted by close_idle */
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    CHECK_STATS_ADD_UP(pool);

    /* stale or dirty at a borrow, or seen by the watch just before */
    give_back(borrow(pool, &s));
    close(server_accept(&s));
    conn = borrow(pool, &s);
    peer = server_accept(&s);
    give_back(conn);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    conn = borrow(pool, &s);
    peers[count++] = server_accept(&s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    close(peer);
    stats = stats_of(pool);
    CHECK_EQ(stats.stale_at_borrow + stats.dirty_at_borrow + stats.closed_while_idle, 2);
    CHECK_STATS_ADD_UP(pool);

    /* another file under its number */
    conn = borrow(pool, &other);
    fd = vcp_conn_raw_fd(conn);
    close(fd);
    foreign = open("/dev/null", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(foreign, fd);
    give_back(conn);
    close(foreign);
    CHECK_EQ(stats_of(pool).closed_foreign_fd, 1);
    CHECK_STATS_ADD_UP(pool);

    stats = stats_of(pool);
    CHECK_EQ(stats.puts, 1);
    CHECK_EQ(stats.gets, 1);
    CHECK_EQ(stats.detached, 1);
    CHECK_EQ(stats.borrowed, 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    while (count > 0) {
        close(peers[--count]);
    }
    server_close(&s);
    server_close(&other);
}

TEST(the_sum_holds_after_idle_timeout_and_lifetime,
     "stats: The identity holds after idle timeout and lifetime")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    options.idle_timeout_ms = 50;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    EVENTUALLY(stats_of(pool).closed_idle_timeout == 1, 1000 + 50);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    options.idle_timeout_ms = 0;
    options.max_lifetime_ms = 50;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    EVENTUALLY(stats_of(pool).closed_lifetime == 1, 1000 + 50);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(what_the_watch_closes_is_counted, "stats: closed_while_idle counts what the watch closed")
{
    fixture f = fixture_new(NULL);
    give_back(borrow(f.pool, &f.s));
    close(server_accept(&f.s));
    EVENTUALLY(stats_of(f.pool).closed_while_idle == 1, 1000);
    FIXTURE_END(&f);
}

/* What happens by chance, by a fixed seed: thousands of steps, the sum after each. */
TEST(the_sum_holds_after_thousands_of_random_steps,
     "stats: The identity holds after each of 5,000 random steps; max_conns too")
{
    enum { MOST = 12 };
    server servers[3];
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *held[MOST];
    int count = 0;
    uint32_t seed = 12345;
    int step;
    int i;
    int steps = slowness() > 1 ? 500 : 5000;
    for (i = 0; i < 3; i++) {
        servers[i] = tcp_server();
        server_start_echo(&servers[i]);
    }
    options.max_idle_per_address = 2;
    options.max_conns = 6;
    options.max_uses = 20;
    pool = pool_new(&options);
    for (step = 0; step < steps; step++) {
        uint32_t choice;
        server *s;
        seed = seed * 1664525u + 1013904223u;
        choice = seed >> 24;
        s = &servers[(seed >> 16) % 3];
        if (choice < 120 && count < MOST) {
            vcp_conn *conn;
            int result = dial_flags(pool, s,
                                    choice % 3 == 0   ? VCP_DIAL_FRESH
                                    : choice % 3 == 1 ? VCP_DIAL_REUSE_ONLY
                                                      : 0,
                                    &conn);
            if (result >= 0) {
                held[count++] = conn;
            } else {
                CHECK(result == VCP_ERR_POOL_EXHAUSTED || result == VCP_ERR_NOT_AVAILABLE);
            }
        } else if (choice < 220 && count > 0) {
            int which = (int)(seed >> 8 & 0xff) % count;
            if (choice % 4 == 0) {
                CHECK_EQ(vcp_conn_discard(held[which]), VCP_OK);
            }
            if (choice % 8 == 1) {
                int fd = vcp_conn_detach(held[which]);
                CHECK(fd >= 0);
                if (vcp_pool_add(pool, fd) != VCP_OK) {
                    close(fd);
                }
            } else {
                give_back(held[which]);
            }
            held[which] = held[--count];
        } else if (choice < 240) {
            int fd = vcp_pool_get(pool, s->network, s->address, NULL);
            if (fd >= 0 && vcp_pool_put(pool, fd, s->network, s->address, "tag") != VCP_OK) {
                close(fd);
            }
        } else if (choice < 244) {
            CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
        }
        CHECK_STATS_ADD_UP(pool);
        CHECK_EQ(stats_of(pool).borrowed, count);
        CHECK(vcp_pool_conn_count(pool) <= 6);
    }
    while (count > 0) {
        give_back(held[--count]);
    }
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    for (i = 0; i < 3; i++) {
        server_close(&servers[i]);
    }
}
