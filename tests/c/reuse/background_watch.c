/*
 * What the library notices without any borrow, and how its threads behave. Contract sections 2 and
 * 4.
 */
#include <linux/net_tstamp.h>

#include "check.h"
#include "signal_masks.h"

static vcp_pool *pool_with(int32_t liveness)
{
    vcp_pool_options options = pool_options();
    options.liveness = liveness;
    return pool_new(&options);
}

static int one_idle(vcp_pool *pool, const server *s)
{
    give_back(borrow(pool, s));
    return server_accept(s);
}

TEST(a_close_by_the_peer_is_noticed_in_every_mode,
     "watch: In every liveness mode an idle connection whose peer closes leaves the pool within 1 "
     "s, without any borrow")
{
    int32_t modes[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_ALLOW_DATA, VCP_LIVENESS_WATCH};
    int i;
    for (i = 0; i < 3; i++) {
        server s = tcp_server();
        vcp_pool *pool = pool_with(modes[i]);
        int peer = one_idle(pool, &s);
        CHECK_EQ(idle_in(pool), 1);
        close(peer);
        EVENTUALLY(idle_in(pool) == 0, 1000);
        CHECK_EQ(stats_of(pool).closed_while_idle, 1);
        CHECK_EQ(vcp_pool_conn_count(pool), 0);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        server_close(&s);
    }
}

TEST(a_reset_by_the_peer_is_noticed,
     "watch: An idle connection that is reset leaves the pool within 1 s")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    close_with_reset(one_idle(pool, &s));
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_EQ(stats_of(pool).closed_while_idle, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_fd_of_what_the_peer_closed_is_released,
     "watch: The fd of an idle connection that the peer closed is released in the background")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    give_back(conn);
    close(server_accept(&s));
    EVENTUALLY(!is_open(fd), 1000 + LATENESS_MS);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(strict_notices_bytes_that_come_while_idle,
     "watch: STRICT: an idle connection to which bytes come leaves the pool within 1 s")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    int peer = one_idle(pool, &s);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_EQ(stats_of(pool).closed_while_idle, 1);
    CHECK(peer_sees_end(peer));
    close(peer);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(strict_notices_bytes_after_a_long_idle_too,
     "watch: STRICT: bytes that come after 2 s of idleness close the connection within 1 s")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    int peer = one_idle(pool, &s);
    STAYS(idle_in(pool) == 1, 2000);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    EVENTUALLY(idle_in(pool) == 0, 1000);
    close(peer);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * A short idle period, a borrow, another idle period: the watch must not have been lost on the way.
 */
TEST(what_was_borrowed_in_between_is_still_watched,
     "watch: STRICT: the watch is there again after a borrow that interrupted it")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    vcp_conn *conn;
    int peer = one_idle(pool, &s);
    char byte;
    let_pass(700);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 1);
    give_back(conn);
    CHECK_EQ(idle_in(pool), 1);
    CHECK_EQ(send(peer, "y", 1, 0), 1);
    EVENTUALLY(idle_in(pool) == 0, 1000);
    close(peer);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* The peer's close came while it was borrowed; nobody read; the end was seen by nobody yet. */
TEST(a_close_during_the_borrow_is_noticed_under_watch,
     "watch: WATCH: a close that came during the borrow and that nobody read is noticed after the "
     "give-back")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_WATCH);
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    close(server_accept(&s));
    await_arrival(fd);
    give_back(conn);
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_borrowed_connection_is_left_alone,
     "watch: The watch never closes a borrowed connection: its last bytes can be read")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    char bytes[8];
    CHECK_EQ(send(peer, "last", 4, 0), 4);
    close(peer);
    await_arrival(vcp_conn_raw_fd(conn));
    STAYS(vcp_pool_conn_count(pool) == 1, 1200);
    CHECK_EQ(vcp_conn_read(conn, bytes, sizeof bytes), 4);
    CHECK_EQ(vcp_conn_read(conn, bytes, sizeof bytes), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(strict_notices_a_pending_datagram,
     "watch: STRICT: a pending datagram, an empty one too, closes an idle datagram socket")
{
    server s = udp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    vcp_conn *conn = borrow(pool, &s);
    struct sockaddr_in to;
    socklen_t length = sizeof to;
    CHECK_EQ(getsockname(vcp_conn_raw_fd(conn), (struct sockaddr *)&to, &length), 0);
    give_back(conn);
    CHECK_EQ(sendto(s.fd, "", 0, 0, (struct sockaddr *)&to, length), 0);
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(under_watch_nothing_is_noticed_of_datagrams,
     "watch: WATCH: of datagram sockets nothing is noticed")
{
    server s = udp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_WATCH);
    vcp_conn *conn = borrow(pool, &s);
    struct sockaddr_in to;
    socklen_t length = sizeof to;
    CHECK_EQ(getsockname(vcp_conn_raw_fd(conn), (struct sockaddr *)&to, &length), 0);
    give_back(conn);
    CHECK_EQ(sendto(s.fd, "x", 1, 0, (struct sockaddr *)&to, length), 1);
    STAYS(idle_in(pool) == 1, 1200);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_quiet_connection_stays, "watch: An idle connection on which nothing happens stays")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    int peer = one_idle(pool, &s);
    STAYS(idle_in(pool) == 1, 1500);
    CHECK(peer_sees_life(peer));
    close(peer);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_hundred_closes_at_once_are_all_noticed,
     "watch: 100 closes at once are all noticed within 1 s and each is counted")
{
    enum { MANY = 100 };
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conns[MANY];
    int peers[MANY];
    int i;
    options.max_idle_per_address = MANY;
    pool = pool_new(&options);
    for (i = 0; i < MANY; i++) {
        conns[i] = borrow(pool, &s);
        peers[i] = server_accept(&s);
    }
    for (i = 0; i < MANY; i++) {
        give_back(conns[i]);
    }
    CHECK_EQ(idle_in(pool), MANY);
    for (i = 0; i < MANY; i++) {
        close(peers[i]);
    }
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_EQ(stats_of(pool).closed_while_idle, MANY);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_connection_that_was_put_is_watched,
     "watch: What was put or added is watched as what was dialed")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    CHECK_EQ(vcp_pool_add(pool, client_of(&s)), VCP_OK);
    close(server_accept(&s));
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* What was given away is no longer watched: bytes and closes on it are the program's affair. */
TEST(what_was_given_away_is_not_touched, "watch: What get gave away is no longer watched")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    int peer = one_idle(pool, &s);
    int fd = vcp_pool_get(pool, s.network, s.address, NULL);
    char bytes[8];
    CHECK(fd >= 0);
    CHECK_EQ(send(peer, "mine", 4, 0), 4);
    close(peer);
    STAYS(is_open(fd), 1200);
    CHECK_EQ(recv(fd, bytes, sizeof bytes, MSG_WAITALL), 4);
    CHECK_EQ(recv(fd, bytes, sizeof bytes, 0), 0);
    close(fd);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_librarys_threads_block_every_signal, "watch: The library's threads block every signal")
{
    server s = tcp_server();
    vcp_pool *pool;
    if (!signal_masks_can_be_read()) {
        server_close(&s);
        SKIP("an emulator keeps the masks itself");
    }
    pool = pool_new(NULL);
    close(one_idle(pool, &s));
    EVENTUALLY(librarys_threads_block_all() >= 2, 1000); /* the engine and a helper */
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* Wakes the background thread by an error without a hang-up. */
static void makes_news(int fd)
{
    struct pollfd polled;
    polled.fd = fd;
    polled.events = 0;
    CHECK_EQ(send(fd, "a", 1, MSG_NOSIGNAL), 1);
    EVENTUALLY(poll(&polled, 1, 10) == 1 && (polled.revents & POLLERR) != 0, 5000);
}

TEST(news_in_the_error_queue_end_no_connection,
     "watch: What comes into the error queue of a socket, as the time stamps of what was sent, "
     "ends no connection, whether it is borrowed or idle")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_WATCH);
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int wanted = SOF_TIMESTAMPING_TX_SOFTWARE | SOF_TIMESTAMPING_SOFTWARE;
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_TIMESTAMPING, &wanted, sizeof wanted), 0);
    makes_news(fd);
    STAYS(vcp_pool_conn_count(pool) == 1, 50);
    give_back(conn);
    makes_news(fd);
    STAYS(idle_in(pool) == 1, 50);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(an_idle_datagram_socket_that_failed_is_noticed,
     "watch: An idle UDP connection whose peer refuses what was sent leaves the pool within 1 s")
{
    server s = udp_server();
    vcp_pool *pool = pool_with(VCP_LIVENESS_STRICT);
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    give_back(conn);
    server_close(&s);
    CHECK_EQ(send(fd, "a", 1, MSG_NOSIGNAL), 1);
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_EQ(stats_of(pool).closed_while_idle, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
