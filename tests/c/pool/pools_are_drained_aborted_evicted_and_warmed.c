/* vcp_pool_drain, abort, evict and warm. Contract section 4. */
#include "check.h"

/* A call that waits, on a thread of its own. */
typedef struct call {
    vcp_pool *pool;
    vcp_conn *conn;
    const server *to;
    int64_t timeout_ms;
    int64_t result;
    int has_ended;
    pthread_t thread;
} call;

static void begin(call *c, void *(*run)(void *))
{
    CHECK_EQ(pthread_create(&c->thread, NULL, run, c), 0);
}

static int has_ended(call *c)
{
    return __atomic_load_n(&c->has_ended, __ATOMIC_ACQUIRE);
}

static void *ends(call *c, int64_t result)
{
    c->result = result;
    __atomic_store_n(&c->has_ended, 1, __ATOMIC_RELEASE);
    return NULL;
}

static int64_t result_of(call *c)
{
    CHECK_EQ(pthread_join(c->thread, NULL), 0);
    return c->result;
}

static void *drains(void *argument)
{
    call *c = (call *)argument;
    return ends(c, vcp_pool_drain(c->pool, c->timeout_ms));
}

static void *reads(void *argument)
{
    call *c = (call *)argument;
    char byte;
    return ends(c, vcp_conn_read(c->conn, &byte, 1));
}

static void *waits_to_read(void *argument)
{
    call *c = (call *)argument;
    return ends(c, vcp_conn_wait(c->conn, VCP_READABLE));
}

static void *dials(void *argument)
{
    call *c = (call *)argument;
    return ends(c, vcp_dial(c->pool, c->to->network, c->to->address, &c->conn));
}

static call call_on(vcp_pool *pool, vcp_conn *conn, const server *to)
{
    call c;
    memset(&c, 0, sizeof c);
    c.pool = pool;
    c.conn = conn;
    c.to = to;
    return c;
}

TEST(drain_closes_the_idle_and_waits_for_the_borrowed,
     "drain: closes the idle, waits for the borrowed, tells how many are out")
{
    fixture f = fixture_new(NULL);
    vcp_conn *first = borrow(f.pool, &f.s);
    vcp_conn *second = borrow(f.pool, &f.s);
    vcp_conn *idle = borrow(f.pool, &f.s);
    vcp_conn *conn;
    call c = call_on(f.pool, NULL, NULL);
    int64_t start;
    give_back(idle);
    CHECK_EQ(vcp_pool_drain(f.pool, 0), 2);
    CHECK_EQ(idle_in(f.pool), 0);
    CHECK_EQ(vcp_dial(f.pool, f.s.network, f.s.address, &conn), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_pool_get(f.pool, f.s.network, f.s.address, NULL), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_pool_warm(f.pool, f.s.network, f.s.address, NULL, 1), VCP_ERR_POOL_CLOSED);
    start = now_ms();
    CHECK_EQ(vcp_pool_drain(f.pool, 100), 2);
    CHECK_TOOK(start, 100);
    c.timeout_ms = -1;
    begin(&c, drains);
    give_back(first);
    STAYS(!has_ended(&c), 100);
    CHECK_EQ(close(vcp_conn_detach(second)), 0);
    CHECK_EQ(result_of(&c), 0);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 0);
    CHECK_EQ(stats_of(f.pool).closed_discarded, 1);
    CHECK_EQ(stats_of(f.pool).closed_evicted, 1);
    FIXTURE_END(&f);
}

TEST(drain_ends_waiters_and_dials_in_flight,
     "drain: waiters and dials in flight end with POOL_CLOSED")
{
    server s = tcp_server();
    full_server full = full_server_new();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *held;
    call in_flight, waiting;
    int64_t start;
    options.max_conns = 2;
    options.wait_timeout_ms = -1;
    pool = pool_new(&options);
    held = borrow(pool, &s);
    in_flight = call_on(pool, NULL, &full.s);
    waiting = call_on(pool, NULL, &s);
    begin(&in_flight, dials);
    EVENTUALLY(stats_of(pool).dialing == 1, 5000);
    begin(&waiting, dials);
    EVENTUALLY(stats_of(pool).waiting == 1, 5000);
    start = now_ms();
    CHECK_EQ(vcp_pool_drain(pool, 0), 1);
    CHECK_EQ(result_of(&in_flight), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(result_of(&waiting), VCP_ERR_POOL_CLOSED);
    CHECK_TOOK(start, 0);
    give_back(held);
    CHECK_EQ(vcp_pool_drain(pool, -1), 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
    server_close(&s);
}

TEST(abort_ends_reads_and_waits_and_never_looks_like_an_end,
     "abort: the borrowers' I/O answers POOL_CLOSED, never 0; raw users see end of stream")
{
    fixture f = fixture_new(NULL);
    vcp_conn *read_on = borrow(f.pool, &f.s);
    vcp_conn *waited_on = borrow(f.pool, &f.s);
    vcp_conn *idle = borrow(f.pool, &f.s);
    call reader, waiter;
    char byte = 'x';
    give_back(idle);
    reader = call_on(f.pool, read_on, NULL);
    waiter = call_on(f.pool, waited_on, NULL);
    begin(&reader, reads);
    begin(&waiter, waits_to_read);
    STAYS(!has_ended(&reader) && !has_ended(&waiter), 50);
    CHECK_EQ(vcp_pool_abort(f.pool), VCP_OK);
    CHECK_EQ(result_of(&reader), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(result_of(&waiter), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_conn_try_read(read_on, &byte, 1), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_conn_read(read_on, &byte, 1), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_conn_write(read_on, &byte, 1), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_conn_try_write(read_on, &byte, 1), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_conn_wait(read_on, VCP_WRITABLE), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_conn_should_retry(read_on), 0);
    CHECK_EQ(read(vcp_conn_raw_fd(read_on), &byte, 1), 0);
    give_back(read_on);
    give_back(waited_on);
    CHECK_EQ(idle_in(f.pool), 1);
    CHECK_EQ(stats_of(f.pool).closed_discarded, 2);
    FIXTURE_END(&f);
}

TEST(evict_closes_the_idle_of_one_address_and_the_borrowed_when_they_come_back,
     "evict: one address, all its tags; what is borrowed is closed when given back; NULL, NULL is "
     "everywhere")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options d = dial_options(0);
    vcp_conn *borrowed = borrow(pool, &a);
    vcp_conn *idle = borrow(pool, &a);
    vcp_conn *of_b = borrow(pool, &b);
    vcp_conn *tagged = NULL;
    d.reuse_tag = "tag";
    CHECK(vcp_dial_with(pool, a.network, a.address, &d, &tagged) >= 0);
    give_back(idle);
    give_back(tagged);
    give_back(of_b);
    CHECK_EQ(idle_at(pool, &a), 2);
    CHECK_EQ(vcp_pool_evict(pool, a.network, a.address), VCP_OK);
    CHECK_EQ(idle_at(pool, &a), 0);
    CHECK_EQ(idle_at(pool, &b), 1);
    give_back(borrowed);
    CHECK_EQ(idle_at(pool, &a), 0);
    CHECK_EQ(stats_of(pool).closed_evicted, 3);
    /* What is dialed afterwards is kept. */
    give_back(borrow(pool, &a));
    CHECK_EQ(idle_at(pool, &a), 1);
    borrowed = borrow(pool, &a);
    CHECK_EQ(vcp_pool_evict(pool, NULL, NULL), VCP_OK);
    give_back(borrowed);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_evict(pool, "tcp", "no port"), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_pool_evict(pool, "tcp", NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

TEST(warm_dials_until_so_many_are_idle,
     "warm: warm dials until count are idle; they are reused for their first borrower")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    CHECK_EQ(vcp_pool_warm(f.pool, f.s.network, f.s.address, NULL, 3), 3);
    CHECK_EQ(idle_at(f.pool, &f.s), 3);
    CHECK_EQ(stats_of(f.pool).dials, 3);
    CHECK_EQ(stats_of(f.pool).releases, 0);
    CHECK_EQ(vcp_pool_warm(f.pool, f.s.network, f.s.address, NULL, 2), 3);
    CHECK_EQ(stats_of(f.pool).dials, 3);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_warm(f.pool, f.s.network, f.s.address, NULL, 0), 3);
    FIXTURE_END(&f);
}

TEST(warm_keeps_to_the_limits_and_closes_nothing_for_them,
     "warm: warm never goes above a limit, closes nothing, and fails only if none is idle")
{
    server a = tcp_server();
    server b = tcp_server();
    server refusing = refusing_server();
    vcp_pool_options options = pool_options();
    vcp_dial_options d = dial_options(VCP_DIAL_REUSE_ONLY);
    vcp_pool *pool;
    options.max_conns = 3;
    options.max_idle_per_address = 2;
    pool = pool_new(&options);
    CHECK_EQ(vcp_pool_warm(pool, a.network, a.address, NULL, 5), 2);
    CHECK_EQ(vcp_pool_warm(pool, b.network, b.address, NULL, 5), 1);
    CHECK_EQ(idle_at(pool, &a), 2);
    CHECK_EQ(vcp_pool_warm(pool, "tcp", refusing.address, NULL, 1), VCP_ERR_POOL_EXHAUSTED);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    CHECK_EQ(vcp_pool_warm(pool, "tcp", refusing.address, NULL, 1), VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
    CHECK_EQ(vcp_pool_warm(pool, a.network, a.address, &d, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_warm(pool, "tcp", "no port", NULL, 1), VCP_ERR_INVALID_ADDRESS);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

TEST(warm_without_idle_room_is_idle_full,
     "warm: warm without room for an idle connection: IDLE_FULL")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    options.max_idle = 1;
    pool = pool_new(&options);
    CHECK_EQ(vcp_pool_warm(pool, a.network, a.address, NULL, 2), 1);
    CHECK_EQ(vcp_pool_warm(pool, b.network, b.address, NULL, 1), VCP_ERR_IDLE_FULL);
    CHECK_EQ(idle_at(pool, &a), 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

static vcp_pool *contested;
static server contested_server;
static int evictions;
static int is_over;

/*
 * Borrows and gives back; a connection that was there before an eviction that had ended must never
 * come again.
 */
static void *borrows(void *unused)
{
    static int made[65536];
    (void)unused;
    while (!__atomic_load_n(&is_over, __ATOMIC_ACQUIRE)) {
        int before = __atomic_load_n(&evictions, __ATOMIC_ACQUIRE);
        vcp_conn *conn = borrow(contested, &contested_server);
        int *mine = (int *)vcp_conn_data(conn);
        if (mine == NULL) {
            static int next;
            mine = &made[next++ % 65536];
            *mine = __atomic_load_n(&evictions, __ATOMIC_ACQUIRE) + 1;
            CHECK_EQ(vcp_conn_set_data(conn, mine, NULL), VCP_OK);
        }
        CHECK(*mine >= before);
        give_back(conn);
    }
    return NULL;
}

TEST(evict_misses_none_that_is_being_borrowed,
     "evict: a connection borrowed at that moment is closed too, sooner or later")
{
    pthread_t thread;
    vcp_pool_options options = pool_options();
    int64_t end = now_ms() + 500;
    options.liveness = VCP_LIVENESS_WATCH;
    contested_server = tcp_server();
    server_start_echo(&contested_server);
    contested = pool_new(&options);
    CHECK_EQ(pthread_create(&thread, NULL, borrows, NULL), 0);
    while (now_ms() < end) {
        CHECK_EQ(vcp_pool_evict(contested, contested_server.network, contested_server.address),
                 VCP_OK);
        __atomic_add_fetch(&evictions, 1, __ATOMIC_ACQ_REL);
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_RELEASE);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(evictions > 100);
    CHECK_EQ(vcp_pool_close(contested), VCP_OK);
    server_close(&contested_server);
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

/* It ends although nothing stays idle, and after as many dials as were asked for. */
TEST(warm_ends_at_a_server_that_hangs_up_at_once,
     "warm: warm ends after as many dials as were asked for, although nothing stays idle")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, hangs_up_at_once, &s), 0);
    CHECK_BETWEEN(vcp_pool_warm(pool, s.network, s.address, NULL, 5), 0, 5);
    CHECK_BETWEEN(stats_of(pool).dials, 1, 5);
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, 2000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(shutdown(s.fd, SHUT_RDWR), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    server_close(&s);
}
