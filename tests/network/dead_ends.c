/*
 * dead_ends.c - addresses that cannot be reached: refused, unreachable in every way that ICMP
 * knows, without a route, or silent. What a refusal is called is compared with a plain connect(2)
 * to the same address.
 */
#include "network.h"

/* The library says at once, and calls by the same number, what the kernel tells a plain program. */
static void fails_as_a_plain_connect(const char *address)
{
    vcp_pool *pool = pool_new(NULL);
    int plain = errno_of_connect(address);
    outcome o = dial(pool, address, 5000);
    measured("errno", plain);
    CHECK(plain != 0);
    CHECK_FAILURE(o, VCP_ERR_CONNECT, plain, NEAR_MS + SOON_MS);
    CHECK_HAS(o.message, address);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static void fails_with(const char *address, int error)
{
    CHECK_EQ(errno_of_connect(address), error);
    fails_as_a_plain_connect(address);
}

NETWORK_TEST(dns, a_closed_port_refuses_over_ipv4,
             "dead ends: A closed port is a refusal at once, over IPv4")
{
    fails_with("198.18.1.7:9", ECONNREFUSED);
}

NETWORK_TEST(dns, a_closed_port_refuses_over_ipv6,
             "dead ends: A closed port is a refusal at once, over IPv6")
{
    fails_with("[2001:db8:1::7]:9", ECONNREFUSED);
}

NETWORK_TEST(dns, icmp_host_unreachable,
             "dead ends: ICMP host-unreachable fails the dial with the errno of connect(2)")
{
    fails_with("198.18.1.31:7", EHOSTUNREACH);
}

NETWORK_TEST(dns, icmp_net_unreachable,
             "dead ends: ICMP net-unreachable fails the dial with the errno of connect(2)")
{
    fails_with("198.18.1.32:7", ENETUNREACH);
}

NETWORK_TEST(dns, icmp_port_unreachable,
             "dead ends: ICMP port-unreachable fails the dial with the errno of connect(2)")
{
    fails_with("198.18.1.33:7", ECONNREFUSED);
}

NETWORK_TEST(dns, icmp_admin_prohibited,
             "dead ends: ICMP admin-prohibited fails the dial with the errno of connect(2)")
{
    fails_as_a_plain_connect("198.18.1.34:7");
}

NETWORK_TEST(dns, icmp_protocol_unreachable,
             "dead ends: ICMP prot-unreachable fails the dial with the errno of connect(2)")
{
    fails_as_a_plain_connect("198.18.1.35:7");
}

NETWORK_TEST(dns, icmp_net_prohibited,
             "dead ends: ICMP net-prohibited fails the dial with the errno of connect(2)")
{
    fails_as_a_plain_connect("198.18.1.36:7");
}

NETWORK_TEST(dns, icmp_host_prohibited,
             "dead ends: ICMP host-prohibited fails the dial with the errno of connect(2)")
{
    fails_as_a_plain_connect("198.18.1.37:7");
}

NETWORK_TEST(dns, icmpv6_no_route,
             "dead ends: ICMPv6 no-route fails the dial with the errno of connect(2)")
{
    fails_with("[2001:db8:1::31]:7", ENETUNREACH);
}

NETWORK_TEST(dns, icmpv6_admin_prohibited,
             "dead ends: ICMPv6 admin-prohibited fails the dial with the errno of connect(2)")
{
    fails_as_a_plain_connect("[2001:db8:1::32]:7");
}

NETWORK_TEST(dns, icmpv6_address_unreachable,
             "dead ends: ICMPv6 addr-unreachable fails the dial with the errno of connect(2)")
{
    fails_with("[2001:db8:1::33]:7", EHOSTUNREACH);
}

NETWORK_TEST(dns, icmpv6_port_unreachable,
             "dead ends: ICMPv6 port-unreachable fails the dial with the errno of connect(2)")
{
    fails_with("[2001:db8:1::34]:7", ECONNREFUSED);
}

NETWORK_TEST(dns, no_route_over_ipv4, "dead ends: Without a route an IPv4 dial fails at once")
{
    fails_with("203.0.113.7:7", ENETUNREACH);
}

NETWORK_TEST(dns, no_route_over_ipv6, "dead ends: Without a route an IPv6 dial fails at once")
{
    fails_with("[2001:db8:bad::7]:7", ENETUNREACH);
}

/* ip-route(8): what a route may say instead of where to go. */
static void route_says(const char *type)
{
    command("ip route add %s 203.0.113.0/24", type);
    fails_as_a_plain_connect("203.0.113.7:7");
    command("ip route del %s 203.0.113.0/24", type);
}

NETWORK_TEST(dns, a_route_that_says_unreachable,
             "dead ends: A route of the type unreachable fails the dial at once")
{
    route_says("unreachable");
}

NETWORK_TEST(dns, a_route_that_says_prohibited,
             "dead ends: A route of the type prohibit fails the dial at once")
{
    route_says("prohibit");
}

NETWORK_TEST(dns, a_route_that_says_black_hole,
             "dead ends: A route of the type blackhole fails the dial at once")
{
    route_says("blackhole");
}

static void connects_plainly_to_the_absent(void *error)
{
    *(int *)error = errno_of_connect("192.0.2.99:7");
}

/*
 * Both ask for the neighbour side by side, because the kernel takes 3 s to give one up (arp(7):
 * mcast_solicit).
 */
NETWORK_TEST(dns, a_neighbour_that_is_not_there,
             "dead ends: A neighbour that does not answer ARP fails the dial: host unreachable")
{
    vcp_pool *pool = pool_new(NULL);
    soon plain;
    outcome o;
    int error = 0;
    soon_start(&plain, 0, connects_plainly_to_the_absent, &error);
    o = dial(pool, "192.0.2.99:7", 10000);
    soon_join(&plain, 0);
    CHECK_EQ(error, EHOSTUNREACH);
    CHECK_FAILURE(o, VCP_ERR_CONNECT, error, 10000 - 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_name_of_which_all_addresses_refuse_names_each_and_the_first_leads,
             "dead ends: CONNECT names each address that refused, and the first one's error leads")
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "closed.test:7", 5000);
    CHECK_FAILURE(o, VCP_ERR_CONNECT, ECONNREFUSED, 2 * NEAR_MS + SOON_MS);
    CHECK_HAS(o.message, "closed.test:7");
    CHECK_HAS(o.message, "[2001:db8:1::39]:7: ");
    CHECK_HAS(o.message, "198.18.1.31:7: ");
    CHECK(strstr(o.message, "2001:db8:1::39") < strstr(o.message, "198.18.1.31"));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* ---- nobody answers ---- */

static void times_out(vcp_pool *pool, const char *address, int64_t deadline)
{
    outcome o = dial(pool, address, deadline);
    CHECK_TIMED_OUT(o, VCP_PHASE_CONNECTING, deadline);
    CHECK_HAS(o.message, address);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_dark_ipv4_address_times_out_at_the_deadline,
             "dead ends: An IPv4 address that never answers times out at the deadline")
{
    times_out(pool_new(NULL), "198.18.1.20:7", 700);
}

NETWORK_TEST(dns, a_dark_ipv6_address_times_out_at_the_deadline,
             "dead ends: An IPv6 address that never answers times out at the deadline")
{
    times_out(pool_new(NULL), "[2001:db8:1::20]:7", 700);
}

NETWORK_TEST(dns, a_deadline_before_the_first_fallback_is_kept,
             "dead ends: A deadline before the first fallback is kept")
{
    times_out(pool_new(NULL), "dark.test:7", 100);
}

NETWORK_TEST(dns, a_name_that_is_all_dark_times_out_at_the_deadline,
             "dead ends: A name whose addresses never answer times out at the deadline")
{
    times_out(pool_new(NULL), "dark.test:7", 700);
}

NETWORK_TEST(dns, one_by_one_a_name_that_is_all_dark_times_out_at_the_deadline,
             "dead ends: fallback_delay_ms < 0: a name whose addresses never answer times out at "
             "the deadline")
{
    times_out(pool_with_fallback_delay(-1), "dark.test:7", 700);
}

NETWORK_TEST(dns, one_by_one_the_second_dark_address_has_the_rest_of_the_time,
             "dead ends: fallback_delay_ms < 0: the second address has the rest of the time")
{
    times_out(pool_with_fallback_delay(-1), "dark.test:7", 2500);
}

NETWORK_TEST(dns, one_address_that_refuses_and_one_that_is_dark_time_out_together,
             "dead ends: One address that refuses and one that is dark time out together")
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "closed-and-dark.test:7", 700);
    CHECK_TIMED_OUT(o, VCP_PHASE_CONNECTING, 700);
    CHECK_HAS(o.message, "[2001:db8:1::39]:7: ");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, the_pools_own_dial_timeout_is_kept,
             "dead ends: dial_timeout_ms of the pool is kept in a black hole")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    outcome o;
    options.dial_timeout_ms = 400;
    pool = pool_new(&options);
    o = dial(pool, "dark.test:7", INT64_MIN);
    CHECK_TIMED_OUT(o, VCP_PHASE_CONNECTING, 400);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* The second caller need not find out again, and is told the same. */
NETWORK_TEST(dns, fail_fast_spares_the_second_caller_the_black_hole,
             "dead ends: fail_fast_ms spares the second caller the time in a black hole")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    outcome first;
    outcome second;
    options.dial_timeout_ms = 400;
    options.fail_fast_ms = 60000;
    pool = pool_new(&options);
    first = dial(pool, "198.18.1.20:7", INT64_MIN);
    CHECK_TIMED_OUT(first, VCP_PHASE_CONNECTING, 400);
    second = dial(pool, "198.18.1.20:7", INT64_MIN);
    CHECK_EQ(second.status, VCP_ERR_TIMEOUT);
    CHECK_EQ(second.phase, VCP_PHASE_CONNECTING);
    CHECK_BETWEEN(second.took, 0, within(SOON_MS));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
