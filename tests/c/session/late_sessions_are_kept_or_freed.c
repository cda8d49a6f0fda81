/*
 * What becomes of a session whose dial is over before it is opened: it is kept, or its free_data
 * runs, once; until then it counts against every limit. Contract section 9.
 *
 * Three logins that had timed out left three sessions on the server which the pool no longer
 * counted.
 */
#include "dialing_threads.h"
#include "own_driver.h"

/* Within so long the callback begins, also where other programs have the processors. */
#define OPENING_BEGINS_MS 400

/* What began before and ended too late has left exactly one session, or none that was not freed. */
static void check_kept_or_freed(driver *d)
{
    vcp_stats stats;
    EVENTUALLY(stats_of(d->pool).dialing == 0, 5000);
    /* Between its dial's end and the shelf it counts as borrowed. */
    EVENTUALLY(stats_of(d->pool).borrowed == 0, 5000);
    stats = stats_of(d->pool);
    CHECK_EQ(stats.dials, 1);
    CHECK_EQ(stats.idle + (uint64_t)driver_frees(d), 1);
    CHECK_EQ(stats.dial_failures, driver_frees(d));
    EVENTUALLY(driver_number(d, &d->kinds[VCP_EVENT_DIAL_DONE]) == (int)stats.idle, 5000);
    EVENTUALLY(driver_number(d, &d->kinds[VCP_EVENT_DIAL_FAILED]) == driver_frees(d), 5000);
    CHECK_EQ(driver_number(d, &d->kinds[VCP_EVENT_CLOSED]), 0);
    CHECK_STATS_ADD_UP(d->pool);
}

/* While the opening is held, it has the only slot. */
static void check_has_the_slot(driver *d)
{
    vcp_conn *conn = NULL;
    CHECK_EQ(driver_number(d, &d->opening), 1);
    CHECK_EQ(vcp_dial(d->pool, d->db.network, d->db.address, &conn), VCP_ERR_POOL_EXHAUSTED);
    CHECK_EQ(stats_of(d->pool).dialing, 1);
}

/* A pool with one slot, whose next opening is held. */
static vcp_pool *held_pool(driver *d)
{
    vcp_pool_options options;
    driver_start(d);
    options = driver_options(d);
    options.on_event = driver_sees;
    options.max_conns = 1;
    d->holds_opening = 1;
    return driver_pool(d, &options);
}

static void lets_it_open(driver *d)
{
    driver_sets(d, &d->holds_opening, 0);
}

/* The next dial has a session, whatever became of the late one. */
static void check_works(driver *d)
{
    vcp_conn *conn = borrow(d->pool, &d->db);
    CHECK_EQ(vcp_conn_is_reused(conn), d->asked == 1);
    give_back(conn);
}

static dialer held_dialer(driver *d, int64_t timeout_ms)
{
    dialer m = dialer_of(d->pool, d->db.address);
    m.timeout_ms = timeout_ms;
    return m;
}

TEST(a_dial_whose_time_is_over_returns_when_the_callback_does,
     "sessions: Nothing ends open_session; a dial whose time is over is TIMEOUT (opening) when it "
     "returns, and the late session is kept or freed, once")
{
    driver d;
    dialer m;
    held_pool(&d);
    m = held_dialer(&d, at_most(OPENING_BEGINS_MS));
    dialer_start(&m);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    CHECK_BETWEEN(d.timeout_ms, 0, at_most(OPENING_BEGINS_MS));
    STAYS(!dialer_has_returned(&m), at_most(2 * OPENING_BEGINS_MS));
    check_has_the_slot(&d);
    lets_it_open(&d);
    dialer_join(&m);
    CHECK_EQ(m.status, VCP_ERR_TIMEOUT);
    CHECK_EQ(m.phase, VCP_PHASE_OPENING);
    CHECK(m.conn == NULL);
    check_kept_or_freed(&d);
    check_works(&d);
    DRIVER_END(&d);
}

TEST(a_refusal_after_the_deadline_is_a_timeout,
     "sessions: A refusal at or after the deadline is TIMEOUT (opening), not CALLBACK")
{
    driver d;
    dialer m;
    held_pool(&d);
    d.refuses = 4;
    d.text = "it took too long";
    m = held_dialer(&d, at_most(OPENING_BEGINS_MS));
    dialer_start(&m);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    let_pass(at_most(OPENING_BEGINS_MS) + 10);
    lets_it_open(&d);
    dialer_join(&m);
    CHECK_EQ(m.status, VCP_ERR_TIMEOUT);
    CHECK_EQ(m.phase, VCP_PHASE_OPENING);
    CHECK_EQ(m.number, 0);
    CHECK_EQ(stats_of(d.pool).dial_failures, 1);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

static void ends_by_its_token(int refuses)
{
    driver d;
    dialer m;
    vcp_cancel *token = NULL;
    held_pool(&d);
    d.refuses = refuses;
    CHECK_EQ(vcp_cancel_new(&token), VCP_OK);
    m = held_dialer(&d, VCP_FOREVER);
    m.token = token;
    dialer_start(&m);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    CHECK_EQ(d.timeout_ms, VCP_FOREVER);
    CHECK_EQ(vcp_cancel_fire(token), VCP_OK);
    STAYS(!dialer_has_returned(&m), 50);
    lets_it_open(&d);
    dialer_join(&m);
    CHECK_EQ(m.status, VCP_ERR_CANCELED);
    if (refuses == 0) {
        check_kept_or_freed(&d);
    } else {
        CHECK_EQ(stats_of(d.pool).dial_failures, 1);
        CHECK_HOLDS(&d, 0, 0);
    }
    CHECK_EQ(vcp_cancel_free(token), VCP_OK);
    DRIVER_END(&d);
}

TEST(a_dial_whose_token_fired_is_canceled_when_the_callback_returns,
     "sessions: With the token fired while open_session ran, the dial is CANCELED, and the session "
     "is kept or freed, once")
{
    ends_by_its_token(0);
}

TEST(a_refusal_after_the_token_is_canceled,
     "sessions: A refusal after the token has fired is CANCELED, not CALLBACK")
{
    ends_by_its_token(6);
}

TEST(a_session_opened_for_a_closed_pool_is_freed,
     "sessions: The pool is closed while open_session runs on the dialing thread: POOL_CLOSED, and "
     "the session is freed, once")
{
    driver d;
    dialer m;
    held_pool(&d);
    m = held_dialer(&d, VCP_FOREVER);
    dialer_start(&m);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    CHECK_EQ(vcp_pool_close(d.pool), VCP_OK);
    d.pool = NULL;
    CHECK(!dialer_has_returned(&m));
    CHECK_EQ(driver_number(&d, &d.user_frees), 0);
    lets_it_open(&d);
    dialer_join(&m);
    CHECK_EQ(m.status, VCP_ERR_POOL_CLOSED);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    DRIVER_END(&d);
}

TEST(an_asynchronous_dial_is_answered_at_its_deadline,
     "sessions: An asynchronous dial is answered TIMEOUT (opening) at its deadline, whatever the "
     "callback still does; it has its slot until then, and the late session is kept or freed, once")
{
    driver d;
    vcp_pool *pool = held_pool(&d);
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    int64_t start = now_ms();
    dial.timeout_ms = at_most(OPENING_BEGINS_MS);
    begin_dial(pool, &d.db, &dial, queue, &d);
    next_fails(queue, &d, VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
    CHECK_TOOK(start, at_most(OPENING_BEGINS_MS));
    check_has_the_slot(&d);
    lets_it_open(&d);
    check_kept_or_freed(&d);
    CHECK_EQ(d.opened_by_helper, 1);
    CHECK(!has_completion(queue));
    check_works(&d);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(an_asynchronous_dial_is_answered_when_its_token_fires,
     "sessions: An asynchronous dial is answered CANCELED when its token fires, though the "
     "callback still runs")
{
    driver d;
    vcp_pool *pool = held_pool(&d);
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    vcp_cancel *token = NULL;
    CHECK_EQ(vcp_cancel_new(&token), VCP_OK);
    dial.cancel = token;
    begin_dial(pool, &d.db, &dial, queue, &d);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    CHECK_EQ(vcp_cancel_fire(token), VCP_OK);
    next_fails(queue, &d, VCP_ERR_CANCELED);
    check_has_the_slot(&d);
    lets_it_open(&d);
    check_kept_or_freed(&d);
    check_works(&d);
    CHECK_EQ(vcp_cancel_free(token), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(a_late_asynchronous_refusal_changes_no_answer,
     "sessions: A refusal that comes after an asynchronous dial was answered frees its slot, and "
     "nothing else")
{
    driver d;
    vcp_pool *pool = held_pool(&d);
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    dial.timeout_ms = at_most(100);
    d.refuses = 2;
    begin_dial(pool, &d.db, &dial, queue, &d);
    next_fails(queue, &d, VCP_ERR_TIMEOUT);
    check_has_the_slot(&d);
    lets_it_open(&d);
    EVENTUALLY(stats_of(pool).dialing == 0, 5000);
    CHECK(!has_completion(queue));
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_EQ(stats_of(pool).dial_failures, 1);
    d.refuses = 0;
    give_back(borrow(pool, &d.db));
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(a_waiter_is_served_with_the_late_session,
     "sessions: What a late session occupied, or the session itself, goes to the oldest waiter")
{
    driver d;
    vcp_pool *pool = held_pool(&d);
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conn;
    dial.timeout_ms = at_most(100);
    begin_dial(pool, &d.db, &dial, queue, &d);
    next_fails(queue, &d, VCP_ERR_TIMEOUT);
    dial.timeout_ms = VCP_FOREVER;
    dial.wait_timeout_ms = VCP_FOREVER;
    begin_dial(pool, &d.db, &dial, queue, &dial);
    CHECK_EQ(stats_of(pool).waiting, 1);
    lets_it_open(&d);
    conn = next_conn(queue, &dial);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    give_back(conn);
    CHECK_EQ(d.opened - d.frees, 1);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(a_pools_close_does_not_wait_for_an_opening_on_a_helper,
     "sessions: vcp_pool_close does not wait for an open_session on a helper thread; its dial is "
     "answered POOL_CLOSED, and the session is freed there, once, before free_user")
{
    driver d;
    vcp_pool *pool = held_pool(&d);
    vcp_queue *queue = queue_new();
    int64_t start;
    begin_dial(pool, &d.db, NULL, queue, &d);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    start = now_ms();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    d.pool = NULL;
    CHECK_TOOK(start, 0);
    next_fails(queue, &d, VCP_ERR_POOL_CLOSED);
    CHECK_EQ(driver_number(&d, &d.opening), 1);
    CHECK_EQ(driver_number(&d, &d.user_frees), 0);
    lets_it_open(&d);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    CHECK_EQ(d.sessions->freed_by_helper, 1);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(a_drain_does_not_wait_for_an_opening_on_a_helper,
     "sessions: vcp_pool_drain does not wait for an open_session on a helper thread, and the "
     "session is freed")
{
    driver d;
    vcp_pool *pool = held_pool(&d);
    vcp_queue *queue = queue_new();
    begin_dial(pool, &d.db, NULL, queue, &d);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    CHECK_EQ(vcp_pool_drain(pool, VCP_FOREVER), 0);
    next_fails(queue, &d, VCP_ERR_POOL_CLOSED);
    CHECK_EQ(driver_number(&d, &d.opening), 1);
    lets_it_open(&d);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    EVENTUALLY(stats_of(pool).dialing == 0, 5000);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(
    a_freed_queue_does_not_wait_for_an_opening,
    "sessions: vcp_queue_free does not wait for an open_session, and the session is kept or freed, "
    "once")
{
    driver d;
    vcp_pool *pool = held_pool(&d);
    vcp_queue *queue = queue_new();
    int64_t start;
    begin_dial(pool, &d.db, NULL, queue, &d);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    start = now_ms();
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_TOOK(start, 0);
    check_has_the_slot(&d);
    lets_it_open(&d);
    check_kept_or_freed(&d);
    check_works(&d);
    DRIVER_END(&d);
}

TEST(a_queue_freed_with_a_session_inside_gives_it_back,
     "sessions: vcp_queue_free gives back the session of an unread completion")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_queue *queue = queue_new();
    begin_dial(pool, &d.db, NULL, queue, &d);
    CHECK(readable_within(vcp_queue_fd(queue), 5000));
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_HOLDS(&d, 1, 1);
    CHECK_EQ(d.frees, 0);
    DRIVER_END(&d);
}

TEST(an_opening_for_min_idle_outlives_the_pool,
     "sessions: The pool is closed while min_idle opens a session: it is freed, once")
{
    driver d;
    vcp_pool_options options;
    driver_start(&d);
    options = driver_options(&d);
    options.min_idle_per_address = 2;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    driver_sets(&d, &d.holds_opening, 1);
    CHECK_EQ(vcp_pool_evict(d.pool, NULL, NULL), VCP_OK);
    EVENTUALLY(driver_number(&d, &d.opening) >= 1, 5000);
    CHECK_EQ(vcp_pool_close(d.pool), VCP_OK);
    d.pool = NULL;
    lets_it_open(&d);
    EVENTUALLY(driver_number(&d, &d.opening) == 0, 5000);
    EVENTUALLY(driver_frees(&d) == driver_number(&d, &d.opened), 5000);
    DRIVER_END(&d);
}

static void *closes_the_pool(void *argument)
{
    CHECK_EQ(vcp_pool_close(((driver *)argument)->pool), VCP_OK);
    return NULL;
}

static void *warms_one(void *argument)
{
    driver *d = (driver *)argument;
    vcp_dial_options dial = dial_options(0);
    dial.timeout_ms = at_most(100);
    return (void *)(intptr_t)vcp_pool_warm(d->pool, d->db.network, d->db.address, &dial, 1);
}

TEST(a_session_that_is_too_late_for_warm_is_kept_or_freed,
     "sessions: A session that is opened too late for vcp_pool_warm is kept or freed, once")
{
    driver d;
    pthread_t thread;
    void *answer;
    held_pool(&d);
    CHECK_EQ(pthread_create(&thread, NULL, warms_one, &d), 0);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    let_pass(at_most(120));
    lets_it_open(&d);
    CHECK_EQ(pthread_join(thread, &answer), 0);
    check_kept_or_freed(&d);
    CHECK_EQ((intptr_t)answer, idle_in(d.pool) == 1 ? 1 : VCP_ERR_TIMEOUT);
    DRIVER_END(&d);
}

TEST(a_late_session_without_room_is_freed,
     "sessions: A late session for which there is no idle room is freed, once")
{
    driver d;
    vcp_pool_options options;
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    driver_start(&d);
    options = driver_options(&d);
    options.max_idle_per_address = 0;
    d.holds_opening = 1;
    driver_pool(&d, &options);
    dial.timeout_ms = at_most(100);
    begin_dial(d.pool, &d.db, &dial, queue, &d);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    next_fails(queue, &d, VCP_ERR_TIMEOUT);
    lets_it_open(&d);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    EVENTUALLY(stats_of(d.pool).dialing == 0, 5000);
    CHECK_HOLDS(&d, 0, 0);
    CHECK_STATS_ADD_UP(d.pool);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(a_late_session_with_on_open_is_kept_or_freed,
     "sessions: A session that is opened too late in a pool with on_open is kept or freed, once, "
     "and on_open has no part in a dial that is over")
{
    driver d;
    vcp_pool_options options;
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    driver_start(&d);
    options = driver_options(&d);
    options.on_event = driver_sees;
    options.on_open = driver_on_open;
    options.max_conns = 1;
    d.holds_opening = 1;
    driver_pool(&d, &options);
    dial.timeout_ms = at_most(100);
    begin_dial(d.pool, &d.db, &dial, queue, &d);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    next_fails(queue, &d, VCP_ERR_TIMEOUT);
    check_has_the_slot(&d);
    lets_it_open(&d);
    check_kept_or_freed(&d);
    CHECK_EQ(driver_number(&d, &d.on_open.calls), idle_in(d.pool));
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(an_on_open_that_is_late_ends_its_session_once,
     "sessions: An asynchronous dial whose on_open outlives it: TIMEOUT (opening), CANCELED or "
     "POOL_CLOSED, and free_data runs once when the hook returns")
{
    static const int answers[] = {VCP_ERR_TIMEOUT, VCP_ERR_CANCELED, VCP_ERR_POOL_CLOSED};
    int way;
    for (way = 0; way < 3; way++) {
        driver d;
        vcp_pool_options options;
        vcp_queue *queue = queue_new();
        vcp_dial_options dial = dial_options(0);
        vcp_cancel *token = NULL;
        driver_start(&d);
        options = driver_options(&d);
        options.on_open = driver_on_open;
        d.on_open.holds = 1;
        driver_pool(&d, &options);
        CHECK_EQ(vcp_cancel_new(&token), VCP_OK);
        dial.cancel = token;
        dial.timeout_ms = way == 0 ? at_most(100) : VCP_FOREVER;
        begin_dial(d.pool, &d.db, &dial, queue, &d);
        EVENTUALLY(driver_number(&d, &d.on_open.inside) == 1, 5000);
        if (way == 0) {
            let_pass(at_most(120));
        } else if (way == 1) {
            CHECK_EQ(vcp_cancel_fire(token), VCP_OK);
        }
        if (way < 2) {
            CHECK(peer_sees_end(d.sessions->peer));
        }
        CHECK_EQ(driver_frees(&d), 0);
        if (way == 2) {
            pthread_t thread;
            CHECK_EQ(pthread_create(&thread, NULL, closes_the_pool, &d), 0);
            CHECK(peer_sees_end(d.sessions->peer));
            driver_sets(&d, &d.on_open.holds, 0);
            CHECK_EQ(pthread_join(thread, NULL), 0);
            d.pool = NULL;
        }
        driver_sets(&d, &d.on_open.holds, 0);
        next_fails(queue, &d, answers[way]);
        EVENTUALLY(driver_frees(&d) == 1, 5000);
        CHECK_EQ(vcp_cancel_free(token), VCP_OK);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
        DRIVER_END(&d);
    }
}

TEST(fifty_late_sessions_are_all_accounted_for,
     "sessions: 50 logins that outlive their dials leave no session that the pool does not count, "
     "and max_conns holds throughout")
{
    enum { MANY = 50, SLOTS = 3 };
    driver d;
    vcp_pool_options options;
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    int i;
    driver_start(&d);
    options = driver_options(&d);
    options.max_conns = SLOTS;
    options.wait_timeout_ms = VCP_FOREVER;
    driver_pool(&d, &options);
    d.holds_opening = 1;
    dial.timeout_ms = at_most(100);
    for (i = 0; i < MANY; i++) {
        begin_dial(d.pool, &d.db, &dial, queue, &d);
        EVENTUALLY(i != SLOTS - 1 || driver_number(&d, &d.opening) == SLOTS, 5000);
    }
    for (i = 0; i < MANY; i++) {
        next_fails(queue, &d, VCP_ERR_TIMEOUT);
    }
    CHECK_EQ(driver_number(&d, &d.opening), SLOTS);
    CHECK_EQ(stats_of(d.pool).dialing, SLOTS);
    lets_it_open(&d);
    EVENTUALLY(stats_of(d.pool).dialing == 0, 5000);
    CHECK_EQ(vcp_pool_conn_count(d.pool), d.opened - driver_frees(&d));
    CHECK_BETWEEN(d.opened, 1, SLOTS);
    give_back(borrow(d.pool, &d.db));
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

/* It lived as long as the callback, which no more concerned it. */
TEST(the_background_thread_does_not_live_for_an_opening,
     "sessions: The background thread ends with the last pool, though an open_session still runs")
{
    driver d;
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    driver_with(&d);
    d.holds_opening = 1;
    CHECK_EQ(vcp_dial_async(d.pool, d.db.network, d.db.address, NULL, queue, NULL, &conn),
             VCP_ERR_IN_PROGRESS);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    CHECK_EQ(vcp_pool_close(d.pool), VCP_OK);
    d.pool = NULL;
    CHECK_EQ(next_completion(queue).status, VCP_ERR_POOL_CLOSED);
    EVENTUALLY(threads_called("vcp-engine") == 0, 5000);
    lets_it_open(&d);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

/* Late binding ended where open_session began, though on no thread of the program's. */
TEST(a_dial_in_flight_is_answered_by_a_session_given_back,
     "sessions: An asynchronous dial is answered by a session that is given back meanwhile, and "
     "the one that it opens is kept")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_queue *queue = queue_new();
    vcp_conn *conn = borrow(pool, &d.db);
    session *s = session_of(conn);
    d.holds_opening = 1;
    begin_dial(pool, &d.db, NULL, queue, &d);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    give_back(conn);
    conn = next_conn(queue, &d);
    CHECK(session_of(conn) == s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(stats_of(pool).dialing, 1);
    driver_sets(&d, &d.holds_opening, 0);
    EVENTUALLY(idle_in(pool) == 1, 5000);
    CHECK_EQ(stats_of(pool).dials, 2);
    CHECK_EQ(d.frees, 0);
    give_back(conn);
    CHECK_HOLDS(&d, 2, 2);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}
