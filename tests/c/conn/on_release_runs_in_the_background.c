/*
 * on_release_in_background: vcp_conn_close does not wait for on_release, which runs on a helper
 * thread. Contract section 4.
 *
 * A ROLLBACK in on_release held vcp_conn_close for as long as the server liked.
 */
#include "dialing_threads.h"
#include "own_driver.h"

/* Where the connections of a test go: sessions of the driver, or sockets of the pool. */
static const server *place(driver *d, int is_session)
{
    return is_session ? &d->db : &d->where;
}

static vcp_pool_options background(driver *d, int is_session)
{
    vcp_pool_options options;
    driver_start(d);
    options = driver_options(d);
    options.on_event = driver_sees;
    options.on_release = driver_on_release;
    options.on_release_in_background = 1;
    options.open_session = is_session ? driver_opens : NULL;
    return options;
}

/* A pool whose next on_release is held. */
static vcp_pool *held_pool(driver *d, int is_session)
{
    vcp_pool_options options = background(d, is_session);
    d->on_release.holds = 1;
    return driver_pool(d, &options);
}

/* Given back, and the hook has begun. */
static void give_back_and_await_the_hook(driver *d, vcp_conn *conn)
{
    int before = driver_number(d, &d->on_release.calls);
    give_back(conn);
    EVENTUALLY(driver_number(d, &d->on_release.calls) == before + 1, 5000);
}

static void lets_the_hook_end(driver *d)
{
    driver_sets(d, &d->on_release.holds, 0);
}

static void check_gauges(vcp_pool *pool, int64_t idle, int64_t borrowed, int64_t releasing)
{
    vcp_stats stats = stats_of(pool);
    CHECK_EQ(stats.idle, idle);
    CHECK_EQ(stats.borrowed, borrowed);
    CHECK_EQ(stats.releasing, releasing);
    CHECK_EQ(vcp_pool_conn_count(pool), idle + borrowed);
}

TEST(vcp_conn_close_does_not_wait_for_the_hook,
     "background release: vcp_conn_close returns while on_release runs on a helper thread; the "
     "connection counts as borrowed and releasing until the hook ends, then it is idle")
{
    int is_session;
    for (is_session = 0; is_session < 2; is_session++) {
        driver d;
        vcp_pool *pool = held_pool(&d, is_session);
        vcp_conn *conn = borrow(pool, place(&d, is_session));
        int fd = vcp_conn_raw_fd(conn);
        give_back_and_await_the_hook(&d, conn);
        CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
        CHECK_EQ(vcp_conn_raw_fd(conn), VCP_ERR_CONN_CLOSED);
        CHECK_EQ(driver_number(&d, &d.on_release.on_helpers), 1);
        CHECK_EQ(driver_number(&d, &d.on_release.fd), fd);
        check_gauges(pool, 0, 1, 1);
        CHECK_EQ(driver_number(&d, &d.kinds[VCP_EVENT_RELEASED]), 0);
        CHECK_EQ(stats_of(pool).releases, 0);
        lets_the_hook_end(&d);
        EVENTUALLY(idle_in(pool) == 1, 5000);
        check_gauges(pool, 1, 0, 0);
        EVENTUALLY(driver_number(&d, &d.kinds[VCP_EVENT_RELEASED]) == 1, 5000);
        CHECK_EQ(stats_of(pool).releases, 1);
        CHECK_EQ(
            vcp_dial(pool, place(&d, is_session)->network, place(&d, is_session)->address, &conn),
            fd);
        CHECK_EQ(vcp_conn_uses(conn), 2);
        give_back(conn);
        EVENTUALLY(idle_in(pool) == 1, 5000);
        DRIVER_END(&d);
    }
}

TEST(what_the_hook_has_ended_with_serves_the_oldest_waiter,
     "background release: When the hook ends, the connection goes to the oldest waiter, not before")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    dialer m;
    vcp_conn *conn;
    session *s;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    d.on_release.holds = 1;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    m = dialer_of(d.pool, d.db.address);
    dialer_start(&m);
    EVENTUALLY(stats_of(d.pool).waiting == 1, 5000);
    give_back_and_await_the_hook(&d, conn);
    STAYS(!dialer_has_returned(&m), 50);
    lets_the_hook_end(&d);
    dialer_join(&m);
    CHECK_EQ(m.status, s->fd);
    CHECK(session_of(m.conn) == s);
    CHECK_EQ(d.asked, 1);
    CHECK_EQ(stats_of(d.pool).releases, 1);
    give_back(m.conn);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    DRIVER_END(&d);
}

TEST(an_asynchronous_waiter_is_served_from_the_hooks_thread,
     "background release: An asynchronous dial that waits is answered when the hook ends")
{
    driver d;
    vcp_pool_options options = background(&d, 0);
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    int fd;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    d.on_release.holds = 1;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.where);
    fd = vcp_conn_raw_fd(conn);
    begin_dial(d.pool, &d.where, NULL, queue, &d);
    give_back_and_await_the_hook(&d, conn);
    CHECK(!has_completion(queue));
    lets_the_hook_end(&d);
    conn = next_conn(queue, &d);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    give_back(conn);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(a_dial_during_the_hook_finds_it_borrowed,
     "background release: A dial during the hook opens another, or fails at a limit, as if the "
     "connection were borrowed")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    vcp_conn *conn;
    vcp_conn *other = NULL;
    options.max_conns = 2;
    d.on_release.holds = 1;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    give_back_and_await_the_hook(&d, conn);
    CHECK_EQ(dial_flags(d.pool, &d.db, VCP_DIAL_REUSE_ONLY, &conn), VCP_ERR_NOT_AVAILABLE);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(d.asked, 2);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &other), VCP_ERR_POOL_EXHAUSTED);
    lets_the_hook_end(&d);
    give_back(conn);
    EVENTUALLY(idle_in(d.pool) == 2, 5000);
    DRIVER_END(&d);
}

TEST(what_the_hook_refuses_is_closed_in_the_background,
     "background release: A refusal closes the connection (HOOK), on the hook's thread, and lets a "
     "waiter dial")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    dialer m;
    vcp_conn *conn;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    d.on_release.holds = 1;
    d.on_release.answer = 1;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    m = dialer_of(d.pool, d.db.address);
    dialer_start(&m);
    EVENTUALLY(stats_of(d.pool).waiting == 1, 5000);
    give_back_and_await_the_hook(&d, conn);
    lets_the_hook_end(&d);
    dialer_join(&m);
    CHECK(m.status >= 0);
    CHECK_EQ(vcp_conn_is_reused(m.conn), 0);
    CHECK_EQ(driver_frees(&d), 1);
    CHECK_EQ(d.sessions->next->freed_by_helper, 1);
    EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_HOOK]) == 1, 5000);
    CHECK_EQ(stats_of(d.pool).closed_hook, 1);
    CHECK_EQ(vcp_conn_discard(m.conn), VCP_OK);
    give_back(m.conn);
    DRIVER_END(&d);
}

static void *drains_for_ever(void *pool)
{
    return (void *)(intptr_t)vcp_pool_drain((vcp_pool *)pool, VCP_FOREVER);
}

TEST(drain_waits_for_the_hook,
     "background release: vcp_pool_drain counts the connection as borrowed, and waits until the "
     "hook has ended")
{
    driver d;
    vcp_pool *pool = held_pool(&d, 1);
    pthread_t thread;
    void *left = NULL;
    give_back_and_await_the_hook(&d, borrow(pool, &d.db));
    CHECK_EQ(vcp_pool_drain(pool, 0), 1);
    CHECK_EQ(vcp_pool_drain(pool, 20), 1);
    CHECK_EQ(pthread_create(&thread, NULL, drains_for_ever, pool), 0);
    lets_the_hook_end(&d);
    CHECK_EQ(pthread_join(thread, &left), 0);
    CHECK_EQ((intptr_t)left, 0);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    check_gauges(pool, 0, 0, 0);
    DRIVER_END(&d);
}

TEST(close_does_not_wait_for_the_hook,
     "background release: vcp_pool_close does not wait; when the hook ends the connection is "
     "closed, and then free_user runs")
{
    driver d;
    vcp_pool *pool = held_pool(&d, 1);
    int64_t start;
    give_back_and_await_the_hook(&d, borrow(pool, &d.db));
    start = now_ms();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    d.pool = NULL;
    CHECK_TOOK(start, 0);
    CHECK_EQ(driver_frees(&d), 0);
    CHECK_EQ(driver_number(&d, &d.user_frees), 0);
    lets_the_hook_end(&d);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    DRIVER_END(&d);
}

static int64_t hook_read;

static int waits_on_the_descriptor(void *data, vcp_conn *conn, int fd)
{
    char byte;
    (void)data;
    (void)conn;
    CHECK(readable_within(fd, 10000));
    CHECK_EQ(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    return 0;
}

static int waits_in_the_library(void *data, vcp_conn *conn, int fd)
{
    char byte;
    (void)data;
    (void)fd;
    hook_read = vcp_conn_read(conn, &byte, 1);
    return 0;
}

TEST(the_time_of_a_hook_in_the_background,
     "background release: When hook_timeout_ms is over the socket is shut down under the hook, "
     "vcp_conn_read in it is TIMEOUT, and the connection is closed (HOOK)")
{
    int way;
    for (way = 0; way < 3; way++) {
        driver d;
        int is_session = way == 2;
        vcp_pool_options options = background(&d, is_session);
        int64_t start;
        options.hook_timeout_ms = 100;
        d.on_release.does = way == 0 ? waits_in_the_library : waits_on_the_descriptor;
        hook_read = 0;
        driver_pool(&d, &options);
        start = now_ms();
        give_back(borrow(d.pool, place(&d, is_session)));
        CHECK_TOOK(start, 0);
        EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_HOOK]) == 1, 5000);
        CHECK_BETWEEN(now_ms() - start, 99, at_most(100 + LATENESS_MS));
        CHECK(way != 0 || hook_read == VCP_ERR_TIMEOUT);
        CHECK_EQ(driver_frees(&d), is_session);
        EVENTUALLY(vcp_pool_conn_count(d.pool) == 0, 5000);
        DRIVER_END(&d);
    }
}

TEST(what_is_not_kept_is_closed_at_once,
     "background release: What is discarded, failed, evicted or used up is closed by "
     "vcp_conn_close, and no hook runs")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    vcp_conn *conn;
    options.max_uses = 2;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(driver_frees(&d), 1);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_conn_report(conn, 0, 0), VCP_OK);
    give_back(conn);
    CHECK_EQ(driver_frees(&d), 2);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_pool_evict(d.pool, NULL, NULL), VCP_OK);
    give_back(conn);
    CHECK_EQ(driver_frees(&d), 3);
    CHECK(pthread_equal(d.sessions->freed_by, pthread_self()));
    CHECK_EQ(driver_number(&d, &d.on_release.calls), 0);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    give_back(borrow(d.pool, &d.db));
    CHECK_EQ(driver_frees(&d), 4);
    CHECK_EQ(driver_number(&d, &d.on_release.calls), 1);
    DRIVER_END(&d);
}

TEST(a_hundred_hooks_at_once,
     "background release: 100 connections given back at once: no vcp_conn_close waits, many hooks "
     "run side by side, and all are kept")
{
    enum { MANY = 100 };
    driver d;
    vcp_pool_options options = background(&d, 1);
    vcp_conn *conns[MANY];
    int64_t start;
    int i;
    options.max_idle_per_address = MANY;
    d.on_release.holds = 1;
    d.has_fd = 0;
    driver_pool(&d, &options);
    for (i = 0; i < MANY; i++) {
        conns[i] = borrow(d.pool, &d.db);
    }
    start = now_ms();
    for (i = 0; i < MANY; i++) {
        give_back(conns[i]);
    }
    CHECK_TOOK(start, 0);
    check_gauges(d.pool, 0, MANY, MANY);
    EVENTUALLY(driver_number(&d, &d.on_release.inside) >= 8, 5000);
    lets_the_hook_end(&d);
    EVENTUALLY(idle_in(d.pool) == MANY, 10000);
    check_gauges(d.pool, MANY, 0, 0);
    CHECK_EQ(driver_number(&d, &d.on_release.calls), MANY);
    CHECK_BETWEEN(driver_number(&d, &d.on_release.most_inside), 8, 64);
    CHECK_EQ(stats_of(d.pool).releases, MANY);
    DRIVER_END(&d);
}

TEST(hooks_in_the_background_leave_threads_for_other_work,
     "background release: While hooks hold their threads, asynchronous dials still open sessions, "
     "and what the watch closes is freed")
{
    enum { MANY = 100 };
    driver d;
    vcp_pool_options options = background(&d, 1);
    vcp_queue *queue = queue_new();
    vcp_conn *conns[MANY];
    vcp_conn *conn;
    int i;
    options.max_idle_per_address = MANY + 2;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    CHECK(vcp_dial(d.pool, "tcp", "other.invalid:1", &conn) >= 0);
    {
        session *watched = session_of(conn);
        give_back(conn);
        EVENTUALLY(idle_in(d.pool) == 2, 5000);
        for (i = 0; i < MANY; i++) {
            conns[i] = borrow(d.pool, &d.db);
        }
        driver_sets(&d, &d.on_release.holds, 1);
        for (i = 0; i < MANY; i++) {
            give_back(conns[i]);
        }
        EVENTUALLY(driver_number(&d, &d.on_release.inside) >= 8, 5000);
        begin_dial(d.pool, &d.db, NULL, queue, &d);
        conn = next_conn(queue, &d);
        CHECK_EQ(shutdown(watched->peer, SHUT_RDWR), 0);
        EVENTUALLY(driver_frees(&d) == 1, 5000);
        CHECK_EQ(watched->frees, 1);
    }
    lets_the_hook_end(&d);
    give_back(conn);
    EVENTUALLY(idle_in(d.pool) == MANY + 1, 10000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(the_shelf_may_be_full_when_the_hook_ends,
     "background release: With the shelf full when the hook ends, the connection is closed "
     "(IDLE_FULL)")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    vcp_conn *one;
    vcp_conn *two;
    options.max_idle_per_address = 1;
    driver_pool(&d, &options);
    one = borrow(d.pool, &d.db);
    two = borrow(d.pool, &d.db);
    give_back(one);
    give_back(two);
    EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_IDLE_FULL]) == 1, 5000);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    /* The other hook's thread may still tell that its connection was kept. */
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    CHECK_HOLDS(&d, 1, 1);
    DRIVER_END(&d);
}

TEST(an_eviction_during_the_hook_closes_it,
     "background release: vcp_pool_evict during the hook closes the connection when it ends "
     "(EVICTED); vcp_pool_close_idle does not, it is not idle")
{
    driver d;
    vcp_pool *pool = held_pool(&d, 1);
    give_back_and_await_the_hook(&d, borrow(pool, &d.db));
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    lets_the_hook_end(&d);
    EVENTUALLY(idle_in(pool) == 1, 5000);
    CHECK_EQ(driver_frees(&d), 0);
    driver_sets(&d, &d.on_release.holds, 1);
    give_back_and_await_the_hook(&d, borrow(pool, &d.db));
    CHECK_EQ(vcp_pool_evict(pool, NULL, NULL), VCP_OK);
    CHECK_EQ(driver_frees(&d), 0);
    lets_the_hook_end(&d);
    EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_EVICTED]) == 1, 5000);
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, 5000);
    DRIVER_END(&d);
}

TEST(abort_during_the_hook_shuts_it_down,
     "background release: vcp_pool_abort shuts the socket down under the hook, and the connection "
     "is closed when it ends")
{
    int is_session;
    for (is_session = 0; is_session < 2; is_session++) {
        driver d;
        vcp_pool_options options = background(&d, is_session);
        d.on_release.does = waits_on_the_descriptor;
        driver_pool(&d, &options);
        give_back_and_await_the_hook(&d, borrow(d.pool, place(&d, is_session)));
        CHECK_EQ(vcp_pool_abort(d.pool), VCP_OK);
        EVENTUALLY(vcp_pool_conn_count(d.pool) == 0, 5000);
        EVENTUALLY(driver_number(&d, &d.kinds[VCP_EVENT_CLOSED]) == 1, 5000);
        CHECK_EQ(stats_of(d.pool).closed_discarded, 1);
        DRIVER_END(&d);
    }
}

static int tries_to_end_it(void *data, vcp_conn *conn, int fd)
{
    (void)data;
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_detach(conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    return 0;
}

TEST(the_hook_has_a_handle_of_its_connection,
     "background release: The hook has a handle of the connection; closing or detaching it inside "
     "is INVALID_ARGUMENT")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    d.on_release.does = tries_to_end_it;
    driver_pool(&d, &options);
    give_back_and_await_the_hook(&d, borrow(d.pool, &d.db));
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    DRIVER_END(&d);
}

static int discards_it(void *data, vcp_conn *conn, int fd)
{
    (void)data;
    (void)fd;
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    return 0;
}

TEST(what_the_hook_discards_is_closed,
     "background release: A connection that the hook discards is closed when it ends")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    d.on_release.does = discards_it;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    EVENTUALLY(vcp_pool_conn_count(d.pool) == 0, 5000);
    DRIVER_END(&d);
}

static int reconnects(void *data, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    session_reconnects((session *)data);
    return 0;
}

TEST(a_session_may_reconnect_in_the_background,
     "background release: fd is asked after the hook, on its thread: a session that reconnects in "
     "it is lent out with its new descriptor")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    vcp_conn *conn;
    session *s;
    d.on_release.does = reconnects;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    give_back(conn);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    CHECK(!pthread_equal(s->fd_by, pthread_self()));
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), s->fd);
    d.on_release.does = NULL;
    give_back(conn);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    CHECK_EQ(shutdown(s->peer, SHUT_RDWR), 0);
    EVENTUALLY(driver_frees(&d) == 1, 1000 + LATENESS_MS);
    DRIVER_END(&d);
}

TEST(without_a_hook_there_is_no_background,
     "background release: Without on_release, on_release_in_background changes nothing")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    options.on_release = NULL;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    CHECK_HOLDS(&d, 1, 1);
    check_gauges(d.pool, 1, 0, 0);
    DRIVER_END(&d);
}

TEST(the_lifetime_may_end_during_the_hook,
     "background release: A connection whose lifetime ends during the hook is closed then "
     "(LIFETIME)")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    options.max_lifetime_ms = at_most(50);
    options.lifetime_jitter_percent = 0;
    d.on_release.holds = 1;
    driver_pool(&d, &options);
    give_back_and_await_the_hook(&d, borrow(d.pool, &d.db));
    let_pass(options.max_lifetime_ms + 10);
    CHECK_EQ(driver_frees(&d), 0);
    lets_the_hook_end(&d);
    EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_LIFETIME]) == 1, 5000);
    EVENTUALLY(vcp_pool_conn_count(d.pool) == 0, 5000);
    DRIVER_END(&d);
}

TEST(what_is_being_released_is_no_leak,
     "background release: What its borrower has given back is no leak, however long the hook takes")
{
    driver d;
    vcp_pool_options options = background(&d, 1);
    options.leak_threshold_ms = 30;
    d.on_release.holds = 1;
    driver_pool(&d, &options);
    give_back_and_await_the_hook(&d, borrow(d.pool, &d.db));
    STAYS(driver_number(&d, &d.kinds[VCP_EVENT_LEAKED]) == 0, 200);
    CHECK_EQ(stats_of(d.pool).leaks, 0);
    lets_the_hook_end(&d);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    DRIVER_END(&d);
}

/* ---- many threads ---- */

static int says_yes_mostly(void *data, vcp_conn *conn, int fd)
{
    static int serial;
    (void)data;
    (void)conn;
    (void)fd;
    return __sync_add_and_fetch(&serial, 1) % 7 == 0;
}

static void *works(void *argument)
{
    driver *d = (driver *)argument;
    int i;
    for (i = 0; i < 300; i++) {
        vcp_conn *conn = borrow(d->pool, &d->db);
        session *s = session_of(conn);
        session_is_called(s);
        session_was_called(s);
        give_back(conn);
    }
    return NULL;
}

TEST(eight_threads_give_back_in_the_background,
     "background release: 8 threads share 3 sessions whose hooks run in the background and refuse "
     "some: max_conns holds, and no session is in two hands")
{
    enum { THREADS = 8 };
    driver d;
    vcp_pool_options options = background(&d, 1);
    pthread_t ids[THREADS];
    int i;
    options.max_conns = 3;
    options.wait_timeout_ms = VCP_FOREVER;
    d.on_release.does = says_yes_mostly;
    driver_pool(&d, &options);
    for (i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&ids[i], NULL, works, &d), 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(ids[i], NULL), 0);
    }
    /* It is a borrowed one until it has been kept or closed. */
    EVENTUALLY(stats_of(d.pool).borrowed == 0, 5000);
    CHECK_EQ(driver_number(&d, &d.on_release.calls), THREADS * 300);
    CHECK_BETWEEN(driver_number(&d, &d.on_release.most_inside), 1, 3);
    EVENTUALLY(vcp_pool_conn_count(d.pool) == d.opened - driver_frees(&d), 5000);
    DRIVER_END(&d);
}
