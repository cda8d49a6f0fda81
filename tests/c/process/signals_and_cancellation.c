/* SIGPIPE, EINTR, dispositions and pthread_cancel. Contract section 2 and 6. */
#include "check.h"

/* With the default disposition SIGPIPE would end this process. */
TEST(nothing_raises_sigpipe,
     "signals: Nothing raises SIGPIPE: read, write and try_write on dead tcp and unix sockets")
{
    server s = tcp_server();
    server u = unix_server(SOCK_STREAM, 0);
    const server *both[2];
    vcp_pool *pool = pool_new(NULL);
    int i;
    both[0] = &s;
    both[1] = &u;
    signal(SIGPIPE, SIG_DFL);
    for (i = 0; i < 2; i++) {
        vcp_conn *conn = borrow(pool, both[i]);
        int round;
        close_with_reset(server_accept(both[i]));
        await_arrival(vcp_conn_raw_fd(conn));
        for (round = 0; round < 3; round++) {
            CHECK_EQ(vcp_conn_write(conn, "x", 1), VCP_ERR_IO);
            CHECK(vcp_last_errno() == EPIPE || vcp_last_errno() == ECONNRESET);
            CHECK_EQ(vcp_conn_try_write(conn, "x", 1), VCP_ERR_IO);
        }
        give_back(conn);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    server_close(&u);
}

TEST(no_signal_disposition_changes, "signals: No function changes signal dispositions")
{
    server s = tcp_server();
    struct sigaction before[65];
    vcp_pool *pool;
    int number;
    for (number = 1; number <= 64; number++) {
        memset(&before[number], 0, sizeof before[number]);
        sigaction(number, NULL, &before[number]);
    }
    pool = pool_new(NULL);
    give_back(borrow(pool, &s));
    close(server_accept(&s));
    EVENTUALLY(idle_in(pool) == 0, 1000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    for (number = 1; number <= 64; number++) {
        struct sigaction after;
        memset(&after, 0, sizeof after);
        sigaction(number, NULL, &after);
        CHECK(after.sa_handler == before[number].sa_handler);
        CHECK_EQ(after.sa_flags, before[number].sa_flags);
    }
    server_close(&s);
}

static volatile sig_atomic_t ticks;
static volatile sig_atomic_t ticking;

static void tick(int number)
{
    (void)number;
    ticks++;
}

/*
 * A handler without SA_RESTART every 2 ms: every system call that waits is interrupted. Under
 * valgrind the period is longer, or the handlers would leave no time for anything else; what is
 * interrupted takes longer by the same factor.
 */
#define TICK_US (2000 * slowness())
#define INTERRUPTED_MS (150 * slowness())

static void start_ticking(void)
{
    struct sigaction action;
    struct itimerval every;
    memset(&action, 0, sizeof action);
    action.sa_handler = tick;
    CHECK_EQ(sigaction(SIGALRM, &action, NULL), 0);
    every.it_interval.tv_sec = every.it_value.tv_sec = TICK_US / 1000000;
    every.it_interval.tv_usec = every.it_value.tv_usec = TICK_US % 1000000;
    ticks = 0;
    ticking = 1;
    CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
}

static void stop_ticking(void)
{
    struct itimerval never;
    memset(&never, 0, sizeof never);
    CHECK_EQ(setitimer(ITIMER_REAL, &never, NULL), 0);
    ticking = 0;
    CHECK(ticks > 5);
}

TEST(a_read_goes_on_after_a_signal, "signals: vcp_conn_read retries EINTR and keeps its deadline")
{
    uint32_t modes[] = {VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING};
    int i;
    for (i = 0; i < 2; i++) {
        server s = tcp_server();
        vcp_pool *pool = pool_new(NULL);
        vcp_conn *conn;
        char byte;
        int64_t start;
        CHECK(dial_flags(pool, &s, modes[i], &conn) >= 0);
        start_ticking();
        start = now_ms();
        CHECK_EQ(vcp_conn_set_deadline(conn, INTERRUPTED_MS), VCP_OK);
        CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
        CHECK_TOOK(start, INTERRUPTED_MS);
        stop_ticking();
        give_back(conn);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        server_close(&s);
    }
}

/*
 * Signals go to the main thread, which writes; this one reads half a megabyte after each tick. Of
 * 16 MB the kernel holds less than 8 (SO_RCVBUF is small, tcp_wmem ends at 4 MB), so at least 16
 * ticks come before the write can end.
 */
static void *drains(void *fd)
{
    static char bytes[4096];
    size_t total = 0;
    size_t next = 0;
    ssize_t count;
    sigset_t alarm_only;
    sigemptyset(&alarm_only);
    sigaddset(&alarm_only, SIGALRM);
    pthread_sigmask(SIG_BLOCK, &alarm_only, NULL);
    while ((count = recv((int)(intptr_t)fd, bytes, sizeof bytes, 0)) > 0) {
        total += (size_t)count;
        if (total >= next) {
            sig_atomic_t seen = ticks;
            next += 512u << 10;
            while (ticks == seen && ticking) {
                poll(NULL, 0, 1);
            }
        }
    }
    return (void *)(intptr_t)total;
}

TEST(a_write_goes_on_after_a_signal, "signals: vcp_conn_write retries EINTR and keeps its deadline")
{
    size_t size = 16u << 20;
    char *bytes = (char *)calloc(1, size);
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    pthread_t drainer;
    void *total;
    int small = 65536;
    CHECK_EQ(setsockopt(peer, SOL_SOCKET, SO_RCVBUF, &small, sizeof small), 0);
    CHECK_EQ(pthread_create(&drainer, NULL, drains, (void *)(intptr_t)peer), 0);
    start_ticking();
    CHECK_EQ(vcp_conn_write(conn, bytes, size), (int64_t)size);
    stop_ticking();
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(pthread_join(drainer, &total), 0);
    CHECK_EQ((intptr_t)total, size);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    free(bytes);
    server_close(&s);
}

TEST(a_dial_goes_on_after_a_signal, "signals: A dial retries EINTR and keeps its timeout")
{
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn;
    int64_t start = now_ms();
    options.timeout_ms = INTERRUPTED_MS;
    start_ticking();
    CHECK_EQ(vcp_dial_with(pool, "tcp", full.s.address, &options, &conn), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, INTERRUPTED_MS);
    stop_ticking();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
}

TEST(a_wait_goes_on_after_a_signal, "signals: vcp_conn_wait retries EINTR and keeps its deadline")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int64_t start = now_ms();
    CHECK_EQ(vcp_conn_set_deadline(conn, INTERRUPTED_MS), VCP_OK);
    start_ticking();
    CHECK_EQ(vcp_conn_wait(conn, VCP_READABLE), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, INTERRUPTED_MS);
    stop_ticking();
    give_back(conn);
    FIXTURE_END(&f);
}

static struct {
    vcp_conn *conn;
    const char *address;
    vcp_pool *pool;
    volatile int began;
    volatile int returned;
    volatile int went_on;
    int64_t result;
} victim;

static void *reads_and_is_canceled(void *unused)
{
    char byte;
    int old;
    (void)unused;
    pthread_setcanceltype(PTHREAD_CANCEL_DEFERRED, &old);
    __sync_lock_test_and_set(&victim.began, 1);
    victim.result = vcp_conn_read(victim.conn, &byte, 1);
    __sync_lock_test_and_set(&victim.returned, 1);
    pthread_testcancel();
    __sync_lock_test_and_set(&victim.went_on, 1);
    return NULL;
}

TEST(a_canceled_thread_ends_after_the_call_not_in_it,
     "cancellation: pthread_cancel during vcp_conn_read takes effect after the call")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    pthread_t thread;
    void *how;
    memset(&victim, 0, sizeof victim);
    victim.conn = conn;
    CHECK_EQ(pthread_create(&thread, NULL, reads_and_is_canceled, NULL), 0);
    EVENTUALLY(victim.began, 5000);
    let_pass(50);
    CHECK_EQ(pthread_cancel(thread), 0);
    STAYS(!victim.returned && pthread_tryjoin_np(thread, &how) == EBUSY, 200);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    CHECK_EQ(pthread_join(thread, &how), 0);
    CHECK(how == PTHREAD_CANCELED);
    CHECK(victim.returned);
    CHECK(!victim.went_on);
    CHECK_EQ(victim.result, 1);
    /* Nothing was left locked or lost. */
    CHECK_EQ(vcp_conn_write(conn, "x", 1), 1);
    give_back(conn);
    CHECK_EQ(idle_in(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

static void *dials_and_is_canceled(void *unused)
{
    vcp_conn *conn;
    vcp_dial_options options = dial_options(0);
    (void)unused;
    options.timeout_ms = 300;
    victim.result = vcp_dial_with(victim.pool, "tcp", victim.address, &options, &conn);
    __sync_lock_test_and_set(&victim.returned, 1);
    pthread_testcancel();
    __sync_lock_test_and_set(&victim.went_on, 1);
    return NULL;
}

TEST(a_thread_canceled_in_a_dial_leaves_nothing_behind,
     "cancellation: pthread_cancel during a dial leaves no slot and no fd behind")
{
    full_server full = full_server_new();
    pthread_t thread;
    void *how;
    int fds;
    memset(&victim, 0, sizeof victim);
    victim.pool = pool_new(NULL);
    victim.address = full.s.address;
    fds = open_fds();
    CHECK_EQ(pthread_create(&thread, NULL, dials_and_is_canceled, NULL), 0);
    EVENTUALLY(stats_of(victim.pool).dialing == 1, 5000);
    CHECK_EQ(pthread_cancel(thread), 0);
    CHECK_EQ(pthread_join(thread, &how), 0);
    CHECK(how == PTHREAD_CANCELED);
    CHECK(victim.returned && !victim.went_on);
    CHECK_EQ(victim.result, VCP_ERR_TIMEOUT);
    CHECK_EQ(stats_of(victim.pool).dialing, 0);
    CHECK_EQ(vcp_pool_conn_count(victim.pool), 0);
    CHECK_EQ(vcp_pool_close(victim.pool), VCP_OK);
    EVENTUALLY(open_fds() <= fds, 5000 + LATENESS_MS);
    full_server_close(&full);
}

/* The library puts the thread's own setting back. */
TEST(the_cancel_state_of_the_thread_is_its_own,
     "cancellation: The thread's own cancel state is put back")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    char byte;
    int old = -1;
    CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, NULL), 0);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_set_deadline(conn, 10), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    give_back(conn);
    CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old), 0);
    CHECK_EQ(old, PTHREAD_CANCEL_DISABLE);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_set_deadline(conn, 10), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    give_back(conn);
    CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_ENABLE, &old), 0);
    CHECK_EQ(old, PTHREAD_CANCEL_ENABLE);
    FIXTURE_END(&f);
}
