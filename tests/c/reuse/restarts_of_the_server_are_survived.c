/*
 * All connections of a server die at once. Contract section 4, STRICT; the others of a destination
 * are not the borrower's work.
 */
#include "check.h"

enum { MOST = 200 };

/* So many idle connections, with their peers' ends. */
static void fill(vcp_pool *pool, const server *s, int *peers, int count)
{
    vcp_conn *conns[MOST];
    int i;
    for (i = 0; i < count; i++) {
        conns[i] = borrow_fresh(pool, s);
        peers[i] = server_accept(s);
    }
    for (i = 0; i < count; i++) {
        give_back(conns[i]);
    }
}

static void kill_all(const int *peers, int count)
{
    int i;
    for (i = 0; i < count; i++) {
        close(peers[i]);
    }
}

TEST(a_borrower_looks_at_a_few_dead_ones_and_dials,
     "restarts: After a restart of the server one borrow does not walk through hundreds of dead "
     "connections")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int peers[MOST];
    int peer;
    options.max_idle_per_address = MOST;
    pool = pool_new(&options);
    fill(pool, &s, peers, MOST);
    CHECK_EQ(idle_at(pool, &s), MOST);
    kill_all(peers, MOST);
    conn = borrow(pool, &s);
    CHECK_BETWEEN(stats_of(pool).stale_at_borrow, 0, 3);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    peer = server_accept(&s);
    CHECK_EQ(peer_sees_life(peer), 1);
    give_back(conn);
    EVENTUALLY(idle_at(pool, &s) == 1, 1000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

/* Without room for another one the dead have to go first. */
TEST(at_the_limit_the_dead_make_room,
     "restarts: At max_conns connections that a restart of the server has ended make room")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int peers[MOST];
    options.max_idle_per_address = MOST;
    options.max_conns = 50;
    pool = pool_new(&options);
    fill(pool, &s, peers, 50);
    kill_all(peers, 50);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    EVENTUALLY(vcp_pool_conn_count(pool) == 1, 1000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(in_1000_restarts_no_dead_connection_is_handed_out,
     "restarts: 1,000 restarts of a server: no dead connection is handed out")
{
    fixture f = fixture_new(NULL);
    int restarts = slowness() > 1 ? 100 : 1000;
    int i;
    for (i = 0; i < restarts; i++) {
        int peers[3];
        int peer;
        vcp_conn *conn;
        fill(f.pool, &f.s, peers, 3);
        kill_all(peers, 3);
        conn = borrow(f.pool, &f.s);
        CHECK_EQ(vcp_conn_is_reused(conn), 0);
        peer = server_accept(&f.s);
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        give_back(conn);
        close(peer);
        EVENTUALLY(idle_at(f.pool, &f.s) == 0, 1000);
    }
    FIXTURE_END(&f);
}
