/*
 * What the tests of the Go library vconnpool show, by its names: ConnNum, ConnNumIde, Dial, Put,
 * Get, Add, ... Section 8.
 */
#include "check.h"

TEST(conn_num_after_close,
     "Go: ConnNum and ConnNumIde after Close: given back is idle, and counted")
{
    fixture f = fixture_new(NULL);
    vcp_conn *first = borrow(f.pool, &f.s);
    vcp_conn *second = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 2);
    CHECK_EQ(idle_at(f.pool, &f.s), 0);
    give_back(first);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 2);
    CHECK_EQ(idle_at(f.pool, &f.s), 1);
    give_back(second);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 2);
    CHECK_EQ(idle_at(f.pool, &f.s), 2);
    FIXTURE_END(&f);
}

TEST(close_idle_connections_empties_the_pool,
     "Go: CloseIdleConnections: nothing left, the next dial is fresh and kept")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    give_back(borrow(f.pool, &f.s));
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    CHECK_EQ(idle_at(f.pool, &f.s), 0);
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK_EQ(idle_at(f.pool, &f.s), 1);
    FIXTURE_END(&f);
}

TEST(raw_conn_leaves_the_pool,
     "Go: RawConn: the pool forgets it, and closing the pool does not touch it")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int fd;
    server_start_echo(&s);
    fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(send(fd, "x", 1, 0), 1);
    CHECK(readable_within(fd, 5000));
    close(fd);
    server_close(&s);
}

TEST(add_and_get,
     "Go: Add, then Get: counted, then given away; a second Get is ErrConnNotAvailable")
{
    fixture f = fixture_new(NULL);
    int fd = client_of(&f.s);
    CHECK_EQ(vcp_pool_add(f.pool, fd), VCP_OK);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 1);
    CHECK_EQ(idle_at(f.pool, &f.s), 1);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, NULL), fd);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, NULL), VCP_ERR_NOT_AVAILABLE);
    close(fd);
    FIXTURE_END(&f);
}

TEST(discard_is_not_kept, "Go: Discard, then Close: really closed")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    CHECK_EQ(idle_at(f.pool, &f.s), 0);
    FIXTURE_END(&f);
}

TEST(in_use_and_idle_are_counted_apart, "Go: Connections in use and idle are counted apart")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conns[5];
    vcp_stats stats;
    int i;
    for (i = 0; i < 5; i++) {
        conns[i] = borrow(f.pool, &f.s);
    }
    for (i = 0; i < 3; i++) {
        give_back(conns[i]);
    }
    stats = stats_of(f.pool);
    CHECK_EQ(stats.idle, 3);
    CHECK_EQ(stats.borrowed, 2);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 5);
    CHECK_EQ(vcp_pool_idle_count(f.pool, NULL, NULL), 3);
    give_back(conns[3]);
    give_back(conns[4]);
    CHECK_EQ(stats_of(f.pool).borrowed, 0);
    FIXTURE_END(&f);
}

TEST(the_priority_key_makes_two, "Go: PriorityContextKey: a second connection beside the idle one")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    give_back(borrow(f.pool, &f.s));
    conn = borrow_fresh(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 2);
    CHECK_EQ(idle_at(f.pool, &f.s), 2);
    FIXTURE_END(&f);
}

TEST(a_dead_connection_is_not_kept, "Go: A connection whose end was read is not kept")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    char byte;
    close(server_accept(&f.s));
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    FIXTURE_END(&f);
}

TEST(max_conn_is_the_error_conn_pool_max, "Go: MaxConn reached: ErrConnPoolMax")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    vcp_conn *second;
    options.max_conns = 1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &second), VCP_ERR_POOL_EXHAUSTED);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_conversation_is_carried_on_over_reuses, "Go: 100 dials of one server make one connection")
{
    fixture f = fixture_new(NULL);
    int round;
    server_start_echo(&f.s);
    for (round = 0; round < 100; round++) {
        vcp_conn *conn = borrow(f.pool, &f.s);
        CHECK_EQ(vcp_conn_is_reused(conn), round > 0);
        CHECK_ECHO(conn, "the same question again");
        give_back(conn);
    }
    CHECK_EQ(stats_of(f.pool).dials, 1);
    CHECK_EQ(stats_of(f.pool).reuses, 99);
    CHECK_EQ(stats_of(f.pool).releases, 100);
    FIXTURE_END(&f);
}
