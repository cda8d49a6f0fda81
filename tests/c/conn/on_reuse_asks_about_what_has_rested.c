/*
 * on_reuse_after_ms: on_reuse is asked only about connections that have been idle for so long.
 * Contract section 4.
 */
#include "dialing_threads.h"
#include "own_driver.h"

#define RESTED_MS 100

static vcp_pool_options asking(driver *d, int64_t after_ms)
{
    vcp_pool_options options;
    driver_start(d);
    options = driver_options(d);
    options.open_session = NULL;
    options.liveness = VCP_LIVENESS_WATCH;
    options.on_reuse = driver_on_reuse;
    options.on_reuse_after_ms = after_ms;
    return options;
}

static vcp_pool *asking_pool(driver *d, int64_t after_ms)
{
    vcp_pool_options options = asking(d, after_ms);
    return driver_pool(d, &options);
}

TEST(what_has_not_rested_is_not_asked_about,
     "on_reuse_after_ms: on_reuse is not asked about a connection that was idle for less, and is "
     "about one that has been idle for so long")
{
    driver d;
    vcp_pool *pool = asking_pool(&d, at_most(RESTED_MS));
    vcp_conn *conn = borrow(pool, &d.where);
    int fd = vcp_conn_raw_fd(conn);
    give_back(conn);
    conn = borrow(pool, &d.where);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(d.on_reuse.calls, 0);
    give_back(conn);
    let_pass(at_most(RESTED_MS) + COARSE_MS);
    conn = borrow(pool, &d.where);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(d.on_reuse.calls, 1);
    give_back(conn);
    conn = borrow(pool, &d.where);
    CHECK_EQ(d.on_reuse.calls, 1);
    give_back(conn);
    DRIVER_END(&d);
}

TEST(forever_asks_about_none, "on_reuse_after_ms: VCP_FOREVER asks about none")
{
    driver d;
    vcp_pool *pool = asking_pool(&d, VCP_FOREVER);
    vcp_conn *conn = NULL;
    give_back(borrow(pool, &d.where));
    let_pass(2 * COARSE_MS);
    give_back(borrow(pool, &d.where));
    CHECK(dial_flags(pool, &d.where, VCP_DIAL_NONBLOCKING, &conn) >= 0); /* no fast path */
    give_back(conn);
    CHECK_EQ(stats_of(pool).reuses, 2);
    CHECK_EQ(d.on_reuse.calls, 0);
    DRIVER_END(&d);
}

TEST(zero_asks_about_all, "on_reuse_after_ms: 0 asks about all")
{
    driver d;
    vcp_pool *pool = asking_pool(&d, 0);
    give_back(borrow(pool, &d.where));
    give_back(borrow(pool, &d.where));
    give_back(borrow(pool, &d.where));
    CHECK_EQ(d.on_reuse.calls, 2);
    DRIVER_END(&d);
}

TEST(a_thousand_quick_cycles_ask_nobody,
     "on_reuse_after_ms: 1,000 cycles without rest ask on_reuse about none, in every liveness mode")
{
    int32_t modes[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_ALLOW_DATA, VCP_LIVENESS_WATCH};
    int i;
    for (i = 0; i < 3; i++) {
        driver d;
        vcp_pool_options options = asking(&d, 3600000);
        int round;
        options.liveness = modes[i];
        driver_pool(&d, &options);
        for (round = 0; round < 1000; round++) {
            give_back(borrow(d.pool, &d.where));
        }
        CHECK_EQ(d.on_reuse.calls, 0);
        CHECK_EQ(stats_of(d.pool).reuses, 999);
        DRIVER_END(&d);
    }
}

TEST(what_rested_is_asked_about_after_quick_cycles_too,
     "on_reuse_after_ms: A thread that remembers a connection from quick cycles asks once it has "
     "rested")
{
    driver d;
    vcp_pool *pool = asking_pool(&d, at_most(RESTED_MS));
    int round;
    for (round = 0; round < 3; round++) {
        int i;
        for (i = 0; i < 20; i++) {
            give_back(borrow(pool, &d.where));
        }
        CHECK_EQ(d.on_reuse.calls, round);
        let_pass(at_most(RESTED_MS) + COARSE_MS);
        give_back(borrow(pool, &d.where));
        CHECK_EQ(d.on_reuse.calls, round + 1);
    }
    DRIVER_END(&d);
}

TEST(one_that_rested_is_refused_and_the_next_serves,
     "on_reuse_after_ms: A refused one that rested is closed (HOOK), and a dial opens another")
{
    driver d;
    vcp_pool *pool = asking_pool(&d, 20);
    vcp_conn *conn;
    give_back(borrow(pool, &d.where));
    let_pass(20 + COARSE_MS);
    d.on_reuse.answer = 1;
    conn = borrow(pool, &d.where);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(d.on_reuse.calls, 1);
    CHECK_EQ(stats_of(pool).closed_hook, 1);
    give_back(conn);
    DRIVER_END(&d);
}

TEST(an_asynchronous_hit_that_has_not_rested_is_returned_at_once,
     "on_reuse_after_ms: An asynchronous hit of a connection that has not rested is returned at "
     "once; one that has goes through a helper thread and the queue")
{
    driver d;
    vcp_pool *pool = asking_pool(&d, at_most(RESTED_MS));
    vcp_queue *queue = queue_new();
    vcp_conn *conn = borrow(pool, &d.where);
    int fd = vcp_conn_raw_fd(conn);
    give_back(conn);
    CHECK_EQ(dial_async(pool, &d.where, NULL, queue, &d, &conn), fd);
    CHECK_EQ(d.on_reuse.calls, 0);
    give_back(conn);
    let_pass(at_most(RESTED_MS) + COARSE_MS);
    begin_dial(pool, &d.where, NULL, queue, &d);
    conn = next_conn(queue, &d);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(d.on_reuse.calls, 1);
    CHECK_EQ(d.on_reuse.on_helpers, 1);
    give_back(conn);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(what_goes_to_a_waiter_has_not_rested,
     "on_reuse_after_ms: A connection that goes from hand to hand is not asked about")
{
    driver d;
    vcp_pool_options options = asking(&d, at_most(RESTED_MS));
    vcp_conn *conn;
    dialer m;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.where);
    m = dialer_of(d.pool, d.where.address);
    dialer_start(&m);
    EVENTUALLY(stats_of(d.pool).waiting == 1, 5000);
    let_pass(at_most(RESTED_MS) + COARSE_MS);
    give_back(conn);
    dialer_join(&m);
    CHECK(m.status >= 0);
    CHECK_EQ(vcp_conn_is_reused(m.conn), 1);
    CHECK_EQ(d.on_reuse.calls, 0);
    give_back(m.conn);
    DRIVER_END(&d);
}

TEST(sessions_rest_too, "on_reuse_after_ms: It holds for sessions, with and without a descriptor")
{
    int has_fd;
    for (has_fd = 0; has_fd < 2; has_fd++) {
        driver d;
        vcp_pool_options options = asking(&d, at_most(RESTED_MS));
        options.open_session = driver_opens;
        d.has_fd = has_fd;
        driver_pool(&d, &options);
        give_back(borrow(d.pool, &d.db));
        give_back(borrow(d.pool, &d.db));
        CHECK_EQ(d.on_reuse.calls, 0);
        let_pass(at_most(RESTED_MS) + COARSE_MS);
        give_back(borrow(d.pool, &d.db));
        CHECK_EQ(d.on_reuse.calls, 1);
        CHECK_EQ(d.asked, 1);
        DRIVER_END(&d);
    }
}

TEST(a_negative_rest_is_no_time, "on_reuse_after_ms: A negative time is INVALID_ARGUMENT")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool = NULL;
    options.on_reuse_after_ms = -2;
    CHECK_EQ(vcp_pool_new(&options, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK_HAS(vcp_last_error(), "on_reuse_after_ms");
    CHECK(pool == NULL);
}
