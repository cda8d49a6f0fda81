/* vcp_pool_close: what is idle, borrowed and in flight. Contract section 4. */
#include "completions.h"

TEST(close_closes_the_idle_at_once,
     "close: vcp_pool_close closes idle connections before it returns")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int peer = server_accept(&s);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(!is_open(fd));
    CHECK(peer_sees_end(peer));
    close(peer);
    server_close(&s);
}

TEST(borrowed_connections_stay_usable_after_close,
     "close: Borrowed connections outlive vcp_pool_close and are really closed when given back")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    char text[64];
    int fd = vcp_conn_raw_fd(conn);
    server_start_echo(&s);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_ECHO(conn, "after the end");
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    CHECK_EQ(vcp_conn_address(conn, text, sizeof text), (int64_t)strlen(s.address));
    CHECK_EQ(vcp_conn_set_deadline(conn, 0), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, text, 1), VCP_ERR_TIMEOUT);
    give_back(conn);
    CHECK(!is_open(fd));
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
    server_close(&s);
}

TEST(a_connection_of_a_closed_pool_can_be_detached,
     "close: A connection borrowed from a closed pool can still be detached")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int fd;
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    CHECK(is_open(fd));
    close(fd);
    server_close(&s);
}

static void *reads_one(void *conn)
{
    char byte = 0;
    CHECK_EQ(vcp_conn_read((vcp_conn *)conn, &byte, 1), 1);
    return (void *)(intptr_t)byte;
}

TEST(a_read_that_runs_at_pool_close_goes_on,
     "close: A read that runs when the pool is closed goes on")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    pthread_t reader;
    void *byte;
    CHECK_EQ(vcp_conn_set_deadline(conn, at_most(5000)), VCP_OK);
    CHECK_EQ(pthread_create(&reader, NULL, reads_one, conn), 0);
    let_pass(50); /* so that it most likely runs; either order must end the same */
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    CHECK_EQ(pthread_join(reader, &byte), 0);
    CHECK_EQ((intptr_t)byte, 'x');
    give_back(conn);
    close(peer);
    server_close(&s);
}

TEST(a_second_close_is_told_so, "close: A second vcp_pool_close is POOL_CLOSED")
{
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_ERR_POOL_CLOSED);
}

enum { HANGING = 4 };

static struct {
    vcp_pool *pool;
    full_server full;
} flight;

static void *hangs(void *unused)
{
    vcp_conn *conn;
    (void)unused;
    return (void *)(intptr_t)vcp_dial(flight.pool, "tcp", flight.full.s.address, &conn);
}

TEST(dials_in_flight_end_with_pool_closed,
     "close: Dials in flight end with POOL_CLOSED at vcp_pool_close, at once")
{
    pthread_t dialers[HANGING];
    int64_t start;
    int fds;
    int i;
    flight.full = full_server_new();
    fds = open_fds();
    flight.pool = pool_new(NULL);
    for (i = 0; i < HANGING; i++) {
        CHECK_EQ(pthread_create(&dialers[i], NULL, hangs, NULL), 0);
    }
    EVENTUALLY(stats_of(flight.pool).dialing == HANGING, 5000);
    start = now_ms();
    CHECK_EQ(vcp_pool_close(flight.pool), VCP_OK);
    for (i = 0; i < HANGING; i++) {
        void *result;
        CHECK_EQ(pthread_join(dialers[i], &result), 0);
        CHECK_EQ((intptr_t)result, VCP_ERR_POOL_CLOSED);
    }
    CHECK_TOOK(start, 0);
    EVENTUALLY(open_fds() <= fds, 5000 + LATENESS_MS);
    full_server_close(&flight.full);
}

/* Pools are closed while other threads use them: every call answers, nothing is lost. */
static vcp_pool *contested;
static const server *contested_server;

static void *borrows_until_closed(void *unused)
{
    (void)unused;
    for (;;) {
        vcp_conn *conn;
        int result =
            vcp_dial(contested, contested_server->network, contested_server->address, &conn);
        if (result < 0) {
            CHECK_EQ(result, VCP_ERR_POOL_CLOSED);
            CHECK(conn == NULL);
            return NULL;
        }
        give_back(conn);
    }
}

TEST(a_close_among_borrowers_leaks_nothing,
     "close: Pools closed while threads borrow leak no fd; every dial after it is POOL_CLOSED")
{
    server s = tcp_server();
    int fds;
    int round;
    server_start_echo(&s);
    contested_server = &s;
    fds = open_fds();
    for (round = 0; round < 50; round++) {
        pthread_t borrowers[4];
        int i;
        contested = pool_new(NULL);
        for (i = 0; i < 4; i++) {
            CHECK_EQ(pthread_create(&borrowers[i], NULL, borrows_until_closed, NULL), 0);
        }
        EVENTUALLY(stats_of(contested).releases > 0, 5000);
        CHECK_EQ(vcp_pool_close(contested), VCP_OK);
        for (i = 0; i < 4; i++) {
            CHECK_EQ(pthread_join(borrowers[i], NULL), 0);
        }
    }
    EVENTUALLY(open_fds() <= fds, 5000 + LATENESS_MS);
    server_close(&s);
}

static int closes_another(void *other, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    return vcp_pool_close((vcp_pool *)other);
}

TEST(a_callback_on_a_thread_of_the_library_may_close_another_pool,
     "close: A callback on a thread of the library may close another pool")
{
    server s = tcp_server();
    vcp_pool *other = pool_new(NULL);
    vcp_pool_options options = pool_options();
    vcp_queue *queue = queue_new();
    vcp_pool *pool;
    options.on_open = closes_another;
    options.user = other;
    pool = pool_new(&options);
    give_back(borrow(other, &s));
    begin_dial(pool, &s, NULL, queue, &s);
    give_back(next_conn(queue, &s));
    CHECK_EQ(vcp_pool_conn_count(other), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
}
