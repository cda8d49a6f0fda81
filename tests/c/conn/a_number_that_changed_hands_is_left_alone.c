/*
 * A driver may close the descriptor that it was lent (ldap_unbind, redisFree, fclose), and the
 * number becomes another file's. Before the pool really closes a descriptor it looks whether the
 * number still is its own socket. Contract section 4.
 */
#include "completions.h"

/* The program's own file, under the number that the driver has closed. */
static int takes_over(int number)
{
    int own[2];
    CHECK_EQ(close(number), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, own), 0);
    CHECK_EQ(own[0], number);
    return own[1];
}

/* The file is open and was not shut down: it still carries a byte both ways. */
static void check_works(int number, int other)
{
    char byte;
    CHECK_EQ(send(number, "a", 1, MSG_NOSIGNAL), 1);
    CHECK_EQ(recv(other, &byte, 1, MSG_DONTWAIT), 1);
    CHECK_EQ(send(other, "b", 1, MSG_NOSIGNAL), 1);
    CHECK_EQ(recv(number, &byte, 1, MSG_DONTWAIT), 1);
    CHECK(!is_nonblocking(number));
    close(number);
    close(other);
}

/* What the observer was told of the last connection that was closed. */
static struct {
    int closed;
    int reason;
    int freed_before;
    int was_open;
    int freed;
    int number; /* for free_data to close, or -1 */
    int other;
} told;

static void sees(void *user, const vcp_event *event)
{
    (void)user;
    if (event->kind == VCP_EVENT_CLOSED) {
        told.reason = event->reason;
        told.freed_before = told.freed;
        told.was_open = is_open(event->fd);
        __sync_add_and_fetch(&told.closed, 1);
    }
}

static int reads(int *of)
{
    return __sync_add_and_fetch(of, 0);
}

static vcp_pool *observed_pool(vcp_pool_options *options)
{
    memset(&told, 0, sizeof told);
    told.number = -1;
    options->on_event = sees;
    return pool_new(options);
}

static void frees(void *data)
{
    (void)data;
    if (told.number >= 0) {
        told.other = takes_over(told.number);
    }
    __sync_add_and_fetch(&told.freed, 1);
}

static void check_foreign(vcp_pool *pool)
{
    vcp_stats stats;
    EVENTUALLY(reads(&told.closed) == 1, 5000);
    CHECK_EQ(told.reason, VCP_CLOSE_FOREIGN_FD);
    EVENTUALLY(stats_of(pool).closed_foreign_fd == 1, 5000);
    stats = stats_of(pool);
    CHECK_EQ(endings(&stats), 1);
    CHECK_STATS_ADD_UP(pool);
}

TEST(a_discarded_connection_whose_number_is_anothers_is_forgotten,
     "closing: A number that the borrower closed and that another file has is left alone at the "
     "give-back: FOREIGN_FD")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool = observed_pool(&options);
    vcp_conn *conn = borrow(pool, &s);
    int number = vcp_conn_raw_fd(conn);
    int other = takes_over(number);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    check_foreign(pool);
    check_works(number, other);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(an_idle_connection_whose_number_is_anothers_is_forgotten_when_it_expires,
     "closing: An idle connection that expires leaves a number alone that is another file's")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int number, other;
    vcp_conn *conn;
    options.idle_timeout_ms = 50;
    options.liveness = VCP_LIVENESS_WATCH;
    pool = observed_pool(&options);
    conn = borrow(pool, &s);
    number = vcp_conn_raw_fd(conn);
    give_back(conn);
    other = takes_over(number);
    check_foreign(pool);
    check_works(number, other);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static int closes_idle(vcp_pool *pool, const server *s)
{
    (void)s;
    return vcp_pool_close_idle(pool);
}

static int evicts(vcp_pool *pool, const server *s)
{
    return vcp_pool_evict(pool, s->network, s->address);
}

TEST(what_is_closed_while_idle_leaves_the_numbers_of_others_alone,
     "closing: close_idle and evict leave a number alone that is another file's")
{
    int (*const ways[])(vcp_pool *, const server *) = {closes_idle, evicts};
    int i;
    for (i = 0; i < 2; i++) {
        server s = tcp_server();
        vcp_pool_options options = pool_options();
        vcp_pool *pool;
        vcp_conn *conn;
        int number, other;
        options.liveness = VCP_LIVENESS_WATCH;
        pool = observed_pool(&options);
        conn = borrow(pool, &s);
        number = vcp_conn_raw_fd(conn);
        give_back(conn);
        other = takes_over(number);
        CHECK_EQ(ways[i](pool, &s), VCP_OK);
        check_foreign(pool);
        check_works(number, other);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        server_close(&s);
    }
}

TEST(
    a_connection_without_room_leaves_the_numbers_of_others_alone,
    "closing: A connection that is not kept for want of room leaves a number alone that is another "
    "file's")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int number, other;
    options.max_idle_per_address = 0;
    options.liveness = VCP_LIVENESS_WATCH;
    pool = observed_pool(&options);
    conn = borrow(pool, &s);
    number = vcp_conn_raw_fd(conn);
    other = takes_over(number);
    give_back(conn);
    check_foreign(pool);
    check_works(number, other);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_pool_that_closes_leaves_the_numbers_of_others_alone,
     "closing: A pool that is closed leaves a number alone that is another file's")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool = observed_pool(&options);
    vcp_conn *conn = borrow(pool, &s);
    int number = vcp_conn_raw_fd(conn);
    int other;
    give_back(conn);
    other = takes_over(number);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(told.reason, VCP_CLOSE_FOREIGN_FD);
    check_works(number, other);
    server_close(&s);
}

TEST(free_data_may_close_the_descriptor,
     "closing: free_data runs before the pool looks at the number: it may have closed it")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool = observed_pool(&options);
    vcp_conn *conn = borrow(pool, &s);
    int number = vcp_conn_raw_fd(conn);
    CHECK_EQ(vcp_conn_set_data(conn, &told, frees), VCP_OK);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    told.number = number;
    give_back(conn);
    check_foreign(pool);
    CHECK_EQ(told.freed_before, 1);
    check_works(number, told.other);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(closed_is_told_after_free_data_while_the_descriptor_is_open,
     "closing: CLOSED is told after free_data, while the pool's descriptor is still open")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool = observed_pool(&options);
    vcp_conn *conn = borrow(pool, &s);
    int number = vcp_conn_raw_fd(conn);
    CHECK_EQ(vcp_conn_set_data(conn, &told, frees), VCP_OK);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(told.closed, 1);
    CHECK_EQ(told.reason, VCP_CLOSE_DISCARDED);
    CHECK_EQ(told.freed_before, 1);
    CHECK_EQ(told.was_open, 1);
    CHECK(!is_open(number));
    CHECK_EQ(stats_of(pool).closed_discarded, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_data_of_a_number_that_is_anothers_is_freed_without_a_touch,
     "closing: A number that is another's is not put into non-blocking mode for free_data either")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool = observed_pool(&options);
    vcp_conn *conn = borrow(pool, &s);
    int number = vcp_conn_raw_fd(conn);
    int other = takes_over(number);
    CHECK_EQ(vcp_conn_set_data(conn, &told, frees), VCP_OK);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(told.freed, 1);
    check_foreign(pool);
    check_works(number, other);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(an_abort_shuts_down_no_socket_of_others,
     "closing: abort looks too before it shuts a socket down")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool = observed_pool(&options);
    vcp_conn *conn = borrow(pool, &s);
    int number = vcp_conn_raw_fd(conn);
    int other = takes_over(number);
    CHECK_EQ(vcp_pool_abort(pool), VCP_OK);
    give_back(conn);
    check_foreign(pool);
    check_works(number, other);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* As an adapter does whose login has failed: its driver frees what it was lent. */
static int closes_and_refuses(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    told.number = fd;
    told.other = takes_over(fd);
    return 1;
}

TEST(an_on_open_that_refuses_may_close_the_descriptor,
     "closing: An on_open that refuses may have closed the descriptor")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.on_open = closes_and_refuses;
    pool = observed_pool(&options);
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &conn), VCP_ERR_CALLBACK);
    CHECK_EQ(told.closed, 0);
    check_works(told.number, told.other);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
