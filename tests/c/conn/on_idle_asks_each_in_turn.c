/*
 * on_idle: each idle connection is asked about every on_idle_ms, on a helper thread: a ping, a
 * keep-alive of the protocol. Contract section 4.
 */
#include "dialing_threads.h"
#include "own_driver.h"

static const server *place(driver *d, int is_session)
{
    return is_session ? &d->db : &d->where;
}

static vcp_pool_options asking(driver *d, int is_session, int64_t every_ms)
{
    vcp_pool_options options;
    driver_start(d);
    options = driver_options(d);
    options.on_event = driver_sees;
    options.on_idle = driver_on_idle;
    options.on_idle_ms = every_ms;
    options.open_session = is_session ? driver_opens : NULL;
    return options;
}

static vcp_pool *asking_pool(driver *d, int is_session, int64_t every_ms)
{
    vcp_pool_options options = asking(d, is_session, every_ms);
    return driver_pool(d, &options);
}

static int calls(driver *d)
{
    return driver_number(d, &d->on_idle.calls);
}

static void lets_the_hook_end(driver *d)
{
    driver_sets(d, &d->on_idle.holds, 0);
}

/* One connection is idle, and its on_idle is held. */
static void await_a_held_hook(driver *d, int is_session)
{
    d->on_idle.holds = 1;
    give_back(borrow(d->pool, place(d, is_session)));
    EVENTUALLY(driver_number(d, &d->on_idle.inside) == 1, 5000);
}

static void check_gauges(vcp_pool *pool, int64_t idle, int64_t borrowed)
{
    vcp_stats stats = stats_of(pool);
    CHECK_EQ(stats.idle, idle);
    CHECK_EQ(stats.borrowed, borrowed);
    CHECK_EQ(stats.releasing, 0);
    CHECK_EQ(vcp_pool_conn_count(pool), idle + borrowed);
}

#define PERIOD 50

TEST(an_idle_connection_is_asked_every_period,
     "on_idle: Each idle connection is asked every on_idle_ms on a helper thread; idle_checks "
     "counts the calls that ended, and uses and reuses do not")
{
    int is_session;
    for (is_session = 0; is_session < 2; is_session++) {
        driver d;
        vcp_pool *pool = asking_pool(&d, is_session, PERIOD);
        vcp_conn *conn = borrow(pool, place(&d, is_session));
        int fd = vcp_conn_raw_fd(conn);
        int64_t start = now_ms();
        int seen;
        give_back(conn);
        EVENTUALLY(calls(&d) >= 5, 5 * (PERIOD + LATENESS_MS));
        seen = calls(&d);
        CHECK_BETWEEN(seen, 5, (now_ms() - start) / (PERIOD - COARSE_MS) + 1);
        CHECK(driver_number(&d, &d.on_idle.on_helpers) >= seen);
        CHECK_EQ(driver_number(&d, &d.on_idle.fd), fd);
        CHECK(stats_of(pool).idle_checks >= 4);
        EVENTUALLY(idle_in(pool) == 1, 5000);
        conn = borrow(pool, place(&d, is_session));
        CHECK_EQ(vcp_conn_raw_fd(conn), fd);
        CHECK_EQ(vcp_conn_uses(conn), 2);
        CHECK_EQ(stats_of(pool).reuses, 1);
        CHECK_EQ(stats_of(pool).releases, 1);
        CHECK_EQ(driver_number(&d, &d.kinds[VCP_EVENT_REUSED]), 1);
        CHECK_EQ(driver_number(&d, &d.kinds[VCP_EVENT_RELEASED]), 1);
        seen = calls(&d);
        STAYS(calls(&d) == seen, 3 * PERIOD); /* a borrowed one is not asked */
        CHECK_EQ(stats_of(pool).idle_checks, seen);
        give_back(conn);
        EVENTUALLY(calls(&d) > seen, PERIOD + LATENESS_MS);
        DRIVER_END(&d);
    }
}

TEST(nothing_is_asked_without_a_period,
     "on_idle: on_idle_ms 0 and VCP_FOREVER: never; a period without on_idle asks nobody; a "
     "negative one is INVALID_ARGUMENT")
{
    int64_t never[] = {0, VCP_FOREVER};
    vcp_pool_options options;
    vcp_pool *pool = NULL;
    int i;
    for (i = 0; i < 3; i++) {
        driver d;
        options = asking(&d, 1, i < 2 ? never[i] : 20);
        options.on_idle = i < 2 ? driver_on_idle : NULL;
        driver_pool(&d, &options);
        give_back(borrow(d.pool, &d.db));
        STAYS(calls(&d) == 0, 100);
        CHECK_EQ(stats_of(d.pool).idle_checks, 0);
        CHECK_HOLDS(&d, 1, 1);
        DRIVER_END(&d);
    }
    options = pool_options();
    options.on_idle_ms = -2;
    CHECK_EQ(vcp_pool_new(&options, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK_HAS(vcp_last_error(), "on_idle_ms");
}

static int64_t shortest_rest;

static int counts_by_session(void *data, vcp_conn *conn, int fd)
{
    session *s = (session *)data;
    int64_t now = now_ms();
    (void)fd;
    (void)conn;
    pthread_mutex_lock(&s->of->lock);
    if (s->idle_calls > 0 && now - s->asked_at < shortest_rest) {
        shortest_rest = now - s->asked_at;
    }
    s->idle_calls++;
    s->asked_at = now;
    pthread_mutex_unlock(&s->of->lock);
    return 0;
}

/* How often that session of all was asked that was asked least. */
static int least_calls(driver *d)
{
    int least = INT_MAX;
    session *s;
    pthread_mutex_lock(&d->lock);
    for (s = d->sessions; s != NULL; s = s->next) {
        least = s->idle_calls < least ? s->idle_calls : least;
    }
    pthread_mutex_unlock(&d->lock);
    return least;
}

TEST(a_thousand_idle_sessions_are_asked_once_a_period_each,
     "on_idle: 1,000 idle sessions are each asked once in each period, never by two threads at "
     "once, and at most 16 at a time")
{
    enum { MANY = 1000, EVERY = 400, ROUNDS = 3 };
    static vcp_conn *conns[MANY];
    driver d;
    vcp_pool_options options = asking(&d, 1, EVERY);
    session *s;
    int64_t start;
    int64_t took;
    int i;
    d.has_fd = 0;
    d.on_idle.does = counts_by_session;
    options.max_idle_per_address = MANY;
    shortest_rest = EVERY;
    driver_pool(&d, &options);
    for (i = 0; i < MANY; i++) {
        conns[i] = borrow(d.pool, &d.db);
    }
    start = now_ms();
    for (i = 0; i < MANY; i++) {
        give_back(conns[i]);
    }
    EVENTUALLY(least_calls(&d) >= ROUNDS, ROUNDS * EVERY + 2000);
    took = now_ms() - start;
    CHECK_BETWEEN(took, ROUNDS * (EVERY - COARSE_MS) - 1, INT64_MAX);
    /* Its period begins when it was asked; the hook reads the clock a moment later. */
    CHECK_BETWEEN(shortest_rest, EVERY - 50, EVERY);
    CHECK_EQ(vcp_pool_drain(d.pool, VCP_FOREVER), 0);
    for (s = d.sessions; s != NULL; s = s->next) {
        CHECK_BETWEEN(s->idle_calls, ROUNDS, took / EVERY + 1);
    }
    CHECK_BETWEEN(d.on_idle.most_inside, 1, 16);
    CHECK_EQ(stats_of(d.pool).idle_checks, d.on_idle.calls);
    EVENTUALLY(driver_frees(&d) == MANY, 5000);
    DRIVER_END(&d);
}

TEST(at_most_sixteen_are_asked_at_once_in_the_process,
     "on_idle: At most 16 connections of a process are asked at once, over all its pools; the "
     "others are asked when these have answered")
{
    enum { EACH = 20 };
    driver d[2];
    vcp_conn *conns[EACH];
    int p;
    int i;
    for (p = 0; p < 2; p++) {
        vcp_pool_options options = asking(&d[p], 1, 20);
        options.max_idle_per_address = EACH;
        d[p].has_fd = 0;
        d[p].on_idle.holds = 1;
        driver_pool(&d[p], &options);
        for (i = 0; i < EACH; i++) {
            conns[i] = borrow(d[p].pool, &d[p].db);
        }
        for (i = 0; i < EACH; i++) {
            give_back(conns[i]);
        }
    }
#define INSIDE \
    (driver_number(&d[0], &d[0].on_idle.inside) + driver_number(&d[1], &d[1].on_idle.inside))
    EVENTUALLY(INSIDE == 16, 5000);
    STAYS(INSIDE == 16, 100);
#undef INSIDE
    lets_the_hook_end(&d[0]);
    lets_the_hook_end(&d[1]);
    for (p = 0; p < 2; p++) {
        EVENTUALLY(calls(&d[p]) >= EACH, 10000);
    }
    DRIVER_END(&d[1]);
    DRIVER_END(&d[0]);
}

static int64_t idle_ms_inside[4];

static int looks_inside(void *data, vcp_conn *conn, int fd)
{
    static int turn;
    (void)data;
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_detach(conn), VCP_ERR_INVALID_ARGUMENT);
    if (turn < 3) {
        idle_ms_inside[turn++] = vcp_conn_idle_ms(conn);
    }
    return 0;
}

TEST(the_hook_sees_how_long_it_is_idle_by_now,
     "on_idle: Inside it vcp_conn_idle_ms tells how long the connection is idle by now, since its "
     "last borrower; closing or detaching it is INVALID_ARGUMENT")
{
    driver d;
    vcp_pool_options options = asking(&d, 0, PERIOD);
    vcp_conn *conn;
    int i;
    d.on_idle.does = looks_inside;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.where));
    EVENTUALLY(calls(&d) >= 4, 4 * (PERIOD + LATENESS_MS));
    for (i = 0; i < 3; i++) {
        CHECK_BETWEEN(idle_ms_inside[i], (i + 1) * (PERIOD - COARSE_MS),
                      at_most((i + 1) * (PERIOD + LATENESS_MS)));
    }
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    conn = borrow(d.pool, &d.where);
    CHECK_BETWEEN(vcp_conn_idle_ms(conn), 4 * (PERIOD - COARSE_MS), INT64_MAX);
    give_back(conn);
    DRIVER_END(&d);
}

TEST(what_on_idle_refuses_is_closed,
     "on_idle: A refusal closes the connection (HOOK), on the hook's thread")
{
    int is_session;
    for (is_session = 0; is_session < 2; is_session++) {
        driver d;
        vcp_pool *pool = asking_pool(&d, is_session, 30);
        d.on_idle.answer = 1;
        give_back(borrow(pool, place(&d, is_session)));
        EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_HOOK]) == 1, 30 + LATENESS_MS);
        EVENTUALLY(vcp_pool_conn_count(pool) == 0, 5000);
        CHECK_EQ(stats_of(pool).closed_hook, 1);
        CHECK_EQ(stats_of(pool).idle_checks, 1);
        CHECK_EQ(driver_frees(&d), is_session);
        CHECK(!is_session || d.sessions->freed_by_helper);
        DRIVER_END(&d);
    }
}

TEST(what_is_asked_cannot_be_borrowed,
     "on_idle: A connection that is asked counts as borrowed; a dial that finds nothing else dials "
     "if the limits let it, else fails as at any limit")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, PERIOD);
    vcp_conn *conn = NULL;
    vcp_conn *none = NULL;
    options.max_conns = 2;
    driver_pool(&d, &options);
    await_a_held_hook(&d, 1);
    check_gauges(d.pool, 0, 1);
    CHECK_EQ(dial_flags(d.pool, &d.db, VCP_DIAL_REUSE_ONLY, &none), VCP_ERR_NOT_AVAILABLE);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &none), VCP_ERR_POOL_EXHAUSTED);
    lets_the_hook_end(&d);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    give_back(conn);
    DRIVER_END(&d);
}

TEST(what_is_asked_serves_who_waited_for_it,
     "on_idle: A dial that waits at a limit gets the connection when its hook has ended")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, PERIOD);
    dialer m;
    session *s;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    driver_pool(&d, &options);
    await_a_held_hook(&d, 1);
    s = d.sessions;
    m = dialer_of(d.pool, d.db.address);
    dialer_start(&m);
    EVENTUALLY(stats_of(d.pool).waiting == 1, 5000);
    STAYS(!dialer_has_returned(&m), 20);
    lets_the_hook_end(&d);
    dialer_join(&m);
    CHECK_EQ(m.status, s->fd);
    CHECK_EQ(d.asked, 1);
    CHECK_EQ(vcp_conn_uses(m.conn), 2);
    give_back(m.conn);
    DRIVER_END(&d);
}

TEST(a_refused_one_makes_room_for_who_waited,
     "on_idle: A dial that waits for the connection opens another when its hook refuses it")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, PERIOD);
    dialer m;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    d.on_idle.answer = 1;
    driver_pool(&d, &options);
    await_a_held_hook(&d, 1);
    m = dialer_of(d.pool, d.db.address);
    dialer_start(&m);
    EVENTUALLY(stats_of(d.pool).waiting == 1, 5000);
    lets_the_hook_end(&d);
    dialer_join(&m);
    CHECK(m.status >= 0);
    CHECK_EQ(vcp_conn_is_reused(m.conn), 0);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    CHECK_EQ(vcp_conn_discard(m.conn), VCP_OK);
    give_back(m.conn);
    DRIVER_END(&d);
}

TEST(a_borrower_waits_for_none_but_its_own,
     "on_idle: With one of two idle connections asked, a dial gets the other at once")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, PERIOD);
    vcp_conn *one;
    vcp_conn *two;
    session *first;
    options.max_conns = 2;
    driver_pool(&d, &options);
    two = borrow(d.pool, &d.db);
    await_a_held_hook(&d, 1);
    first = d.sessions;
    give_back(two);
    one = borrow(d.pool, &d.db);
    CHECK(session_of(one) != first);
    CHECK_EQ(d.asked, 2);
    lets_the_hook_end(&d);
    give_back(one);
    DRIVER_END(&d);
}

TEST(close_idle_and_evict_reach_what_is_asked,
     "on_idle: vcp_pool_close_idle and vcp_pool_evict during the hook close the connection when it "
     "returns (EVICTED)")
{
    int way;
    for (way = 0; way < 3; way++) {
        driver d;
        vcp_pool *pool = asking_pool(&d, 1, PERIOD);
        await_a_held_hook(&d, 1);
        CHECK_EQ(way == 0   ? vcp_pool_close_idle(pool)
                 : way == 1 ? vcp_pool_evict(pool, NULL, NULL)
                            : vcp_pool_evict(pool, d.db.network, d.db.address),
                 VCP_OK);
        CHECK_EQ(driver_frees(&d), 0);
        lets_the_hook_end(&d);
        EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_EVICTED]) == 1, 5000);
        EVENTUALLY(driver_frees(&d) == 1, 5000);
        EVENTUALLY(vcp_pool_conn_count(pool) == 0, 5000);
        CHECK_EQ(stats_of(pool).closed_evicted, 1);
        DRIVER_END(&d);
    }
}

TEST(
    the_pool_may_be_closed_while_it_asks,
    "on_idle: vcp_pool_close does not wait for the hook; the connection is closed when it returns, "
    "and then free_user runs")
{
    int is_session;
    for (is_session = 0; is_session < 2; is_session++) {
        driver d;
        vcp_pool *pool = asking_pool(&d, is_session, PERIOD);
        int64_t start;
        await_a_held_hook(&d, is_session);
        start = now_ms();
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        d.pool = NULL;
        CHECK_TOOK(start, 0);
        CHECK_EQ(driver_frees(&d), 0);
        CHECK_EQ(driver_number(&d, &d.user_frees), 0);
        lets_the_hook_end(&d);
        EVENTUALLY(driver_frees(&d) == is_session, 5000);
        DRIVER_END(&d);
    }
}

static void *drains_for_ever(void *pool)
{
    return (void *)(intptr_t)vcp_pool_drain((vcp_pool *)pool, VCP_FOREVER);
}

TEST(a_drain_waits_for_what_is_asked, "on_idle: vcp_pool_drain counts what is asked as borrowed, "
                                      "and waits until its hook has returned")
{
    driver d;
    vcp_pool *pool = asking_pool(&d, 1, PERIOD);
    pthread_t thread;
    void *left = NULL;
    await_a_held_hook(&d, 1);
    CHECK_EQ(vcp_pool_drain(pool, 0), 1);
    CHECK_EQ(pthread_create(&thread, NULL, drains_for_ever, pool), 0);
    lets_the_hook_end(&d);
    CHECK_EQ(pthread_join(thread, &left), 0);
    CHECK_EQ((intptr_t)left, 0);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
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

TEST(the_time_of_on_idle,
     "on_idle: When hook_timeout_ms is over the socket is shut down, vcp_conn_read in the hook is "
     "TIMEOUT, and the connection is closed (HOOK)")
{
    int way;
    for (way = 0; way < 3; way++) {
        driver d;
        int is_session = way == 2;
        vcp_pool_options options = asking(&d, is_session, PERIOD);
        options.hook_timeout_ms = 100;
        d.on_idle.does = way == 0 ? waits_in_the_library : waits_on_the_descriptor;
        hook_read = 0;
        driver_pool(&d, &options);
        give_back(borrow(d.pool, place(&d, is_session)));
        EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_HOOK]) == 1,
                   PERIOD + 100 + 2 * LATENESS_MS);
        CHECK(way != 0 || hook_read == VCP_ERR_TIMEOUT);
        CHECK_EQ(driver_frees(&d), is_session);
        EVENTUALLY(vcp_pool_conn_count(d.pool) == 0, 5000);
        CHECK_EQ(stats_of(d.pool).idle_checks, 1);
        DRIVER_END(&d);
    }
}

static int pings(void *data, vcp_conn *conn, int fd)
{
    char answer[4];
    (void)data;
    (void)fd;
    return vcp_conn_write(conn, "ping", 4) == 4 && vcp_conn_read_full(conn, answer, 4) == 4 &&
                   memcmp(answer, "ping", 4) == 0
               ? 0
               : 1;
}

TEST(a_ping_keeps_a_strict_connection,
     "on_idle: Under every liveness a hook may write a ping and read its answer; the connection "
     "stays in the pool")
{
    int32_t modes[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_ALLOW_DATA, VCP_LIVENESS_WATCH};
    int i;
    for (i = 0; i < 3; i++) {
        driver d;
        vcp_pool_options options = asking(&d, 0, 20);
        vcp_conn *conn;
        options.liveness = modes[i];
        d.on_idle.does = pings;
        server_start_echo(&d.where);
        driver_pool(&d, &options);
        give_back(borrow(d.pool, &d.where));
        /* Longer than half a second: by then the watch looks for bytes. */
        EVENTUALLY(calls(&d) >= 40, 40 * (20 + LATENESS_MS));
        EVENTUALLY(idle_in(d.pool) == 1, 5000);
        conn = borrow(d.pool, &d.where);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        CHECK_ECHO(conn, "the borrower's");
        give_back(conn);
        CHECK_EQ(stats_of(d.pool).dials, 1);
        DRIVER_END(&d);
    }
}

TEST(idle_timeout_goes_on_as_if_nobody_had_asked,
     "on_idle: idle_timeout_ms counts from the last borrower, however often on_idle has asked")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, 30);
    int64_t start;
    options.idle_timeout_ms = 200;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    start = now_ms();
    EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_IDLE_TIMEOUT]) == 1, 1200);
    CHECK_BETWEEN(now_ms() - start, 200 - COARSE_MS, at_most(1200));
    CHECK_BETWEEN(calls(&d), 1, (now_ms() - start) / (30 - COARSE_MS) + 1);
    CHECK_EQ(stats_of(d.pool).closed_idle_timeout, 1);
    DRIVER_END(&d);
}

TEST(the_idle_time_may_end_during_the_hook,
     "on_idle: A connection whose idle time or lifetime ends during the hook is closed when it "
     "returns (IDLE_TIMEOUT, LIFETIME)")
{
    int is_lifetime;
    for (is_lifetime = 0; is_lifetime < 2; is_lifetime++) {
        driver d;
        vcp_pool_options options = asking(&d, 1, 20);
        int reason = is_lifetime ? VCP_CLOSE_LIFETIME : VCP_CLOSE_IDLE_TIMEOUT;
        options.lifetime_jitter_percent = 0;
        options.max_lifetime_ms = is_lifetime ? at_most(100) : 0;
        options.idle_timeout_ms = is_lifetime ? 0 : at_most(100);
        driver_pool(&d, &options);
        await_a_held_hook(&d, 1);
        let_pass(at_most(110));
        CHECK_EQ(driver_frees(&d), 0);
        lets_the_hook_end(&d);
        EVENTUALLY(driver_number(&d, &d.reasons[reason]) == 1, 1000);
        EVENTUALLY(vcp_pool_conn_count(d.pool) == 0, 5000);
        DRIVER_END(&d);
    }
}

static void keeps_the_order(int32_t order, int wanted)
{
    enum { THREE = 3 };
    driver d;
    vcp_pool_options options = asking(&d, 1, PERIOD);
    vcp_conn *conns[THREE];
    session *sessions[THREE];
    int i;
    options.reuse_order = order;
    d.on_idle.does = counts_by_session;
    driver_pool(&d, &options);
    for (i = 0; i < THREE; i++) {
        conns[i] = borrow(d.pool, &d.db);
        sessions[i] = session_of(conns[i]);
    }
    for (i = 0; i < THREE; i++) {
        give_back(conns[i]);
        let_pass(PERIOD / THREE);
    }
    EVENTUALLY(calls(&d) >= 3 * THREE, 3 * (PERIOD + LATENESS_MS));
    /* Not asked again meanwhile: what is asked is passed over. */
    driver_sets(&d, &d.on_idle.holds, 0);
    EVENTUALLY(idle_in(d.pool) == THREE && stats_of(d.pool).borrowed == 0, 5000);
    conns[0] = borrow(d.pool, &d.db);
    CHECK(session_of(conns[0]) == sessions[wanted] || stats_of(d.pool).borrowed > 1);
    give_back(conns[0]);
    DRIVER_END(&d);
}

TEST(the_order_is_as_if_nobody_had_asked,
     "on_idle: LIFO and FIFO order is that of the borrowers' give-backs, whatever on_idle has "
     "asked since")
{
    keeps_the_order(VCP_REUSE_LIFO, 2);
    keeps_the_order(VCP_REUSE_FIFO, 0);
}

TEST(the_order_holds_for_what_is_asked_alone,
     "on_idle: A connection that was asked alone keeps its place between the others")
{
    int32_t orders[] = {VCP_REUSE_LIFO, VCP_REUSE_FIFO};
    int i;
    for (i = 0; i < 2; i++) {
        driver d;
        vcp_pool_options options = asking(&d, 1, 300);
        vcp_conn *one;
        vcp_conn *two;
        session *first;
        session *second;
        options.reuse_order = orders[i];
        driver_pool(&d, &options);
        one = borrow(d.pool, &d.db);
        two = borrow(d.pool, &d.db);
        first = session_of(one);
        second = session_of(two);
        d.on_idle.holds = 1;
        give_back(one);
        let_pass(150);
        give_back(two);
        EVENTUALLY(driver_number(&d, &d.on_idle.inside) == 1, 5000);
        lets_the_hook_end(&d);
        EVENTUALLY(idle_in(d.pool) == 2, 5000);
        one = borrow(d.pool, &d.db);
        CHECK(session_of(one) == (i == 0 ? second : first));
        give_back(one);
        DRIVER_END(&d);
    }
}

TEST(what_is_in_constant_use_is_not_asked,
     "on_idle: A connection that never rests for on_idle_ms is not asked, on the fast path too; "
     "when it rests, it is")
{
    int32_t modes[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_WATCH};
    int i;
    for (i = 0; i < 2; i++) {
        driver d;
        vcp_pool_options options = asking(&d, 0, at_most(200));
        int64_t end;
        options.liveness = modes[i];
        options.on_event = NULL;
        driver_pool(&d, &options);
        end = now_ms() + at_most(200) * 3;
        while (now_ms() < end) {
            give_back(borrow(d.pool, &d.where));
        }
        CHECK_EQ(calls(&d), 0);
        CHECK_EQ(stats_of(d.pool).dials, 1);
        EVENTUALLY(calls(&d) == 1, 200 + LATENESS_MS);
        EVENTUALLY(stats_of(d.pool).idle_checks >= 1, 5000);
        DRIVER_END(&d);
    }
}

static int hangs_up(void *data, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    session_hangs_up((session *)data);
    return 0;
}

TEST(a_session_that_hangs_up_in_on_idle_is_closed,
     "on_idle: fd is asked after it, on its thread: -1 from a session that has told a descriptor "
     "closes it (FAILED)")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, 20);
    d.on_idle.does = hangs_up;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_FAILED]) == 1, 5000);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    EVENTUALLY(vcp_pool_conn_count(d.pool) == 0, 5000);
    DRIVER_END(&d);
}

static int reconnects_once(void *data, vcp_conn *conn, int fd)
{
    session *s = (session *)data;
    (void)conn;
    (void)fd;
    if (s->idle_calls++ == 0) {
        session_reconnects(s);
    }
    return 0;
}

TEST(a_session_may_reconnect_in_on_idle,
     "on_idle: A session that reconnects in it is watched, and lent out, with its new descriptor")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, PERIOD);
    vcp_conn *conn;
    session *s;
    d.on_idle.does = reconnects_once;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    s = d.sessions;
    EVENTUALLY(calls(&d) >= 2, 5000);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_conn_raw_fd(conn), s->fd);
    CHECK_EQ(d.asked, 1);
    give_back(conn);
    CHECK_EQ(shutdown(s->peer, SHUT_RDWR), 0);
    EVENTUALLY(driver_frees(&d) == 1, 1000 + LATENESS_MS);
    DRIVER_END(&d);
}

TEST(what_was_put_or_warmed_is_asked_too,
     "on_idle: Connections that were put, added or warmed are asked as any other")
{
    driver d;
    vcp_pool_options options = asking(&d, 0, PERIOD);
    session *s;
    vcp_session filled;
    int asked;
    driver_pool(&d, &options);
    CHECK_EQ(vcp_pool_add(d.pool, client_of(&d.where)), VCP_OK);
    EVENTUALLY(calls(&d) >= 1, 5000);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    CHECK_EQ(vcp_pool_close_idle(d.pool), VCP_OK);
    asked = calls(&d);
    CHECK_EQ(vcp_pool_warm(d.pool, d.where.network, d.where.address, NULL, 1), 1);
    EVENTUALLY(calls(&d) > asked, 5000);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    CHECK_EQ(vcp_pool_close_idle(d.pool), VCP_OK);
    close(server_accept(&d.where));
    close(server_accept(&d.where));
    s = session_new(&d);
    filled = session_as_vcp(&d, s);
    d.on_idle.does = counts_by_session;
    CHECK_EQ(vcp_pool_put_session(d.pool, &filled, "tcp", "db.invalid:1", NULL), VCP_OK);
    EVENTUALLY(driver_number(&d, &s->idle_calls) >= 1, 5000);
    DRIVER_END(&d);
}

/* How often that thread has slept so far: proc(5), status, its voluntary context switches. */
static long sleeps_of(const char *tid)
{
    char path[64];
    char line[128];
    long sleeps = -1;
    FILE *status;
    snprintf(path, sizeof path, "/proc/self/task/%.31s/status", tid);
    status = fopen(path, "re");
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL) {
        sscanf(line, "voluntary_ctxt_switches: %ld", &sleeps);
    }
    fclose(status);
    CHECK(sleeps >= 0);
    return sleeps;
}

TEST(no_wake_ups_beyond_the_due_ones,
     "on_idle: The background thread wakes up for what is due and for nothing else")
{
    enum { EVERY = 100, ROUNDS = 20, EACH = 4 };
    int tools = slowness() > 1 ? 2 : 1; /* under valgrind a thread sleeps until its turn, too */
    char engine[32];
    driver d;
    vcp_pool_options options = asking(&d, 1, EVERY);
    long before;
    int first;
    d.has_fd = 0;
    options.on_event = NULL;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(calls(&d) >= 1, 5000);
    /* That of a pool before may be there for a moment. */
    EVENTUALLY(find_threads("vcp-engine", engine) == 1, 5000);
    before = sleeps_of(engine);
    first = calls(&d);
    EVENTUALLY(calls(&d) >= first + ROUNDS, ROUNDS * (EVERY + LATENESS_MS));
    CHECK_BETWEEN(sleeps_of(engine) - before, ROUNDS / 2, tools * EACH * ROUNDS);
    DRIVER_END(&d);
}

/*
 * The clock of ages is up to a tick behind the one that the background thread wakes up by. 7 ms are
 * no whole number of ticks where a tick is 4 or 10 ms.
 */
TEST(what_is_due_between_two_ticks_is_asked_at_once,
     "on_idle: What is due between two ticks of the clock wakes the background thread once")
{
    enum { EVERY = 7, ROUNDS = 30, EACH = 8 };
    char engine[32];
    driver d;
    vcp_pool_options options = asking(&d, 1, EVERY);
    long before;
    int i;
    d.has_fd = 0;
    options.on_event = NULL;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(calls(&d) >= 1, 5000);
    /* That of a pool before may be there for a moment. */
    EVENTUALLY(find_threads("vcp-engine", engine) == 1, 5000);
    before = sleeps_of(engine);
    for (i = 0; i < ROUNDS; i++) {
        int asked;
        vcp_conn *conn = borrow(d.pool, &d.db);
        asked = calls(&d);
        give_back(conn);
        EVENTUALLY(calls(&d) > asked, 5000);
    }
    CHECK_BETWEEN(sleeps_of(engine) - before, ROUNDS / 2, EACH * ROUNDS);
    DRIVER_END(&d);
}

TEST(min_idle_counts_what_is_asked,
     "on_idle: What is asked is not missing for min_idle_per_address: no other is dialed for it")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, 20);
    options.min_idle_per_address = 1;
    driver_pool(&d, &options);
    await_a_held_hook(&d, 1);
    STAYS(driver_number(&d, &d.asked) == 1, 300);
    CHECK_EQ(vcp_pool_conn_count(d.pool), 1);
    lets_the_hook_end(&d);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    CHECK_EQ(driver_number(&d, &d.asked), 1);
    DRIVER_END(&d);
}

TEST(
    what_is_asked_is_no_leak,
    "on_idle: A connection whose on_idle takes longer than leak_threshold_ms is not told as leaked")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, 20);
    options.leak_threshold_ms = 30;
    driver_pool(&d, &options);
    await_a_held_hook(&d, 1);
    STAYS(driver_number(&d, &d.kinds[VCP_EVENT_LEAKED]) == 0, 200);
    CHECK_EQ(stats_of(d.pool).leaks, 0);
    lets_the_hook_end(&d);
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    DRIVER_END(&d);
}

TEST(a_hang_up_during_on_idle_is_noticed,
     "on_idle: A connection whose peer hangs up while it is asked is closed when the hook returns, "
     "whatever it says")
{
    int is_session;
    for (is_session = 0; is_session < 2; is_session++) {
        driver d;
        vcp_pool *pool = asking_pool(&d, is_session, 20);
        int peer = -1;
        await_a_held_hook(&d, is_session);
        if (is_session) {
            CHECK_EQ(shutdown(d.sessions->peer, SHUT_RDWR), 0);
        } else {
            peer = server_accept(&d.where);
            close(peer);
        }
        await_arrival(driver_number(&d, &d.on_idle.fd));
        lets_the_hook_end(&d);
        EVENTUALLY(vcp_pool_conn_count(pool) == 0, 1000 + LATENESS_MS);
        EVENTUALLY(driver_frees(&d) == is_session, 5000);
        DRIVER_END(&d);
    }
}

TEST(an_asynchronous_dial_waits_for_what_is_asked,
     "on_idle: An asynchronous dial at a limit is answered with the connection when its hook has "
     "ended")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, PERIOD);
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    session *s;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    driver_pool(&d, &options);
    await_a_held_hook(&d, 1);
    s = d.sessions;
    begin_dial(d.pool, &d.db, NULL, queue, &d);
    CHECK_EQ(stats_of(d.pool).waiting, 1);
    lets_the_hook_end(&d);
    conn = next_conn(queue, &d);
    CHECK(session_of(conn) == s);
    give_back(conn);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(upkeep_is_described,
     "describe: idle_checks stands in every form of vcp_pool_describe, and releasing in those for "
     "machines")
{
    static const int32_t forms[] = {VCP_FORMAT_TEXT, VCP_FORMAT_JSON, VCP_FORMAT_OPENMETRICS,
                                    VCP_FORMAT_OPENMETRICS_BODY};
    static char report[65536];
    driver d;
    vcp_pool *pool = asking_pool(&d, 1, 20);
    int i;
    give_back(borrow(pool, &d.db));
    EVENTUALLY(stats_of(pool).idle_checks >= 1, 5000);
    for (i = 0; i < 4; i++) {
        CHECK(vcp_pool_describe(pool, forms[i], report, sizeof report) > 0);
        CHECK_HAS(report, "idle_checks");
        CHECK(i == 0 || strstr(report, "releasing") != NULL);
    }
    DRIVER_END(&d);
}

TEST(abort_during_on_idle,
     "on_idle: vcp_pool_abort during the hook shuts the socket down, and the connection is closed "
     "when it returns")
{
    driver d;
    vcp_pool_options options = asking(&d, 1, 20);
    d.on_idle.does = waits_on_the_descriptor;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(driver_number(&d, &d.on_idle.inside) == 1, 5000);
    CHECK_EQ(vcp_pool_abort(d.pool), VCP_OK);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    EVENTUALLY(vcp_pool_conn_count(d.pool) == 0, 5000);
    DRIVER_END(&d);
}

/* ---- many threads ---- */

static int refuses_some(void *data, vcp_conn *conn, int fd)
{
    static int serial;
    (void)data;
    (void)conn;
    (void)fd;
    return __sync_add_and_fetch(&serial, 1) % 13 == 0;
}

static void *works(void *argument)
{
    driver *d = (driver *)argument;
    unsigned seed = (unsigned)(uintptr_t)&d;
    int i;
    for (i = 0; i < 200; i++) {
        vcp_conn *conn = borrow(d->pool, &d->db);
        session_is_called(session_of(conn));
        session_was_called(session_of(conn));
        give_back(conn);
        if (rand_r(&seed) % 4 == 0) {
            let_pass(1);
        }
    }
    return NULL;
}

TEST(eight_threads_borrow_what_is_asked_all_the_time,
     "on_idle: 8 threads share 3 sessions that are asked every millisecond and refused now and "
     "then: max_conns holds, and no session is in two hands")
{
    enum { THREADS = 8 };
    driver d;
    vcp_pool_options options = asking(&d, 1, 1);
    pthread_t ids[THREADS];
    int i;
    options.max_conns = 3;
    options.wait_timeout_ms = VCP_FOREVER;
    d.on_idle.does = refuses_some;
    driver_pool(&d, &options);
    for (i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_create(&ids[i], NULL, works, &d), 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(ids[i], NULL), 0);
    }
    CHECK_EQ(vcp_pool_drain(d.pool, VCP_FOREVER), 0);
    EVENTUALLY(driver_frees(&d) == d.opened, 5000);
    DRIVER_END(&d);
}
