/*
 * Whatever becomes of a session, its free_data runs once, with the reason told once; and what
 * detach, get and vcp_conn_set_data may do to it. Contract section 9.
 */
#include "own_driver.h"

/* One way for a session to go. `conn` is borrowed when it begins. */
typedef struct {
    const char *name;
    void (*options)(driver *d, vcp_pool_options *options);
    void (*goes)(driver *d, vcp_conn *conn);
    int reason;
    int needs_fd;
} ending;

static void short_idle(driver *d, vcp_pool_options *options)
{
    (void)d;
    options->idle_timeout_ms = 50;
}

static void short_life(driver *d, vcp_pool_options *options)
{
    (void)d;
    options->max_lifetime_ms = 50;
    options->lifetime_jitter_percent = 0;
}

static void one_use(driver *d, vcp_pool_options *options)
{
    (void)d;
    options->max_uses = 1;
}

static void nothing_kept(driver *d, vcp_pool_options *options)
{
    (void)d;
    options->max_idle_per_address = 0;
}

static void one_slot(driver *d, vcp_pool_options *options)
{
    (void)d;
    options->max_conns = 1;
}

static void refused_on_reuse(driver *d, vcp_pool_options *options)
{
    options->on_reuse = driver_on_reuse;
    d->on_reuse.answer = 1;
}

static void refused_on_release(driver *d, vcp_pool_options *options)
{
    options->on_release = driver_on_release;
    d->on_release.answer = 1;
}

static void given_back(driver *d, vcp_conn *conn)
{
    (void)d;
    give_back(conn);
}

static void discarded(driver *d, vcp_conn *conn)
{
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    given_back(d, conn);
}

static void reported(driver *d, vcp_conn *conn)
{
    CHECK_EQ(vcp_conn_report(conn, -1, EPIPE), VCP_OK);
    given_back(d, conn);
}

static void too_old_when_given_back(driver *d, vcp_conn *conn)
{
    let_pass(60);
    given_back(d, conn);
    CHECK_EQ(driver_frees(d), 1);
}

static void evicted_while_idle(driver *d, vcp_conn *conn)
{
    given_back(d, conn);
    CHECK_EQ(vcp_pool_evict(d->pool, d->db.network, d->db.address), VCP_OK);
    CHECK_EQ(driver_frees(d), 1);
}

static void evicted_while_borrowed(driver *d, vcp_conn *conn)
{
    CHECK_EQ(vcp_pool_evict(d->pool, d->db.network, d->db.address), VCP_OK);
    CHECK_EQ(driver_frees(d), 0);
    given_back(d, conn);
}

static void closed_as_idle(driver *d, vcp_conn *conn)
{
    given_back(d, conn);
    CHECK_EQ(vcp_pool_close_idle(d->pool), VCP_OK);
    CHECK_EQ(driver_frees(d), 1);
}

static void room_is_made(driver *d, vcp_conn *conn)
{
    given_back(d, conn);
    CHECK(vcp_dial(d->pool, "tcp", "other.invalid:1", &conn) >= 0);
    CHECK_EQ(driver_frees(d), 1);
    CHECK_EQ(vcp_conn_detach(conn) >= 0, 1);
    d->sessions->is_callers = 1;
}

static void limits_are_lowered(driver *d, vcp_conn *conn)
{
    vcp_pool_options options = pool_options();
    given_back(d, conn);
    options.max_idle_per_address = 0;
    CHECK_EQ(vcp_pool_set_limits(d->pool, &options), VCP_OK);
    CHECK_EQ(driver_frees(d), 1);
}

static void hung_up_while_idle(driver *d, vcp_conn *conn)
{
    given_back(d, conn);
    CHECK_EQ(shutdown(d->sessions->peer, SHUT_RDWR), 0);
}

static void dirty_while_idle(driver *d, vcp_conn *conn)
{
    given_back(d, conn);
    CHECK_EQ(send(d->sessions->peer, "dirt", 4, MSG_NOSIGNAL), 4);
}

static void hung_up_by_its_driver(driver *d, vcp_conn *conn)
{
    session_hangs_up(session_of(conn));
    given_back(d, conn);
    CHECK_EQ(driver_frees(d), 1);
}

static void tells_no_more(driver *d, vcp_conn *conn)
{
    session_of(conn)->tells = 0;
    given_back(d, conn);
    CHECK_EQ(driver_frees(d), 1);
}

static void asked_at_a_reuse(driver *d, vcp_conn *conn)
{
    given_back(d, conn);
    CHECK_EQ(dial_flags(d->pool, &d->db, VCP_DIAL_REUSE_ONLY, &conn), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(driver_frees(d), 1);
}

static void aborted(driver *d, vcp_conn *conn)
{
    CHECK_EQ(vcp_pool_abort(d->pool), VCP_OK);
    given_back(d, conn);
}

static void drained(driver *d, vcp_conn *conn)
{
    given_back(d, conn);
    CHECK_EQ(vcp_pool_drain(d->pool, VCP_FOREVER), 0);
    CHECK_EQ(driver_frees(d), 1);
}

static void drained_while_borrowed(driver *d, vcp_conn *conn)
{
    CHECK_EQ(vcp_pool_drain(d->pool, 0), 1);
    given_back(d, conn);
}

static void closed_while_idle(driver *d, vcp_conn *conn)
{
    given_back(d, conn);
    CHECK_EQ(vcp_pool_close(d->pool), VCP_OK);
    d->pool = NULL;
    CHECK_EQ(driver_frees(d), 1);
    CHECK(pthread_equal(d->sessions->freed_by, pthread_self()));
}

static void closed_while_borrowed(driver *d, vcp_conn *conn)
{
    CHECK_EQ(vcp_pool_close(d->pool), VCP_OK);
    d->pool = NULL;
    CHECK_EQ(driver_frees(d), 0);
    CHECK_EQ(driver_number(d, &d->user_frees), 0);
    given_back(d, conn);
    CHECK_EQ(driver_frees(d), 1);
}

static const ending endings_of_sessions[] = {
    {"discarded", NULL, discarded, VCP_CLOSE_DISCARDED, 0},
    {"reported", NULL, reported, VCP_CLOSE_FAILED, 0},
    {"idle for too long", short_idle, given_back, VCP_CLOSE_IDLE_TIMEOUT, 0},
    {"too old while idle", short_life, given_back, VCP_CLOSE_LIFETIME, 0},
    {"too old when given back", short_life, too_old_when_given_back, VCP_CLOSE_LIFETIME, 0},
    {"used up", one_use, given_back, VCP_CLOSE_MAX_USES, 0},
    {"no room", nothing_kept, given_back, VCP_CLOSE_IDLE_FULL, 0},
    {"evicted while idle", NULL, evicted_while_idle, VCP_CLOSE_EVICTED, 0},
    {"evicted while borrowed", NULL, evicted_while_borrowed, VCP_CLOSE_EVICTED, 0},
    {"close_idle", NULL, closed_as_idle, VCP_CLOSE_EVICTED, 0},
    {"room is made", one_slot, room_is_made, VCP_CLOSE_EVICTED, 0},
    {"limits are lowered", NULL, limits_are_lowered, VCP_CLOSE_EVICTED, 0},
    {"hung up by the server while idle", NULL, hung_up_while_idle, VCP_CLOSE_PEER_CLOSED, 1},
    {"dirty", NULL, dirty_while_idle, VCP_CLOSE_DIRTY, 1},
    {"hung up by its driver", NULL, hung_up_by_its_driver, VCP_CLOSE_FAILED, 1},
    {"tells no more", NULL, tells_no_more, VCP_CLOSE_FAILED, 1},
    {"refused by on_reuse", refused_on_reuse, asked_at_a_reuse, VCP_CLOSE_HOOK, 0},
    {"refused by on_release", refused_on_release, given_back, VCP_CLOSE_HOOK, 0},
    {"aborted", NULL, aborted, VCP_CLOSE_DISCARDED, 0},
    {"drained", NULL, drained, VCP_CLOSE_POOL_CLOSED, 0},
    {"drained while borrowed", NULL, drained_while_borrowed, VCP_CLOSE_POOL_CLOSED, 0},
    {"its pool closed while idle", NULL, closed_while_idle, VCP_CLOSE_POOL_CLOSED, 0},
    {"its pool closed while borrowed", NULL, closed_while_borrowed, VCP_CLOSE_POOL_CLOSED, 0},
};

static void goes_so(const ending *way, int has_fd)
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    printf("  %s%s\n", way->name, has_fd ? "" : ", without a descriptor");
    fflush(stdout);
    driver_start(&d);
    d.has_fd = has_fd;
    options = driver_options(&d);
    options.on_event = driver_sees;
    if (way->options != NULL) {
        way->options(&d, &options);
    }
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    way->goes(&d, conn);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    EVENTUALLY(driver_number(&d, &d.reasons[way->reason]) == 1, 5000);
    CHECK_EQ(driver_number(&d, &d.kinds[VCP_EVENT_CLOSED]), 1);
    DRIVER_END(&d);
}

TEST(whichever_way_a_session_goes_it_ends_once,
     "sessions: Discarded, reported, idle too long, too old, used up, no room, evicted, pushed "
     "aside, hung up, dirty, refused, aborted, drained, pool closed: free_data runs once, and the "
     "reason is told once")
{
    size_t i;
    for (i = 0; i < sizeof endings_of_sessions / sizeof endings_of_sessions[0]; i++) {
        goes_so(&endings_of_sessions[i], 1);
        if (!endings_of_sessions[i].needs_fd) {
            goes_so(&endings_of_sessions[i], 0);
        }
    }
}

static int opens_what_nobody_ends(void *user, const vcp_session_request *request,
                                  vcp_session *filled)
{
    static int data;
    (void)user;
    (void)request;
    filled->data = &data;
    return 0;
}

TEST(a_session_may_come_without_a_destructor, "sessions: vcp_session.free_data may be NULL")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    driver_start(&d);
    options = driver_options(&d);
    options.open_session = opens_what_nobody_ends;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    CHECK(vcp_conn_data(conn) != NULL);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

static int frees_otherwise;

static void session_free_otherwise(void *data)
{
    frees_otherwise++;
    session_free(data);
}

TEST(the_data_of_a_session_is_the_session,
     "sessions: vcp_conn_set_data with other data, NULL too, is INVALID_ARGUMENT; the same pointer "
     "with another free_data replaces free_data")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    session *s = session_of(conn);
    int other = 0;
    CHECK_EQ(vcp_conn_set_data(conn, &other, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_set_data(conn, &other, session_free), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_set_data(conn, NULL, NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK(vcp_conn_data(conn) == s);
    CHECK_EQ(d.frees, 0);
    frees_otherwise = 0;
    CHECK_EQ(vcp_conn_set_data(conn, s, session_free_otherwise), VCP_OK);
    CHECK_EQ(d.frees, 0);
    give_back(conn);
    conn = borrow(pool, &d.db);
    CHECK(session_of(conn) == s);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(frees_otherwise, 1);
    CHECK_EQ(d.frees, 1);
    DRIVER_END(&d);
}

TEST(a_detached_session_is_the_callers,
     "sessions: vcp_conn_detach returns the session's descriptor; the session is the caller's, "
     "free_data does not run, and the pool forgets it")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    session *s = session_of(conn);
    CHECK_EQ(vcp_conn_detach(conn), s->fd);
    CHECK(vcp_conn_data(conn) == NULL);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
    CHECK_HOLDS(&d, 0, 0);
    CHECK_EQ(stats_of(pool).detached, 1);
    CHECK(peer_sees_life(s->peer));
    check_descriptor(s);
    s->is_callers = 1;
    DRIVER_END(&d);
}

TEST(get_gives_no_session_away,
     "sessions: vcp_pool_get gives no session away: NOT_AVAILABLE, with or without a descriptor")
{
    int has_fd;
    for (has_fd = 0; has_fd < 2; has_fd++) {
        driver d;
        driver_start(&d);
        d.has_fd = has_fd;
        driver_pool(&d, NULL);
        give_back(borrow(d.pool, &d.db));
        CHECK_EQ(vcp_pool_get(d.pool, d.db.network, d.db.address, NULL), VCP_ERR_NOT_AVAILABLE);
        CHECK_HOLDS(&d, 1, 1);
        DRIVER_END(&d);
    }
}

TEST(lifetime_and_uses_are_the_sessions,
     "sessions: vcp_conn_age_ms, idle_ms and uses count for a session, also after a reconnect")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    driver_start(&d);
    options = driver_options(&d);
    options.max_uses = 3;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    session_reconnects(session_of(conn));
    let_pass(20);
    give_back(conn);
    let_pass(20);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_conn_uses(conn), 2);
    CHECK_BETWEEN(vcp_conn_idle_ms(conn), 20 - COARSE_MS, at_most(20 + LATENESS_MS));
    CHECK_BETWEEN(vcp_conn_age_ms(conn), 39, at_most(40 + 2 * LATENESS_MS));
    give_back(conn);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_conn_uses(conn), 3);
    give_back(conn);
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(stats_of(d.pool).closed_max_uses, 1);
    DRIVER_END(&d);
}

TEST(a_leaked_session_is_reported,
     "sessions: A session borrowed for too long is told (LEAKED, LEAK_RETURNED) and described, its "
     "fd -1 where it has none")
{
    int has_fd;
    for (has_fd = 0; has_fd < 2; has_fd++) {
        static char report[16384];
        char wanted[32];
        driver d;
        vcp_pool_options options;
        vcp_dial_options dial = dial_options(0);
        vcp_conn *conn = NULL;
        driver_start(&d);
        d.has_fd = has_fd;
        options = driver_options(&d);
        options.on_event = driver_sees;
        options.leak_threshold_ms = 30;
        driver_pool(&d, &options);
        dial.label = "forgetful";
        CHECK(vcp_dial_with(d.pool, d.db.network, d.db.address, &dial, &conn) >= 0);
        EVENTUALLY(driver_number(&d, &d.kinds[VCP_EVENT_LEAKED]) == 1, 2000);
        CHECK_EQ(driver_number(&d, &d.event_fd), session_of(conn)->fd);
        CHECK(vcp_pool_describe(d.pool, VCP_FORMAT_TEXT, report, sizeof report) > 0);
        snprintf(wanted, sizeof wanted, "fd %d tcp db.invalid:5432", session_of(conn)->fd);
        CHECK_HAS(report, wanted);
        CHECK_HAS(report, "forgetful");
        CHECK(vcp_pool_describe(d.pool, VCP_FORMAT_JSON, report, sizeof report) > 0);
        snprintf(wanted, sizeof wanted, "\"fd\":%d", session_of(conn)->fd);
        CHECK_HAS(report, wanted);
        give_back(conn);
        EVENTUALLY(driver_number(&d, &d.kinds[VCP_EVENT_LEAK_RETURNED]) == 1, 2000);
        CHECK_EQ(stats_of(d.pool).leaks, 1);
        DRIVER_END(&d);
    }
}

TEST(texts_of_a_session,
     "sessions: vcp_conn_network, address and reuse_tag tell the destination; the addresses of the "
     "socket are told where there is one")
{
    int has_fd;
    for (has_fd = 0; has_fd < 2; has_fd++) {
        driver d;
        vcp_conn *conn;
        char text[64];
        driver_start(&d);
        d.has_fd = has_fd;
        conn = borrow(driver_pool(&d, NULL), &d.db);
        CHECK_EQ(vcp_conn_network(conn, text, sizeof text), 3);
        CHECK_STR(text, "tcp");
        CHECK(vcp_conn_address(conn, text, sizeof text) > 0);
        CHECK_STR(text, "db.invalid:5432");
        CHECK_EQ(vcp_conn_reuse_tag(conn, text, sizeof text), 0);
        if (has_fd) {
            CHECK(vcp_conn_remote_address(conn, text, sizeof text) > 0);
            CHECK_STR(text, d.where.address);
            CHECK(vcp_conn_local_address(conn, text, sizeof text) > 0);
        }
        give_back(conn);
        DRIVER_END(&d);
    }
}

/* ---- callbacks that call the library ---- */

static int inner_calls;

static void calls_the_library(driver *d)
{
    vcp_conn *conn = NULL;
    CHECK(vcp_pool_conn_count(d->pool) >= 0);
    CHECK_EQ(vcp_pool_close_idle(d->pool), VCP_OK);
    CHECK_EQ(dial_flags(d->pool, &d->db, VCP_DIAL_REUSE_ONLY, &conn), VCP_ERR_NOT_AVAILABLE);
    __sync_add_and_fetch(&inner_calls, 1);
}

static int fd_that_calls(void *data)
{
    calls_the_library(((session *)data)->of);
    return session_fd(data);
}

static void free_that_calls(void *data)
{
    calls_the_library(((session *)data)->of);
    session_free(data);
}

static int opens_what_calls(void *user, const vcp_session_request *request, vcp_session *filled)
{
    int answer;
    calls_the_library((driver *)user);
    answer = driver_opens(user, request, filled);
    filled->fd = fd_that_calls;
    filled->free_data = free_that_calls;
    return answer;
}

static int hook_that_calls(void *data, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    calls_the_library(((session *)data)->of);
    return 0;
}

TEST(callbacks_of_sessions_may_call_the_library,
     "sessions: open_session, fd, free_data, on_release in the background and on_idle may call "
     "vcp_ functions of their pool: no lock is held")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    int before;
    driver_start(&d);
    options = driver_options(&d);
    options.open_session = opens_what_calls;
    options.on_release = driver_on_release;
    options.on_release_in_background = 1;
    options.on_idle = driver_on_idle;
    options.on_idle_ms = 30;
    d.on_release.does = hook_that_calls;
    inner_calls = 0;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(inner_calls, 2);
    give_back(conn);
    /* open_session, fd, on_release, fd. */
    EVENTUALLY(idle_in(d.pool) == 1, 5000);
    CHECK_EQ(__sync_add_and_fetch(&inner_calls, 0), 4);
    driver_sets(&d, &d.on_idle.holds, 1);
    EVENTUALLY(driver_number(&d, &d.on_idle.inside) == 1, 5000);
    before = __sync_add_and_fetch(&inner_calls, 0);
    calls_the_library(&d);
    driver_sets(&d, &d.on_idle.holds, 0);
    /* close_idle during on_idle: fd is asked after it, and free_data runs. */
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    CHECK(__sync_add_and_fetch(&inner_calls, 0) > before + 1);
    DRIVER_END(&d);
}

/* ---- many threads ---- */

typedef struct {
    driver *d;
    unsigned seed;
} worker;

static void works_once(worker *w)
{
    vcp_conn *conn = borrow(w->d->pool, &w->d->db);
    session *s = session_of(conn);
    int what = (int)(rand_r(&w->seed) % 16);
    session_is_called(s);
    if (what == 0) {
        session_reconnects(s);
    } else if (what == 1) {
        session_hangs_up(s);
    } else if (what == 2) {
        CHECK_EQ(vcp_conn_report(conn, -1, ECONNRESET), VCP_OK);
    } else if (what == 3) {
        CHECK_EQ(send(s->peer, "x", 1, MSG_NOSIGNAL), 1);
    } else if (what == 4) {
        CHECK_EQ(vcp_pool_close_idle(w->d->pool), VCP_OK);
    }
    session_was_called(s);
    give_back(conn);
}

static void *works(void *argument)
{
    int i;
    for (i = 0; i < 300; i++) {
        works_once((worker *)argument);
    }
    return NULL;
}

TEST(eight_threads_share_three_sessions,
     "sessions: 8 threads that reconnect, hang up, report, and close the idle: no session is in "
     "two hands, none outlives its end, and max_conns holds")
{
    enum { THREADS = 8 };
    driver d;
    vcp_pool_options options;
    pthread_t ids[THREADS];
    worker workers[THREADS];
    int i;
    driver_start(&d);
    options = driver_options(&d);
    options.max_conns = 3;
    options.wait_timeout_ms = VCP_FOREVER;
    driver_pool(&d, &options);
    for (i = 0; i < THREADS; i++) {
        workers[i].d = &d;
        workers[i].seed = (unsigned)i;
        CHECK_EQ(pthread_create(&ids[i], NULL, works, &workers[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(ids[i], NULL), 0);
    }
    EVENTUALLY(vcp_pool_conn_count(d.pool) == d.opened - driver_frees(&d), 5000);
    CHECK_BETWEEN(vcp_pool_conn_count(d.pool), 0, 3);
    DRIVER_END(&d);
}
