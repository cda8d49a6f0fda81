/*
 * bad_links.c - links that lose packets, or everything, before and while a connection is used; and
 * what a dead link or a distant reset does to connections that are idle.
 */
#include "network.h"

/* Dials over the link that can be cut. */
#define LINKED "192.0.2.7:7"
#define LINKED_BY_HAND "192.0.2.7:8"

static vcp_conn *reached(vcp_pool *pool, const char *address)
{
    outcome o = dial(pool, address, 5000);
    CHECK_REACHED(o, address, 0, NEAR_MS + SOON_MS);
    return o.conn;
}

static void cuts(void *unused)
{
    (void)unused;
    cut_the_link();
}

static struct tcp_info tcp_info_of(int fd)
{
    struct tcp_info info;
    socklen_t length = sizeof info;
    memset(&info, 0, sizeof info);
    CHECK_EQ(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info;
}

static int tcp_state(int fd)
{
    return tcp_info_of(fd).tcpi_state;
}

/* ---- dials ---- */

/* RFC 6298: a first SYN is repeated after 1 s. */
static void connects_after_a_lost_syn(const char *address)
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, address, 5000);
    CHECK_REACHED(o, address, 1000, KERNEL_TIMER_MS(1000) + NEAR_MS + SOON_MS);
    CHECK_ECHO(o.conn, "late, but whole");
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_lost_syn_costs_a_second_over_ipv4,
             "bad links: A lost SYN costs a second over IPv4")
{
    connects_after_a_lost_syn("198.18.1.40:7");
}

NETWORK_TEST(dns, a_lost_syn_costs_a_second_over_ipv6,
             "bad links: A lost SYN costs a second over IPv6")
{
    connects_after_a_lost_syn("[2001:db8:1::40]:7");
}

/*
 * Linux drops what comes to a full queue. The queue of a listener holds one more than it was told.
 */
NETWORK_TEST(dns, a_server_that_accepts_nobody_times_out_once_its_queue_is_full,
             "bad links: A server that accepts nobody times out once its queue is full")
{
    server s = far_server(8, 0);
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *queued = reached(pool, "198.18.1.7:8");
    outcome o = dial(pool, "198.18.1.7:8", 700);
    CHECK_TIMED_OUT(o, VCP_PHASE_CONNECTING, 700);
    give_back(queued);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* Its routes go with it. */
static void own_link_down_fails_as_a_plain_connect(const char *address)
{
    vcp_pool *pool = pool_new(NULL);
    outcome o;
    command("ip link set near down");
    o = dial(pool, address, 5000);
    CHECK_FAILURE(o, VCP_ERR_CONNECT, errno_of_connect(address), SOON_MS);
    CHECK_EQ(o.error, ENETUNREACH);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, with_the_own_link_down_there_is_no_route_over_ipv4,
             "bad links: With the own link down an IPv4 dial fails at once")
{
    own_link_down_fails_as_a_plain_connect(LINKED);
}

NETWORK_TEST(dns, with_the_own_link_down_there_is_no_route_over_ipv6,
             "bad links: With the own link down an IPv6 dial fails at once")
{
    own_link_down_fails_as_a_plain_connect("[2001:db8::7]:7");
}

NETWORK_TEST(dns, with_the_link_cut_the_dial_times_out_at_the_deadline,
             "bad links: With the link cut the dial times out at the deadline")
{
    vcp_pool *pool = pool_new(NULL);
    outcome o;
    cut_the_link();
    o = dial(pool, LINKED, 700);
    CHECK_TIMED_OUT(o, VCP_PHASE_CONNECTING, 700);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* ---- connections in use ---- */

static void check_io_timed_out(int64_t result, int phase, int64_t took, int64_t deadline)
{
    measured("timeout", took);
    CHECK_EQ(result, VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), phase);
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_BETWEEN(took, deadline - 1, within(deadline + LATE_MS));
}

NETWORK_TEST(dns, a_link_cut_during_a_read_leaves_it_to_the_deadline,
             "bad links: A link cut during a read leaves it to the deadline")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = reached(pool, LINKED);
    char byte;
    soon cut;
    int64_t start;
    int64_t result;
    CHECK_ECHO(conn, "alive so far");
    soon_start(&cut, 100, cuts, NULL);
    start = now_ms();
    CHECK_EQ(vcp_conn_set_read_deadline(conn, 600), VCP_OK);
    result = vcp_conn_read(conn, &byte, 1);
    check_io_timed_out(result, VCP_PHASE_READING, now_ms() - start, 600);
    soon_join(&cut, 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_idle_count(pool, NULL, NULL), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    mend_the_link();
}

NETWORK_TEST(dns, a_link_cut_before_a_write_leaves_it_to_the_deadline,
             "bad links: A link cut before a write leaves it to the deadline")
{
    static char much[8 << 20];
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = reached(pool, LINKED);
    int64_t start;
    int64_t result;
    cut_the_link();
    start = now_ms();
    CHECK_EQ(vcp_conn_set_write_deadline(conn, 600), VCP_OK);
    result = vcp_conn_write(conn, much, sizeof much);
    check_io_timed_out(result, VCP_PHASE_WRITING, now_ms() - start, 600);
    give_back(conn);
    CHECK_EQ(vcp_pool_idle_count(pool, NULL, NULL), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    mend_the_link();
}

static void mends(void *unused)
{
    (void)unused;
    mend_the_link();
}

NETWORK_TEST(dns, a_link_that_comes_back_loses_nothing,
             "bad links: A link that comes back loses nothing")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = reached(pool, LINKED);
    soon mend;
    int64_t start;
    cut_the_link();
    soon_start(&mend, 300, mends, NULL);
    start = now_ms();
    CHECK_EQ(vcp_conn_set_deadline(conn, 10000), VCP_OK);
    CHECK_ECHO(conn, "held up, and delivered");
    measured("echo", now_ms() - start);
    soon_join(&mend, 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_idle_count(pool, NULL, NULL), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/*
 * By count, not by chance: 3 of 10, each way, and never two in a row of one that is repeated alone.
 */
NETWORK_TEST(dns, where_three_of_ten_packets_are_lost_the_echo_is_whole,
             "bad links: Where three of ten packets are lost the echo is whole")
{
    static char sent[32768];
    static char received[32768];
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "198.18.1.50:7", 20000);
    size_t have = 0;
    size_t i;
    int64_t start = now_ms();
    CHECK_REACHED(o, "198.18.1.50:7", NEAR_MS, 20000);
    for (i = 0; i < sizeof sent; i++) {
        sent[i] = (char)(i * 31 + i / 251);
    }
    CHECK_EQ(vcp_conn_set_deadline(o.conn, 20000), VCP_OK);
    CHECK_EQ(vcp_conn_write(o.conn, sent, sizeof sent), (int64_t)sizeof sent);
    while (have < sizeof received) {
        int64_t count = vcp_conn_read(o.conn, received + have, sizeof received - have);
        CHECK(count > 0);
        have += (size_t)count;
    }
    CHECK(memcmp(sent, received, sizeof sent) == 0);
    measured("echo", now_ms() - start);
    measured("packets repeated", tcp_info_of(o.status).tcpi_total_retrans);
    CHECK(tcp_info_of(o.status).tcpi_total_retrans > 1);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_idle_count(pool, NULL, NULL), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static vcp_pool *pool_with_keepalive_of_a_second(void)
{
    vcp_pool_options options = pool_options();
    options.keepalive_idle_ms = 1000;
    options.keepalive_interval_ms = 1000;
    options.keepalive_count = 1;
    return pool_new(&options);
}

/* Idle for 1 s, one probe, and no answer to it within 1 s. */
#define KEEPALIVE_ENDS_MS (2 * KERNEL_TIMER_MS(1000))

NETWORK_TEST(dns, keepalive_ends_a_read_on_a_dead_link,
             "bad links: Keep-alive ends a read on a dead link")
{
    vcp_pool *pool = pool_with_keepalive_of_a_second();
    int64_t start = now_ms();
    vcp_conn *conn = reached(pool, LINKED);
    char byte;
    int64_t result;
    cut_the_link();
    result = vcp_conn_read(conn, &byte, 1);
    measured("read", now_ms() - start);
    CHECK_EQ(result, VCP_ERR_IO);
    CHECK_EQ(vcp_last_errno(), ETIMEDOUT);
    CHECK_BETWEEN(now_ms() - start, 2000 - 1, within(KEEPALIVE_ENDS_MS + SOON_MS));
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    mend_the_link();
}

/*
 * TCP_USER_TIMEOUT (tcp(7)). The kernel counts from the first retransmission, which comes some 200
 * ms after the tail loss probe, and that (RFC 8985, section 7.2) some 200 ms after the data: that
 * is the slack. The packets are lost at the far end: while this end sees that the link is down, the
 * kernel sends nothing and looks again only every 500 ms (TCP_RESOURCE_PROBE_INTERVAL).
 */
NETWORK_TEST(dns, user_timeout_ends_a_read_whose_question_was_never_acknowledged,
             "bad links: user_timeout_ms ends a read whose question was never acknowledged")
{
    const int64_t slack = KERNEL_TIMER_MS(200 + 200 + 700) - 700 + SOON_MS;
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    char byte;
    int64_t start;
    int64_t result;
    options.user_timeout_ms = 700;
    pool = pool_new(&options);
    conn = reached(pool, LINKED);
    CHECK_ECHO(conn, "alive so far");
    command("ip netns exec far nft insert rule inet far input tcp dport 7 drop");
    start = now_ms();
    CHECK_EQ(vcp_conn_write(conn, "?", 1), 1);
    result = vcp_conn_read(conn, &byte, 1);
    measured("read", now_ms() - start);
    CHECK_EQ(result, VCP_ERR_IO);
    CHECK_EQ(vcp_last_errno(), ETIMEDOUT);
    CHECK_BETWEEN(now_ms() - start, 700 - 1, within(700 + slack));
    CHECK_EQ(vcp_conn_should_retry(conn), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    command("ip netns exec far nft flush chain inet far input");
}

/* ---- connections that are idle ---- */

/* Borrows again: a living connection that was dialed for this call. */
static void next_borrow_is_fresh(vcp_pool *pool, const char *address)
{
    vcp_conn *conn = NULL;
    CHECK(vcp_dial(pool, "tcp", address, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
}

NETWORK_TEST(dns, a_connection_that_was_reset_while_idle_is_not_handed_out,
             "bad links: A connection that was reset while idle is not handed out")
{
    server s = far_server(8, 512);
    vcp_pool *pool = pool_new(NULL);
    int round;
    for (round = 0; round < 50; round++) {
        vcp_conn *conn = reached(pool, "198.18.1.7:8");
        int fd = vcp_conn_raw_fd(conn);
        int peer = server_accept(&s);
        measured_text[0] = '\0';
        give_back(conn);
        close_with_reset(peer);
        await_arrival(fd);
        next_borrow_is_fresh(pool, "198.18.1.7:8");
        close_with_reset(server_accept(&s));
        CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    }
    measured("rounds", round);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * Its FIN is repeated until it comes through; from the moment the client's kernel has acknowledged
 * it, no borrow gets that one.
 */
NETWORK_TEST(dns, a_connection_whose_peer_closed_behind_a_cut_link_is_not_handed_out,
             "bad links: A connection whose peer closed behind a cut link is not handed out")
{
    server s = far_server(8, 512);
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = reached(pool, LINKED_BY_HAND);
    int peer = server_accept(&s);
    give_back(conn);
    cut_the_link();
    CHECK_EQ(shutdown(peer, SHUT_WR), 0);
    CHECK_EQ(tcp_state(peer), TCP_FIN_WAIT1);
    mend_the_link();
    /* Either the client's kernel has the FIN, or the watch has already answered it. */
    EVENTUALLY(tcp_state(peer) != TCP_FIN_WAIT1, 10000);
    next_borrow_is_fresh(pool, LINKED_BY_HAND);
    close(peer);
    close(server_accept(&s));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* A middle box that has forgotten the connection resets it at the first probe (after 1 s idle). */
NETWORK_TEST(dns, a_connection_that_a_middle_box_resets_leaves_the_pool,
             "bad links: A connection that a middle box resets leaves the pool")
{
    vcp_pool *pool = pool_with_keepalive_of_a_second();
    vcp_conn *conn = reached(pool, LINKED);
    int64_t start;
    give_back(conn);
    command("ip netns exec far nft insert rule inet far input tcp dport 7 reject with tcp reset");
    start = now_ms();
    EVENTUALLY(vcp_pool_idle_count(pool, NULL, NULL) == 0, KERNEL_TIMER_MS(1000) + 1000 + SOON_MS);
    measured("gone", now_ms() - start);
    command("ip netns exec far nft flush chain inet far input");
    next_borrow_is_fresh(pool, LINKED);
    CHECK_EQ(stats_of(pool).closed_while_idle, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_connection_whose_link_is_dead_leaves_the_pool_by_keepalive,
             "bad links: A connection whose link is dead leaves the pool by keep-alive")
{
    vcp_pool *pool = pool_with_keepalive_of_a_second();
    int64_t start = now_ms();
    vcp_conn *conn = reached(pool, LINKED);
    give_back(conn);
    cut_the_link();
    EVENTUALLY(vcp_pool_idle_count(pool, NULL, NULL) == 0, KEEPALIVE_ENDS_MS + 1000 + SOON_MS);
    measured("gone", now_ms() - start);
    mend_the_link();
    next_borrow_is_fresh(pool, LINKED);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
