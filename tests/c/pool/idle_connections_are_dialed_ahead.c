/*
 * min_idle_per_address: kept up in the background for destinations lately borrowed. Contract
 * section 4.
 */
#include "completions.h"

/* The pause after a first failure. */
#define FIRST_PAUSE_MS 1000

static vcp_pool_options keeping(uint32_t idle)
{
    vcp_pool_options options = pool_options();
    options.min_idle_per_address = idle;
    return options;
}

TEST(so_many_are_idle_after_a_borrow,
     "min_idle: min_idle_per_address: so many are idle soon after a borrow")
{
    server s = tcp_server();
    vcp_pool_options options = keeping(3);
    vcp_pool *pool = pool_new(&options);
    vcp_conn *conn[3];
    int i;
    STAYS(stats_of(pool).dials == 0, 100);
    conn[0] = borrow(pool, &s);
    EVENTUALLY(idle_at(pool, &s) == 3, 2000);
    for (i = 1; i < 3; i++) {
        conn[i] = borrow(pool, &s);
        CHECK_EQ(vcp_conn_is_reused(conn[i]), 1);
        CHECK_EQ(vcp_conn_uses(conn[i]), 1);
    }
    EVENTUALLY(idle_at(pool, &s) == 3, 2000);
    STAYS(idle_at(pool, &s) == 3 && stats_of(pool).borrowed == 3, 100);
    for (i = 0; i < 3; i++) {
        give_back(conn[i]);
    }
    CHECK_EQ(idle_at(pool, &s), 6);
    STAYS(stats_of(pool).dials == 6, 100);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* The peer closes what is idle: it is dialed anew, without any borrow. */
TEST(what_dies_while_idle_is_replaced,
     "min_idle: min_idle_per_address: what dies or is evicted while idle is replaced")
{
    server s = tcp_server();
    vcp_pool_options options = keeping(1);
    vcp_pool *pool = pool_new(&options);
    int round;
    give_back(borrow(pool, &s));
    for (round = 0; round < 3; round++) {
        close(server_accept(&s));
        EVENTUALLY(stats_of(pool).closed_while_idle == (uint64_t)round + 1, 2000);
        EVENTUALLY(idle_at(pool, &s) == 1, 2000);
    }
    CHECK_EQ(vcp_pool_evict(pool, s.network, s.address), VCP_OK);
    EVENTUALLY(idle_at(pool, &s) == 1, 2000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_destination_that_was_not_borrowed_lately_is_left_alone,
     "min_idle: min_idle_per_address: only for destinations borrowed within the last "
     "idle_timeout_ms")
{
    server s = tcp_server();
    vcp_pool_options options = keeping(2);
    vcp_pool *pool;
    uint64_t dials;
    options.idle_timeout_ms = 300;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    EVENTUALLY(idle_at(pool, &s) == 2, 2000);
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, 3000);
    dials = stats_of(pool).dials;
    STAYS(stats_of(pool).dials == dials && vcp_pool_conn_count(pool) == 0, 500);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* What was only warmed or put was not borrowed. */
TEST(what_was_never_borrowed_is_not_kept_up,
     "min_idle: min_idle_per_address: what was only warmed or put was not borrowed")
{
    server s = tcp_server();
    vcp_pool_options options = keeping(3);
    vcp_pool *pool = pool_new(&options);
    CHECK_EQ(vcp_pool_warm(pool, s.network, s.address, NULL, 1), 1);
    STAYS(idle_at(pool, &s) == 1 && stats_of(pool).dials == 1, 200);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(no_limit_is_passed_for_it,
     "min_idle: min_idle_per_address: no limit is passed and nothing is closed for it")
{
    server s = tcp_server();
    server other = tcp_server();
    vcp_pool_options options = keeping(5);
    vcp_pool *pool;
    vcp_conn *conn;
    options.max_conns = 3;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    EVENTUALLY(idle_at(pool, &s) == 2, 2000);
    STAYS(vcp_pool_conn_count(pool) == 3 && stats_of(pool).dials == 3, 200);
    give_back(conn);

    /* Nothing of another destination is closed for it. */
    conn = borrow(pool, &other);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    STAYS(stats_of(pool).closed_evicted == 1 && stats_of(pool).dials == 4, 200);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);

    options = keeping(5);
    options.max_idle_per_address = 2;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    EVENTUALLY(idle_at(pool, &s) == 2, 2000);
    STAYS(idle_at(pool, &s) == 2 && stats_of(pool).dials == 3, 200);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    server_close(&other);
}

typedef struct waiter {
    pthread_t thread;
    vcp_pool *pool;
    const server *s;
} waiter;

static void *waits(void *argument)
{
    waiter *w = (waiter *)argument;
    give_back(borrow(w->pool, w->s));
    return NULL;
}

TEST(nothing_is_dialed_ahead_while_anyone_waits,
     "min_idle: min_idle_per_address: never while anyone waits")
{
    server s = tcp_server();
    server other = tcp_server();
    vcp_pool_options options = keeping(1);
    vcp_pool *pool;
    vcp_conn *held;
    vcp_conn *aside;
    waiter w;
    options.max_conns_per_address = 1;
    options.wait_timeout_ms = -1;
    pool = pool_new(&options);
    held = borrow(pool, &s);
    w.pool = pool;
    w.s = &s;
    CHECK_EQ(pthread_create(&w.thread, NULL, waits, &w), 0);
    EVENTUALLY(stats_of(pool).waiting == 1, 5000);
    aside = borrow(pool, &other);
    STAYS(stats_of(pool).dials == 2, 300);
    CHECK_EQ(vcp_conn_discard(aside), VCP_OK);
    give_back(held);
    CHECK_EQ(pthread_join(w.thread, NULL), 0);
    give_back(aside);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    server_close(&other);
}

/*
 * A destination that fails is tried after 1 s, then 2 s: three attempts in 3 s and a little, and it
 * comes back.
 */
TEST(after_a_failure_it_pauses_longer_each_time,
     "min_idle: min_idle_per_address: pauses of 1 s, 2 s ... after failures")
{
    server s = tcp_server();
    vcp_pool_options options = keeping(1);
    vcp_pool *pool = pool_new(&options);
    int64_t start, first, second;
    uint64_t failures;
    give_back(borrow(pool, &s));
    server_close(&s);
    start = now_ms();
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    EVENTUALLY(stats_of(pool).dial_failures == 1, 2000);
    first = now_ms();
    EVENTUALLY(stats_of(pool).dial_failures == 2, 3 * FIRST_PAUSE_MS);
    second = now_ms();
    CHECK_BETWEEN(second - first, FIRST_PAUSE_MS - LATENESS_MS,
                  at_most(FIRST_PAUSE_MS + LATENESS_MS));
    s = server_on(AF_INET, SOCK_STREAM, s.port, 16);
    EVENTUALLY(idle_at(pool, &s) == 1, 4 * FIRST_PAUSE_MS);
    CHECK_BETWEEN(now_ms() - second, 2 * FIRST_PAUSE_MS - LATENESS_MS,
                  at_most(2 * FIRST_PAUSE_MS + LATENESS_MS));
    failures = stats_of(pool).dial_failures;
    CHECK_EQ(failures, 2);
    CHECK(now_ms() - start >= 3 * FIRST_PAUSE_MS - LATENESS_MS);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static void *hangs_up_at_once(void *argument)
{
    const server *s = (const server *)argument;
    int fd;
    while ((fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        close(fd);
    }
    return NULL;
}

/* Without a borrow no more dials a second than are wanted idle. */
TEST(a_server_that_hangs_up_at_once_is_not_flooded,
     "min_idle: min_idle_per_address: without a borrow no more dials a second than are wanted idle")
{
    server s = tcp_server();
    vcp_pool_options options = keeping(3);
    vcp_pool *pool = pool_new(&options);
    pthread_t thread;
    int64_t start;
    CHECK_EQ(pthread_create(&thread, NULL, hangs_up_at_once, &s), 0);
    start = now_ms();
    give_back(borrow(pool, &s));
    EVENTUALLY(stats_of(pool).dials >= 1 + 2 * 3, 5000);
    CHECK_BETWEEN(now_ms() - start, 1000 - COARSE_MS, at_most(5000));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(shutdown(s.fd, SHUT_RDWR), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    server_close(&s);
}

/* A dial ahead that hangs does not hold up the end of its pool. */
TEST(closing_the_pool_ends_it, "min_idle: min_idle_per_address: closing the pool ends a dial ahead")
{
    server s = tcp_server();
    full_server full = full_server_new();
    vcp_pool_options options = keeping(1);
    vcp_pool *pool;
    vcp_conn *conn;
    int64_t start;
    int fd = client_of(&s);
    pool = pool_new(&options);
    CHECK_EQ(vcp_pool_put(pool, fd, full.s.network, full.s.address, NULL), VCP_OK);
    conn = borrow(pool, &full.s);
    EVENTUALLY(stats_of(pool).dialing == 1, 2000);
    start = now_ms();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_TOOK(start, 0);
    give_back(conn);
    full_server_close(&full);
    server_close(&s);
}

typedef struct {
    const server *s;
    pthread_t borrower;
    int inside;
    int may_go;
} holder;

/* Dials at once for the borrower, and for nobody not until it may. */
static int holds_for_nobody(void *user, const char *network, const char *address,
                            int64_t timeout_ms)
{
    holder *h = (holder *)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    if (pthread_equal(pthread_self(), h->borrower)) {
        return client_of(h->s);
    }
    __sync_add_and_fetch(&h->inside, 1);
    while (__sync_add_and_fetch(&h->may_go, 0) == 0) {
        let_pass(1);
    }
    return -1;
}

static int opens(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    return vcp_conn_raw_fd(conn) != fd;
}

/*
 * Dials for 70 services that hang took all threads, and every asynchronous dial that needs one
 * stood behind them.
 */
TEST(what_is_dialed_ahead_takes_no_thread_from_those_who_wait,
     "min_idle: min_idle_per_address: dials for idle connections take no thread from asynchronous "
     "dials that somebody waits for")
{
    enum { MANY = 70 };
    server s = tcp_server();
    vcp_pool_options options = keeping(1);
    vcp_pool *pool;
    vcp_pool *other;
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conns[MANY];
    holder h;
    int i;
    memset(&h, 0, sizeof h);
    h.s = &s;
    h.borrower = pthread_self();
    options.user = &h;
    options.dial = holds_for_nobody;
    pool = pool_new(&options);
    for (i = 0; i < MANY; i++) {
        char address[64];
        snprintf(address, sizeof address, "service-%d.test:1", i);
        CHECK(vcp_dial(pool, "tcp", address, &conns[i]) >= 0);
    }
    EVENTUALLY(__sync_add_and_fetch(&h.inside, 0) > 0, 5000);
    let_pass(200); /* the others begin, if they may */
    options = pool_options();
    options.on_open = opens;
    other = pool_new(&options);
    dial.timeout_ms = 5000;
    begin_dial(other, &s, &dial, queue, &h);
    give_back(next_conn(queue, &h));
    __sync_add_and_fetch(&h.may_go, 1);
    for (i = 0; i < MANY; i++) {
        give_back(conns[i]);
    }
    CHECK_EQ(vcp_pool_close(other), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
}

TEST(a_destination_that_fails_fast_is_not_dialed_ahead,
     "min_idle: min_idle_per_address: while fail_fast_ms lets no dial begin, nothing is dialed "
     "ahead")
{
    server s = tcp_server();
    vcp_pool_options options = keeping(1);
    vcp_pool *pool;
    options.fail_fast_ms = 60000;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    server_close(&s);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    EVENTUALLY(stats_of(pool).dial_failures == 1, 2000);
    STAYS(stats_of(pool).dial_failures == 1 && vcp_pool_conn_count(pool) == 0, 2 * FIRST_PAUSE_MS);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(very_many_destinations_are_kept_up,
     "min_idle: min_idle_per_address: a hundred destinations that fall short at once are all "
     "dialed ahead")
{
    server s = tcp_server();
    vcp_pool_options options = keeping(1);
    vcp_pool *pool = pool_new(&options);
    vcp_dial_options dial = dial_options(0);
    char tag[16];
    int i;
    dial.reuse_tag = tag;
    for (i = 0; i < 100; i++) {
        vcp_conn *conn = NULL;
        snprintf(tag, sizeof tag, "%d", i);
        CHECK(vcp_dial_with(pool, s.network, s.address, &dial, &conn) >= 0);
        give_back(conn);
    }
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    EVENTUALLY(idle_in(pool) == 100, 5000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
