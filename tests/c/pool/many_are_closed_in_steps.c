/*
 * A close, an evict or a close_idle of many connections goes in steps, between which the pool's
 * lock is free. Who calls it closes all of them, and nobody else sees the steps. The sessions here
 * have no descriptor, so that there may be thousands.
 */
#include "check.h"

enum { MANY = 1000 };

static pthread_t closer;
static int frees;
static int frees_elsewhere;
static int closes_told;
static int opens;
static int refuses;

static void ends(void *data)
{
    (void)data;
    sched_yield();
    __sync_fetch_and_add(&frees, 1);
    if (!pthread_equal(pthread_self(), closer)) {
        __sync_fetch_and_add(&frees_elsewhere, 1);
    }
}

static int opens_one(void *user, const vcp_session_request *request, vcp_session *session)
{
    (void)user;
    (void)request;
    session->data = &opens;
    session->free_data = ends;
    __sync_fetch_and_add(&opens, 1);
    return __sync_add_and_fetch(&refuses, 0);
}

static void counts_closes(void *user, const vcp_event *event)
{
    (void)user;
    if (event->kind == VCP_EVENT_CLOSED) {
        __sync_fetch_and_add(&closes_told, 1);
    }
}

static vcp_pool_options options_for_many(void)
{
    vcp_pool_options options = pool_options();
    options.open_session = opens_one;
    options.max_idle_per_address = MANY;
    return options;
}

static void make_idle(vcp_pool *pool, int count)
{
    static vcp_conn *conns[MANY];
    int i;
    for (i = 0; i < count; i++) {
        CHECK_EQ(vcp_dial(pool, "tcp", "db.invalid:1", &conns[i]), 0);
    }
    for (i = 0; i < count; i++) {
        give_back(conns[i]);
    }
    frees = frees_elsewhere = closes_told = 0;
    closer = pthread_self();
}

/* Other threads' calls, all the time. */
static int is_over;

static void *calls_all_the_time(void *argument)
{
    vcp_pool *pool = (vcp_pool *)argument;
    while (!__sync_add_and_fetch(&is_over, 0)) {
        vcp_conn *conn;
        vcp_stats stats;
        if (vcp_dial(pool, "tcp", "another.invalid:1", &conn) >= 0) {
            give_back(conn);
        }
        (void)vcp_pool_stats(pool, &stats, sizeof stats);
    }
    return NULL;
}

/* Other threads' transitions took the rest, and closed it when the close had returned. */
TEST(who_closes_many_closes_all_of_them,
     "close: free_data of 1,000 idle connections has run on the closing thread when vcp_pool_close "
     "returns, whatever other threads call meanwhile")
{
    int round;
    for (round = 0; round < 5; round++) {
        vcp_pool_options options = options_for_many();
        vcp_pool *pool = pool_new(&options);
        pthread_t other;
        int before;
        is_over = 0;
        make_idle(pool, MANY);
        CHECK_EQ(pthread_create(&other, NULL, calls_all_the_time, pool), 0);
        EVENTUALLY(stats_of(pool).dials > MANY, 5000);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        before = __sync_add_and_fetch(&frees, 0);
        __sync_lock_test_and_set(&is_over, 1);
        CHECK_EQ(pthread_join(other, NULL), 0);
        CHECK(before >= MANY);
        /* One that the other thread had borrowed is its own to close. */
        CHECK(frees_elsewhere <= 1);
    }
}

TEST(every_close_is_told_before_vcp_pool_close_returns,
     "close: CLOSED of 1,000 idle connections has been told when vcp_pool_close returns")
{
    int round;
    for (round = 0; round < 5; round++) {
        vcp_pool_options options = options_for_many();
        vcp_pool *pool;
        pthread_t other;
        options.on_event = counts_closes;
        is_over = 0;
        pool = pool_new(&options);
        make_idle(pool, MANY);
        CHECK_EQ(pthread_create(&other, NULL, calls_all_the_time, pool), 0);
        EVENTUALLY(stats_of(pool).dials > MANY, 5000);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        CHECK(__sync_add_and_fetch(&closes_told, 0) >= MANY);
        __sync_lock_test_and_set(&is_over, 1);
        CHECK_EQ(pthread_join(other, NULL), 0);
    }
}

static int has_begun;
static int late_hits;

static void begins_and_takes_its_time(void *data)
{
    (void)data;
    __sync_lock_test_and_set(&has_begun, 1);
    let_pass(1);
}

static int opens_a_slow_one(void *user, const vcp_session_request *request, vcp_session *session)
{
    (void)user;
    session->data = &opens;
    session->free_data = request->reuse_tag[0] == '\0' ? begins_and_takes_its_time : NULL;
    return 0;
}

static void *hits_all_the_time(void *argument)
{
    vcp_pool *pool = (vcp_pool *)argument;
    vcp_dial_options dial = dial_options(0);
    int is_late = 0;
    int status = 0;
    dial.reuse_tag = "hits";
    while (status >= 0) {
        vcp_conn *conn;
        is_late = __sync_add_and_fetch(&has_begun, 0);
        status = vcp_dial_with(pool, "tcp", "db.invalid:1", &dial, &conn);
        if (status >= 0) {
            give_back(conn);
            late_hits += is_late;
        }
    }
    return NULL;
}

/* Those that the steps had not come to yet were lent by the fast path for a second. */
TEST(no_dial_succeeds_once_a_close_has_begun,
     "close: When vcp_pool_close or vcp_pool_drain has closed the first connection, no dial "
     "succeeds, a hit on the fast path neither")
{
    int drains;
    for (drains = 0; drains < 2; drains++) {
        vcp_pool_options options = options_for_many();
        vcp_pool *pool;
        pthread_t other;
        options.open_session = opens_a_slow_one;
        pool = pool_new(&options);
        make_idle(pool, 200);
        has_begun = late_hits = 0;
        CHECK_EQ(pthread_create(&other, NULL, hits_all_the_time, pool), 0);
        EVENTUALLY(stats_of(pool).reuses > 1000, 5000);
        if (drains) {
            CHECK(vcp_pool_drain(pool, VCP_FOREVER) == 0);
        } else {
            CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        }
        CHECK_EQ(pthread_join(other, NULL), 0);
        CHECK_EQ(late_hits, 0);
        CHECK_EQ(drains ? vcp_pool_close(pool) : VCP_OK, VCP_OK);
    }
}

/* The later steps did not tell the engine that there was something to do. */
TEST(what_close_idle_closes_in_steps_is_made_up_for,
     "min_idle: After a close_idle of many, min_idle_per_address are dialed again")
{
    vcp_pool_options options = options_for_many();
    vcp_pool *pool;
    options.open_session = opens_a_slow_one;
    options.min_idle_per_address = 1;
    pool = pool_new(&options);
    make_idle(pool, 200);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    EVENTUALLY(idle_in(pool) == 1, 5000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* It stayed for as long as the pool. */
TEST(without_min_idle_an_empty_destination_is_forgotten,
     "set_limits: A destination that was kept for min_idle_per_address is forgotten when that "
     "becomes 0")
{
    static char report[8192];
    vcp_pool_options options = options_for_many();
    vcp_pool *pool;
    options.min_idle_per_address = 1;
    pool = pool_new(&options);
    make_idle(pool, 1);
    __sync_lock_test_and_set(&refuses, 1);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    EVENTUALLY(stats_of(pool).dial_failures >= 1, 5000);
    CHECK(vcp_pool_describe(pool, VCP_FORMAT_JSON, report, sizeof report) > 0);
    CHECK_HAS(report, "db.invalid:1");
    options.min_idle_per_address = 0;
    CHECK_EQ(vcp_pool_set_limits(pool, &options), VCP_OK);
    EVENTUALLY(stats_of(pool).dialing == 0, 5000);
    CHECK(vcp_pool_describe(pool, VCP_FORMAT_JSON, report, sizeof report) > 0);
    CHECK(strstr(report, "db.invalid:1") == NULL);
    __sync_lock_release(&refuses);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

static int nested;
static int deepest;

static void asks_the_pool(void *user, const vcp_event *event)
{
    if (event->kind != VCP_EVENT_CLOSED) {
        return;
    }
    deepest = ++nested > deepest ? nested : deepest;
    CHECK_EQ(vcp_pool_evict(*(vcp_pool **)user, "tcp", "another.invalid:1"), VCP_OK);
    nested--;
}

/* Each call took the next step, inside the step before. */
TEST(a_call_inside_on_event_takes_no_step_of_another,
     "events: on_event of a close_idle of many may call the pool, and no step runs inside another")
{
    vcp_pool_options options = options_for_many();
    vcp_pool *pool = NULL;
    options.on_event = asks_the_pool;
    options.user = &pool;
    pool = pool_new(&options);
    make_idle(pool, MANY);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    CHECK_EQ(idle_in(pool), 0);
    CHECK_EQ(deepest, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}
