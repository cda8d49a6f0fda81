/* A real conversation on each network, and names with several addresses. Contract section 5. */
#include "check.h"

/* Echo, give back, borrow the same one again, echo. */
static void talk(const char *network, server *s, const char *address)
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char text[160];
    int fd;
    server_start_echo(s);
    fd = vcp_dial(pool, network, address, &conn);
    CHECK(fd >= 0);
    CHECK_EQ(vcp_conn_set_deadline(conn, at_most(5000)), VCP_OK);
    CHECK_ECHO(conn, "first");
    CHECK(vcp_conn_network(conn, text, sizeof text) > 0);
    CHECK_STR(text, network);
    CHECK(vcp_conn_remote_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, s->address);
    give_back(conn);
    CHECK_EQ(vcp_pool_idle_count(pool, network, address), 1);
    CHECK_EQ(vcp_dial(pool, network, address, &conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(vcp_conn_set_deadline(conn, at_most(5000)), VCP_OK);
    CHECK_ECHO(conn, "second");
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(s);
}

TEST(tcp_can_be_dialed, "networks: tcp: dial, echo, give back, reuse, echo")
{
    server s4 = tcp_server();
    server s6 = tcp6_server();
    talk("tcp", &s4, s4.address);
    talk("tcp", &s6, s6.address);
}

TEST(tcp4_can_be_dialed, "networks: tcp4: dial, echo, give back, reuse, echo")
{
    server s = tcp_server();
    talk("tcp4", &s, s.address);
}

TEST(tcp6_can_be_dialed, "networks: tcp6: dial, echo, give back, reuse, echo")
{
    server s = tcp6_server();
    talk("tcp6", &s, s.address);
}

TEST(udp_can_be_dialed, "networks: udp: dial, echo, give back, reuse, echo")
{
    server s4 = udp_server();
    server s6 = server_on(AF_INET6, SOCK_DGRAM, 0, 0);
    talk("udp", &s4, s4.address);
    talk("udp", &s6, s6.address);
}

TEST(udp4_can_be_dialed, "networks: udp4: dial, echo, give back, reuse, echo")
{
    server s = udp_server();
    talk("udp4", &s, s.address);
}

TEST(udp6_can_be_dialed, "networks: udp6: dial, echo, give back, reuse, echo")
{
    server s = server_on(AF_INET6, SOCK_DGRAM, 0, 0);
    talk("udp6", &s, s.address);
}

TEST(unix_can_be_dialed, "networks: unix: path and @abstract, dial, echo, reuse")
{
    server path = unix_server(SOCK_STREAM, 0);
    server abstract = unix_server(SOCK_STREAM, 1);
    talk("unix", &path, path.address);
    talk("unix", &abstract, abstract.address);
}

/* The client's socket has a name of its own, so that the server can answer. */
TEST(unixgram_can_be_dialed_and_answered,
     "networks: unixgram: auto-bound, so that the server can answer")
{
    server path = unix_server(SOCK_DGRAM, 0);
    server abstract = unix_server(SOCK_DGRAM, 1);
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &path);
    char text[160];
    CHECK(vcp_conn_local_address(conn, text, sizeof text) > 1);
    CHECK_EQ(text[0], '@');
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    talk("unixgram", &path, path.address);
    talk("unixgram", &abstract, abstract.address);
}

TEST(unixpacket_can_be_dialed, "networks: unixpacket: path and @abstract, dial, echo, reuse")
{
    server path = unix_server(SOCK_SEQPACKET, 0);
    server abstract = unix_server(SOCK_SEQPACKET, 1);
    talk("unixpacket", &path, path.address);
    talk("unixpacket", &abstract, abstract.address);
}

static unsigned short internet_sum(const unsigned char *bytes, size_t size)
{
    uint32_t sum = 0;
    size_t i;
    for (i = 0; i + 1 < size; i += 2) {
        sum += (uint32_t)(bytes[i] << 8 | bytes[i + 1]);
    }
    sum = (sum >> 16) + (sum & 0xffff);
    sum += sum >> 16;
    return (unsigned short)~sum;
}

TEST(raw_ip_can_be_dialed, "networks: ip4:icmp and ip6:58: a ping of loopback (as root)")
{
    vcp_pool *pool;
    vcp_conn *conn;
    unsigned char request[8] = {8, 0, 0, 0, 0x76, 0x63, 0, 1};
    unsigned char answer[256];
    unsigned short sum = internet_sum(request, sizeof request);
    int64_t count;
    if (geteuid() != 0) {
        SKIP("raw sockets need root");
    }
    pool = pool_new(NULL);
    CHECK(vcp_dial(pool, "ip4:icmp", "127.0.0.1", &conn) >= 0);
    request[2] = (unsigned char)(sum >> 8);
    request[3] = (unsigned char)sum;
    CHECK_EQ(vcp_conn_set_deadline(conn, at_most(5000)), VCP_OK);
    CHECK_EQ(vcp_conn_write(conn, request, sizeof request), (int64_t)sizeof request);
    /*
     * The socket hears its own request too; the answer is type 0. An IPv4 header of 20 bytes comes
     * first.
     */
    do {
        count = vcp_conn_read(conn, answer, sizeof answer);
        CHECK_EQ(count, 28);
    } while (answer[20] != 0);
    CHECK_EQ(memcmp(answer + 24, request + 4, 4), 0);
    CHECK(vcp_conn_remote_address(conn, (char *)answer, sizeof answer) > 0);
    CHECK_STR((char *)answer, "127.0.0.1");
    give_back(conn);
    CHECK(vcp_dial(pool, "ip6:58", "::1", &conn) >= 0);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(raw_ip_without_the_right_is_refused,
     "networks: Raw sockets without the right: an error with EPERM, no slot kept")
{
    pid_t child = fork();
    int status = 0;
    CHECK(child >= 0);
    if (child == 0) {
        vcp_pool *pool = pool_new(NULL);
        vcp_conn *conn;
        if (geteuid() == 0) {
            CHECK_EQ(setuid(65534), 0);
        }
        CHECK(vcp_dial(pool, "ip4:icmp", "127.0.0.1", &conn) < 0);
        CHECK(vcp_last_errno() == EPERM || vcp_last_errno() == EACCES);
        CHECK_EQ(vcp_pool_conn_count(pool), 0);
        _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

TEST(a_name_is_dialed_at_the_address_that_answers,
     "networks: A name is resolved and dialed; conn_address keeps the name, remote_address tells "
     "the IP")
{
    server s4 = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char name[64];
    char text[64];
    snprintf(name, sizeof name, "localhost:%d", s4.port);
    CHECK(vcp_dial(pool, "tcp", name, &conn) >= 0);
    CHECK(vcp_conn_remote_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, s4.address);
    CHECK(vcp_conn_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, name);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s4);
}

TEST(a_name_is_dialed_for_datagrams_and_raw_ip_too, "networks: Names work on udp and ip networks")
{
    server s = udp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char name[64];
    snprintf(name, sizeof name, "localhost:%d", s.port);
    CHECK(vcp_dial(pool, "udp4", name, &conn) >= 0);
    give_back(conn);
    if (geteuid() == 0) {
        CHECK(vcp_dial(pool, "ip4:icmp", "localhost", &conn) >= 0);
        give_back(conn);
    } else {
        printf("  SKIPPED the raw half: needs root\n");
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_local_address_is_the_sockets_own,
     "networks: vcp_conn_local_address tells what getsockname tells")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    char wanted[64];
    char text[64];
    CHECK_EQ(getsockname(vcp_conn_raw_fd(conn), (struct sockaddr *)&name, &length), 0);
    snprintf(wanted, sizeof wanted, "127.0.0.1:%d", ntohs(name.sin_port));
    CHECK_EQ(vcp_conn_local_address(conn, text, sizeof text), (int64_t)strlen(wanted));
    CHECK_STR(text, wanted);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(a_unix_client_without_a_name_has_an_empty_local_address,
     "networks: vcp_conn_local_address of an unnamed unix socket is \"\"")
{
    server s = unix_server(SOCK_STREAM, 0);
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    char text[64] = "x";
    CHECK_EQ(vcp_conn_local_address(conn, text, sizeof text), 0);
    CHECK_STR(text, "");
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
