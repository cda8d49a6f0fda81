/*
 * The addresses of a name: in which order they are tried, when, how many at once, and what becomes
 * of those that lose.
 */
#include "check.h"
#include "dialing_threads.h"
#include "fake_getaddrinfo.h"
#include "dial_fixture.h"

/* RFC 8305, "Connection Attempt Delay". */
#define ATTEMPT_DELAY 250

static vcp_pool *default_pool(dial_fixture *g)
{
    dial_fixture_init(g);
    return dial_fixture_pool(g);
}

static int dial_name(dial_fixture *g, int64_t timeout_ms, vcp_conn **conn)
{
    vcp_dial_options d = dial_options(0);
    d.timeout_ms = timeout_ms;
    g->s.count = 0;
    return vcp_dial_with(g->pool, "tcp", g->name, &d, conn);
}

static void check_remote(vcp_conn *conn, const endpoint *p)
{
    char text[64];
    CHECK(vcp_conn_remote_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, p->address);
}

/*
 * TCP to a multicast address fails at once on every machine: ENETUNREACH. Many rounds: the dial
 * must never see a part of getaddrinfo's answer.
 */

static void check_staggered(int64_t fallback_delay_ms)
{
    dial_fixture g;
    int64_t delay = fallback_delay_ms < 0 ? ATTEMPT_DELAY : fallback_delay_ms;
    int64_t start;
    vcp_conn *conn;
    int i;
    dial_fixture_init(&g);
    if (fallback_delay_ms >= 0)
        g.options.fallback_delay_ms = fallback_delay_ms;
    dial_fixture_pool(&g);
    name_is("somewhere.test", "127.0.0.1 127.0.0.2 127.0.0.3");
    for (i = 1; i <= 3; i++)
        endpoint_stays_silent(&g.where.at[i]);
    start = now_us();
    CHECK_EQ(dial_name(&g, at_most(2 * delay + 400), &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_CONNECTING);
    CHECK_EQ(g.s.count, 3);
    for (i = 0; i < 3; i++)
        CHECK_BETWEEN(tried_after(&g.s, i, start), i * delay, at_most(i * delay + LATENESS_MS));
    dial_fixture_end(&g);
}

TEST(the_next_one_is_tried_after_fallback_delay_ms,
     "race: fallback_delay_ms: the next address is tried so long after the last one began")
{
    check_staggered(100);
    check_staggered(400);
}

TEST(the_next_one_is_tried_after_a_quarter_of_a_second_by_default,
     "race: fallback_delay_ms is 250 by default")
{
    check_staggered(-1);
}

TEST(one_that_fails_makes_room_for_the_next_at_once,
     "race: When an address fails the next one is tried at once")
{
    dial_fixture g;
    int64_t start;
    vcp_conn *conn;
    dial_fixture_init(&g);
    g.options.fallback_delay_ms = 2000;
    dial_fixture_pool(&g);
    endpoint_stays_silent(&g.where.at[3]);
    endpoint_answers(&g.where.at[6]);
    name_is("somewhere.test", "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6");
    start = now_us();
    CHECK(dial_name(&g, 30000, &conn) >= 0);
    check_remote(conn, &g.where.at[6]);
    CHECK_EQ(g.s.count, 6);
    CHECK_BETWEEN(tried_after(&g.s, 2, start), 0, at_most(LATENESS_MS));
    CHECK_BETWEEN(tried_after(&g.s, 3, start), 2000, at_most(2000 + LATENESS_MS));
    CHECK_BETWEEN(tried_after(&g.s, 5, start), 2000, at_most(2000 + LATENESS_MS));
    give_back(conn);
    dial_fixture_end(&g);
}

TEST(at_most_six_are_in_flight, "race: At most 6 addresses are tried at once")
{
    dial_fixture g;
    dialer m;
    int i;
    dial_fixture_init(&g);
    g.options.fallback_delay_ms = 5;
    dial_fixture_pool(&g);
    name_is("somewhere.test",
            "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6 127.0.0.7");
    for (i = 1; i <= 6; i++)
        endpoint_stays_silent(&g.where.at[i]);
    endpoint_answers(&g.where.at[7]);
    m = dialer_of(g.pool, g.name);
    dialer_start(&m);
    EVENTUALLY(attempts(&g.s) == 6, 5000);
    STAYS(attempts(&g.s) == 6, 200);
    /* At its next SYN, 1 s after the first, it is refused; then there is room for one more. */
    endpoint_refuses(&g.where.at[3]);
    dialer_join(&m);
    CHECK(m.status >= 0);
    check_remote(m.conn, &g.where.at[7]);
    CHECK_EQ(attempts(&g.s), 7);
    give_back(m.conn);
    dial_fixture_end(&g);
}

TEST(the_first_to_connect_wins_and_no_other_stays_open,
     "race: The first address to connect wins; after success, failure and timeout no other socket "
     "stays open")
{
    dial_fixture g;
    vcp_conn *conn;
    char text[64];
    int fds;
    dial_fixture_init(&g);
    g.options.fallback_delay_ms = 20;
    dial_fixture_pool(&g);
    endpoint_stays_silent(&g.where.at[1]);
    endpoint_stays_silent(&g.where.at[2]);
    endpoint_stays_silent(&g.where.at[4]);
    endpoint_answers(&g.where.at[5]);
    name_is("somewhere.test", "127.0.0.1 127.0.0.2 127.0.0.3 127.0.0.4 127.0.0.5 127.0.0.6");
    fds = open_fds();
    CHECK(dial_name(&g, 30000, &conn) >= 0);
    CHECK_EQ(open_fds(), fds + 1);
    check_remote(conn, &g.where.at[5]);
    vcp_conn_address(conn, text, sizeof text);
    CHECK_STR(text, g.name);
    CHECK_EQ(g.s.count, 5);
    give_back(conn);
    CHECK_EQ(open_fds(), fds);

    /* The same if all of them fail, or the time runs out. */
    name_is("somewhere.test", "127.0.0.7 127.0.0.1 127.0.0.2");
    CHECK_EQ(dial_name(&g, 100, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(open_fds(), fds);
    name_is("somewhere.test", "127.0.0.7 127.0.0.8");
    CHECK_EQ(dial_name(&g, 30000, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(open_fds(), fds);
    dial_fixture_end(&g);
}

static endpoint *first_endpoint;
static int first_port;

/*
 * Before the second attempt connects, the first one's endpoint answers it: both will have connected
 * when the dial looks.
 */
static int let_the_first_connect(void *user, const char *network, const char *address, int fd)
{
    script *s = (script *)user;
    CHECK_EQ(script_control(user, network, address, fd), 0);
    if (s->count == 2) {
        struct pollfd one;
        one.fd = s->all[0].fd;
        one.events = POLLOUT;
        one.revents = 0;
        first_port = port_of(one.fd);
        endpoint_answers(first_endpoint);
        CHECK_EQ(poll(&one, 1, (int)at_most(10000)), 1);
    }
    return 0;
}

TEST(a_loser_that_has_connected_is_closed_too,
     "race: A loser that has connected already is closed: its server sees the end")
{
    dial_fixture g;
    vcp_conn *conn;
    int won, ends[2];
    dial_fixture_init(&g);
    g.options.fallback_delay_ms = 20;
    g.options.control = let_the_first_connect;
    dial_fixture_pool(&g);
    endpoint_stays_silent(&g.where.at[1]);
    endpoint_answers(&g.where.at[2]);
    first_endpoint = &g.where.at[1];
    name_is("somewhere.test", "127.0.0.1 127.0.0.2");
    CHECK(dial_name(&g, 30000, &conn) >= 0);
    ends[0] = endpoint_accepts(&g.where.at[1], first_port);
    ends[1] = endpoint_accepts(&g.where.at[2], 0);
    won = port_of(vcp_conn_raw_fd(conn)) == first_port ? 0 : 1;
    CHECK(peer_sees_life(ends[won]));
    CHECK(peer_sees_end(ends[1 - won]));
    CHECK(peer_sees_life(ends[won]));
    close(ends[0]);
    close(ends[1]);
    give_back(conn);
    dial_fixture_end(&g);
}

/* No two in flight: the descriptor of the one before is closed, or its number is this one's. */
static int one_at_a_time(void *user, const char *network, const char *address, int fd)
{
    script *s = (script *)user;
    int i;
    CHECK_EQ(script_control(user, network, address, fd), 0);
    for (i = 0; i + 1 < s->count; i++)
        CHECK(s->all[i].fd == fd || !is_open(s->all[i].fd));
    return 0;
}

static vcp_pool *one_by_one(dial_fixture *g)
{
    dial_fixture_init(g);
    g->options.fallback_delay_ms = -1;
    g->options.control = one_at_a_time;
    return dial_fixture_pool(g);
}

TEST(with_a_negative_delay_each_has_its_share_of_what_remains,
     "race: fallback_delay_ms < 0: one after another, each with its share of what remains")
{
    dial_fixture g;
    int64_t start;
    vcp_conn *conn;
    one_by_one(&g);
    endpoint_stays_silent(&g.where.at[1]);
    endpoint_answers(&g.where.at[3]);
    name_is("somewhere.test", "127.0.0.1 127.0.0.2 127.0.0.3");
    start = now_us();
    CHECK(dial_name(&g, 6600, &conn) >= 0);
    CHECK_EQ(g.s.count, 3);
    CHECK_BETWEEN(tried_after(&g.s, 1, start), 2200, at_most(2200 + LATENESS_MS));
    CHECK_BETWEEN(tried_after(&g.s, 2, start), 2200, at_most(2200 + LATENESS_MS));
    give_back(conn);
    dial_fixture_end(&g);
}

TEST(with_a_negative_delay_each_has_two_seconds_at_least,
     "race: fallback_delay_ms < 0: a share is at least 2 s")
{
    dial_fixture g;
    int64_t start;
    vcp_conn *conn;
    one_by_one(&g);
    endpoint_stays_silent(&g.where.at[1]);
    endpoint_stays_silent(&g.where.at[2]);
    name_is("somewhere.test", "127.0.0.1 127.0.0.2 127.0.0.3");
    start = now_us();
    CHECK_EQ(dial_name(&g, 2500, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(g.s.count, 2);
    CHECK_BETWEEN(tried_after(&g.s, 1, start), 2000, at_most(2000 + LATENESS_MS));
    dial_fixture_end(&g);
}

TEST(the_message_names_every_address_and_the_number_is_the_first_ones,
     "race: CONNECT and TIMEOUT name every address tried with its error; vcp_last_errno is the "
     "first one's")
{
    dial_fixture g;
    vcp_conn *conn;
    char wanted[512];
    int port;
    default_pool(&g);
    port = g.where.port;
    name_is("somewhere.test", "127.0.0.1 127.0.0.2 ff0e::1");
    CHECK_EQ(dial_name(&g, 30000, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
    snprintf(wanted, sizeof wanted, "dial tcp %s: 127.0.0.1:%d: connection refused; ", g.name,
             port);
    CHECK_EQ(strncmp(vcp_last_error(), wanted, strlen(wanted)), 0);
    snprintf(wanted, sizeof wanted, "; 127.0.0.2:%d: connection refused", port);
    CHECK_HAS(vcp_last_error(), wanted);
    snprintf(wanted, sizeof wanted, "; [ff0e::1]:%d: network is unreachable", port);
    CHECK_HAS(vcp_last_error(), wanted);

    name_is("somewhere.test", "ff0e::2 127.0.0.3");
    CHECK_EQ(dial_name(&g, 30000, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), ENETUNREACH);

    /* A timeout names them too: who refused, and who was silent. */
    endpoint_stays_silent(&g.where.at[5]);
    name_is("somewhere.test", "127.0.0.4 127.0.0.5");
    CHECK_EQ(dial_name(&g, 100, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_HAS(vcp_last_error(), "connecting");
    snprintf(wanted, sizeof wanted, "127.0.0.4:%d: connection refused", port);
    CHECK_HAS(vcp_last_error(), wanted);
    snprintf(wanted, sizeof wanted, "127.0.0.5:%d", port);
    CHECK_HAS(vcp_last_error(), wanted);
    dial_fixture_end(&g);
}

TEST(families_take_turns_and_the_first_ones_begins,
     "race: Families are interleaved, the first one's family first, each in its order; every "
     "address once")
{
    const char *const cases[][2] = {
        {"ff0e::1 ff0e::2 ff0e::3 127.0.0.2 127.0.0.3",
         "[ff0e::1] 127.0.0.2 [ff0e::2] 127.0.0.3 [ff0e::3]"},
        {"127.0.0.3 127.0.0.2 127.0.0.1 ff0e::2 ff0e::1",
         "127.0.0.3 [ff0e::2] 127.0.0.2 [ff0e::1] 127.0.0.1"},
        {"127.0.0.1 ff0e::1 ff0e::2", "127.0.0.1 [ff0e::1] [ff0e::2]"},
        {"127.0.0.3 127.0.0.1", "127.0.0.3 127.0.0.1"},
        {"127.0.0.1 127.0.0.2 127.0.0.1 ff0e::1 ff0e::1", "127.0.0.1 [ff0e::1] 127.0.0.2"},
    };
    size_t i;
    int round;
    for (round = 0; round < 20; round++) {
        for (i = 0; i < sizeof cases / sizeof cases[0]; i++) {
            dial_fixture g;
            vcp_conn *conn;
            char text[256];
            int k;
            default_pool(&g);
            name_is("somewhere.test", cases[i][0]);
            CHECK_EQ(dial_name(&g, 30000, &conn), VCP_ERR_CONNECT);
            CHECK_STR(order_of(&g.s, text, sizeof text), cases[i][1]);
            for (k = 0; k < g.s.count; k++)
                CHECK_STR(g.s.all[k].network, g.s.all[k].address[0] == '[' ? "tcp6" : "tcp4");
            dial_fixture_end(&g);
        }
    }
}
