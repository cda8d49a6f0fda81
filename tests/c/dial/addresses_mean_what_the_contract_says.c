/* Every form of network and address, good and bad, by table. Contract section 5. */
#include "check.h"

static char p107[108], p108[109], a107[109], a108[110], n1024[1025], n1025[1026], tag1024[1025];

/*
 * The status of a reuse-only dial: VCP_ERR_NOT_AVAILABLE says that the address is fine. idle_count
 * and get agree.
 */
static const struct {
    const char *network;
    const char *address;
    int status;
} table[] = {
    /* good: host:port */
    {"tcp", "127.0.0.1:80", VCP_ERR_NOT_AVAILABLE},
    {"tcp4", "127.0.0.1:80", VCP_ERR_NOT_AVAILABLE},
    {"udp", "127.0.0.1:53", VCP_ERR_NOT_AVAILABLE},
    {"udp4", "127.0.0.1:53", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "[::1]:80", VCP_ERR_NOT_AVAILABLE},
    {"tcp6", "[::1]:80", VCP_ERR_NOT_AVAILABLE},
    {"udp6", "[::1]:53", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "[0:0:0:0:0:0:0:1]:80", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "[FE80::A%lo]:80", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "[fe80::1%1]:80", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "[::ffff:127.0.0.1]:80", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "localhost:80", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "db.local:5432", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "under_score.local:1", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "[localhost]:80", VCP_ERR_NOT_AVAILABLE},
    {"tcp",
     "b\xc3\xbc"
     "cher.example:80",
     VCP_ERR_NOT_AVAILABLE},
    /* good: no host means loopback */
    {"tcp", ":80", VCP_ERR_NOT_AVAILABLE},
    {"tcp6", ":80", VCP_ERR_NOT_AVAILABLE},
    {"udp4", ":53", VCP_ERR_NOT_AVAILABLE},
    /* good: ports */
    {"tcp", "127.0.0.1:0", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "127.0.0.1:1", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "127.0.0.1:65535", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "127.0.0.1:0080", VCP_ERR_NOT_AVAILABLE},
    {"tcp", "127.0.0.1:http", VCP_ERR_NOT_AVAILABLE},
    {"tcp", ":https", VCP_ERR_NOT_AVAILABLE},
    {"udp", "127.0.0.1:domain", VCP_ERR_NOT_AVAILABLE},
    /* good: unix */
    {"unix", "/run/x.sock", VCP_ERR_NOT_AVAILABLE},
    {"unix", "relative.sock", VCP_ERR_NOT_AVAILABLE},
    {"unix", "@abstract", VCP_ERR_NOT_AVAILABLE},
    {"unixgram", "/run/x.sock", VCP_ERR_NOT_AVAILABLE},
    {"unixpacket", "/run/x.sock", VCP_ERR_NOT_AVAILABLE},
    {"unixpacket", "@abstract", VCP_ERR_NOT_AVAILABLE},
    {"unix", "/path:with:colons", VCP_ERR_NOT_AVAILABLE},
    {"unix", "/path with spaces[]", VCP_ERR_NOT_AVAILABLE},
    {"unix", p107, VCP_ERR_NOT_AVAILABLE},
    {"unix", a107, VCP_ERR_NOT_AVAILABLE},
    /* good: raw IP */
    {"ip4:icmp", "127.0.0.1", VCP_ERR_NOT_AVAILABLE},
    {"ip4:1", "127.0.0.1", VCP_ERR_NOT_AVAILABLE},
    {"ip6:58", "::1", VCP_ERR_NOT_AVAILABLE},
    {"ip6:ipv6-icmp", "::1", VCP_ERR_NOT_AVAILABLE},
    {"ip:icmp", "localhost", VCP_ERR_NOT_AVAILABLE},
    {"ip6:58", "fe80::1%lo", VCP_ERR_NOT_AVAILABLE},
    {"ip4:0", "127.0.0.1", VCP_ERR_NOT_AVAILABLE},
    {"ip4:255", "127.0.0.1", VCP_ERR_NOT_AVAILABLE},
    /* bad ports */
    {"tcp", "127.0.0.1", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "localhost", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1:", VCP_ERR_INVALID_ADDRESS},
    {"tcp", ":", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "", VCP_ERR_INVALID_ADDRESS},
    {"udp", "", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1:65536", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1:99999999999999999999", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1:-1", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1:+80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1: 80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1:80 ", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1:0x50", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1:no-such-service", VCP_ERR_INVALID_ADDRESS},
    {"udp", "127.0.0.1:no-such-service", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "[::1]", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "[::1]:", VCP_ERR_INVALID_ADDRESS},
    /* bad brackets and colons */
    {"tcp", "::1:80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "::1", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "a:b:80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "[::1:80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "::1]:80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "[[::1]]:80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "[::1]80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "x[::1]:80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "127.0.0.1:[80]", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "[::1]]:80", VCP_ERR_INVALID_ADDRESS},
    /* bad zones */
    {"tcp", "[fe80::1%no-such-link]:80", VCP_ERR_INVALID_ADDRESS},
    {"ip6:58", "fe80::1%no-such-link", VCP_ERR_INVALID_ADDRESS},
    /* bad text */
    {"tcp", "\xff:80", VCP_ERR_INVALID_ADDRESS},
    {"tcp", "\xc3:80", VCP_ERR_INVALID_ADDRESS},
    {"unix", "/\xff", VCP_ERR_INVALID_ADDRESS},
    {"tcp", n1025, VCP_ERR_INVALID_ADDRESS},
    {"tcp", n1024, VCP_ERR_NOT_AVAILABLE},
    /* bad unix */
    {"unix", "", VCP_ERR_INVALID_ADDRESS},
    {"unix", p108, VCP_ERR_INVALID_ADDRESS},
    {"unix", a108, VCP_ERR_INVALID_ADDRESS},
    {"unixgram", p108, VCP_ERR_INVALID_ADDRESS},
    {"unixpacket", p108, VCP_ERR_INVALID_ADDRESS},
    /* bad raw IP */
    {"ip4:icmp", "", VCP_ERR_INVALID_ADDRESS},
    {"ip6:58", "[::1]", VCP_ERR_INVALID_ADDRESS},
    /* bad networks */
    {"ip", "127.0.0.1", VCP_ERR_UNKNOWN_NETWORK},
    {"ip4", "127.0.0.1", VCP_ERR_UNKNOWN_NETWORK},
    {"ip6", "::1", VCP_ERR_UNKNOWN_NETWORK},
    {"ip4:", "127.0.0.1", VCP_ERR_UNKNOWN_NETWORK},
    {"ip4:256", "127.0.0.1", VCP_ERR_UNKNOWN_NETWORK},
    {"ip4:no-such-protocol", "127.0.0.1", VCP_ERR_UNKNOWN_NETWORK},
    {"", "127.0.0.1:80", VCP_ERR_UNKNOWN_NETWORK},
    {"TCP", "127.0.0.1:80", VCP_ERR_UNKNOWN_NETWORK},
    {"tcp ", "127.0.0.1:80", VCP_ERR_UNKNOWN_NETWORK},
    {"tcp5", "127.0.0.1:80", VCP_ERR_UNKNOWN_NETWORK},
    {"tcp:80", "127.0.0.1:80", VCP_ERR_UNKNOWN_NETWORK},
    {"sctp", "127.0.0.1:80", VCP_ERR_UNKNOWN_NETWORK},
    {"unixstream", "/x", VCP_ERR_UNKNOWN_NETWORK},
    {"\xff", "127.0.0.1:80", VCP_ERR_UNKNOWN_NETWORK},
};

static void fill_long_texts(void)
{
    memset(p107, '/', 107);
    memset(p108, '/', 108);
    memset(a107, 'a', 107);
    memset(a108, 'a', 109);
    a107[0] = a108[0] = '@';
    memset(n1024, 'n', 1024);
    memset(n1025, 'n', 1025);
    memcpy(n1024 + 1021, ":80", 3);
    memcpy(n1025 + 1022, ":80", 3);
    memset(tag1024, 't', 1024);
}

TEST(each_address_is_judged_as_the_table_says,
     "addresses: About 100 addresses, good and bad, on every network: dial, get and idle_count "
     "judge them alike")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(VCP_DIAL_REUSE_ONLY);
    size_t i;
    for (i = 0; i < sizeof table / sizeof table[0]; i++) {
        vcp_conn *conn = NULL;
        int dialed = vcp_dial_with(pool, table[i].network, table[i].address, &options, &conn);
        int gotten = vcp_pool_get(pool, table[i].network, table[i].address, NULL);
        int64_t idle = vcp_pool_idle_count(pool, table[i].network, table[i].address);
        int64_t wanted_idle = table[i].status == VCP_ERR_NOT_AVAILABLE ? 0 : table[i].status;
        if (dialed != table[i].status || gotten != table[i].status || idle != wanted_idle) {
            fprintf(stderr, "  %s \"%s\": dial %s, get %s, idle_count %lld\n", table[i].network,
                    table[i].address, vcp_status_name(dialed), vcp_status_name(gotten),
                    (long long)idle);
        }
        CHECK_EQ(dialed, table[i].status);
        CHECK_EQ(gotten, table[i].status);
        CHECK_EQ(idle, wanted_idle);
        CHECK(vcp_last_error()[0] != '\0');
    }
    CHECK(sizeof table / sizeof table[0] >= 60);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* Pairs that are one destination, judged by put under the first and idle_count under the second. */
static const struct {
    const char *network;
    const char *put;
    const char *asked;
    int same;
} pairs[] = {
    {"tcp", "[::1]:80", "[0:0::1]:80", 1},
    {"tcp", "[::1]:80", "[0000:0000:0000:0000:0000:0000:0000:0001]:80", 1},
    {"tcp", "[2001:DB8::A]:80", "[2001:db8::a]:80", 1},
    {"tcp", "127.0.0.1:80", "127.0.0.1:080", 1},
    {"tcp", ":80", "127.0.0.1:80", 1},
    {"tcp", ":http", ":80", 1},
    {"tcp", "a.example:http", "a.example:80", 1},
    {"tcp6", ":80", "[::1]:80", 1},
    {"udp", ":53", "127.0.0.1:domain", 1},
    {"tcp", "[::ffff:127.0.0.1]:80", "127.0.0.1:80", 1},
    {"tcp", "[fe80::1%lo]:80", "[fe80::1%1]:80", 1},
    {"tcp", "[127.0.0.1]:80", "127.0.0.1:80", 1},
    {"tcp", "127.0.0.1:80", "[127.0.0.1]:80", 1},
    {"tcp", "[127.0.0.1]:http", "127.0.0.1:80", 1},
    {"tcp", "[a.example]:80", "a.example:80", 1},
    {"tcp", "[::1]:80", "[::1]:81", 0},
    {"tcp", "[::1]:80", "[::2]:80", 0},
    {"tcp", "127.0.0.1:80", "localhost:80", 0},
    {"tcp", "127.0.0.1:80", "[::1]:80", 0},
    {"tcp", ":80", "[::1]:80", 0},
    {"unix", "/a", "/b", 0},
    {"unix", "/a", "@/a", 0},
    {"unix", "/a", "/a/", 0},
};

TEST(spellings_of_one_destination_are_one,
     "addresses: 23 pairs of spellings: which are one destination, which are two")
{
    size_t i;
    for (i = 0; i < sizeof pairs / sizeof pairs[0]; i++) {
        vcp_pool *pool = pool_new(NULL);
        int pair[2];
        int64_t seen;
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
        CHECK_EQ(vcp_pool_put(pool, pair[0], pairs[i].network, pairs[i].put, NULL), VCP_OK);
        seen = vcp_pool_idle_count(pool, pairs[i].network, pairs[i].asked);
        if (seen != pairs[i].same) {
            fprintf(stderr, "  %s and %s\n", pairs[i].put, pairs[i].asked);
        }
        CHECK_EQ(seen, pairs[i].same);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        close(pair[1]);
    }
}

static void expect_dial(const char *network, const char *address, int status)
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    int result = vcp_dial(pool, network, address, &conn);
    if (result != status) {
        fprintf(stderr, "  %s %s: %d\n", network, address, result);
    }
    CHECK_EQ(result, status);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_literal_of_the_wrong_family_does_not_resolve,
     "addresses: A literal of the wrong family is RESOLVE, on tcp, udp and ip")
{
    expect_dial("tcp4", "[::1]:80", VCP_ERR_RESOLVE);
    expect_dial("udp4", "[::1]:80", VCP_ERR_RESOLVE);
    expect_dial("tcp6", "127.0.0.1:80", VCP_ERR_RESOLVE);
    expect_dial("udp6", "127.0.0.1:80", VCP_ERR_RESOLVE);
    expect_dial("ip4:icmp", "::1", VCP_ERR_RESOLVE);
    expect_dial("ip6:58", "127.0.0.1", VCP_ERR_RESOLVE);
}

TEST(port_zero_is_dialed_as_given, "addresses: Port zero is dialed as given")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    CHECK_EQ(vcp_dial(pool, "tcp", "127.0.0.1:0", &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(without_a_host_loopback_is_dialed, "addresses: :port is 127.0.0.1, or ::1 on the 6 networks")
{
    server s4 = tcp_server();
    server s6 = tcp6_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char text[64];
    char address[32];
    snprintf(address, sizeof address, ":%d", s4.port);
    CHECK(vcp_dial(pool, "tcp", address, &conn) >= 0);
    CHECK(vcp_conn_remote_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, s4.address);
    give_back(conn);
    CHECK(vcp_dial(pool, "tcp4", address, &conn) >= 0);
    give_back(conn);
    snprintf(address, sizeof address, ":%d", s6.port);
    CHECK(vcp_dial(pool, "tcp6", address, &conn) >= 0);
    CHECK(vcp_conn_remote_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, s6.address);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s4);
    server_close(&s6);
}

TEST(a_zone_is_dialed, "addresses: [v6%zone]:port is dialed")
{
    server s = tcp6_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char address[64];
    snprintf(address, sizeof address, "[::1%%lo]:%d", s.port);
    CHECK(vcp_dial(pool, "tcp", address, &conn) >= 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(an_address_and_a_count_need_each_other,
     "addresses: idle_count takes network and address, or NULL for both")
{
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(vcp_pool_idle_count(pool, NULL, NULL), 0);
    CHECK_EQ(vcp_pool_idle_count(pool, "tcp", NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_idle_count(pool, NULL, "127.0.0.1:80"), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_tag_of_1024_bytes_is_taken,
     "addresses: A reuse tag of 1,024 bytes is taken and told in full")
{
    fixture f = fixture_new(NULL);
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn;
    char text[1100];
    options.reuse_tag = tag1024;
    CHECK(vcp_dial_with(f.pool, f.s.network, f.s.address, &options, &conn) >= 0);
    CHECK_EQ(vcp_conn_reuse_tag(conn, text, sizeof text), 1024);
    CHECK_STR(text, tag1024);
    give_back(conn);
    FIXTURE_END(&f);
}

BEFORE_THE_TESTS(char **argv)
{
    fill_long_texts();
}
