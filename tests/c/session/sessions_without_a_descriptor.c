/* Sessions that have no descriptor, or tell none. Contract section 9. */
#include "own_driver.h"

/* A pool of sessions without a descriptor, which the observer hears of. */
static vcp_pool_options options_without(driver *d)
{
    vcp_pool_options options;
    driver_start(d);
    d->has_fd = 0;
    options = driver_options(d);
    options.on_event = driver_sees;
    return options;
}

static vcp_pool *pool_without(driver *d)
{
    vcp_pool_options options = options_without(d);
    return driver_pool(d, &options);
}

TEST(a_dial_of_a_session_without_a_descriptor_returns_0,
     "sessions: vcp_dial returns 0 for a session without a descriptor, vcp_conn_raw_fd is "
     "NOT_AVAILABLE, and events carry -1")
{
    driver d;
    vcp_pool *pool = pool_without(&d);
    vcp_conn *conn = NULL;
    CHECK_EQ(vcp_dial(pool, d.db.network, d.db.address, &conn), 0);
    CHECK_EQ(d.kinds[VCP_EVENT_DIAL_DONE], 1);
    CHECK_EQ(d.event_fd, -1);
    CHECK_EQ(vcp_conn_raw_fd(conn), VCP_ERR_NOT_AVAILABLE);
    CHECK(session_of(conn) == d.sessions);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK_EQ(d.event_fd, -1);
    CHECK_EQ(vcp_dial(pool, d.db.network, d.db.address, &conn), 0);
    CHECK_EQ(d.event_fd, -1);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(d.event_fd, -1);
    CHECK_EQ(d.reasons[VCP_CLOSE_DISCARDED], 1);
    CHECK_EQ(d.frees, 1);
    DRIVER_END(&d);
}

TEST(a_session_without_a_descriptor_has_no_address_of_its_own,
     "sessions: The local address of a session without a descriptor is empty")
{
    driver d;
    vcp_pool *pool = pool_without(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    char text[8] = "before";
    CHECK_EQ(vcp_conn_local_address(conn, text, sizeof text), 0);
    CHECK_EQ(text[0], '\0');
    give_back(conn);
    DRIVER_END(&d);
}

TEST(descriptor_0_is_one,
     "sessions: A session whose descriptor is number 0 has one: vcp_conn_raw_fd tells it, and it "
     "is checked")
{
    int saved = fcntl(0, F_DUPFD_CLOEXEC, 3);
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn;
    CHECK(saved >= 0);
    CHECK_EQ(close(0), 0);
    conn = borrow(pool, &d.db);
    CHECK_EQ(session_of(conn)->fd, 0);
    CHECK_EQ(vcp_conn_raw_fd(conn), 0);
    CHECK_EQ(vcp_conn_wait(conn, VCP_WRITABLE), VCP_WRITABLE);
    CHECK_EQ(shutdown(session_of(conn)->peer, SHUT_RDWR), 0);
    give_back(conn);
    EVENTUALLY(driver_frees(&d) == 1, 1000);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
    CHECK_EQ(dup2(saved, 0), 0);
    close(saved);
}

TEST(hooks_of_a_session_without_a_descriptor_get_minus_1,
     "sessions: Hooks of a session without a descriptor get -1")
{
    driver d;
    vcp_pool_options options = options_without(&d);
    options.on_open = driver_on_open;
    options.on_reuse = driver_on_reuse;
    options.on_release = driver_on_release;
    d.on_open.fd = d.on_reuse.fd = d.on_release.fd = 7;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    CHECK_EQ(d.on_open.calls, 1);
    CHECK_EQ(d.on_open.fd, -1);
    CHECK_EQ(d.on_release.calls, 1);
    CHECK_EQ(d.on_release.fd, -1);
    give_back(borrow(d.pool, &d.db));
    CHECK_EQ(d.on_reuse.calls, 1);
    CHECK_EQ(d.on_reuse.fd, -1);
    DRIVER_END(&d);
}

TEST(a_session_without_a_descriptor_has_no_io,
     "sessions: Without a descriptor, reads, writes and shutdown are INVALID_ARGUMENT, and "
     "vcp_conn_wait fails; the session stays fit")
{
    driver d;
    vcp_pool *pool = pool_without(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    char byte;
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_write(conn, "a", 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_try_read(conn, &byte, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_try_write(conn, "a", 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_read_full(conn, &byte, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_shutdown(conn, SHUT_RDWR), VCP_ERR_INVALID_ARGUMENT);
    CHECK(vcp_conn_wait(conn, VCP_READABLE) < 0);
    give_back(conn);
    CHECK_HOLDS(&d, 1, 1);
    DRIVER_END(&d);
}

TEST(a_session_without_a_descriptor_is_kept_in_every_mode,
     "sessions: A session without a descriptor has no liveness check and no watch, in every mode; "
     "on_reuse takes their place")
{
    int32_t modes[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_ALLOW_DATA, VCP_LIVENESS_WATCH};
    int i;
    for (i = 0; i < 3; i++) {
        driver d;
        vcp_pool_options options = options_without(&d);
        vcp_conn *conn;
        options.liveness = modes[i];
        options.on_reuse = driver_on_reuse;
        driver_pool(&d, &options);
        give_back(borrow(d.pool, &d.db));
        give_back(borrow(d.pool, &d.db));
        CHECK_EQ(d.asked, 1);
        CHECK_EQ(d.on_reuse.calls, 1);
        d.on_reuse.answer = 1;
        conn = borrow(d.pool, &d.db);
        CHECK_EQ(vcp_conn_is_reused(conn), 0);
        CHECK_EQ(d.frees, 1);
        CHECK_EQ(d.reasons[VCP_CLOSE_HOOK], 1);
        give_back(conn);
        DRIVER_END(&d);
    }
}

TEST(an_asynchronous_dial_of_one_answers_0,
     "sessions: The completion of a session without a descriptor has status 0 and a connection")
{
    driver d;
    vcp_pool *pool = pool_without(&d);
    vcp_queue *queue = queue_new();
    vcp_completion completion;
    vcp_conn *conn = NULL;
    begin_dial(pool, &d.db, NULL, queue, &d);
    completion = next_completion(queue);
    CHECK_EQ(completion.status, 0);
    give_back(completion.conn);
    CHECK_EQ(dial_async(pool, &d.db, NULL, queue, &d, &conn), 0);
    CHECK(conn != NULL);
    give_back(conn);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

TEST(detach_of_one_returns_0,
     "sessions: vcp_conn_detach returns 0 for a session without a descriptor, which is the "
     "caller's then")
{
    driver d;
    vcp_pool *pool = pool_without(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    session *s = session_of(conn);
    CHECK_EQ(vcp_conn_detach(conn), 0);
    CHECK(vcp_conn_data(conn) == NULL);
    CHECK_EQ(stats_of(pool).detached, 1);
    CHECK_HOLDS(&d, 0, 0);
    s->is_callers = 1;
    DRIVER_END(&d);
}

TEST(abort_discards_one_without_a_descriptor,
     "sessions: vcp_pool_abort discards a borrowed session without a descriptor")
{
    driver d;
    vcp_pool *pool = pool_without(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    CHECK_EQ(vcp_pool_abort(pool), VCP_OK);
    CHECK_EQ(d.frees, 0);
    give_back(conn);
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(stats_of(pool).closed_discarded, 1);
    DRIVER_END(&d);
}

static int takes_its_time(void *data, vcp_conn *conn, int fd)
{
    (void)data;
    (void)conn;
    (void)fd;
    let_pass(40);
    return 0;
}

TEST(a_hook_of_one_that_is_late_closes_it,
     "sessions: hook_timeout_ms closes a session without a descriptor (HOOK) when its on_release "
     "returns too late")
{
    driver d;
    vcp_pool_options options = options_without(&d);
    options.on_release = driver_on_release;
    options.hook_timeout_ms = 20;
    d.on_release.does = takes_its_time;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(d.reasons[VCP_CLOSE_HOOK], 1);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

TEST(a_thousand_without_a_descriptor_cost_none,
     "sessions: 1,000 idle sessions without a descriptor take no descriptor, and expire by "
     "idle_timeout_ms")
{
    enum { MANY = 1000 };
    static vcp_conn *conns[MANY];
    driver d;
    vcp_pool_options options = options_without(&d);
    int before;
    int i;
    options.max_idle_per_address = MANY;
    options.idle_timeout_ms = 300;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    before = open_fds();
    for (i = 0; i < MANY; i++) {
        conns[i] = borrow(d.pool, &d.db);
    }
    for (i = 0; i < MANY; i++) {
        give_back(conns[i]);
    }
    CHECK_EQ(open_fds(), before);
    EVENTUALLY(driver_frees(&d) == d.opened, 2000);
    EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_IDLE_TIMEOUT]) >= MANY, 1000);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}
