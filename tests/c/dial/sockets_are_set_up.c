/* Flags and options of the sockets, read back from the kernel. Contract sections 2 and 4. */
#include "check.h"

static int option(int fd, int level, int name)
{
    int value = -1;
    socklen_t length = sizeof value;
    CHECK_EQ(getsockopt(fd, level, name, &value, &length), 0);
    return value;
}

/* Dials with these options and hands out the fd. */
static vcp_conn *borrow_by(const vcp_pool_options *options, const server *s, vcp_pool **pool)
{
    *pool = pool_new(options);
    return borrow(*pool, s);
}

TEST(every_socket_is_close_on_exec, "sockets: Every socket is CLOEXEC")
{
    server s = tcp_server();
    server u = unix_server(SOCK_STREAM, 0);
    server d = udp_server();
    const server *all[3];
    vcp_pool *pool = pool_new(NULL);
    int i;
    all[0] = &s;
    all[1] = &u;
    all[2] = &d;
    for (i = 0; i < 3; i++) {
        vcp_conn *conn = borrow(pool, all[i]);
        CHECK_EQ(fcntl(vcp_conn_raw_fd(conn), F_GETFD), FD_CLOEXEC);
        give_back(conn);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    server_close(&u);
    server_close(&d);
}

/* epoll, eventfd and whatever else the library opens, too. */
TEST(every_fd_of_the_library_is_close_on_exec, "sockets: The library's own fds are CLOEXEC")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int fd;
    give_back(conn);
    for (fd = 3; fd < 1024; fd++) {
        int flags = fcntl(fd, F_GETFD);
        if (flags >= 0 && fd != f.s.fd) {
            char path[64];
            char target[128] = "";
            snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
            if (readlink(path, target, sizeof target - 1) > 0 &&
                (strstr(target, "anon_inode") != NULL || strstr(target, "socket") != NULL)) {
                CHECK_EQ(flags, FD_CLOEXEC);
            }
        }
    }
    FIXTURE_END(&f);
}

TEST(fds_are_blocking_by_default, "sockets: Fds are blocking by default")
{
    server s = tcp_server();
    vcp_pool *pool;
    vcp_conn *conn = borrow_by(NULL, &s, &pool);
    CHECK(!is_nonblocking(vcp_conn_raw_fd(conn)));
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK(!is_nonblocking(vcp_conn_raw_fd(conn)));
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(fds_are_non_blocking_if_the_pool_says_so,
     "sockets: nonblocking 1: fds are handed out in non-blocking mode")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.nonblocking = 1;
    conn = borrow_by(&options, &s, &pool);
    CHECK(is_nonblocking(vcp_conn_raw_fd(conn)));
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK(is_nonblocking(vcp_conn_raw_fd(conn)));
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_mode_is_set_at_each_borrow,
     "sockets: VCP_DIAL_NONBLOCKING and BLOCKING hold for one borrow")
{
    fixture f = fixture_new(NULL);
    uint32_t flags[] = {VCP_DIAL_NONBLOCKING, 0, VCP_DIAL_NONBLOCKING,
                        VCP_DIAL_BLOCKING,    0, VCP_DIAL_NONBLOCKING};
    size_t i;
    for (i = 0; i < sizeof flags / sizeof flags[0]; i++) {
        vcp_conn *conn;
        int fd = dial_flags(f.pool, &f.s, flags[i], &conn);
        CHECK(fd >= 0);
        CHECK_EQ(vcp_conn_is_reused(conn), i > 0);
        CHECK_EQ(is_nonblocking(fd), flags[i] == VCP_DIAL_NONBLOCKING);
        give_back(conn);
    }
    FIXTURE_END(&f);
}

TEST(keep_alive_is_on_by_default, "sockets: Keep-alive is on, 15 s, 15 s, 9 probes")
{
    server s = tcp_server();
    vcp_pool *pool;
    vcp_conn *conn = borrow_by(NULL, &s, &pool);
    int fd = vcp_conn_raw_fd(conn);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 15);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 15);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 9);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(keep_alive_is_as_the_pool_says,
     "sockets: Keep-alive follows keepalive_idle_ms, _interval_ms, _count")
{
    server s = tcp6_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int fd;
    options.keepalive_idle_ms = 60000;
    options.keepalive_interval_ms = 7000;
    options.keepalive_count = 3;
    conn = borrow_by(&options, &s, &pool);
    fd = vcp_conn_raw_fd(conn);
    CHECK_EQ(option(fd, SOL_SOCKET, SO_KEEPALIVE), 1);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 60);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 7);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 3);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* The kernel counts whole seconds: a part of one is rounded up, so that it is never 0. */
TEST(parts_of_a_second_of_keep_alive_are_rounded_up,
     "sockets: Keep-alive times are rounded up to whole seconds")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int fd;
    options.keepalive_idle_ms = 1;
    options.keepalive_interval_ms = 2001;
    options.keepalive_count = 127;
    conn = borrow_by(&options, &s, &pool);
    fd = vcp_conn_raw_fd(conn);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPIDLE), 1);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPINTVL), 3);
    CHECK_EQ(option(fd, IPPROTO_TCP, TCP_KEEPCNT), 127);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_negative_keep_alive_is_off, "sockets: keepalive_idle_ms < 0: off")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.keepalive_idle_ms = -1;
    conn = borrow_by(&options, &s, &pool);
    CHECK_EQ(option(vcp_conn_raw_fd(conn), SOL_SOCKET, SO_KEEPALIVE), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(no_delay_is_on_unless_the_pool_says_otherwise,
     "sockets: no_delay: TCP_NODELAY on by default, off by 0")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn = borrow_by(&options, &s, &pool);
    CHECK_EQ(option(vcp_conn_raw_fd(conn), IPPROTO_TCP, TCP_NODELAY), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    options.no_delay = 0;
    conn = borrow_by(&options, &s, &pool);
    CHECK_EQ(option(vcp_conn_raw_fd(conn), IPPROTO_TCP, TCP_NODELAY), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_user_timeout_is_as_the_pool_says, "sockets: user_timeout_ms: TCP_USER_TIMEOUT")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn = borrow_by(&options, &s, &pool);
    CHECK_EQ(option(vcp_conn_raw_fd(conn), IPPROTO_TCP, TCP_USER_TIMEOUT), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    options.user_timeout_ms = 12345;
    conn = borrow_by(&options, &s, &pool);
    CHECK_EQ(option(vcp_conn_raw_fd(conn), IPPROTO_TCP, TCP_USER_TIMEOUT), 12345);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(tcp_options_do_not_disturb_other_sockets,
     "sockets: TCP options are not set on unix and udp sockets, and do not make them fail")
{
    server u = unix_server(SOCK_STREAM, 0);
    server d = udp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.user_timeout_ms = 1000;
    conn = borrow_by(&options, &u, &pool);
    CHECK_EQ(option(vcp_conn_raw_fd(conn), SOL_SOCKET, SO_KEEPALIVE), 0);
    give_back(conn);
    conn = borrow(pool, &d);
    CHECK_EQ(option(vcp_conn_raw_fd(conn), SOL_SOCKET, SO_KEEPALIVE), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&u);
    server_close(&d);
}

/*
 * On every kind of unix socket, all of them asked for: setsockopt(IPPROTO_TCP) would fail there,
 * and the dial with it.
 */
TEST(unix_sockets_get_no_tcp_options, "sockets: TCP options are set on no kind of unix socket")
{
    const int types[] = {SOCK_STREAM, SOCK_SEQPACKET, SOCK_DGRAM};
    vcp_pool_options options = pool_options();
    size_t i;
    options.keepalive_idle_ms = 1000;
    options.user_timeout_ms = 1000;
    options.no_delay = 1;
    for (i = 0; i < sizeof types / sizeof types[0]; i++) {
        server u = unix_server(types[i], i == 1);
        vcp_pool *pool;
        vcp_conn *conn = borrow_by(&options, &u, &pool);
        CHECK_EQ(option(vcp_conn_raw_fd(conn), SOL_SOCKET, SO_KEEPALIVE), 0);
        give_back(conn);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        server_close(&u);
    }
}

TEST(socket_options_of_the_borrower_stay, "sockets: Socket options that the borrower changed stay")
{
    server s = tcp_server();
    vcp_pool *pool;
    vcp_conn *conn = borrow_by(NULL, &s, &pool);
    int off = 0;
    CHECK_EQ(setsockopt(vcp_conn_raw_fd(conn), IPPROTO_TCP, TCP_NODELAY, &off, sizeof off), 0);
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(option(vcp_conn_raw_fd(conn), IPPROTO_TCP, TCP_NODELAY), 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * IP_BIND_ADDRESS_NO_PORT (ip(7)): connect chooses the port, so that many sockets can share one
 * local address.
 */
static void expect_bound(const server *s, const char *local, const char *wanted,
                         int port_is_left_to_connect)
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    char text[160];
    options.local_address = local;
    conn = borrow_by(&options, s, &pool);
    CHECK(vcp_conn_local_address(conn, text, sizeof text) > 0);
    CHECK_EQ(strncmp(text, wanted, strlen(wanted)), 0);
    if (s->family != AF_UNIX)
        CHECK_EQ(option(vcp_conn_raw_fd(conn), IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT),
                 port_is_left_to_connect);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_local_ip_is_bound,
     "sockets: local_address: an ip; the port is left to connect (IP_BIND_ADDRESS_NO_PORT)")
{
    server s4 = tcp_server();
    server s6 = tcp6_server();
    server d = udp_server();
    expect_bound(&s4, "127.0.0.2", "127.0.0.2:", 1);
    expect_bound(&s6, "::1", "[::1]:", 1);
    expect_bound(&d, "127.0.0.3", "127.0.0.3:", 1);
    server_close(&s4);
    server_close(&s6);
    server_close(&d);
}

TEST(a_local_ip_and_port_is_bound,
     "sockets: local_address: an ip:port; without IP_BIND_ADDRESS_NO_PORT")
{
    server s = tcp_server();
    server free_port = refusing_server();
    char local[64];
    snprintf(local, sizeof local, "127.0.0.2:%d", free_port.port);
    expect_bound(&s, local, local, 0);
    server_close(&s);
}

TEST(a_local_unix_path_is_bound, "sockets: local_address: a unix path or @abstract")
{
    server s = unix_server(SOCK_STREAM, 0);
    server g = unix_server(SOCK_DGRAM, 0);
    char local[160];
    snprintf(local, sizeof local, "%s.client", s.path);
    expect_bound(&s, local, local, 0);
    unlink(local);
    snprintf(local, sizeof local, "@vcp-client-%d", (int)getpid());
    expect_bound(&g, local, local, 0);
    server_close(&s);
    server_close(&g);
}

TEST(a_local_address_of_another_family_leaves_nothing_to_dial,
     "sockets: local_address: addresses of another family are skipped, none left is CONNECT")
{
    server s4 = tcp_server();
    server s6 = tcp6_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.local_address = "127.0.0.1";
    pool = pool_new(&options);
    CHECK_EQ(vcp_dial(pool, s6.network, s6.address, &conn), VCP_ERR_CONNECT);
    CHECK(vcp_dial(pool, s4.network, s4.address, &conn) >= 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s4);
    server_close(&s6);
}

TEST(a_local_address_that_is_not_here_is_a_connect_error,
     "sockets: local_address that cannot be bound is CONNECT with its errno")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.local_address = "192.0.2.77";
    pool = pool_new(&options);
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), EADDRNOTAVAIL);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
