/*
 * A life of every kind, and the process is as it was: descriptors and threads by /proc/self.
 * Contract sections 2 and 4.
 */
#include "check.h"
#include "child_processes.h"

static int fds_before;
static int threads_before;

static void converse(vcp_pool *pool, server *s)
{
    vcp_conn *conn = borrow(pool, s);
    int round;
    for (round = 0; round < 3; round++) {
        CHECK_EQ(vcp_conn_set_deadline(conn, at_most(5000)), VCP_OK);
        CHECK_ECHO(conn, "to and fro");
        give_back(conn);
        conn = borrow(pool, s);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
    }
    give_back(conn);
}

static void live_on_every_network(void)
{
    server servers[9];
    int count = 0;
    int i;
    vcp_pool *pool = pool_new(NULL);
    servers[count++] = tcp_server();
    servers[count++] = tcp6_server();
    servers[count++] = udp_server();
    servers[count++] = server_on(AF_INET6, SOCK_DGRAM, 0, 0);
    servers[count++] = unix_server(SOCK_STREAM, 0);
    servers[count++] = unix_server(SOCK_STREAM, 1);
    servers[count++] = unix_server(SOCK_DGRAM, 0);
    servers[count++] = unix_server(SOCK_SEQPACKET, 0);
    servers[count++] = unix_server(SOCK_SEQPACKET, 1);
    for (i = 0; i < count; i++) {
        server_start_echo(&servers[i]);
        converse(pool, &servers[i]);
    }
    CHECK_EQ(idle_in(pool), count);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    for (i = 0; i < count; i++) {
        server_close(&servers[i]);
    }
}

static void live_on_raw_ip(void)
{
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    if (geteuid() == 0) {
        CHECK(vcp_dial(pool, "ip4:icmp", "127.0.0.1", &conn) >= 0);
        give_back(conn);
    } else {
        printf("  SKIPPED raw ip: needs root\n");
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static int frees;

static void counts_frees(void *data)
{
    (void)data;
    __sync_add_and_fetch(&frees, 1);
}

static void live_by_every_ending(void)
{
    server s = tcp_server();
    server refusing = refusing_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    vcp_conn *left;
    int fd;
    options.max_idle_per_address = 2;
    pool = pool_new(&options);
    frees = 0;
    /* put, add, get, detach */
    CHECK_EQ(vcp_pool_put(pool, client_of(&s), s.network, s.address, "tag"), VCP_OK);
    CHECK_EQ(vcp_pool_add(pool, client_of(&s)), VCP_OK);
    fd = vcp_pool_get(pool, s.network, s.address, NULL);
    CHECK(fd >= 0);
    close(fd);
    conn = borrow(pool, &s);
    fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    close(fd);
    /* user data: discarded, kept, borrowed past the end */
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_set_data(conn, &s, counts_frees), VCP_OK);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_set_data(conn, &s, counts_frees), VCP_OK);
    left = borrow(pool, &s);
    CHECK_EQ(vcp_conn_set_data(left, &s, counts_frees), VCP_OK);
    give_back(conn);
    /* failures */
    CHECK_EQ(vcp_dial(pool, "tcp", refusing.address, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_dial(pool, "tcp", "no..such:80", &conn), VCP_ERR_RESOLVE);
    CHECK_EQ(vcp_pool_add(pool, s.fd), VCP_ERR_NOT_REUSABLE);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(frees, 2);
    give_back(left);
    CHECK_EQ(frees, 3);
    server_close(&s);
}

static void live_with_a_dead_peer(void)
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    give_back(borrow(pool, &s));
    close(server_accept(&s));
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static void live_with_a_dial_that_hangs(void)
{
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn;
    options.timeout_ms = 30;
    CHECK_EQ(vcp_dial_with(pool, "tcp", full.s.address, &options, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
}

static void live_by_name(void)
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    char name[64];
    snprintf(name, sizeof name, "localhost:%d", s.port);
    CHECK(vcp_dial(pool, "tcp", name, &conn) >= 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(an_empty_pool_leaves_nothing, "leaks: 100 empty pools leave no fd and no thread")
{
    int i;
    for (i = 0; i < 100; i++) {
        CHECK_EQ(vcp_pool_close(pool_new(NULL)), VCP_OK);
    }
    CHECK_BASELINE(fds_before, threads_before);
}

TEST(every_network_leaves_nothing,
     "leaks: A conversation on each network leaves no fd and no thread")
{
    live_on_every_network();
    live_on_raw_ip();
    CHECK_BASELINE(fds_before, threads_before);
}

TEST(every_ending_leaves_nothing,
     "leaks: put, add, get, detach, discard, user data, failures: no fd and no thread left")
{
    live_by_every_ending();
    live_with_a_dead_peer();
    live_with_a_dial_that_hangs();
    live_by_name();
    CHECK_BASELINE(fds_before, threads_before);
}

TEST(the_librarys_threads_and_fds_end_within_five_seconds,
     "leaks: The library's threads and fds end within 5 s of the last pool's end")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    int64_t start;
    give_back(borrow(pool, &s));
    CHECK(threads() > threads_before);
    start = now_ms();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    EVENTUALLY(threads() == threads_before && open_fds() == fds_before, 5000 + LATENESS_MS);
    printf("  after %lld ms\n", (long long)(now_ms() - start));
}

/* They start again when they are needed again. */
TEST(a_life_after_the_end_works_as_the_first,
     "leaks: After the threads ended, the next pool works and its watch too")
{
    int round;
    for (round = 0; round < 2; round++) {
        live_with_a_dead_peer();
        CHECK_BASELINE(fds_before, threads_before);
    }
}

TEST(a_borrowed_connection_keeps_no_thread_once_given_back,
     "leaks: A connection given back after its pool was closed leaves no thread and no fd")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK(is_open(vcp_conn_raw_fd(conn)));
    give_back(conn);
    server_close(&s);
    CHECK_BASELINE(fds_before, threads_before);
}

TEST(the_heap_is_back_at_baseline,
     "leaks: When the last borrowed connection is back all memory is free: 20 lives, the same heap")
{
    int64_t heap;
    int64_t after;
    int round;
    if (slowness() > 1) {
        SKIP("valgrind and sanitizers replace malloc");
    }
    /* Two warm-ups: handle slots and thread-local text stay. */
    for (round = 0; round < 2; round++) {
        live_on_every_network();
        live_by_every_ending();
        live_with_a_dial_that_hangs();
        live_by_name();
    }
    CHECK_BASELINE(fds_before, threads_before);
    heap = heap_bytes();
    for (round = 0; round < 20; round++) {
        live_on_every_network();
        live_by_every_ending();
        live_with_a_dial_that_hangs();
        live_by_name();
    }
    CHECK_BASELINE(fds_before, threads_before);
    after = heap_bytes();
    printf("  heap at rest %lld, then %lld bytes\n", (long long)heap, (long long)after);
    CHECK_BETWEEN(after - heap, -1024, 1024);
}

enum { CROWD = 4, TEXTS = 2000, LIVES = 8 };

typedef struct crowd {
    vcp_pool *pool;
    vcp_pool *other;
    const server *s;
    pthread_barrier_t at_rest;
    int is_over;
} crowd;

static int connects_at_once(void *user, const char *network, const char *address,
                            int64_t timeout_ms)
{
    int ends[2];
    (void)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    close(ends[1]);
    return ends[0];
}

static void dial_many_texts_from(vcp_pool *pool, int first)
{
    int i;
    for (i = first; i < first + TEXTS; i++) {
        char address[32];
        vcp_conn *conn;
        snprintf(address, sizeof address, "10.0.%d.%d:80", i / 256, i % 256);
        CHECK(vcp_dial(pool, "tcp", address, &conn) >= 0);
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        give_back(conn);
    }
}

static void dial_many_texts(vcp_pool *pool)
{
    dial_many_texts_from(pool, 0);
}

/*
 * In each life dials many texts, sleeps while the pool is closed, and dials another one, not the
 * fastest way.
 */
static void *dials_many_texts(void *argument)
{
    crowd *c = (crowd *)argument;
    vcp_dial_options options;
    CHECK_EQ(vcp_dial_options_init(&options, sizeof options), VCP_OK);
    options.flags = VCP_DIAL_FRESH;
    pthread_barrier_wait(&c->at_rest);
    while (!__atomic_load_n(&c->is_over, __ATOMIC_RELAXED)) {
        vcp_conn *conn;
        dial_many_texts(c->pool);
        pthread_barrier_wait(&c->at_rest);
        pthread_barrier_wait(&c->at_rest);
        CHECK(vcp_dial_with(c->other, "tcp", c->s->address, &options, &conn) >= 0);
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        give_back(conn);
        pthread_barrier_wait(&c->at_rest);
        pthread_barrier_wait(&c->at_rest);
    }
    return NULL;
}

/* Borrows and gives back, over and over, while pools of others are closed. */
static void *is_busy_elsewhere(void *argument)
{
    crowd *c = (crowd *)argument;
    while (!__atomic_load_n(&c->is_over, __ATOMIC_RELAXED)) {
        give_back(borrow(c->other, c->s));
    }
    return NULL;
}

TEST(what_threads_remember_of_a_pool_goes_when_they_dial_another_one,
     "leaks: What other threads remember of a closed pool is free when they next dial anything but "
     "the fastest way")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    crowd c;
    pthread_t threads_[CROWD];
    pthread_t busy;
    int64_t heap = 0;
    int life;
    int i;
    if (slowness() > 1) {
        SKIP("valgrind and sanitizers replace malloc");
    }
    options.dial = connects_at_once;
    c.other = pool_new(NULL);
    c.s = &s;
    c.is_over = 0;
    CHECK_EQ(pthread_barrier_init(&c.at_rest, NULL, CROWD + 1), 0);
    for (i = 0; i < CROWD; i++) {
        CHECK_EQ(pthread_create(&threads_[i], NULL, dials_many_texts, &c), 0);
    }
    CHECK_EQ(pthread_create(&busy, NULL, is_busy_elsewhere, &c), 0);
    for (life = 0; life < LIVES; life++) {
        int64_t remembered;
        c.pool = pool_new(&options);
        pthread_barrier_wait(&c.at_rest);
        pthread_barrier_wait(&c.at_rest);
        remembered = heap_bytes();
        CHECK_EQ(vcp_pool_close(c.pool), VCP_OK);
        pthread_barrier_wait(&c.at_rest);
        pthread_barrier_wait(&c.at_rest);
        if (life == 0) {
            heap = heap_bytes();
            CHECK(remembered - heap > CROWD * TEXTS * 64);
        }
        CHECK_BETWEEN(heap_bytes() - heap, -(4 << 10), 4 << 10);
    }
    __atomic_store_n(&c.is_over, 1, __ATOMIC_RELAXED);
    pthread_barrier_wait(&c.at_rest);
    for (i = 0; i < CROWD; i++) {
        CHECK_EQ(pthread_join(threads_[i], NULL), 0);
    }
    CHECK_EQ(pthread_join(busy, NULL), 0);
    CHECK_EQ(vcp_pool_close(c.other), VCP_OK);
    pthread_barrier_destroy(&c.at_rest);
    server_close(&s);
    CHECK_BASELINE(fds_before, threads_before);
}

enum { VERY_MANY_TEXTS = 30000, TWO_MEBIBYTES = 2 << 20 };

TEST(what_a_thread_remembers_is_bounded,
     "leaks: What a thread remembers of its last dials is at most 2 MiB")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int64_t heap;
    int i;
    if (slowness() > 1) {
        SKIP("valgrind and sanitizers replace malloc");
    }
    options.dial = connects_at_once;
    pool = pool_new(&options);
    heap = heap_bytes();
    for (i = 0; i < VERY_MANY_TEXTS; i += TEXTS) {
        dial_many_texts_from(pool, i);
    }
    CHECK_BETWEEN(heap_bytes() - heap, TEXTS * 64, TWO_MEBIBYTES);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static void closes_what_it_inherited(void *argument)
{
    int64_t heap = heap_bytes();
    CHECK_EQ(vcp_pool_close((vcp_pool *)argument), VCP_OK);
    CHECK(heap - heap_bytes() > TEXTS * 64);
}

TEST(what_a_child_has_inherited_of_it_goes_too,
     "leaks: In a child too: closing the inherited pool frees what its thread remembered of it")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    if (slowness() > 1) {
        SKIP("valgrind and sanitizers replace malloc");
    }
    options.dial = connects_at_once;
    pool = pool_new(&options);
    dial_many_texts(pool);
    IN_A_CHILD(BY_FORK, closes_what_it_inherited, pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

BEFORE_THE_TESTS(char **argv)
{
    count_heap_exactly(argv);
    fds_before = open_fds();
    threads_before = threads();
}
