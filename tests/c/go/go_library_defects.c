/*
 * The defects of the Go library that must stay fixed, one test each. Contract section 8, last
 * paragraph.
 */
#include "check.h"

TEST(the_first_give_back_after_close_idle_is_kept,
     "Go: Defect: the first connection given back after CloseIdleConnections is lost")
{
    fixture f = fixture_new(NULL);
    vcp_conn *borrowed = borrow(f.pool, &f.s);
    int fd = vcp_conn_raw_fd(borrowed);
    give_back(borrow(f.pool, &f.s));
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    give_back(borrowed);
    CHECK_EQ(idle_at(f.pool, &f.s), 1);
    borrowed = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_raw_fd(borrowed), fd);
    CHECK_EQ(vcp_conn_is_reused(borrowed), 1);
    give_back(borrowed);
    FIXTURE_END(&f);
}

TEST(a_byte_sent_while_idle_never_reaches_the_next_borrower,
     "Go: Defect: a byte sent while idle reaches the next borrower")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    int peer;
    give_back(borrow(f.pool, &f.s));
    peer = server_accept(&f.s);
    CHECK_EQ(send(peer, "late", 4, 0), 4);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_conn_try_read(conn, &peer, sizeof peer), VCP_ERR_WOULD_BLOCK);
    give_back(conn);
    close(peer);
    FIXTURE_END(&f);
}

TEST(a_close_behind_a_byte_is_seen, "Go: Defect: after such a byte the peer's close goes unseen")
{
    fixture f = fixture_new(NULL);
    int peer;
    give_back(borrow(f.pool, &f.s));
    peer = server_accept(&f.s);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    close(peer);
    EVENTUALLY(idle_at(f.pool, &f.s) == 0, 1000);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    FIXTURE_END(&f);
}

TEST(the_previous_borrowers_deadline_is_gone,
     "Go: Defect: the previous borrower's deadline stays on")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    server_start_echo(&f.s);
    CHECK_EQ(vcp_conn_set_deadline(conn, 20), VCP_OK);
    give_back(conn);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    let_pass(40);
    CHECK_ECHO(conn, "in no hurry");
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(the_networks_with_a_family_are_taken, "Go: Defect: tcp4, tcp6, unixgram, unixpacket refused")
{
    server s4 = tcp_server();
    server s6 = tcp6_server();
    server dgram = unix_server(SOCK_DGRAM, 0);
    server packet = unix_server(SOCK_SEQPACKET, 0);
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    CHECK(vcp_dial(pool, "tcp4", s4.address, &conn) >= 0);
    give_back(conn);
    CHECK(vcp_dial(pool, "tcp6", s6.address, &conn) >= 0);
    give_back(conn);
    CHECK(vcp_dial(pool, "unixgram", dgram.address, &conn) >= 0);
    give_back(conn);
    CHECK(vcp_dial(pool, "unixpacket", packet.address, &conn) >= 0);
    give_back(conn);
    CHECK_EQ(idle_in(pool), 4);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s4);
    server_close(&s6);
    server_close(&dgram);
    server_close(&packet);
}

TEST(a_give_back_after_close_is_closed_and_leaks_nothing,
     "Go: Defect: a connection given back after Close is shelved and leaks")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int peer = server_accept(&s);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(peer_sees_life(peer));
    give_back(conn);
    CHECK(!is_open(fd));
    CHECK(peer_sees_end(peer));
    close(peer);
    server_close(&s);
}

static struct {
    vcp_pool *pool;
    full_server full;
    int result;
} hanging;

static void *dials_the_full_server(void *unused)
{
    vcp_conn *conn;
    (void)unused;
    hanging.result = vcp_dial(hanging.pool, "tcp", hanging.full.s.address, &conn);
    CHECK(conn == NULL);
    return NULL;
}

TEST(a_dial_in_flight_at_close_is_stopped, "Go: Defect: a dial in flight at Close is not stopped")
{
    pthread_t thread;
    int64_t start;
    hanging.full = full_server_new();
    hanging.pool = pool_new(NULL);
    CHECK_EQ(pthread_create(&thread, NULL, dials_the_full_server, NULL), 0);
    EVENTUALLY(stats_of(hanging.pool).dialing == 1, 5000);
    start = now_ms();
    CHECK_EQ(vcp_pool_close(hanging.pool), VCP_OK);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_TOOK(start, 0);
    CHECK_EQ(hanging.result, VCP_ERR_POOL_CLOSED);
    full_server_close(&hanging.full);
}

TEST(idle_connections_to_one_do_not_block_dials_to_another,
     "Go: Defect: idle connections to A block dials to B at MaxConn")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *first;
    vcp_conn *second;
    options.max_conns = 2;
    pool = pool_new(&options);
    first = borrow(pool, &a);
    second = borrow(pool, &a);
    give_back(first);
    give_back(second);
    CHECK_EQ(idle_at(pool, &a), 2);
    first = borrow(pool, &b);
    second = borrow(pool, &b);
    CHECK_EQ(idle_at(pool, &a), 0);
    give_back(first);
    give_back(second);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

TEST(a_put_of_the_pools_own_at_the_limit_loses_nothing,
     "Go: Defect: Put of a pool's own connection at the limit loses it")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int fd;
    options.max_conns = 1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    fd = vcp_conn_raw_fd(conn);
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_write(conn, "x", 1), 1);
    give_back(conn);
    CHECK_EQ(idle_at(pool, &s), 1);
    fd = vcp_pool_get(pool, s.network, s.address, NULL);
    CHECK(fd >= 0);
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, NULL), VCP_OK);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* A name that resolves nowhere: what is idle under it is handed out all the same. */
TEST(a_hit_resolves_nothing, "Go: Defect: the name is resolved on every dial, even on a hit")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    int fd = client_of(&f.s);
    CHECK_EQ(vcp_dial(f.pool, "tcp", "no..such:80", &conn), VCP_ERR_RESOLVE);
    CHECK_EQ(vcp_pool_put(f.pool, fd, "tcp", "no..such:80", NULL), VCP_OK);
    CHECK_EQ(vcp_dial(f.pool, "tcp", "no..such:80", &conn), fd);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(the_idle_one_is_not_picked_at_random, "Go: Defect: the idle one is picked at random")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conns[8];
    int last;
    int i;
    for (i = 0; i < 8; i++) {
        conns[i] = borrow(f.pool, &f.s);
    }
    last = vcp_conn_raw_fd(conns[7]);
    for (i = 0; i < 8; i++) {
        give_back(conns[i]);
    }
    for (i = 0; i < 100; i++) {
        vcp_conn *conn = borrow(f.pool, &f.s);
        CHECK_EQ(vcp_conn_raw_fd(conn), last);
        give_back(conn);
    }
    FIXTURE_END(&f);
}

TEST(a_dead_connection_is_not_handed_out_as_reused,
     "Go: Defect: a dead connection is handed out as reused")
{
    fixture f = fixture_new(NULL);
    int round;
    for (round = 0; round < 100; round++) {
        vcp_conn *conn = borrow(f.pool, &f.s);
        CHECK_EQ(vcp_conn_is_reused(conn), 0);
        give_back(conn);
        close(server_accept(&f.s));
    }
    /* The watch closes the last one by and by. */
    EVENTUALLY(idle_in(f.pool) == 0, 2000);
    FIXTURE_END(&f);
}

TEST(a_timed_out_connection_is_not_kept,
     "Go: The Go library kept a connection after a timeout: a late answer reached the next "
     "borrower")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    char answer[8];
    CHECK_EQ(vcp_conn_write(conn, "slow question", 13), 13);
    CHECK_EQ(vcp_conn_set_read_deadline(conn, 10), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, answer, sizeof answer), VCP_ERR_TIMEOUT);
    give_back(conn);
    CHECK_EQ(idle_at(pool, &s), 0);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}
