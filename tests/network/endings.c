/*
 * endings.c - what ends a dial before the network does (a token, the pool's end), and what the
 * program decides about its own end of a connection: the address it calls from. Datagram sockets
 * and link-local addresses come last.
 */
#include "network.h"

/* ---- tokens, and the end of the pool ---- */

/* A call that hangs when it is ended, ends within so much. */
static void check_ended(const outcome *o, int status, soon *ender, int64_t end)
{
    int64_t late = soon_join(ender, end);
    measured("after", late);
    CHECK_EQ(o->status, status);
    CHECK_EQ(o->error, 0);
    CHECK_EQ(o->phase, VCP_PHASE_NONE);
    CHECK_BETWEEN(late, 0, within(LATE_MS));
}

static vcp_cancel *token_new(void)
{
    vcp_cancel *token = NULL;
    CHECK_EQ(vcp_cancel_new(&token), VCP_OK);
    return token;
}

static void fires(void *token)
{
    CHECK_EQ(vcp_cancel_fire((vcp_cancel *)token), VCP_OK);
}

static void closes(void *pool)
{
    CHECK_EQ(vcp_pool_close((vcp_pool *)pool), VCP_OK);
}

/* In the middle of a dial that would take 5 s. */
static void token_ends_the_dial_of(const char *address)
{
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(0);
    soon ender;
    outcome o;
    options.timeout_ms = 5000;
    options.cancel = token_new();
    soon_start(&ender, 400, fires, options.cancel);
    o = dial_with(pool, "tcp", address, &options);
    check_ended(&o, VCP_ERR_CANCELED, &ender, now_ms());
    CHECK_EQ(vcp_cancel_free(options.cancel), VCP_OK);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_token_ends_a_connect_into_a_black_hole,
             "endings: A token ends a connect into a black hole")
{
    token_ends_the_dial_of("198.18.1.20:7");
}

NETWORK_TEST(dns, a_token_ends_a_race_between_black_holes,
             "endings: A token ends a race between black holes")
{
    token_ends_the_dial_of("dark.test:7");
}

NETWORK_TEST(dns, a_token_ends_a_hanging_lookup, "endings: A token ends a dial whose look-up hangs")
{
    token_ends_the_dial_of("token.hanging.test:7");
}

static void pools_end_ends_the_dial_of(const char *address)
{
    vcp_pool *pool = pool_new(NULL);
    soon ender;
    outcome o;
    soon_start(&ender, 400, closes, pool);
    o = dial(pool, address, 5000);
    check_ended(&o, VCP_ERR_POOL_CLOSED, &ender, now_ms());
}

NETWORK_TEST(dns, the_pools_end_ends_a_connect_into_a_black_hole,
             "endings: vcp_pool_close ends a connect into a black hole")
{
    pools_end_ends_the_dial_of("198.18.1.20:7");
}

NETWORK_TEST(dns, the_pools_end_ends_a_hanging_lookup,
             "endings: vcp_pool_close ends a dial whose look-up hangs")
{
    pools_end_ends_the_dial_of("close.hanging.test:7");
}

NETWORK_TEST(dns, a_token_ends_a_read_on_a_cut_link, "endings: A token ends a read on a cut link")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_cancel *token = token_new();
    outcome o = dial(pool, "192.0.2.7:7", 5000);
    soon ender;
    char byte;
    int64_t late;
    CHECK_REACHED(o, "192.0.2.7:7", 0, SOON_MS);
    CHECK_EQ(vcp_conn_set_cancel(o.conn, token), VCP_OK);
    cut_the_link();
    soon_start(&ender, 100, fires, token);
    CHECK_EQ(vcp_conn_read(o.conn, &byte, 1), VCP_ERR_CANCELED);
    late = soon_join(&ender, now_ms());
    measured("after", late);
    CHECK_BETWEEN(late, 0, within(LATE_MS));
    CHECK_EQ(vcp_cancel_free(token), VCP_OK);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    mend_the_link();
}

/* ---- local_address ---- */

static vcp_pool *pool_calling_from(const char *local_address)
{
    vcp_pool_options options = pool_options();
    options.local_address = local_address;
    return pool_new(&options);
}

/* The client's address as the server sees it: in IPv6's notation, for the server listens there. */
static void server_sees(const char *local_address, const char *address, const char *seen)
{
    server s = far_server(8, 512);
    vcp_pool *pool = pool_calling_from(local_address);
    outcome o = dial(pool, address, 5000);
    struct sockaddr_in6 name;
    socklen_t length = sizeof name;
    char text[INET6_ADDRSTRLEN];
    int peer;
    CHECK_REACHED(o, address, 0, NEAR_MS + SOON_MS);
    peer = server_accept(&s);
    CHECK_EQ(getpeername(peer, (struct sockaddr *)&name, &length), 0);
    CHECK(inet_ntop(AF_INET6, &name.sin6_addr, text, sizeof text) != NULL);
    CHECK_STR(text, seen);
    close(peer);
    vcp_conn_discard(o.conn);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

NETWORK_TEST(dns, the_server_sees_the_local_address_over_ipv4,
             "endings: The server sees the local address over IPv4")
{
    server_sees("192.0.2.1", "192.0.2.7:8", "::ffff:192.0.2.1");
    server_sees("192.0.2.2", "192.0.2.7:8", "::ffff:192.0.2.2");
}

NETWORK_TEST(dns, the_server_sees_the_local_address_over_ipv6,
             "endings: The server sees the local address over IPv6")
{
    server_sees("2001:db8::1", "[2001:db8::7]:8", "2001:db8::1");
    server_sees("2001:db8::2", "[2001:db8::7]:8", "2001:db8::2");
}

/* Twenty times, because nothing about it may depend on which thread is quicker. */
NETWORK_TEST(dns, a_local_address_keeps_a_name_to_its_family,
             "endings: local_address keeps the dial of a name to its family")
{
    vcp_pool *pool = pool_calling_from("192.0.2.2");
    vcp_dial_options options = dial_options(VCP_DIAL_FRESH);
    int round;
    for (round = 0; round < 20; round++) {
        outcome o = dial_unmeasured(pool, "tcp", "both.test:7", &options);
        CHECK_REACHED(o, "198.18.1.7:7", NEAR_MS, NEAR_MS + SOON_MS);
        give_back(o.conn);
    }
    measured("dials", round);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* IPv6 at once, IPv4 a little later. */
static int ipv4_comes_later(void *user, const char *network, const char *host, int64_t timeout_ms,
                            vcp_resolved *out)
{
    (void)user;
    (void)network;
    (void)host;
    (void)timeout_ms;
    CHECK_EQ(vcp_resolved_add(out, "2001:db8:1::7"), VCP_OK);
    let_pass(100); /* The gap between two answers is what is tested. */
    return vcp_resolved_add(out, "198.18.1.7");
}

NETWORK_TEST(
    dns, a_local_address_waits_for_an_address_of_its_family,
    "endings: local_address leaves out the addresses of the other family, and waits for one of "
    "its own")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    outcome o;
    options.local_address = "192.0.2.2";
    options.resolve = ipv4_comes_later;
    pool = pool_new(&options);
    o = dial(pool, "both.test:7", 5000);
    CHECK_REACHED(o, "198.18.1.7:7", 100 + NEAR_MS, 100 + NEAR_MS + SOON_MS);
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static void calling_from_fails(const char *local_address, const char *address, int error)
{
    vcp_pool *pool = pool_calling_from(local_address);
    outcome o = dial(pool, address, 5000);
    CHECK_FAILURE(o, VCP_ERR_CONNECT, error, SOON_MS);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* The IPv4 address of the name is skipped, and there is no route to the other. */
NETWORK_TEST(dns, a_local_address_whose_family_has_no_route,
             "endings: A local_address whose family has no route fails the dial at once")
{
    calling_from_fails("2001:db8::2", "v6-without-route.test:7", ENETUNREACH);
}

NETWORK_TEST(dns, a_local_address_of_which_the_name_has_no_family,
             "endings: A local_address of a family that the name does not have fails the dial")
{
    calling_from_fails("2001:db8::2", "only4.test:7", EADDRNOTAVAIL);
}

NETWORK_TEST(dns, a_local_address_that_is_another_machines,
             "endings: A local_address that is another machine's fails the dial at once")
{
    calling_from_fails("192.0.2.99", "198.18.1.7:7", EADDRNOTAVAIL);
}

/* ---- other sockets, other addresses ---- */

/* A datagram socket is told of the refusal at the next read. */
static void datagram_is_refused_at(const char *address)
{
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(0);
    outcome o = dial_with(pool, "udp", address, &options);
    char byte;
    int64_t start = now_ms();
    CHECK_REACHED(o, address, 0, SOON_MS);
    CHECK_EQ(vcp_conn_set_deadline(o.conn, 5000), VCP_OK);
    CHECK_EQ(vcp_conn_write(o.conn, "?", 1), 1);
    CHECK_EQ(vcp_conn_read(o.conn, &byte, 1), VCP_ERR_IO);
    CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
    measured("read", now_ms() - start);
    CHECK_BETWEEN(now_ms() - start, 0, within(NEAR_MS + SOON_MS));
    give_back(o.conn);
    CHECK_EQ(vcp_pool_idle_count(pool, NULL, NULL), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

NETWORK_TEST(dns, a_datagram_to_a_closed_port_is_refused_at_the_read_over_ipv4,
             "endings: A datagram to a closed port is refused at the read over IPv4")
{
    datagram_is_refused_at("198.18.1.7:9");
}

NETWORK_TEST(dns, a_datagram_to_a_closed_port_is_refused_at_the_read_over_ipv6,
             "endings: A datagram to a closed port is refused at the read over IPv6")
{
    datagram_is_refused_at("[2001:db8:1::7]:9");
}

/* The refusal that comes after the give-back is not the next borrower's. */
NETWORK_TEST(dns, a_datagram_socket_that_was_refused_while_idle_is_not_handed_out,
             "endings: A datagram socket that was refused while idle is not handed out")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = NULL;
    int fd = vcp_dial(pool, "udp", "198.18.1.7:9", &conn);
    CHECK(fd >= 0);
    CHECK_EQ(vcp_conn_write(conn, "?", 1), 1);
    give_back(conn);
    await_arrival(fd);
    CHECK(vcp_dial(pool, "udp", "198.18.1.7:9", &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/*
 * There is one such address on every link; the zone says which link. Whether by name or by number
 * is not promised.
 */
NETWORK_TEST(dns, a_link_local_address_is_reached_through_its_zone,
             "endings: A link local address is reached through its zone")
{
    vcp_pool *pool = pool_new(NULL);
    outcome o = dial(pool, "[fe80::7%near]:7", 5000);
    CHECK(o.status >= 0);
    CHECK_HAS(o.remote, "[fe80::7%");
    CHECK_BETWEEN(o.took, 0, within(SOON_MS));
    CHECK_ECHO(o.conn, "over the link");
    give_back(o.conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
