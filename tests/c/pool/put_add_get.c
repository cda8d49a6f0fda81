/* Connections that the program made itself, and those that it takes away. Contract section 4. */
#include <linux/netlink.h>

#include "check.h"

static int closed_number(void)
{
    int fd = dup(0);
    CHECK(fd >= 0);
    close(fd);
    return fd;
}

TEST(what_was_put_is_dialed_as_reused,
     "put, add, get: A dial gets what was put, as reused, with one use")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    int fd = client_of(&s);
    CHECK_EQ(vcp_pool_put(pool, fd, "tcp", "db.example:5432", NULL), VCP_OK);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    CHECK_EQ(vcp_pool_idle_count(pool, "tcp", "db.example:5432"), 1);
    CHECK_EQ(vcp_dial(pool, "tcp", "db.example:5432", &conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_idle_count(pool, "tcp", "db.example:5432"), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(!is_open(fd));
    server_close(&s);
}

TEST(put_files_under_its_tag, "put, add, get: put files under its reuse tag")
{
    fixture f = fixture_new(NULL);
    int fd = client_of(&f.s);
    CHECK_EQ(vcp_pool_put(f.pool, fd, f.s.network, f.s.address, "tag"), VCP_OK);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, NULL), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, "tag"), fd);
    close(fd);
    FIXTURE_END(&f);
}

TEST(add_files_under_the_peers_address,
     "put, add, get: add files under the peer's address: tcp, tcp over v6, udp, unix, unixpacket")
{
    server s4 = tcp_server();
    server s6 = tcp6_server();
    server u = unix_server(SOCK_STREAM, 0);
    server a = unix_server(SOCK_SEQPACKET, 1);
    server d = udp_server();
    server *all[5];
    vcp_pool *pool = pool_new(NULL);
    int i;
    all[0] = &s4;
    all[1] = &s6;
    all[2] = &u;
    all[3] = &a;
    all[4] = &d;
    for (i = 0; i < 5; i++) {
        int fd = client_of(all[i]);
        vcp_conn *conn;
        CHECK_EQ(vcp_pool_add(pool, fd), VCP_OK);
        CHECK_EQ(idle_at(pool, all[i]), 1);
        CHECK_EQ(dial_flags(pool, all[i], VCP_DIAL_REUSE_ONLY, &conn), fd);
        give_back(conn);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    for (i = 0; i < 5; i++) {
        server_close(all[i]);
    }
}

TEST(an_accepted_connection_can_be_added, "put, add, get: An accepted connection can be added")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    int client = client_of(&s);
    int accepted = server_accept(&s);
    struct sockaddr_in name;
    socklen_t length = sizeof name;
    char address[64];
    CHECK_EQ(getsockname(client, (struct sockaddr *)&name, &length), 0);
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(name.sin_port));
    CHECK_EQ(vcp_pool_add(pool, accepted), VCP_OK);
    CHECK_EQ(vcp_pool_idle_count(pool, "tcp", address), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(peer_sees_end(client));
    close(client);
    server_close(&s);
}

TEST(add_of_a_peer_without_an_address_is_refused,
     "put, add, get: add of a socket whose peer has no address is NOT_REUSABLE")
{
    int pair[2];
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(vcp_pool_add(pool, pair[0]), VCP_ERR_NOT_REUSABLE);
    CHECK(is_open(pair[0]));
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    close(pair[0]);
    close(pair[1]);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(any_connected_socket_may_be_put_under_any_network,
     "put, add, get: Any connected socket may be put under any network")
{
    int pair[2];
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char byte = 0;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(vcp_pool_put(pool, pair[0], "tcp6", "elsewhere:443", NULL), VCP_OK);
    CHECK_EQ(vcp_dial(pool, "tcp6", "elsewhere:443", &conn), pair[0]);
    CHECK_EQ(vcp_conn_write(conn, "x", 1), 1);
    CHECK_EQ(read(pair[1], &byte, 1), 1);
    CHECK_EQ(byte, 'x');
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(pair[1]);
}

TEST(put_makes_the_fd_close_on_exec, "put, add, get: Every fd is CLOEXEC, what was put too")
{
    int pair[2];
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    CHECK_EQ(fcntl(pair[0], F_GETFD) & FD_CLOEXEC, 0);
    CHECK_EQ(vcp_pool_put(pool, pair[0], "unix", "/x", NULL), VCP_OK);
    CHECK_EQ(fcntl(pair[0], F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(pair[1]);
}

TEST(what_is_handed_out_has_the_pools_mode,
     "put, add, get: What was put comes out in the pool's blocking mode")
{
    int pair[2];
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, pair), 0);
    CHECK_EQ(vcp_pool_put(pool, pair[0], "unix", "/x", NULL), VCP_OK);
    CHECK_EQ(vcp_dial(pool, "unix", "/x", &conn), pair[0]);
    CHECK(!is_nonblocking(pair[0]));
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(pair[1]);
}

/* Refused, and still the program's. */
static void expect_not_reusable(int fd)
{
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(vcp_pool_put(pool, fd, "tcp", "127.0.0.1:1", NULL), VCP_ERR_NOT_REUSABLE);
    CHECK_EQ(vcp_pool_add(pool, fd), VCP_ERR_NOT_REUSABLE);
    CHECK(is_open(fd));
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(stats_of(pool).puts, 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(is_open(fd));
    close(fd);
}

TEST(a_dead_socket_is_not_taken,
     "put, add, get: put and add of a dead socket: NOT_REUSABLE, and it stays the program's")
{
    server s = tcp_server();
    int fd = client_of(&s);
    close(server_accept(&s));
    await_arrival(fd);
    expect_not_reusable(fd);
    fd = client_of(&s);
    close_with_reset(server_accept(&s));
    await_arrival(fd);
    expect_not_reusable(fd);
    server_close(&s);
}

TEST(a_socket_with_unread_bytes_is_not_taken,
     "put, add, get: put and add of a dirty socket: NOT_REUSABLE")
{
    server s = tcp_server();
    int fd = client_of(&s);
    int peer = server_accept(&s);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    await_arrival(fd);
    expect_not_reusable(fd);
    close(peer);
    server_close(&s);
}

TEST(unread_bytes_are_allowed_where_the_pool_allows_them,
     "put, add, get: put and add of a socket with unread bytes, in a pool that allows them: the "
     "borrower finds them")
{
    vcp_pool_options options = pool_options();
    fixture f;
    vcp_conn *conn;
    int fd, peer;
    char byte = 0;
    options.liveness = VCP_LIVENESS_ALLOW_DATA;
    f = fixture_new(&options);
    fd = client_of(&f.s);
    peer = server_accept(&f.s);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    await_arrival(fd);
    CHECK_EQ(vcp_pool_add(f.pool, fd), VCP_OK);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 1);
    CHECK_EQ(byte, 'x');
    give_back(conn);
    close(peer);
    FIXTURE_END(&f);
}

TEST(a_socket_with_a_pending_error_is_not_taken,
     "put, add, get: put of a socket that has a pending error: NOT_REUSABLE, with its errno")
{
    server s = udp_server();
    vcp_pool *pool = pool_new(NULL);
    int fd = client_of(&s);
    server_close(&s);
    CHECK_EQ(send(fd, "x", 1, 0), 1); /* ICMP answers that nobody listens */
    await_arrival(fd);
    CHECK_EQ(vcp_pool_put(pool, fd, "udp", "127.0.0.1:1", NULL), VCP_ERR_NOT_REUSABLE);
    CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
    close(fd);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_socket_that_is_not_connected_is_not_taken,
     "put, add, get: put and add of a socket that is not connected: NOT_REUSABLE")
{
    server s = tcp_server();
    expect_not_reusable(socket(AF_INET, SOCK_STREAM, 0));
    expect_not_reusable(socket(AF_INET, SOCK_DGRAM, 0));
    expect_not_reusable(s.fd);
}

TEST(what_is_no_socket_is_not_taken,
     "put, add, get: put and add of what is no socket: NOT_REUSABLE")
{
    int ends[2];
    CHECK_EQ(pipe(ends), 0);
    expect_not_reusable(ends[0]);
    expect_not_reusable(ends[1]);
    expect_not_reusable(open("/dev/null", O_RDWR));
}

TEST(a_number_that_is_not_open_is_refused,
     "put, add, get: put and add of a number that is not open is an error")
{
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(vcp_pool_put(pool, closed_number(), "tcp", "127.0.0.1:1", NULL), VCP_ERR_NOT_REUSABLE);
    CHECK(vcp_pool_put(pool, -1, "tcp", "127.0.0.1:1", NULL) < 0);
    CHECK(vcp_pool_add(pool, -1) < 0);
    CHECK(vcp_pool_add(pool, INT_MAX) < 0);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(a_number_that_a_pool_has_is_refused,
     "put, add, get: put of a number that a pool has, idle or borrowed: INVALID_ARGUMENT, and "
     "nothing changes")
{
    fixture f = fixture_new(NULL);
    vcp_pool *other = pool_new(NULL);
    int fd = client_of(&f.s);
    vcp_conn *conn;
    CHECK_EQ(vcp_pool_put(f.pool, fd, f.s.network, f.s.address, NULL), VCP_OK);
    CHECK_EQ(vcp_pool_put(f.pool, fd, f.s.network, f.s.address, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_put(other, fd, f.s.network, f.s.address, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_add(other, fd), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_dial(f.pool, f.s.network, f.s.address, &conn), fd);
    CHECK_EQ(vcp_pool_put(f.pool, fd, f.s.network, f.s.address, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 1);
    CHECK_EQ(vcp_pool_conn_count(other), 0);
    CHECK_EQ(vcp_pool_close(other), VCP_OK);
    CHECK(is_open(fd));
    FIXTURE_END(&f);
}

TEST(without_idle_room_put_is_idle_full, "put, add, get: put and add without idle room: IDLE_FULL")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int fd = client_of(&s);
    options.max_idle_per_address = 1;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, NULL), VCP_ERR_IDLE_FULL);
    CHECK_EQ(vcp_pool_add(pool, fd), VCP_ERR_IDLE_FULL);
    CHECK(is_open(fd));
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, "tag"), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    options.max_idle_per_address = 0;
    pool = pool_new(&options);
    fd = client_of(&s);
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, NULL), VCP_ERR_IDLE_FULL);
    CHECK(is_open(fd));
    close(fd);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_closed_pool_takes_nothing,
     "put, add, get: put and add on a closed pool: POOL_CLOSED, and the fd stays the program's")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    int fd = client_of(&s);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, NULL), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_pool_add(pool, fd), VCP_ERR_POOL_CLOSED);
    CHECK(is_open(fd));
    close(fd);
    server_close(&s);
}

TEST(put_judges_its_address,
     "put, add, get: put judges network and address; the fd stays the program's")
{
    fixture f = fixture_new(NULL);
    int fd = client_of(&f.s);
    CHECK_EQ(vcp_pool_put(f.pool, fd, "tcp", "portless", NULL), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_pool_put(f.pool, fd, "tpc", f.s.address, NULL), VCP_ERR_UNKNOWN_NETWORK);
    CHECK_EQ(vcp_pool_put(f.pool, fd, NULL, f.s.address, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_put(f.pool, fd, "tcp", NULL, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK(is_open(fd));
    close(fd);
    FIXTURE_END(&f);
}

TEST(get_gives_the_fd_away,
     "put, add, get: get: the caller owns the fd, the pool no longer counts it")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int peer = server_accept(&s);
    give_back(conn);
    CHECK_EQ(vcp_pool_get(pool, s.network, s.address, NULL), fd);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(stats_of(pool).gets, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(is_open(fd));
    CHECK_EQ(send(fd, "mine", 4, 0), 4);
    CHECK(readable_within(peer, 1000));
    close(fd);
    close(peer);
    server_close(&s);
}

TEST(get_never_dials, "put, add, get: Get never dials")
{
    fixture f = fixture_new(NULL);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, NULL), VCP_ERR_NOT_AVAILABLE);
    CHECK(server_is_quiet(&f.s));
    FIXTURE_END(&f);
}

TEST(get_takes_no_borrowed_one, "put, add, get: get gives no borrowed connection away")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, NULL), VCP_ERR_NOT_AVAILABLE);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(what_was_gotten_comes_back_only_by_put_or_add,
     "put, add, get: What get gave away comes back by put or add")
{
    fixture f = fixture_new(NULL);
    int fd;
    int round;
    give_back(borrow(f.pool, &f.s));
    for (round = 0; round < 10; round++) {
        fd = vcp_pool_get(f.pool, f.s.network, f.s.address, NULL);
        CHECK(fd >= 0);
        CHECK_EQ(idle_in(f.pool), 0);
        if (round % 2 == 0) {
            CHECK_EQ(vcp_pool_add(f.pool, fd), VCP_OK);
        } else {
            CHECK_EQ(vcp_pool_put(f.pool, fd, f.s.network, f.s.address, ""), VCP_OK);
        }
        CHECK_EQ(idle_in(f.pool), 1);
    }
    CHECK_EQ(stats_of(f.pool).gets, 10);
    CHECK_EQ(stats_of(f.pool).puts, 10);
    FIXTURE_END(&f);
}

TEST(get_passes_over_connections_with_user_data,
     "put, add, get: get gives no connection with user data away")
{
    fixture f = fixture_new(NULL);
    vcp_conn *plain = borrow(f.pool, &f.s);
    vcp_conn *loaded = borrow(f.pool, &f.s);
    int fd = vcp_conn_raw_fd(plain);
    CHECK_EQ(vcp_conn_set_data(loaded, &f.s, NULL), VCP_OK);
    give_back(plain);
    give_back(loaded);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, NULL), fd);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, NULL), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(idle_in(f.pool), 1);
    close(fd);
    FIXTURE_END(&f);
}

TEST(get_judges_its_address, "put, add, get: Get judges its address")
{
    vcp_pool *pool = pool_new(NULL);
    CHECK_EQ(vcp_pool_get(pool, "tcp", "portless", NULL), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_pool_get(pool, "tpc", "a:1", NULL), VCP_ERR_UNKNOWN_NETWORK);
    CHECK_EQ(vcp_pool_get(pool, NULL, NULL, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_pool_get(pool, "tcp", "a:1", NULL), VCP_ERR_POOL_CLOSED);
}

TEST(a_detached_fd_is_the_programs,
     "put, add, get: A detached fd is forgotten by the pool and may be added again")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(stats_of(pool).detached, 1);
    CHECK_EQ(vcp_pool_add(pool, fd), VCP_OK);
    CHECK_EQ(vcp_pool_get(pool, s.network, s.address, NULL), fd);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(is_open(fd));
    close(fd);
    server_close(&s);
}

TEST(a_socket_that_no_network_dials_is_not_added,
     "put, add, get: add of a connected socket of a kind that cannot be dialed, as netlink(7), is "
     "NOT_REUSABLE, and the socket stays the program's")
{
    vcp_pool *pool = pool_new(NULL);
    struct sockaddr_nl kernel;
    int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
    memset(&kernel, 0, sizeof kernel);
    kernel.nl_family = AF_NETLINK;
    CHECK(fd >= 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&kernel, sizeof kernel), 0);
    CHECK_EQ(vcp_pool_add(pool, fd), VCP_ERR_NOT_REUSABLE);
    CHECK(is_open(fd));
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    close(fd);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
