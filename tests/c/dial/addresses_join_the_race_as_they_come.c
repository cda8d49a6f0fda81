/*
 * A resolve callback tells addresses one by one, and the dial does not wait for its end. RFC 8305,
 * section 3: when IPv4 comes first, IPv6 gets 50 ms to come too; IPv6 waits for nothing.
 */
#include "check.h"
#include "dialing_threads.h"
#include "dial_fixture.h"

#define RESOLUTION_DELAY 50

static vcp_pool *resolving_pool(dial_fixture *g)
{
    dial_fixture_init(g);
    g->options.resolve = script_resolve;
    return dial_fixture_pool(g);
}

/*
 * The callback tells these addresses, each so many ms after it began; then it returns, or holds
 * until script_ends.
 */
static void tells(dial_fixture *g, const char *ips, int64_t second_after_ms, int holds)
{
    script_says(&g->s, ips);
    g->s.after_ms[1] = second_after_ms;
    script_holds(&g->s, &g->s.resolve_holds, holds);
}

static void script_ends(dial_fixture *g)
{
    script_holds(&g->s, &g->s.resolve_holds, 0);
    EVENTUALLY(script_number(&g->s, &g->s.resolving) == 0, 5000);
}

/* Dials and gives back; how long it took until the first attempt. */
static int64_t first_attempt_after(dial_fixture *g, const char *network)
{
    int64_t start = now_us();
    vcp_conn *conn;
    CHECK(vcp_dial(g->pool, network, g->name, &conn) >= 0);
    give_back(conn);
    return tried_after(&g->s, 0, start);
}

TEST(ipv6_that_comes_later_is_not_waited_for, "race: Resolution delay: after 50 ms IPv4 is tried")
{
    dial_fixture g;
    char text[128];
    resolving_pool(&g);
    endpoint_answers(&g.where.at[0]);
    endpoint_answers(&g.where.at[1]);
    tells(&g, "127.0.0.1 ::1", 1000, 0);
    CHECK_BETWEEN(first_attempt_after(&g, "tcp"), RESOLUTION_DELAY,
                  at_most(RESOLUTION_DELAY + LATENESS_MS));
    CHECK_STR(order_of(&g.s, text, sizeof text), "127.0.0.1");
    dial_fixture_end(&g);
}

/*
 * The least time until the first attempt, of a few dials: no lateness of this machine hides a
 * delay.
 */
static int64_t soonest_attempt(const char *network, const char *ips, int holds)
{
    int64_t least = INT64_MAX;
    int round;
    for (round = 0; round < 10; round++) {
        dial_fixture g;
        int64_t after;
        resolving_pool(&g);
        endpoint_answers(&g.where.at[0]);
        endpoint_answers(&g.where.at[1]);
        tells(&g, ips, 0, holds);
        after = first_attempt_after(&g, network);
        least = after < least ? after : least;
        script_ends(&g);
        dial_fixture_end(&g);
    }
    return least;
}

TEST(ipv6_waits_for_nothing, "race: IPv6 that comes first is tried at once")
{
    CHECK(soonest_attempt("tcp", "::1", 1) < at_most(RESOLUTION_DELAY));
}

/* Nothing that could still come would change the order. */
TEST(ipv4_alone_does_not_wait_where_no_ipv6_can_come,
     "race: IPv4 is tried at once where no IPv6 can come: on tcp4, and when the callback has "
     "returned")
{
    CHECK(soonest_attempt("tcp4", "127.0.0.1", 1) < at_most(RESOLUTION_DELAY));
    CHECK(soonest_attempt("tcp", "127.0.0.1", 0) < at_most(RESOLUTION_DELAY));
    CHECK(soonest_attempt("tcp", "127.0.0.1 ::1", 1) < at_most(RESOLUTION_DELAY));
}

TEST(an_address_that_comes_later_joins_the_race,
     "race: An address that a resolve callback adds while others are tried joins the race")
{
    dial_fixture g;
    char text[128];
    int64_t start = now_us();
    vcp_conn *conn;
    resolving_pool(&g);
    endpoint_stays_silent(&g.where.at[0]);
    endpoint_answers(&g.where.at[1]);
    tells(&g, "::1 127.0.0.1", 400, 1);
    start = now_us();
    CHECK(vcp_dial(g.pool, "tcp", g.name, &conn) >= 0);
    CHECK_STR(order_of(&g.s, text, sizeof text), "[::1] 127.0.0.1");
    CHECK_BETWEEN(tried_after(&g.s, 1, start), 400, at_most(400 + LATENESS_MS));
    give_back(conn);
    script_ends(&g);
    dial_fixture_end(&g);
}

/* It has its turn as any other: not before fallback_delay_ms while another one is in flight. */
TEST(an_address_that_comes_early_has_its_turn,
     "race: An address that resolve adds while another is tried has its turn, not before "
     "fallback_delay_ms")
{
    dial_fixture g;
    int64_t start;
    vcp_conn *conn;
    resolving_pool(&g);
    endpoint_stays_silent(&g.where.at[0]);
    endpoint_answers(&g.where.at[1]);
    tells(&g, "::1 127.0.0.1", 50, 1);
    start = now_us();
    CHECK(vcp_dial(g.pool, "tcp", g.name, &conn) >= 0);
    CHECK_BETWEEN(tried_after(&g.s, 1, start), 250, at_most(250 + LATENESS_MS));
    give_back(conn);
    script_ends(&g);
    dial_fixture_end(&g);
}

TEST(while_more_may_come_the_failure_of_all_is_no_end,
     "race: A dial fails when all addresses have failed and no more can come")
{
    dial_fixture g;
    dialer m;
    char other[64];
    resolving_pool(&g);
    endpoint_answers(&g.where.at[1]);
    tells(&g, "::1 127.0.0.1", 300, 0);
    m = dialer_of(g.pool, g.name);
    dialer_start(&m);
    dialer_join(&m);
    CHECK(m.status >= 0);
    CHECK_EQ(g.s.count, 2);
    give_back(m.conn);

    /* Then it is: with the errors of all. Another name, or it may share the look-up that ends. */
    EVENTUALLY(script_number(&g.s, &g.s.resolving) == 0, 5000);
    tells(&g, "::1 127.0.0.2", 100, 0);
    snprintf(other, sizeof other, "elsewhere.test:%d", g.where.port);
    m = dialer_of(g.pool, other);
    dialer_start(&m);
    dialer_join(&m);
    CHECK_EQ(m.status, VCP_ERR_CONNECT);
    CHECK_EQ(m.number, ECONNREFUSED);
    CHECK_HAS(m.error, "[::1]");
    CHECK_HAS(m.error, "127.0.0.2");
    dial_fixture_end(&g);
}

TEST(a_deadline_ends_the_wait_for_addresses,
     "race: TIMEOUT with a resolve callback that goes on: phase resolving without an address, "
     "else connecting")
{
    dial_fixture g;
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn;
    int64_t start;
    int count;
    resolving_pool(&g);
    /* Time enough for the callback to begin: what begins later answers the second dial too. */
    d.timeout_ms = at_most(200);
    for (count = 0; count < 2; count++) {
        tells(&g, count == 0 ? "" : "::1", 0, 1);
        start = now_ms();
        CHECK_EQ(vcp_dial_with(g.pool, "tcp", g.name, &d, &conn), VCP_ERR_TIMEOUT);
        CHECK_TOOK(start, d.timeout_ms);
        CHECK_EQ(vcp_last_phase(), count == 0 ? VCP_PHASE_RESOLVING : VCP_PHASE_CONNECTING);
        CHECK_EQ(g.s.count, count);
        script_ends(&g);
    }
    dial_fixture_end(&g);
}

TEST(ipv6_that_comes_within_fifty_milliseconds_is_tried_first,
     "race: Resolution delay: IPv6 that a resolve callback adds within 50 ms of IPv4 is tried "
     "first")
{
    int64_t least = INT64_MAX;
    int round;
    for (round = 0; round < 10; round++) {
        dial_fixture g;
        char text[128];
        int64_t after;
        resolving_pool(&g);
        endpoint_answers(&g.where.at[0]);
        endpoint_answers(&g.where.at[1]);
        tells(&g, "127.0.0.1 ::1", 20, 1);
        after = first_attempt_after(&g, "tcp");
        CHECK(after >= 20);
        /* Two threads: the callback's 20 ms may grow beyond the dial's 50 ms. */
        if (after < RESOLUTION_DELAY)
            CHECK_STR(order_of(&g.s, text, sizeof text), "[::1]");
        least = after < least ? after : least;
        script_ends(&g);
        dial_fixture_end(&g);
    }
    CHECK(least < at_most(RESOLUTION_DELAY));
}
