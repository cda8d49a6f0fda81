/* A program's pointer on a connection, and when its destructor runs. Contract section 6. */
#include "child_processes.h"

typedef struct {
    int fd;
    int freed;
    int fd_was_open;
    int was_nonblocking;
    pthread_t by;
} cargo;

static void free_cargo(void *data)
{
    cargo *c = (cargo *)data;
    int flags = fcntl(c->fd, F_GETFL);
    c->by = pthread_self();
    c->fd_was_open = flags >= 0;
    c->was_nonblocking = flags >= 0 && (flags & O_NONBLOCK) != 0;
    __sync_add_and_fetch(&c->freed, 1);
}

static int freed(cargo *c)
{
    return __sync_add_and_fetch(&c->freed, 0);
}

static vcp_conn *borrow_with(vcp_pool *pool, const server *s, cargo *c)
{
    vcp_conn *conn = borrow(pool, s);
    memset(c, 0, sizeof *c);
    c->fd = vcp_conn_raw_fd(conn);
    CHECK_EQ(vcp_conn_set_data(conn, c, free_cargo), VCP_OK);
    return conn;
}

static void expect_freed_at_close(cargo *c)
{
    CHECK_EQ(freed(c), 1);
    CHECK(c->fd_was_open);
    CHECK(c->was_nonblocking);
    CHECK(pthread_equal(c->by, pthread_self()));
}

TEST(data_rides_through_idle_periods,
     "user data: User data rides on the connection through idle periods")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    cargo c;
    vcp_conn *conn = borrow_with(pool, &s, &c);
    int round;
    CHECK(vcp_conn_data(conn) == &c);
    for (round = 0; round < 5; round++) {
        give_back(conn);
        CHECK_EQ(freed(&c), 0);
        conn = borrow(pool, &s);
        CHECK(vcp_conn_data(conn) == &c);
    }
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    expect_freed_at_close(&c);
    server_close(&s);
}

TEST(a_connection_has_no_data_at_first,
     "user data: vcp_conn_data is NULL at first, and for a closed handle")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    CHECK(vcp_conn_data(conn) == NULL);
    give_back(conn);
    CHECK(vcp_conn_data(conn) == NULL);
    FIXTURE_END(&f);
}

TEST(data_is_freed_when_a_discarded_one_closes,
     "user data: free_data runs once at a discarding close: fd open, non-blocking, on the closing "
     "thread")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    cargo c;
    vcp_conn *conn = borrow_with(pool, &s, &c);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    CHECK_EQ(freed(&c), 0);
    give_back(conn);
    expect_freed_at_close(&c);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(freed(&c), 1);
    server_close(&s);
}

TEST(data_is_freed_when_the_shelf_is_full,
     "user data: free_data runs when there is no room to keep it")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    cargo c;
    options.max_idle_per_address = 0;
    pool = pool_new(&options);
    give_back(borrow_with(pool, &s, &c));
    expect_freed_at_close(&c);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(freed(&c), 1);
    server_close(&s);
}

TEST(data_is_freed_by_close_idle, "user data: free_data runs in close_idle")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    cargo c;
    give_back(borrow_with(pool, &s, &c));
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    expect_freed_at_close(&c);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(freed(&c), 1);
    server_close(&s);
}

TEST(data_is_freed_when_room_is_made,
     "user data: free_data runs when the connection is closed to make room")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    cargo c;
    vcp_conn *conn;
    options.max_conns = 1;
    pool = pool_new(&options);
    give_back(borrow_with(pool, &a, &c));
    conn = borrow(pool, &b);
    expect_freed_at_close(&c);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

TEST(data_of_a_borrowed_one_outlives_its_pool,
     "user data: User data of a borrowed connection outlives its pool, and is freed at the "
     "give-back")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    cargo c;
    vcp_conn *conn = borrow_with(pool, &s, &c);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(freed(&c), 0);
    CHECK(vcp_conn_data(conn) == &c);
    give_back(conn);
    expect_freed_at_close(&c);
    server_close(&s);
}

TEST(background_work_frees_on_a_thread_of_the_library,
     "user data: What the watch closes is freed on a helper thread of the library")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    cargo c;
    give_back(borrow_with(pool, &s, &c));
    close(server_accept(&s));
    EVENTUALLY(freed(&c) == 1, 1000 + LATENESS_MS);
    CHECK(!pthread_equal(c.by, pthread_self()));
    CHECK(c.fd_was_open);
    CHECK(c.was_nonblocking);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(freed(&c), 1);
    server_close(&s);
}

TEST(data_is_not_freed_after_detach, "user data: free_data does not run after detach")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    cargo c;
    vcp_conn *conn = borrow_with(pool, &s, &c);
    int fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    CHECK(vcp_conn_data(conn) == NULL);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(fd);
    CHECK_EQ(freed(&c), 0);
    server_close(&s);
}

TEST(setting_it_again_frees_what_was_there,
     "user data: Setting it again, NULL too, frees what was there")
{
    fixture f = fixture_new(NULL);
    cargo first;
    cargo second;
    vcp_conn *conn = borrow_with(f.pool, &f.s, &first);
    second = first;
    CHECK_EQ(vcp_conn_set_data(conn, &second, free_cargo), VCP_OK);
    CHECK_EQ(freed(&first), 1);
    CHECK_EQ(freed(&second), 0);
    CHECK(vcp_conn_data(conn) == &second);
    CHECK_EQ(vcp_conn_set_data(conn, NULL, NULL), VCP_OK);
    CHECK_EQ(freed(&second), 1);
    CHECK(vcp_conn_data(conn) == NULL);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(freed(&first), 1);
    CHECK_EQ(freed(&second), 1);
    FIXTURE_END(&f);
}

TEST(setting_the_same_pointer_frees_nothing,
     "user data: Setting the same pointer frees nothing; the new destructor counts")
{
    fixture f = fixture_new(NULL);
    cargo c;
    vcp_conn *conn = borrow_with(f.pool, &f.s, &c);
    CHECK_EQ(vcp_conn_set_data(conn, &c, free_cargo), VCP_OK);
    CHECK_EQ(freed(&c), 0);
    CHECK_EQ(vcp_conn_set_data(conn, &c, NULL), VCP_OK);
    CHECK_EQ(freed(&c), 0);
    CHECK_EQ(vcp_conn_set_data(conn, &c, free_cargo), VCP_OK);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(freed(&c), 1);
    FIXTURE_END(&f);
}

TEST(a_set_data_that_fails_leaves_the_data_yours,
     "user data: A set data that fails leaves the data yours")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    cargo c;
    vcp_conn *conn = borrow(pool, &s);
    memset(&c, 0, sizeof c);
    give_back(conn);
    CHECK_EQ(vcp_conn_set_data(conn, &c, free_cargo), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_conn_set_data(NULL, &c, free_cargo), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(freed(&c), 0);
    server_close(&s);
}

TEST(data_may_come_without_a_destructor, "user data: free_data may be NULL")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int on_the_stack = 7;
    CHECK_EQ(vcp_conn_set_data(conn, &on_the_stack, NULL), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(on_the_stack, 7);
    server_close(&s);
}

static vcp_pool *called_from;
static int64_t seen_inside;

static void calls_the_library(void *data)
{
    (void)data;
    seen_inside = vcp_pool_conn_count(called_from);
    CHECK_EQ(vcp_pool_close_idle(called_from), VCP_OK);
}

TEST(a_destructor_may_call_the_library,
     "user data: free_data may call vcp_ functions: no lock is held")
{
    server s = tcp_server();
    vcp_conn *conn;
    called_from = pool_new(NULL);
    conn = borrow(called_from, &s);
    seen_inside = -1;
    CHECK_EQ(vcp_conn_set_data(conn, &s, calls_the_library), VCP_OK);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_BETWEEN(seen_inside, 0, 1);
    CHECK_EQ(vcp_pool_conn_count(called_from), 0);
    CHECK_EQ(vcp_pool_close(called_from), VCP_OK);
    server_close(&s);
}

/* Two threads close one handle at once: one does, the other is told so, and the data goes once. */
static void *closes(void *conn)
{
    return (void *)(intptr_t)vcp_conn_close((vcp_conn *)conn);
}

TEST(two_closes_at_once_free_once,
     "user data: Two closes of one handle at once: one OK, one CONN_CLOSED, one free")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int round;
    options.max_idle_per_address = 0;
    pool = pool_new(&options);
    for (round = 0; round < 200; round++) {
        cargo c;
        vcp_conn *conn = borrow_with(pool, &s, &c);
        pthread_t thread;
        void *theirs;
        int mine;
        CHECK_EQ(pthread_create(&thread, NULL, closes, conn), 0);
        mine = vcp_conn_close(conn);
        CHECK_EQ(pthread_join(thread, &theirs), 0);
        CHECK((mine == VCP_OK) != ((intptr_t)theirs == VCP_OK));
        CHECK_EQ((intptr_t)theirs + mine, VCP_ERR_CONN_CLOSED);
        CHECK_EQ(freed(&c), 1);
        close(server_accept(&s));
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* One way for a connection to go; `c` rides on it. */
typedef struct {
    const char *name;
    void (*options)(vcp_pool_options *options);
    /* `conn` is borrowed and `peer` its other end; NULL once it has been given back. */
    void (*goes)(vcp_pool *pool, vcp_conn *conn, int peer);
} ending;

static void short_idle(vcp_pool_options *options)
{
    options->idle_timeout_ms = 50;
}

static void short_life(vcp_pool_options *options)
{
    options->max_lifetime_ms = 50;
    options->lifetime_jitter_percent = 0;
}

static void one_use(vcp_pool_options *options)
{
    options->max_uses = 1;
}

static void nothing_kept(vcp_pool_options *options)
{
    options->max_idle_per_address = 0;
}

static void given_back(vcp_pool *pool, vcp_conn *conn, int peer)
{
    (void)pool;
    (void)peer;
    give_back(conn);
}

static void discarded(vcp_pool *pool, vcp_conn *conn, int peer)
{
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    given_back(pool, conn, peer);
}

static void evicted_while_idle(vcp_pool *pool, vcp_conn *conn, int peer)
{
    given_back(pool, conn, peer);
    CHECK_EQ(vcp_pool_evict(pool, NULL, NULL), VCP_OK);
}

static void evicted_while_borrowed(vcp_pool *pool, vcp_conn *conn, int peer)
{
    CHECK_EQ(vcp_pool_evict(pool, NULL, NULL), VCP_OK);
    given_back(pool, conn, peer);
}

static void hung_up_while_idle(vcp_pool *pool, vcp_conn *conn, int peer)
{
    given_back(pool, conn, peer);
    CHECK_EQ(shutdown(peer, SHUT_RDWR), 0);
}

static void hung_up_while_borrowed(vcp_pool *pool, vcp_conn *conn, int peer)
{
    char byte;
    CHECK_EQ(shutdown(peer, SHUT_RDWR), 0);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 0);
    given_back(pool, conn, peer);
}

static void dirty_while_idle(vcp_pool *pool, vcp_conn *conn, int peer)
{
    given_back(pool, conn, peer);
    CHECK_EQ(send(peer, "dirt", 4, MSG_NOSIGNAL), 4);
}

static void aborted(vcp_pool *pool, vcp_conn *conn, int peer)
{
    CHECK_EQ(vcp_pool_abort(pool), VCP_OK);
    given_back(pool, conn, peer);
}

static void drained(vcp_pool *pool, vcp_conn *conn, int peer)
{
    given_back(pool, conn, peer);
    CHECK_EQ(vcp_pool_drain(pool, -1), 0);
}

static void closed_while_idle(vcp_pool *pool, vcp_conn *conn, int peer)
{
    given_back(pool, conn, peer);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static void closed_while_borrowed(vcp_pool *pool, vcp_conn *conn, int peer)
{
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    given_back(pool, conn, peer);
}

TEST(whichever_way_it_goes_data_is_freed_once_before_the_descriptor,
     "user data: Discarded, idle too long, too old, used up, no room, evicted, closed by the "
     "peer, dirty, aborted, drained, pool closed: free_data runs once, while the descriptor is "
     "open")
{
    static const ending ways[] = {
        {"discarded", NULL, discarded},
        {"idle for too long", short_idle, given_back},
        {"too old", short_life, given_back},
        {"used up", one_use, given_back},
        {"no room", nothing_kept, given_back},
        {"evicted while idle", NULL, evicted_while_idle},
        {"evicted while borrowed", NULL, evicted_while_borrowed},
        {"closed by the peer while idle", NULL, hung_up_while_idle},
        {"closed by the peer while borrowed", NULL, hung_up_while_borrowed},
        {"dirty", NULL, dirty_while_idle},
        {"aborted", NULL, aborted},
        {"drained", NULL, drained},
        {"its pool closed while idle", NULL, closed_while_idle},
        {"its pool closed while borrowed", NULL, closed_while_borrowed},
    };
    size_t i;
    for (i = 0; i < sizeof ways / sizeof ways[0]; i++) {
        server s = tcp_server();
        vcp_pool_options options = pool_options();
        vcp_pool *pool;
        vcp_conn *conn;
        cargo c;
        int peer;
        int status;
        printf("  %s\n", ways[i].name);
        fflush(stdout);
        if (ways[i].options != NULL) {
            ways[i].options(&options);
        }
        pool = pool_new(&options);
        conn = borrow_with(pool, &s, &c);
        peer = server_accept(&s);
        ways[i].goes(pool, conn, peer);
        EVENTUALLY(freed(&c) == 1, 5000);
        CHECK(c.fd_was_open);
        CHECK(c.was_nonblocking);
        EVENTUALLY(peer_sees_end(peer), 5000);
        status = vcp_pool_close(pool);
        CHECK(status == VCP_OK || status == VCP_ERR_POOL_CLOSED);
        CHECK_EQ(freed(&c), 1);
        close(peer);
        server_close(&s);
    }
}

TEST(data_is_never_freed_in_a_child, "user data: free_data never runs in a child")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    cargo idle, out;
    vcp_conn *conn = borrow_with(pool, &s, &idle);
    vcp_conn *borrowed = borrow_with(pool, &s, &out);
    pid_t child;
    int status;
    give_back(conn);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
        CHECK_EQ(vcp_conn_close(borrowed), VCP_ERR_CONN_CLOSED);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        CHECK_EQ(freed(&idle) + freed(&out), 0);
        child_ends();
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    CHECK_EQ(freed(&idle) + freed(&out), 0);
    give_back(borrowed);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(freed(&idle), 1);
    CHECK_EQ(freed(&out), 1);
    server_close(&s);
}
