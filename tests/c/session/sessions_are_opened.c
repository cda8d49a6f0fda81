/* open_session: when it is asked, for what, and what its answers mean. Contract section 9. */
#include "dialing_threads.h"
#include "own_driver.h"

TEST(open_session_is_asked_for_what_was_dialed,
     "sessions: open_session is told network, address, tag, label and the time that is left, on "
     "the dialing thread, with an initialised vcp_session")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conn = borrow(pool, &d.db);
    CHECK_EQ(d.asked, 1);
    CHECK_STR(d.network, "tcp");
    CHECK_STR(d.address, "db.invalid:5432");
    CHECK_STR(d.reuse_tag, "");
    CHECK_STR(d.label, "");
    CHECK_BETWEEN(d.timeout_ms, 30000 - at_most(LATENESS_MS), 30000);
    CHECK(pthread_equal(d.opened_by, pthread_self()));
    give_back(conn);
    dial.reuse_tag = "user=alice";
    dial.label = "orders";
    dial.timeout_ms = VCP_FOREVER;
    CHECK(vcp_dial_with(pool, "unix", "/run/no.such/socket", &dial, &conn) >= 0);
    CHECK_EQ(d.asked, 2);
    CHECK_STR(d.network, "unix");
    CHECK_STR(d.address, "/run/no.such/socket");
    CHECK_STR(d.reuse_tag, "user=alice");
    CHECK_STR(d.label, "orders");
    CHECK_EQ(d.timeout_ms, VCP_FOREVER);
    give_back(conn);
    CHECK_HOLDS(&d, 2, 2);
    DRIVER_END(&d);
}

TEST(vcp_dial_returns_the_descriptor_of_the_session,
     "sessions: vcp_dial returns the session's descriptor, and vcp_conn_data the session, to each "
     "borrower")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = NULL;
    int fd = vcp_dial(pool, d.db.network, d.db.address, &conn);
    session *s = session_of(conn);
    CHECK_EQ(fd, s->fd);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK_EQ(vcp_dial(pool, d.db.network, d.db.address, &conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK(session_of(conn) == s);
    CHECK_EQ(d.asked, 1);
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_EQ(stats_of(pool).reuses, 1);
    give_back(conn);
    DRIVER_END(&d);
}

static int goes_elsewhere(void *user, const char *network, const char *address, char *out,
                          size_t size)
{
    (void)user;
    CHECK_STR(network, "tcp");
    CHECK_STR(address, "db.invalid:5432");
    snprintf(out, size, "standby.invalid:5433");
    return 0;
}

TEST(rewrite_goes_before_open_session,
     "sessions: rewrite goes before open_session, and the destination keeps its own name")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    char address[64];
    driver_start(&d);
    options = driver_options(&d);
    options.rewrite = goes_elsewhere;
    conn = borrow(driver_pool(&d, &options), &d.db);
    CHECK_STR(d.address, "standby.invalid:5433");
    CHECK(vcp_conn_address(conn, address, sizeof address) > 0);
    CHECK_STR(address, "db.invalid:5432");
    give_back(conn);
    CHECK_EQ(idle_at(d.pool, &d.db), 1);
    DRIVER_END(&d);
}

static int is_opened_before(void *data, vcp_conn *conn, int fd)
{
    session *s = (session *)data;
    CHECK_EQ(s->of->asked, 1);
    CHECK_EQ(fd, s->fd);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    return 0;
}

TEST(on_open_comes_after_open_session,
     "sessions: on_open comes after open_session, with the session as the connection's data, and "
     "fd is asked again after it")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    int asked;
    driver_start(&d);
    options = driver_options(&d);
    options.on_open = driver_on_open;
    d.on_open.does = is_opened_before;
    conn = borrow(driver_pool(&d, &options), &d.db);
    CHECK_EQ(d.on_open.calls, 1);
    asked = session_of(conn)->fd_calls;
    CHECK(asked >= 2);
    give_back(conn);
    DRIVER_END(&d);
}

TEST(what_on_open_refuses_is_freed,
     "sessions: on_open refuses: CALLBACK, a failed dial, and free_data runs once")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn = NULL;
    driver_start(&d);
    options = driver_options(&d);
    options.on_open = driver_on_open;
    d.on_open.answer = 9;
    driver_pool(&d, &options);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), VCP_ERR_CALLBACK);
    CHECK(conn == NULL);
    CHECK_EQ(vcp_last_errno(), 9);
    CHECK_EQ(d.frees, 1);
    CHECK(pthread_equal(d.sessions->freed_by, pthread_self()));
    CHECK_HOLDS(&d, 0, 0);
    CHECK_EQ(stats_of(d.pool).dial_failures, 1);
    DRIVER_END(&d);
}

TEST(what_open_session_refuses_is_a_failed_dial,
     "sessions: open_session refuses: CALLBACK with its number and text, DIAL_FAILED, nothing to "
     "free")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn = NULL;
    driver_start(&d);
    options = driver_options(&d);
    options.on_event = driver_sees;
    d.refuses = 28;
    d.text = "no such user";
    driver_pool(&d, &options);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), VCP_ERR_CALLBACK);
    CHECK(conn == NULL);
    CHECK_EQ(vcp_last_errno(), 28);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
    CHECK_HAS(vcp_last_error(), "dial tcp db.invalid:5432: ");
    CHECK_HAS(vcp_last_error(), "open_session");
    CHECK_HAS(vcp_last_error(), "28: no such user");
    CHECK_EQ(d.opened, 0);
    CHECK_EQ(d.kinds[VCP_EVENT_DIAL_START], 1);
    CHECK_EQ(d.kinds[VCP_EVENT_DIAL_FAILED], 1);
    CHECK_EQ(d.event_status, VCP_ERR_CALLBACK);
    CHECK_EQ(d.event_fd, -1);
    CHECK_EQ(stats_of(d.pool).dial_failures, 1);
    CHECK_HOLDS(&d, 0, 0);
    d.refuses = 0;
    give_back(borrow(d.pool, &d.db));
    DRIVER_END(&d);
}

TEST(a_refusal_by_a_negative_number_is_one_too,
     "sessions: open_session may refuse by any number but 0")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = NULL;
    d.refuses = -7;
    CHECK_EQ(vcp_dial(pool, d.db.network, d.db.address, &conn), VCP_ERR_CALLBACK);
    CHECK_EQ(vcp_last_errno(), -7);
    DRIVER_END(&d);
}

TEST(no_data_is_a_refusal, "sessions: data NULL with 0 returned is a refusal")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = NULL;
    d.answers_null = 1;
    CHECK_EQ(vcp_dial(pool, d.db.network, d.db.address, &conn), VCP_ERR_CALLBACK);
    CHECK(conn == NULL);
    CHECK_EQ(stats_of(pool).dial_failures, 1);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

static int never_connects(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    (void)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    return -1;
}

static int never_resolves(void *user, const char *network, const char *host, int64_t timeout_ms,
                          vcp_resolved *out)
{
    (void)user;
    (void)network;
    (void)host;
    (void)timeout_ms;
    (void)out;
    return -1;
}

#define REFUSED(change)                                                       \
    do {                                                                      \
        vcp_pool_options options = driver_options(&d);                        \
        vcp_pool *refused = NULL;                                             \
        change;                                                               \
        CHECK_EQ(vcp_pool_new(&options, &refused), VCP_ERR_INVALID_ARGUMENT); \
        CHECK(refused == NULL);                                               \
        CHECK_HAS(vcp_last_error(), "open_session");                          \
    } while (0)

TEST(what_does_not_go_with_open_session_is_refused,
     "sessions: open_session with dial, resolve, nonblocking or verify_release is INVALID_ARGUMENT")
{
    driver d;
    driver_with(&d);
    REFUSED(options.dial = never_connects);
    REFUSED(options.resolve = never_resolves);
    REFUSED(options.nonblocking = 1);
    REFUSED(options.verify_release = 1);
    DRIVER_END(&d);
}

TEST(a_mode_is_no_option_of_a_dial_of_sessions,
     "sessions: VCP_DIAL_BLOCKING and VCP_DIAL_NONBLOCKING in a pool with open_session are "
     "INVALID_ARGUMENT")
{
    static const uint32_t flags[] = {VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING};
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_queue *queue = queue_new();
    vcp_conn *conn = NULL;
    int i;
    give_back(borrow(pool, &d.db));
    for (i = 0; i < 2; i++) {
        vcp_dial_options dial = dial_options(flags[i]);
        CHECK_EQ(dial_flags(pool, &d.db, flags[i], &conn), VCP_ERR_INVALID_ARGUMENT);
        CHECK_EQ(dial_async(pool, &d.db, &dial, queue, &d, &conn), VCP_ERR_INVALID_ARGUMENT);
        CHECK_EQ(vcp_pool_warm(pool, d.db.network, d.db.address, &dial, 2),
                 VCP_ERR_INVALID_ARGUMENT);
    }
    CHECK_EQ(d.asked, 1);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

static int controls_nothing(void *user, const char *network, const char *address, int fd)
{
    (void)user;
    (void)network;
    (void)address;
    (void)fd;
    check_failed(__FILE__, __LINE__, "control is not called for a session");
    return 0;
}

TEST(the_settings_of_sockets_do_not_apply,
     "sessions: keep-alive, no_delay, local_address and control do not apply to sessions")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *one;
    vcp_conn *two;
    driver_start(&d);
    options = driver_options(&d);
    options.control = controls_nothing;
    options.local_address = "127.0.0.9";
    options.keepalive_idle_ms = 11000;
    options.user_timeout_ms = 12000;
    options.no_delay = 1;
    driver_pool(&d, &options);
    one = borrow(d.pool, &d.db);
    two = borrow(d.pool, &d.db);
    check_descriptor(session_of(one));
    check_descriptor(session_of(two));
    give_back(one);
    give_back(two);
    give_back(borrow(d.pool, &d.db));
    DRIVER_END(&d);
}

TEST(an_address_must_have_its_networks_form,
     "sessions: the address of a session is not resolved, but must have the network's form")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = NULL;
    CHECK_EQ(vcp_dial(pool, "tcp", "db.invalid", &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_dial(pool, "tcp", "[::1:5432", &conn), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_dial(pool, "tcp5", "db.invalid:5432", &conn), VCP_ERR_UNKNOWN_NETWORK);
    CHECK_EQ(d.asked, 0);
    CHECK(vcp_dial(pool, "tcp", "no such host:5432", &conn) >= 0);
    give_back(conn);
    CHECK(vcp_dial(pool, "unixgram", "@abstract", &conn) >= 0);
    give_back(conn);
    CHECK_EQ(d.asked, 2);
    DRIVER_END(&d);
}

TEST(sessions_are_reused_as_connections_are,
     "sessions: A hit asks nobody; VCP_DIAL_FRESH opens another, VCP_DIAL_REUSE_ONLY none; the tag "
     "is part of the destination")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conn = NULL;
    CHECK_EQ(dial_flags(pool, &d.db, VCP_DIAL_REUSE_ONLY, &conn), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(d.asked, 0);
    give_back(borrow(pool, &d.db));
    CHECK(dial_flags(pool, &d.db, VCP_DIAL_REUSE_ONLY, &conn) >= 0);
    give_back(conn);
    CHECK_EQ(d.asked, 1);
    give_back(borrow_fresh(pool, &d.db));
    CHECK_EQ(d.asked, 2);
    dial.reuse_tag = "user=bob";
    CHECK(vcp_dial_with(pool, d.db.network, d.db.address, &dial, &conn) >= 0);
    CHECK_EQ(d.asked, 3);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK_HOLDS(&d, 3, 3);
    DRIVER_END(&d);
}

TEST(warm_opens_sessions, "sessions: vcp_pool_warm opens sessions on the calling thread")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn;
    CHECK_EQ(vcp_pool_warm(pool, d.db.network, d.db.address, NULL, 3), 3);
    CHECK_EQ(d.asked, 3);
    CHECK(pthread_equal(d.opened_by, pthread_self()));
    CHECK_HOLDS(&d, 3, 3);
    conn = borrow(pool, &d.db);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    give_back(conn);
    DRIVER_END(&d);
}

TEST(min_idle_opens_sessions_in_the_background,
     "sessions: min_idle_per_address opens sessions on a helper thread, until so many are idle")
{
    driver d;
    vcp_pool_options options;
    driver_start(&d);
    options = driver_options(&d);
    options.min_idle_per_address = 3;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(idle_in(d.pool) == 3, 5000);
    CHECK_EQ(driver_number(&d, &d.asked), 3);
    CHECK_EQ(driver_number(&d, &d.opened_by_helper), 1);
    STAYS(driver_number(&d, &d.asked) == 3, 50);
    DRIVER_END(&d);
}

TEST(asynchronous_dials_open_sessions_on_helper_threads,
     "sessions: An asynchronous dial opens its session on a helper thread, and a hit returns it at "
     "once")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    session *s;
    begin_dial(pool, &d.db, NULL, queue, &d);
    conn = next_conn(queue, &d);
    s = session_of(conn);
    CHECK_EQ(vcp_conn_raw_fd(conn), s->fd);
    CHECK_EQ(d.opened_by_helper, 1);
    give_back(conn);
    CHECK_EQ(dial_async(pool, &d.db, NULL, queue, &d, &conn), s->fd);
    CHECK(session_of(conn) == s);
    give_back(conn);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(an_asynchronous_refusal_carries_the_callbacks_text,
     "sessions: The text of a refused session joins the message of an asynchronous dial")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_queue *queue = queue_new();
    d.refuses = 3;
    d.text = "too many clients";
    begin_dial(pool, &d.db, NULL, queue, &d);
    next_fails(queue, &d, VCP_ERR_CALLBACK);
    CHECK_EQ(vcp_last_errno(), 3);
    CHECK_HAS(vcp_last_error(), "3: too many clients");
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(a_hundred_sessions_are_opened_from_one_thread,
     "sessions: One thread opens 100 sessions by asynchronous dials, side by side")
{
    enum { MANY = 100 };
    driver d;
    vcp_pool_options options;
    vcp_queue *queue = queue_new();
    vcp_conn *conns[MANY];
    int i;
    driver_start(&d);
    options = driver_options(&d);
    options.max_idle_per_address = MANY;
    driver_pool(&d, &options);
    d.holds_opening = 1;
    for (i = 0; i < MANY; i++) {
        begin_dial(d.pool, &d.db, NULL, queue, &d);
    }
    EVENTUALLY(driver_number(&d, &d.opening) > 16, 10000);
    CHECK_EQ(stats_of(d.pool).dialing, MANY);
    driver_sets(&d, &d.holds_opening, 0);
    for (i = 0; i < MANY; i++) {
        conns[i] = next_conn(queue, &d);
    }
    CHECK_EQ(d.asked, MANY);
    for (i = 0; i < MANY; i++) {
        give_back(conns[i]);
    }
    CHECK_HOLDS(&d, MANY, MANY);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(a_refused_session_is_remembered,
     "sessions: fail_fast_ms: after a refusal, dials fail at once with the same error, and "
     "open_session is not asked")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn = NULL;
    driver_start(&d);
    options = driver_options(&d);
    options.fail_fast_ms = 3600000;
    driver_pool(&d, &options);
    d.refuses = 5;
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), VCP_ERR_CALLBACK);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), VCP_ERR_CALLBACK);
    CHECK_EQ(vcp_last_errno(), 5);
    CHECK_EQ(d.asked, 1);
    DRIVER_END(&d);
}

TEST(
    limits_hold_for_sessions,
    "sessions: max_conns and max_conns_per_address count sessions: idle, borrowed and being opened")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *one;
    vcp_conn *none = NULL;
    driver_start(&d);
    options = driver_options(&d);
    options.max_conns = 2;
    options.max_conns_per_address = 1;
    driver_pool(&d, &options);
    one = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &none), VCP_ERR_POOL_EXHAUSTED);
    CHECK(vcp_dial(d.pool, "tcp", "other.invalid:1", &none) >= 0);
    give_back(none);
    /* The longest idle one of another destination makes room. */
    CHECK(vcp_dial(d.pool, "tcp", "third.invalid:1", &none) >= 0);
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(stats_of(d.pool).closed_evicted, 1);
    CHECK_HOLDS(&d, 2, 0);
    give_back(one);
    give_back(none);
    DRIVER_END(&d);
}

TEST(a_given_back_session_serves_a_waiter,
     "sessions: A session that is given back serves the oldest waiter as it is")
{
    driver d;
    vcp_pool_options options;
    dialer m;
    vcp_conn *conn;
    session *s;
    driver_start(&d);
    options = driver_options(&d);
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    m = dialer_of(d.pool, d.db.address);
    dialer_start(&m);
    EVENTUALLY(stats_of(d.pool).waiting == 1, 5000);
    give_back(conn);
    dialer_join(&m);
    CHECK_EQ(m.status, s->fd);
    CHECK(session_of(m.conn) == s);
    CHECK_EQ(vcp_conn_uses(m.conn), 2);
    CHECK_EQ(d.asked, 1);
    give_back(m.conn);
    DRIVER_END(&d);
}

TEST(a_waiter_opens_the_session_that_a_closed_one_made_room_for,
     "sessions: What a discarded session frees lets the oldest waiter open its own")
{
    driver d;
    vcp_pool_options options;
    dialer m;
    vcp_conn *conn;
    driver_start(&d);
    options = driver_options(&d);
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    m = dialer_of(d.pool, d.db.address);
    dialer_start(&m);
    EVENTUALLY(stats_of(d.pool).waiting == 1, 5000);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    dialer_join(&m);
    CHECK(m.status >= 0);
    CHECK_EQ(d.asked, 2);
    CHECK_EQ(d.frees, 1);
    give_back(m.conn);
    DRIVER_END(&d);
}

static int opened_by_another(void *user, const vcp_session_request *request, vcp_session *filled)
{
    driver *d = (driver *)user;
    CHECK_EQ(driver_opens(user, request, filled), 0);
    filled->liveness = 7;
    (void)d;
    return 0;
}

TEST(a_session_with_an_unknown_liveness_is_freed,
     "sessions: A session that was filled in wrongly fails the dial, and its free_data runs once")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn = NULL;
    driver_start(&d);
    options = driver_options(&d);
    options.open_session = opened_by_another;
    driver_pool(&d, &options);
    CHECK(vcp_dial(d.pool, d.db.network, d.db.address, &conn) < 0);
    CHECK_EQ(d.frees, 1);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

TEST(events_and_stats_count_sessions_as_connections,
     "sessions: DIAL_START, DIAL_DONE, RELEASED, REUSED, CLOSED carry the session's descriptor, "
     "and the counters count them")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    vcp_stats stats;
    driver_start(&d);
    options = driver_options(&d);
    options.on_event = driver_sees;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(d.kinds[VCP_EVENT_DIAL_START], 1);
    CHECK_EQ(d.kinds[VCP_EVENT_DIAL_DONE], 1);
    CHECK_EQ(d.event_fd, session_of(conn)->fd);
    give_back(conn);
    CHECK_EQ(d.kinds[VCP_EVENT_RELEASED], 1);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(d.kinds[VCP_EVENT_REUSED], 1);
    CHECK_EQ(d.event_fd, session_of(conn)->fd);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(d.kinds[VCP_EVENT_CLOSED], 1);
    CHECK_EQ(d.reasons[VCP_CLOSE_DISCARDED], 1);
    stats = stats_of(d.pool);
    CHECK_EQ(stats.dials, 1);
    CHECK_EQ(stats.reuses, 1);
    CHECK_EQ(stats.releases, 1);
    CHECK_EQ(stats.closed_discarded, 1);
    CHECK_STATS_ADD_UP(d.pool);
    DRIVER_END(&d);
}
