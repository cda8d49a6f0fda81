/*
 * Callbacks of a driver that do something at the moment that suits the library least: when the pool
 * is closed, when the time is over, while the connection is looked at.
 */
#include <sys/epoll.h>
#include <sys/syscall.h>

#include "child_processes.h"
#include "own_driver.h"

/* ---- open_session ---- */

/* It came back into the pool that had ended, and told how its dial had. */
TEST(a_session_that_is_opened_after_the_pools_close_is_not_told,
     "sessions: When vcp_pool_close has returned, on_event hears nothing of a session that is "
     "still being opened")
{
    driver d;
    vcp_pool_options options;
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    int i;
    driver_start(&d);
    options = driver_options(&d);
    options.on_event = driver_sees;
    d.holds_opening = 1;
    driver_pool(&d, &options);
    CHECK_EQ(vcp_dial_async(d.pool, d.db.network, d.db.address, NULL, queue, NULL, &conn),
             VCP_ERR_IN_PROGRESS);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    CHECK_EQ(vcp_pool_close(d.pool), VCP_OK);
    d.pool = NULL;
    CHECK_EQ(next_completion(queue).status, VCP_ERR_POOL_CLOSED);
    pthread_mutex_lock(&d.lock);
    memset(d.kinds, 0, sizeof d.kinds);
    pthread_mutex_unlock(&d.lock);
    driver_sets(&d, &d.holds_opening, 0);
    EVENTUALLY(driver_frees(&d) == 1, 5000);
    EVENTUALLY(driver_number(&d, &d.user_frees) == 1, 5000);
    for (i = 0; i < 10; i++) {
        CHECK_EQ(d.kinds[i], 0);
    }
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

static int takes_all_of_the_time(void *user, const char *network, const char *address, char *out,
                                 size_t size)
{
    (void)user;
    (void)network;
    let_pass(30);
    return snprintf(out, size, "%s", address) < 0;
}

/* It was asked for a session with 0 ms, which many drivers take for "no limit". */
TEST(a_session_is_not_asked_for_when_the_time_is_over,
     "sessions: open_session does not begin when rewrite has taken all of the dial's time")
{
    driver d;
    vcp_pool_options options;
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conn;
    driver_start(&d);
    options = driver_options(&d);
    options.rewrite = takes_all_of_the_time;
    driver_pool(&d, &options);
    dial.timeout_ms = 10;
    CHECK_EQ(vcp_dial_with(d.pool, d.db.network, d.db.address, &dial, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
    CHECK_EQ(d.asked, 0);
    DRIVER_END(&d);
}

/* ---- the socket ---- */

static int has_ended(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) == 0;
}

/* The pool looked for the socket of before, and found another one under its number. */
TEST(a_session_that_reconnects_often_is_aborted,
     "sessions: vcp_pool_abort shuts down the socket that a session has, though its driver has "
     "replaced it under the same number in every borrow")
{
    driver d;
    session *s;
    vcp_conn *conn;
    int i;
    driver_with(&d);
    for (i = 0; i < 5; i++) {
        conn = borrow(d.pool, &d.db);
        s = session_of(conn);
        session_reconnects_under_its_number(s);
        let_pass(10); /* as a login takes */
        give_back(conn);
    }
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    s = session_of(conn);
    CHECK_EQ(vcp_pool_abort(d.pool), VCP_OK);
    CHECK(has_ended(s->fd));
    give_back(conn);
    CHECK_EQ(d.asked, 1);
    DRIVER_END(&d);
}

static int reconnects_after_a_hang_up(void *data, vcp_conn *conn, int fd)
{
    session *s = (session *)data;
    struct pollfd polled;
    (void)conn;
    shutdown(s->peer, SHUT_RDWR);
    polled.fd = fd;
    polled.events = POLLRDHUP;
    CHECK_EQ(poll(&polled, 1, 5000), 1);
    let_pass(30); /* the watch has seen it too */
    session_reconnects(s);
    return 0;
}

/* The hang-up of the old socket closed the session. */
TEST(a_hook_may_reconnect_a_session,
     "sessions: A session whose driver reconnects inside on_idle, after a hang-up, is kept")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    session *s;
    driver_start(&d);
    options = driver_options(&d);
    options.on_idle = driver_on_idle;
    options.on_idle_ms = 20;
    /* A dial waits for one that is asked about. */
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    d.on_idle.does = reconnects_after_a_hang_up;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    give_back(conn);
    EVENTUALLY(stats_of(d.pool).idle_checks > 0, 5000);
    conn = borrow(d.pool, &d.db);
    CHECK(session_of(conn) == s);
    give_back(conn);
    DRIVER_END(&d);
}

static int holds_events; /* 1: the next event of epoll_wait is kept from the engine, 2: it is */

/* In the place of libc's for the library too: what it has learnt may be old when it comes back. */
int epoll_wait(int epoll, struct epoll_event *events, int size, int timeout)
{
    int count = (int)syscall(SYS_epoll_pwait, epoll, events, size, timeout, NULL, 8);
    int i;
    for (i = 0; i < count; i++) {
        if ((events[i].events & EPOLLRDHUP) != 0 &&
            __sync_bool_compare_and_swap(&holds_events, 1, 2)) {
            while (__sync_add_and_fetch(&holds_events, 0) == 2) {
                let_pass(1);
            }
        }
    }
    return count;
}

static int reconnects_when_the_hang_up_is_on_its_way(void *data, vcp_conn *conn, int fd)
{
    session *s = (session *)data;
    (void)conn;
    (void)fd;
    if (s->idle_calls++ > 0) {
        return 0;
    }
    __sync_lock_test_and_set(&holds_events, 1);
    shutdown(s->peer, SHUT_RDWR);
    EVENTUALLY(__sync_add_and_fetch(&holds_events, 0) == 2, 5000);
    session_reconnects(s);
    return 0;
}

/* The engine took the hang-up of the socket that was gone for one of the new socket. */
TEST(a_late_hang_up_ends_no_new_socket,
     "sessions: A hang-up that the watch comes to only when the driver has reconnected does not "
     "close the session")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    session *s;
    driver_start(&d);
    options = driver_options(&d);
    options.on_idle = driver_on_idle;
    options.on_idle_ms = 1000;
    d.on_idle.does = reconnects_when_the_hang_up_is_on_its_way;
    options.on_event = driver_sees;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    give_back(conn);
    EVENTUALLY(stats_of(d.pool).idle_checks >= 1, 5000);
    __sync_lock_release(&holds_events);
    /* The watch works on the new one, so it has come to the old event before. */
    CHECK_EQ(send(s->peer, "x", 1, 0), 1);
    EVENTUALLY(driver_number(&d, &d.reasons[VCP_CLOSE_DIRTY]) == 1, 5000);
    CHECK_EQ(stats_of(d.pool).dirty_at_borrow, 0);
    DRIVER_END(&d);
}

/* ---- fd ---- */

static vcp_conn *asked_about;
static int answers[2];

static int ends_its_borrow(void *data)
{
    if (asked_about != NULL) {
        answers[0] = vcp_conn_close(asked_about);
        answers[1] = vcp_conn_detach(asked_about);
        asked_about = NULL;
    }
    return session_fd(data);
}

/* vcp_conn_detach waited for ever for the give-back that it was called in. */
TEST(a_session_is_not_ended_while_its_driver_is_asked,
     "sessions: vcp_conn_close and vcp_conn_detach inside fd are refused, and nothing hangs")
{
    driver d;
    session *s;
    vcp_session put;
    vcp_conn *conn;
    int i;
    driver_start(&d);
    driver_pool(&d, NULL);
    s = session_new(&d);
    put = session_as_vcp(&d, s);
    put.fd = ends_its_borrow;
    CHECK_EQ(vcp_pool_put_session(d.pool, &put, d.db.network, d.db.address, NULL), VCP_OK);
    for (i = 0; i < 3; i++) {
        conn = borrow(d.pool, &d.db);
        asked_about = conn;
        give_back(conn);
        CHECK(answers[0] == VCP_ERR_INVALID_ARGUMENT || answers[0] == VCP_ERR_CONN_CLOSED);
        CHECK(answers[1] == VCP_ERR_INVALID_ARGUMENT || answers[1] == VCP_ERR_CONN_CLOSED);
        CHECK(asked_about == NULL);
    }
    CHECK_EQ(idle_in(d.pool), 1);
    DRIVER_END(&d);
}

static driver *forked_in;
static pid_t child;

static int forks(void *data)
{
    if (forked_in != NULL) {
        forked_in = NULL;
        child = fork();
        CHECK(child >= 0);
    }
    return session_fd(data);
}

static int opens_one_that_forks(void *user, const vcp_session_request *request, vcp_session *filled)
{
    int answer = driver_opens(user, request, filled);
    filled->fd = forks;
    return answer;
}

/* The child ended the parent's session: PQfinish says good-bye on the parent's socket. */
TEST(a_fork_while_a_session_is_opened_ends_it_in_no_child,
     "sessions: If fd forks while a session is opened, the child's dial fails, and its free_data "
     "does not run there")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    int status;
    driver_start(&d);
    options = driver_options(&d);
    options.open_session = opens_one_that_forks;
    driver_pool(&d, &options);
    forked_in = &d;
    status = vcp_dial(d.pool, d.db.network, d.db.address, &conn);
    if (child == 0) {
        _exit(status < 0 && d.frees == 0 ? 0 : 1);
    }
    CHECK(status >= 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    give_back(conn);
    CHECK_EQ(idle_in(d.pool), 1);
    DRIVER_END(&d);
}

/* Each of them is given back by the fast path or, if its driver was asked long ago, by the other.
 */
TEST(a_fork_while_a_session_is_given_back_ends_it_in_no_child,
     "sessions: If fd forks while a session is given back, its handle is closed in the child, and "
     "its free_data does not run there")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    int status;
    int i;
    if (getenv("VCP_C_PREFIX") != NULL)
        SKIP("valgrind reports what is left at the end of such a child");
    driver_start(&d);
    options = driver_options(&d);
    options.open_session = opens_one_that_forks;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    for (i = 0; i < 20; i++) {
        give_back(borrow(d.pool, &d.db));
        conn = borrow(d.pool, &d.db);
        forked_in = &d;
        status = vcp_conn_close(conn);
        if (child == 0) {
            CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
            _exit(d.frees == 0 ? 0 : 1);
        }
        CHECK_EQ(status, VCP_OK);
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    }
    CHECK_EQ(idle_in(d.pool), 1);
    DRIVER_END(&d);
}

static int anothers;

static int tells_anothers(void *data)
{
    (void)data;
    return anothers;
}

static int opens_one_that_tells_anothers(void *user, const vcp_session_request *request,
                                         vcp_session *filled)
{
    int answer = driver_opens(user, request, filled);
    filled->fd = tells_anothers;
    return answer;
}

TEST(a_session_that_tells_anothers_descriptor_is_refused,
     "sessions: A session that is opened and tells the descriptor of another connection fails its "
     "dial, and ends; the other connection is as it was")
{
    fixture f = fixture_new(NULL);
    driver d;
    vcp_pool_options options;
    vcp_conn *other = borrow(f.pool, &f.s);
    vcp_conn *conn = NULL;
    anothers = vcp_conn_raw_fd(other);
    driver_start(&d);
    options = driver_options(&d);
    options.open_session = opens_one_that_tells_anothers;
    driver_pool(&d, &options);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), VCP_ERR_CALLBACK);
    CHECK_HAS(vcp_last_error(), "another connection's");
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(vcp_conn_write(other, "a", 1), 1);
    give_back(other);
    CHECK_EQ(idle_in(f.pool), 1);
    DRIVER_END(&d);
    FIXTURE_END(&f);
}

static int hangs_up(void *data, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    session_hangs_up((session *)data);
    return 0;
}

TEST(a_session_that_lost_its_socket_in_on_reuse_is_not_lent,
     "sessions: A session whose driver closes its socket in on_reuse is closed, and the dial opens "
     "another one")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    driver_start(&d);
    options = driver_options(&d);
    options.on_reuse = driver_on_reuse;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    give_back(conn);
    d.on_reuse.does = hangs_up;
    conn = borrow(d.pool, &d.db);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(d.on_reuse.calls, 1);
    CHECK_EQ(d.asked, 2);
    CHECK_EQ(d.frees, 1);
    give_back(conn);
    DRIVER_END(&d);
}

/* ---- on_idle of sockets ---- */

static int seen_mode;

static int looks_at_the_mode(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    __sync_lock_test_and_set(&seen_mode, 1 + ((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0));
    return 0;
}

/* A ping by read(2) met EAGAIN. */
TEST(on_idle_has_the_mode_of_the_pool,
     "hooks: on_idle gets the descriptor in the pool's mode, whatever its last borrower asked for")
{
    vcp_pool_options options = pool_options();
    vcp_dial_options dial = dial_options(VCP_DIAL_NONBLOCKING);
    fixture f;
    vcp_conn *conn;
    options.on_idle = looks_at_the_mode;
    options.on_idle_ms = 10;
    f = fixture_new(&options);
    CHECK(vcp_dial_with(f.pool, f.s.network, f.s.address, &dial, &conn) >= 0);
    give_back(conn);
    EVENTUALLY(__sync_add_and_fetch(&seen_mode, 0) == 1, 5000);
    EVENTUALLY(stats_of(f.pool).borrowed == 0, 5000);
    FIXTURE_END(&f);
}

static int holds_on_idle = 1;
static int is_inside;

static int holds(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    __sync_lock_test_and_set(&is_inside, 1);
    while (__sync_add_and_fetch(&holds_on_idle, 0)) {
        let_pass(1);
    }
    return fd < 0;
}

/* It told 0, without an error. */
TEST(warm_counts_what_on_idle_is_asked_about,
     "warm: A connection that on_idle is asked about counts as one that is there")
{
    vcp_pool_options options = pool_options();
    fixture f;
    options.on_idle = holds;
    options.on_idle_ms = 10;
    f = fixture_new(&options);
    give_back(borrow(f.pool, &f.s));
    EVENTUALLY(__sync_add_and_fetch(&is_inside, 0) == 1, 5000);
    CHECK_EQ(vcp_pool_warm(f.pool, f.s.network, f.s.address, NULL, 1), 1);
    CHECK_EQ(stats_of(f.pool).dials, 1);
    __sync_lock_release(&holds_on_idle);
    EVENTUALLY(stats_of(f.pool).borrowed == 0, 5000);
    FIXTURE_END(&f);
}

static int refuses_when_its_time_is_over(void *user, const vcp_session_request *request,
                                         vcp_session *session)
{
    int64_t end = vcp_now_ms() + request->timeout_ms;
    (void)user;
    (void)session;
    while (vcp_now_ms() < end) {
        let_pass(1);
    }
    return 1;
}

/* What is left was rounded down: some refused a moment before the deadline. */
TEST(a_driver_that_keeps_its_time_is_a_timeout,
     "sessions: A driver that takes all of timeout_ms and then refuses fails the dial with "
     "TIMEOUT, not with CALLBACK")
{
    vcp_pool_options options = pool_options();
    vcp_dial_options dial = dial_options(0);
    vcp_pool *pool;
    vcp_conn *conn;
    options.open_session = refuses_when_its_time_is_over;
    pool = pool_new(&options);
    for (dial.timeout_ms = 1; dial.timeout_ms < 20; dial.timeout_ms++) {
        CHECK_EQ(vcp_dial_with(pool, "tcp", "db.invalid:1", &dial, &conn), VCP_ERR_TIMEOUT);
        CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* ---- a session that reconnects under its number, faster than a login ---- */

/* Its socket was taken for another file's until the watch was armed. */
TEST(a_session_that_reconnects_at_once_is_aborted,
     "sessions: vcp_pool_abort shuts down the socket of a session that reconnected under its "
     "number a moment ago, and of one that reconnected in this borrow")
{
    driver d;
    vcp_conn *conn;
    session *s;
    driver_with(&d);
    give_back(borrow(d.pool, &d.db));
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    session_reconnects_under_its_number(s);
    give_back(conn);
    conn = borrow(d.pool, &d.db);
    CHECK(session_of(conn) == s);
    session_reconnects_under_its_number(s);
    CHECK_EQ(vcp_pool_abort(d.pool), VCP_OK);
    CHECK(has_ended(s->fd));
    give_back(conn);
    DRIVER_END(&d);
}

static int is_slow;

static int tells_slowly(void *data)
{
    int i;
    for (i = 0; i < 20 * is_slow; i++) {
        sched_yield();
    }
    return session_fd(data); /* checks that it runs alone */
}

static void *closes_too(void *conn)
{
    int status = vcp_conn_close((vcp_conn *)conn);
    CHECK(status == VCP_OK || status == VCP_ERR_CONN_CLOSED);
    return NULL;
}

/* Both asked. */
TEST(two_threads_that_close_one_handle_ask_the_driver_in_turn,
     "sessions: fd is not called twice at once, though two threads close one handle")
{
    driver d;
    session *s;
    vcp_session put;
    int i;
    driver_start(&d);
    driver_pool(&d, NULL);
    s = session_new(&d);
    put = session_as_vcp(&d, s);
    put.fd = tells_slowly;
    CHECK_EQ(vcp_pool_put_session(d.pool, &put, d.db.network, d.db.address, NULL), VCP_OK);
    is_slow = 1;
    for (i = 0; i < 300; i++) {
        vcp_conn *conn = borrow(d.pool, &d.db);
        pthread_t other;
        CHECK_EQ(pthread_create(&other, NULL, closes_too, conn), 0);
        closes_too(conn);
        CHECK_EQ(pthread_join(other, NULL), 0);
    }
    CHECK_EQ(idle_in(d.pool), 1);
    DRIVER_END(&d);
}
