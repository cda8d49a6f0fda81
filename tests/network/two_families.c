/*
 * two_families.c - names with IPv6 and IPv4 addresses of which one is dark, slow or refused: which
 * connection comes of it, and when (RFC 8305 as the contract's section 5 has it).
 */
#include "network.h"

/* The round trips of `run`'s networks. */
#define SLOW_MS 100
#define SLOWER_MS 300

#define V4 "198.18.1.7:7"
#define V6 "[2001:db8:1::7]:7"

/* Dials `name` once, and says what must win and when. */
static void name_reaches(const char *name, const char *remote, int64_t least, int64_t most)
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, name, 5000);
    CHECK_REACHED(o, remote, least, most);
    CHECK_ECHO(o.conn, "who won carries data");
    give_back(o.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_name_with_both_families_is_dialed_over_ipv6,
             "race: A name with both families is dialed over IPv6")
{
    name_reaches("both.test:7", V6, NEAR_MS, NEAR_MS + SOON_MS);
}

NETWORK_TEST(dns, ipv6_in_a_black_hole_costs_one_fallback_delay,
             "race: IPv6 in a black hole costs one fallback delay")
{
    name_reaches("v6-dark.test:7", V4, FALLBACK_MS, FALLBACK_MS + NEAR_MS + SOON_MS);
}

NETWORK_TEST(dns, ipv4_in_a_black_hole_costs_nothing_where_ipv6_comes_first,
             "race: IPv4 in a black hole costs nothing where IPv6 comes first")
{
    name_reaches("v4-dark.test:7", V6, NEAR_MS, NEAR_MS + SOON_MS);
}

/* Twenty times, because nothing about it may depend on which thread is quicker. */
NETWORK_TEST(dns, what_did_not_answer_is_tried_last_from_then_on,
             "race: An address that did not answer is tried last by later dials")
{
    vcp_pool *pool = pool_new(NULL);
    outcome first = dial(pool, "v6-dark.test:7", 5000);
    int64_t longest = 0;
    int round;
    CHECK_REACHED(first, V4, FALLBACK_MS, FALLBACK_MS + NEAR_MS + SOON_MS);
    give_back(first.conn);
    for (round = 0; round < 20; round++) {
        vcp_dial_options options = dial_options(VCP_DIAL_FRESH);
        outcome again = dial_unmeasured(pool, "tcp", "v6-dark.test:7", &options);
        CHECK_REACHED(again, V4, NEAR_MS, NEAR_MS + SOON_MS);
        longest = again.took > longest ? again.took : longest;
        give_back(again.conn);
    }
    measured("longest of 20 more", longest);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, ipv6_slow_by_100_ms_still_wins, "race: IPv6 slow by 100 ms still wins")
{
    name_reaches("v6-after-100.test:7", "[2001:db8:10::7]:7", SLOW_MS, SLOW_MS + SOON_MS);
}

NETWORK_TEST(dns, ipv6_slow_by_300_ms_loses, "race: IPv6 slow by 300 ms loses")
{
    name_reaches("v6-after-300.test:7", V4, FALLBACK_MS, FALLBACK_MS + NEAR_MS + SOON_MS);
}

NETWORK_TEST(dns, slow_ipv4_does_not_matter_where_ipv6_comes_first,
             "race: A slow IPv4 does not matter where IPv6 comes first")
{
    name_reaches("v4-after-300.test:7", V6, NEAR_MS, NEAR_MS + SOON_MS);
}

NETWORK_TEST(dns, with_both_slow_the_first_one_wins,
             "race: With both families slow the first one wins")
{
    name_reaches("both-after-300.test:7", "[2001:db8:30::7]:7", SLOWER_MS, SLOWER_MS + SOON_MS);
}

/*
 * Its first packet is still on the way when IPv4 wins. Were its socket kept, the server would see
 * it connected after two round trips.
 */
NETWORK_TEST(dns, the_attempt_that_lost_is_given_up, "race: The attempt that lost is given up")
{
    server s = far_server(8, 512);
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "v6-after-300.test:8", 5000);
    int won = server_accept(&s);
    CHECK_REACHED(o, "198.18.1.7:8", FALLBACK_MS, FALLBACK_MS + NEAR_MS + SOON_MS);
    CHECK(!readable_within(s.fd, 2 * SLOWER_MS));
    CHECK(peer_sees_life(won));
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    close(won);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

NETWORK_TEST(dns, a_longer_fallback_delay_waits_longer,
             "race: A longer fallback delay waits longer")
{
    vcp_pool *pool = pool_with_fallback_delay(1000);
    outcome o = dial(pool, "v6-after-300.test:7", 5000);
    CHECK_REACHED(o, "[2001:db8:30::7]:7", SLOWER_MS, SLOWER_MS + SOON_MS);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_family_without_a_route_is_left_at_once,
             "race: A family without a route is left at once")
{
    name_reaches("v6-without-route.test:7", V4, NEAR_MS, NEAR_MS + SOON_MS);
}

NETWORK_TEST(dns, an_address_that_resets_is_left_at_once,
             "race: An address that resets is left at once")
{
    name_reaches("v6-closed.test:7", V4, 2 * NEAR_MS, 2 * NEAR_MS + SOON_MS);
}

NETWORK_TEST(dns, an_address_that_is_unreachable_is_left_at_once,
             "race: An address that is unreachable is left at once")
{
    name_reaches("v6-unreachable.test:7", V4, 2 * NEAR_MS, 2 * NEAR_MS + SOON_MS);
}

NETWORK_TEST(dns, an_address_that_loses_the_first_syn_loses_the_race,
             "race: An address that loses the first SYN loses the race")
{
    name_reaches("v6-late.test:7", V4, FALLBACK_MS, FALLBACK_MS + NEAR_MS + SOON_MS);
}

static void family_reaches(const char *network, const char *name, const char *remote)
{
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(0);
    outcome o = dial_with(pool, network, name, &options);
    CHECK_REACHED(o, remote, NEAR_MS, NEAR_MS + SOON_MS);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, tcp4_does_not_try_ipv6, "race: tcp4 does not try IPv6")
{
    family_reaches("tcp4", "v6-dark.test:7", V4);
}

NETWORK_TEST(dns, tcp6_does_not_try_ipv4, "race: tcp6 does not try IPv4")
{
    family_reaches("tcp6", "v4-dark.test:7", V6);
}

/* Seven of one family are dark, and the eighth, the last in the callback's order, is good. */
static int seven_dark_and_a_good_one(void *user, const char *network, const char *host,
                                     int64_t timeout_ms, vcp_resolved *out)
{
    int number;
    char ip[64];
    (void)user;
    (void)network;
    (void)host;
    (void)timeout_ms;
    for (number = 20; number < 27; number++) {
        snprintf(ip, sizeof ip, "198.18.1.%d", number);
        CHECK_EQ(vcp_resolved_add(out, ip), VCP_OK);
    }
    return vcp_resolved_add(out, "198.18.1.7");
}

/*
 * At most six are in flight; the oldest two make room after two seconds, one fallback delay apart.
 */
NETWORK_TEST(
    dns, six_dark_addresses_do_not_hide_the_eighth,
    "race: The oldest of 6 attempts makes room after 2 s: dead addresses do not hide a living one")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    outcome o;
    options.resolve = seven_dark_and_a_good_one;
    options.fallback_delay_ms = 100;
    pool = pool_new(&options);
    o = dial(pool, "eight.test:7", 5000);
    CHECK_REACHED(o, V4, 2100, 2100 + NEAR_MS + SOON_MS);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static void one_by_one_reaches(int64_t timeout_ms, int64_t share_ms)
{
    vcp_pool *pool = pool_with_fallback_delay(-1);
    outcome o = dial(pool, "v6-dark.test:7", timeout_ms);
    CHECK_REACHED(o, V4, share_ms, share_ms + NEAR_MS + SOON_MS);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(
    dns, one_by_one_each_address_has_its_share,
    "race: fallback_delay_ms < 0: each address has its share of the time, also over a network")
{
    one_by_one_reaches(5000, 2500);
}

NETWORK_TEST(
    dns, one_by_one_a_share_is_at_least_two_seconds,
    "race: fallback_delay_ms < 0: an address has two seconds at least, also over a network")
{
    one_by_one_reaches(3000, 2000);
}
