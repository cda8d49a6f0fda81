/* What the kernel does in corners that a pool meets sooner or later. */
#include "check.h"

#include <sys/resource.h>

/*
 * A port on which nobody listens may be the one that the socket itself got: TCP connects it to
 * itself.
 */
TEST(a_socket_that_connects_to_itself_is_refused,
     "kernel: A socket that connects to itself is refused, as in Go")
{
    server s = tcp_server();
    vcp_pool_options o = pool_options();
    vcp_conn *conn = NULL;
    vcp_pool *pool;
    int fds;
    char address[160];
    snprintf(address, sizeof address, "%s", s.address);
    server_close(&s);
    o.local_address = address;
    pool = pool_new(&o);
    fds = open_fds();
    CHECK_EQ(vcp_dial(pool, "tcp", address, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
    CHECK_EQ(open_fds(), fds);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/*
 * The engine looks while it is borrowed, a moment before a coarse clock says that its time has
 * come.
 */
TEST(a_connection_given_back_as_its_lifetime_ends_does_not_stay,
     "kernel: What is given back just as its lifetime ends leaves within 1 s")
{
    int round;
    for (round = 0; round < 20; round++) {
        server s = tcp_server();
        vcp_pool_options o = pool_options();
        vcp_conn *one, *other;
        vcp_pool *pool;
        int64_t end;
        o.max_lifetime_ms = 40;
        o.lifetime_jitter_percent = 0;
        o.idle_timeout_ms = 0;
        pool = pool_new(&o);
        one = borrow_fresh(pool, &s);
        other = borrow_fresh(pool, &s);
        end = now_ms() + 40;
        give_back(other);
        while (now_ms() < end) {
        }
        give_back(one);
        EVENTUALLY(idle_in(pool) == 0, 1000);
        CHECK_STATS_ADD_UP(pool);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        server_close(&s);
    }
}

/* unix(7): "@name" is abstract, "./@name" a file; they must not be one destination. */
TEST(a_file_that_begins_with_an_at_sign_is_not_the_abstract_name,
     "kernel: `@name` and the file `./@name` are two destinations")
{
    char directory[] = "/tmp/vcp-at-XXXXXX";
    char before[4096];
    struct sockaddr_un name;
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = NULL;
    int listener, client;
    CHECK(getcwd(before, sizeof before) != NULL);
    CHECK(mkdtemp(directory) != NULL);
    CHECK_EQ(chdir(directory), 0);
    listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    strcpy(name.sun_path, "@file");
    CHECK_EQ(bind(listener, (struct sockaddr *)&name, sizeof name), 0);
    CHECK_EQ(listen(listener, 4), 0);
    client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    CHECK_EQ(connect(client, (struct sockaddr *)&name, sizeof name), 0);
    CHECK_EQ(vcp_pool_add(pool, client), VCP_OK);
    CHECK_EQ(vcp_pool_idle_count(pool, "unix", "@file"), 0);
    CHECK_EQ(vcp_pool_idle_count(pool, "unix", "./@file"), 1);
    CHECK_EQ(vcp_dial(pool, "unix", "@file", &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_dial(pool, "unix", "./@file", &conn), client);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(listener);
    CHECK_EQ(unlink("@file"), 0);
    CHECK_EQ(chdir(before), 0);
    CHECK_EQ(rmdir(directory), 0);
}

/* Two abstract names that are no text would look the same. */
TEST(a_peer_whose_name_is_no_text_is_not_added,
     "kernel: add of a socket whose peer's name is no text is refused")
{
    struct sockaddr_un name;
    socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 3);
    vcp_pool *pool = pool_new(NULL);
    int listener = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    name.sun_path[1] = (char)0xfe;
    name.sun_path[2] = (char)0xff;
    CHECK_EQ(bind(listener, (struct sockaddr *)&name, length), 0);
    CHECK_EQ(listen(listener, 4), 0);
    CHECK_EQ(connect(client, (struct sockaddr *)&name, length), 0);
    CHECK_EQ(vcp_pool_add(pool, client), VCP_ERR_NOT_REUSABLE);
    CHECK_EQ(vcp_pool_put(pool, client, "unix", "@named", NULL), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(listener);
}

/*
 * close(2) waits for the peer when SO_LINGER is on (socket(7)); the one watch of all pools must
 * not.
 */
TEST(a_lingering_close_holds_nobody_up,
     "kernel: A close that lingers does not stop the watch of other pools")
{
    server s = tcp_server();
    vcp_pool_options o = pool_options();
    vcp_pool *slow, *other;
    vcp_conn *conn;
    struct linger linger = {1, 3};
    static char much[1 << 20];
    int fd, peer, dead;
    int64_t start;
    o.idle_timeout_ms = 100;
    slow = pool_new(&o);
    other = pool_new(NULL);
    fd = vcp_dial(slow, s.network, s.address, &conn);
    CHECK(fd >= 0);
    peer = server_accept(&s);
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof linger), 0);
    while (vcp_conn_try_write(conn, much, sizeof much) > 0) {
    }
    give_back(conn);
    conn = borrow(other, &s);
    dead = server_accept(&s);
    give_back(conn);
    EVENTUALLY(idle_in(slow) == 0, 1100);
    start = now_ms();
    close(dead);
    EVENTUALLY(idle_in(other) == 0, 1000);
    CHECK_BETWEEN(now_ms() - start, 0, at_most(1000));
    close(peer);
    CHECK_EQ(vcp_pool_close(slow), VCP_OK);
    CHECK_EQ(vcp_pool_close(other), VCP_OK);
    server_close(&s);
}

TEST(an_explicit_mode_is_set_whatever_the_last_borrower_did,
     "kernel: BLOCKING and NONBLOCKING set the mode at the borrow, whatever it was")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int fd = vcp_conn_raw_fd(conn);
    CHECK_EQ(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) | O_NONBLOCK), 0);
    give_back(conn);
    CHECK_EQ(dial_flags(f.pool, &f.s, VCP_DIAL_BLOCKING, &conn), fd);
    CHECK_EQ(is_nonblocking(fd), 0);
    CHECK_EQ(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK), 0);
    give_back(conn);
    CHECK_EQ(dial_flags(f.pool, &f.s, VCP_DIAL_NONBLOCKING, &conn), fd);
    CHECK_EQ(is_nonblocking(fd), 1);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(dialing_the_unspecified_address_tells_the_peers,
     "kernel: remote_address is the peer's, also when 0.0.0.0 was dialed")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = NULL;
    char address[64], remote[64];
    snprintf(address, sizeof address, "0.0.0.0:%d", f.s.port);
    CHECK(vcp_dial(f.pool, "tcp", address, &conn) >= 0);
    CHECK(vcp_conn_remote_address(conn, remote, sizeof remote) > 0);
    CHECK_STR(remote, f.s.address);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(raw_ipv6_can_be_bound_to_an_address, "kernel: local_address works for raw IPv6")
{
    vcp_pool_options o = pool_options();
    vcp_pool *pool;
    vcp_conn *conn = NULL;
    if (geteuid() != 0) {
        SKIP("raw sockets need root");
    }
    o.local_address = "::1";
    pool = pool_new(&o);
    CHECK(vcp_dial(pool, "ip6:58", "::1", &conn) >= 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/*
 * A program that closes a pooled descriptor itself and opens another one must not have two
 * borrowers of one number.
 */
TEST(a_number_that_came_back_as_another_connection_is_left_to_it,
     "kernel: A descriptor number that belongs to another connection by now is left alone")
{
    fixture f = fixture_new(NULL);
    vcp_conn *first = borrow_fresh(f.pool, &f.s), *second;
    int fd = vcp_conn_raw_fd(first);
    close(fd);
    second = borrow_fresh(f.pool, &f.s);
    CHECK_EQ(vcp_conn_raw_fd(second), fd);
    /* Not before: its accept would take the number that was just freed. */
    server_start_echo(&f.s);
    give_back(first);
    CHECK_EQ(idle_in(f.pool), 0);
    CHECK_EQ(stats_of(f.pool).closed_foreign_fd, 1);
    CHECK_ECHO(second, "untouched");
    give_back(second);
    CHECK_EQ(idle_in(f.pool), 1);
    FIXTURE_END(&f);
}

/* With no descriptor left a read that has to wait takes one from the longest idle connection. */
TEST(a_read_that_waits_makes_room_when_descriptors_run_out,
     "kernel: EMFILE: the longest idle connection is closed, then tried once more (a read that "
     "waits)")
{
    fixture f = fixture_new(NULL);
    vcp_conn *reader = borrow_fresh(f.pool, &f.s), *idle = borrow_fresh(f.pool, &f.s);
    struct rlimit before, none;
    char byte;
    int fds[64], count = 0;
    give_back(idle);
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = before;
    none.rlim_cur = 64;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    while (count < 64 && (fds[count] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0) {
        count++;
    }
    CHECK_EQ(errno, EMFILE);
    CHECK_EQ(vcp_conn_set_deadline(reader, 50), VCP_OK);
    CHECK_EQ(vcp_conn_read(reader, &byte, 1), VCP_ERR_TIMEOUT);
    CHECK_EQ(idle_in(f.pool), 0);
    CHECK_EQ(stats_of(f.pool).closed_evicted, 1);
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    while (count > 0) {
        close(fds[--count]);
    }
    give_back(reader);
    FIXTURE_END(&f);
}
