/* vcp_session_init and vcp_pool_put_session. Contract section 9. */
#include "dialing_threads.h"
#include "own_driver.h"

static int put_under(vcp_pool *pool, const vcp_session *filled, const server *to, const char *tag)
{
    return vcp_pool_put_session(pool, filled, to->network, to->address, tag);
}

/* A session that the program opened, in the pool. */
static session *put_one(driver *d)
{
    session *s = session_new(d);
    vcp_session filled = session_as_vcp(d, s);
    CHECK_EQ(put_under(d->pool, &filled, &d->db, NULL), VCP_OK);
    return s;
}

/* A pool that dials sockets itself. */
static vcp_pool_options options_of_sockets(driver *d)
{
    vcp_pool_options options;
    driver_start(d);
    options = driver_options(d);
    options.open_session = NULL;
    return options;
}

static vcp_pool *pool_of_sockets(driver *d)
{
    vcp_pool_options options = options_of_sockets(d);
    return driver_pool(d, &options);
}

TEST(a_session_that_was_put_is_lent,
     "put_session: A session that the program opened is lent out as reused, and counts as put")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    session *s = put_one(&d);
    vcp_conn *conn = NULL;
    CHECK_HOLDS(&d, 1, 1);
    CHECK_EQ(stats_of(pool).puts, 1);
    CHECK_EQ(vcp_dial(pool, d.db.network, d.db.address, &conn), s->fd);
    CHECK(session_of(conn) == s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(d.asked, 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    CHECK_EQ(d.frees, 1);
    DRIVER_END(&d);
}

TEST(a_pool_that_dials_sockets_takes_sessions_too,
     "put_session: A pool that dials sockets takes sessions, with and without a descriptor, beside "
     "its own")
{
    int has_fd;
    for (has_fd = 0; has_fd < 2; has_fd++) {
        driver d;
        vcp_pool *pool = pool_of_sockets(&d);
        vcp_conn *own = borrow(pool, &d.where);
        session *s;
        vcp_conn *conn = NULL;
        d.has_fd = has_fd;
        s = session_new(&d);
        {
            vcp_session filled = session_as_vcp(&d, s);
            CHECK_EQ(put_under(pool, &filled, &d.where, NULL), VCP_OK);
        }
        CHECK_EQ(vcp_dial(pool, d.where.network, d.where.address, &conn), has_fd ? s->fd : 0);
        CHECK(session_of(conn) == s);
        CHECK(vcp_conn_data(own) == NULL);
        give_back(conn);
        CHECK_EQ(vcp_conn_write(own, "a", 1), 1);
        give_back(own);
        CHECK_HOLDS(&d, 2, 2);
        DRIVER_END(&d);
    }
}

TEST(modes_do_not_reach_a_session,
     "put_session: VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING and the pool's nonblocking have no "
     "effect on a session")
{
    static const uint32_t flags[] = {0, VCP_DIAL_BLOCKING, VCP_DIAL_NONBLOCKING};
    int nonblocking;
    int i;
    for (nonblocking = 0; nonblocking < 2; nonblocking++) {
        driver d;
        vcp_pool_options options = options_of_sockets(&d);
        session *s;
        vcp_conn *conn;
        options.nonblocking = nonblocking;
        driver_pool(&d, &options);
        s = put_one(&d);
        for (i = 0; i < 3; i++) {
            CHECK_EQ(dial_flags(d.pool, &d.db, flags[i], &conn), s->fd);
            check_descriptor(s);
            give_back(conn);
            check_descriptor(s);
        }
        DRIVER_END(&d);
    }
}

TEST(
    what_is_put_keeps_the_rules_of_sessions,
    "put_session: I/O by the library is INVALID_ARGUMENT, get is NOT_AVAILABLE, and set_data takes "
    "the session's own pointer only")
{
    driver d;
    vcp_pool *pool = pool_of_sockets(&d);
    session *s = put_one(&d);
    vcp_conn *conn;
    char byte;
    CHECK_EQ(vcp_pool_get(pool, d.db.network, d.db.address, NULL), VCP_ERR_NOT_AVAILABLE);
    conn = borrow(pool, &d.db);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_write(conn, "a", 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_shutdown(conn, SHUT_WR), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_set_data(conn, &d, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_set_data(conn, s, NULL), VCP_OK);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    /* Its new free_data, none, has run. */
    CHECK_EQ(d.frees, 0);
    s->is_callers = 1;
    DRIVER_END(&d);
}

TEST(verify_release_does_not_reach_a_session,
     "put_session: A session that reconnected is kept by a pool with verify_release")
{
    driver d;
    vcp_pool_options options = options_of_sockets(&d);
    session *s;
    vcp_conn *conn;
    options.verify_release = 1;
    driver_pool(&d, &options);
    s = put_one(&d);
    conn = borrow(d.pool, &d.db);
    session_reconnects(s);
    give_back(conn);
    CHECK_HOLDS(&d, 1, 1);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_conn_raw_fd(conn), s->fd);
    session_reconnects_under_its_number(s);
    give_back(conn);
    CHECK_HOLDS(&d, 1, 1);
    DRIVER_END(&d);
}

/* The pool refuses the session, which stays the program's. */
#define CHECK_REFUSED(status, call) \
    do {                            \
        CHECK_EQ(call, status);     \
        CHECK_EQ(d.frees, 0);       \
        CHECK(vcp_last_error()[0]); \
    } while (0)

TEST(arguments_of_put_session_are_judged,
     "put_session: NULL, no data, a size without init, an unknown liveness, a bad network or "
     "address: refused, and the session stays the program's")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    session *s = session_new(&d);
    vcp_session good = session_as_vcp(&d, s);
    vcp_session bad = good;
    s->is_callers = 1;
    CHECK_REFUSED(VCP_ERR_INVALID_ARGUMENT, put_under(pool, NULL, &d.db, NULL));
    bad.data = NULL;
    CHECK_REFUSED(VCP_ERR_INVALID_ARGUMENT, put_under(pool, &bad, &d.db, NULL));
    bad = good;
    bad.size = 0;
    CHECK_REFUSED(VCP_ERR_INVALID_ARGUMENT, put_under(pool, &bad, &d.db, NULL));
    bad = good;
    bad.size = sizeof bad - 1;
    CHECK_REFUSED(VCP_ERR_INVALID_ARGUMENT, put_under(pool, &bad, &d.db, NULL));
    bad = good;
    bad.liveness = 3;
    CHECK_REFUSED(VCP_ERR_INVALID_ARGUMENT, put_under(pool, &bad, &d.db, NULL));
    bad.liveness = -2;
    CHECK_REFUSED(VCP_ERR_INVALID_ARGUMENT, put_under(pool, &bad, &d.db, NULL));
    CHECK_REFUSED(VCP_ERR_UNKNOWN_NETWORK, vcp_pool_put_session(pool, &good, "tcp5", "a:1", NULL));
    CHECK_REFUSED(VCP_ERR_INVALID_ADDRESS, vcp_pool_put_session(pool, &good, "tcp", "a", NULL));
    CHECK_REFUSED(VCP_ERR_INVALID_ARGUMENT, vcp_pool_put_session(pool, &good, NULL, "a:1", NULL));
    CHECK_REFUSED(VCP_ERR_INVALID_ARGUMENT, vcp_pool_put_session(pool, &good, "tcp", NULL, NULL));
    CHECK_REFUSED(VCP_ERR_INVALID_HANDLE, put_under(NULL, &good, &d.db, NULL));
    CHECK_HOLDS(&d, 0, 0);
    CHECK_EQ(stats_of(pool).puts, 0);
    DRIVER_END(&d);
}

TEST(a_closed_or_drained_pool_takes_no_session,
     "put_session: A closed pool, and one that was drained, takes no session: POOL_CLOSED")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    session *s = session_new(&d);
    vcp_session filled = session_as_vcp(&d, s);
    s->is_callers = 1;
    CHECK_EQ(vcp_pool_drain(pool, 0), 0);
    CHECK_REFUSED(VCP_ERR_POOL_CLOSED, put_under(pool, &filled, &d.db, NULL));
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    d.pool = NULL;
    CHECK_REFUSED(VCP_ERR_POOL_CLOSED, put_under(pool, &filled, &d.db, NULL));
    DRIVER_END(&d);
}

TEST(limits_hold_for_what_is_put,
     "put_session: At a limit POOL_EXHAUSTED; without idle room IDLE_FULL; the session stays the "
     "program's")
{
    driver d;
    vcp_pool_options options;
    session *s;
    vcp_session filled;
    vcp_conn *conn;
    driver_start(&d);
    options = driver_options(&d);
    options.max_conns = 1;
    options.max_idle_per_address = 1;
    driver_pool(&d, &options);
    s = session_new(&d);
    s->is_callers = 1;
    filled = session_as_vcp(&d, s);
    conn = borrow(d.pool, &d.db);
    CHECK_REFUSED(VCP_ERR_POOL_EXHAUSTED, put_under(d.pool, &filled, &d.db, NULL));
    options.max_conns = 2;
    CHECK_EQ(vcp_pool_set_limits(d.pool, &options), VCP_OK);
    put_one(&d);
    CHECK_REFUSED(VCP_ERR_IDLE_FULL, put_under(d.pool, &filled, &d.db, NULL));
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    DRIVER_END(&d);
}

TEST(what_is_dead_or_dirty_is_not_put,
     "put_session: A session whose descriptor is closed by the peer, dirty or no socket is "
     "NOT_REUSABLE; one without a descriptor is taken as it is")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    session *s = session_new(&d);
    vcp_session filled = session_as_vcp(&d, s);
    s->is_callers = 1;
    CHECK_EQ(send(s->peer, "x", 1, 0), 1);
    await_arrival(s->fd);
    CHECK_REFUSED(VCP_ERR_NOT_REUSABLE, put_under(pool, &filled, &d.db, NULL));
    session_reconnects(s);
    CHECK_EQ(shutdown(s->peer, SHUT_RDWR), 0);
    await_arrival(s->fd);
    CHECK_REFUSED(VCP_ERR_NOT_REUSABLE, put_under(pool, &filled, &d.db, NULL));
    s->tells = 0;
    s = session_new(&d);
    s->tells = 0;
    filled = session_as_vcp(&d, s);
    CHECK_EQ(put_under(pool, &filled, &d.db, NULL), VCP_OK);
    CHECK_HOLDS(&d, 1, 1);
    DRIVER_END(&d);
}

TEST(unread_bytes_are_allowed_where_the_session_allows_them,
     "put_session: Unread bytes are no obstacle to a session whose liveness allows them")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    session *s = session_new(&d);
    vcp_session filled = session_as_vcp(&d, s);
    filled.liveness = VCP_LIVENESS_ALLOW_DATA;
    CHECK_EQ(send(s->peer, "x", 1, 0), 1);
    await_arrival(s->fd);
    CHECK_EQ(put_under(pool, &filled, &d.db, NULL), VCP_OK);
    CHECK_HOLDS(&d, 1, 1);
    DRIVER_END(&d);
}

TEST(a_descriptor_of_the_pool_is_not_put_again,
     "put_session: A descriptor that a pool of this process has already is INVALID_ARGUMENT")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    session *s = put_one(&d);
    vcp_session again = session_as_vcp(&d, s);
    CHECK_REFUSED(VCP_ERR_INVALID_ARGUMENT, put_under(pool, &again, &d.db, NULL));
    CHECK_HOLDS(&d, 1, 1);
    DRIVER_END(&d);
}

TEST(a_waiter_gets_the_session_that_is_put, "put_session: A waiter gets the session first")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    dialer m;
    session *s;
    driver_start(&d);
    options = driver_options(&d);
    options.max_dials_per_address = 1;
    options.max_idle_per_address = 0;
    options.wait_timeout_ms = VCP_FOREVER;
    driver_pool(&d, &options);
    d.holds_opening = 1;
    {
        vcp_queue *queue = queue_new();
        begin_dial(d.pool, &d.db, NULL, queue, &d);
        EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
        m = dialer_of(d.pool, d.db.address);
        dialer_start(&m);
        EVENTUALLY(stats_of(d.pool).waiting == 1, 5000);
        s = put_one(&d);
        dialer_join(&m);
        CHECK_EQ(m.status, s->fd);
        CHECK(session_of(m.conn) == s);
        driver_sets(&d, &d.holds_opening, 0);
        conn = next_conn(queue, &d);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
    give_back(conn);
    give_back(m.conn);
    EVENTUALLY(driver_frees(&d) == 2, 1000);
    DRIVER_END(&d);
}

TEST(a_tag_of_a_session_that_is_put,
     "put_session: The reuse tag is part of the destination; the session struct is copied")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_dial_options dial = dial_options(VCP_DIAL_REUSE_ONLY);
    session *s = session_new(&d);
    vcp_session filled = session_as_vcp(&d, s);
    vcp_conn *conn = NULL;
    CHECK_EQ(put_under(pool, &filled, &d.db, "user=alice"), VCP_OK);
    memset(&filled, 0x77, sizeof filled);
    CHECK_EQ(dial_flags(pool, &d.db, VCP_DIAL_REUSE_ONLY, &conn), VCP_ERR_NOT_AVAILABLE);
    dial.reuse_tag = "user=alice";
    CHECK_EQ(vcp_dial_with(pool, d.db.network, d.db.address, &dial, &conn), s->fd);
    give_back(conn);
    DRIVER_END(&d);
}

TEST(the_liveness_of_a_session_that_is_put, "put_session: vcp_session.liveness holds for it")
{
    driver d;
    vcp_pool *pool = pool_of_sockets(&d);
    session *s;
    d.liveness = VCP_LIVENESS_ALLOW_DATA;
    s = put_one(&d);
    CHECK_EQ(send(s->peer, "x", 1, 0), 1);
    await_arrival(s->fd);
    STAYS(idle_in(pool) == 1, 1200);
    give_back(borrow(pool, &d.db));
    CHECK_HOLDS(&d, 1, 1);
    DRIVER_END(&d);
}

TEST(on_open_is_not_asked_about_what_is_put,
     "put_session: on_open is not asked about it; on_reuse and on_release are")
{
    driver d;
    vcp_pool_options options;
    driver_start(&d);
    options = driver_options(&d);
    options.on_open = driver_on_open;
    options.on_reuse = driver_on_reuse;
    options.on_release = driver_on_release;
    driver_pool(&d, &options);
    put_one(&d);
    give_back(borrow(d.pool, &d.db));
    CHECK_EQ(d.on_open.calls, 0);
    CHECK_EQ(d.on_reuse.calls, 1);
    CHECK_EQ(d.on_release.calls, 1);
    DRIVER_END(&d);
}

static int datagrams;

static int tells_datagrams(void *data)
{
    (void)data;
    return datagrams;
}

TEST(a_driver_may_speak_by_datagrams,
     "put_session: A session whose socket is one of datagrams is lent and kept")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    server s = udp_server();
    session *one = session_new(&d);
    vcp_session filled = session_as_vcp(&d, one);
    vcp_conn *conn = NULL;
    char byte;
    datagrams = client_of(&s);
    filled.fd = tells_datagrams;
    CHECK_EQ(put_under(pool, &filled, &d.db, NULL), VCP_OK);
    CHECK_EQ(vcp_dial(pool, d.db.network, d.db.address, &conn), datagrams);
    server_start_echo(&s);
    CHECK_EQ(send(datagrams, "", 0, 0), 0);
    CHECK(readable_within(datagrams, 5000));
    CHECK_EQ(recv(datagrams, &byte, 1, 0), 0);
    give_back(conn);
    CHECK_HOLDS(&d, 1, 1);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    close(datagrams);
    server_close(&s);
    DRIVER_END(&d);
}
