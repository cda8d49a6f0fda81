/*
 * The library watches a session's descriptor, peeks at it, and shuts it down; it never reads,
 * writes or closes it, and changes neither options nor mode. It asks for it again, because a driver
 * reconnects. Contract section 9.
 *
 * What the library must not do is checked at every call (own_driver.h, guarded_descriptors.h);
 * these tests take a session by each way that touches a descriptor.
 */
#include "own_driver.h"

/* Some epoll set of this process watches that number. proc(5): a line "tfd: number" in fdinfo. */
static int is_watched(int fd)
{
    DIR *directory = opendir("/proc/self/fdinfo");
    struct dirent *entry;
    int found = 0;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        char path[300];
        char line[256];
        FILE *file;
        snprintf(path, sizeof path, "/proc/self/fdinfo/%s", entry->d_name);
        file = entry->d_name[0] == '.' ? NULL : fopen(path, "re");
        while (file != NULL && fgets(line, sizeof line, file) != NULL) {
            int number;
            found += sscanf(line, "tfd: %d", &number) == 1 && number == fd;
        }
        if (file != NULL) {
            fclose(file);
        }
    }
    closedir(directory);
    return found > 0;
}

static vcp_pool *observed_pool(driver *d, vcp_pool_options *options)
{
    options->on_event = driver_sees;
    return driver_pool(d, options);
}

/* The session leaves the pool without any borrow, and ends on a helper thread. */
static void check_leaves(driver *d, int reason)
{
    EVENTUALLY(idle_in(d->pool) == 0, 1000);
    EVENTUALLY(driver_frees(d) == 1, 1000);
    CHECK_EQ(d->sessions->freed_by_helper, 1);
    EVENTUALLY(driver_number(d, &d->reasons[reason]) == 1, 1000);
    CHECK_EQ(stats_of(d->pool).closed_while_idle, 1);
}

TEST(an_idle_session_whose_server_closes_leaves_the_pool,
     "sessions: In every liveness mode a session whose server closes leaves the pool within 1 s; "
     "its free_data runs on a helper thread")
{
    int32_t modes[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_ALLOW_DATA, VCP_LIVENESS_WATCH};
    int i;
    for (i = 0; i < 3; i++) {
        driver d;
        vcp_pool_options options;
        driver_start(&d);
        options = driver_options(&d);
        options.liveness = modes[i];
        observed_pool(&d, &options);
        give_back(borrow(d.pool, &d.db));
        CHECK_EQ(shutdown(d.sessions->peer, SHUT_RDWR), 0);
        check_leaves(&d, VCP_CLOSE_PEER_CLOSED);
        DRIVER_END(&d);
    }
}

TEST(an_idle_session_to_which_bytes_come_leaves_the_pool,
     "sessions: STRICT: a session to which bytes come while idle leaves the pool within 1 s, and "
     "they are not read")
{
    driver d;
    vcp_pool_options options;
    driver_start(&d);
    options = driver_options(&d);
    observed_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    driver_sets(&d, &d.holds_freeing, 1);
    CHECK_EQ(send(d.sessions->peer, "notice", 6, 0), 6);
    EVENTUALLY(driver_number(&d, &d.freeing) == 1, 1000);
    CHECK_EQ(recv(d.sessions->fd, d.label, sizeof d.label, MSG_DONTWAIT), 6);
    driver_sets(&d, &d.holds_freeing, 0);
    check_leaves(&d, VCP_CLOSE_DIRTY);
    DRIVER_END(&d);
}

TEST(a_session_is_checked_when_it_is_borrowed,
     "sessions: STRICT peeks at a session's descriptor at every borrow: what is closed or dirty is "
     "freed, and the next one or a new one serves")
{
    int dirty;
    for (dirty = 0; dirty < 2; dirty++) {
        driver d;
        vcp_pool *pool = driver_with(&d);
        session *s;
        vcp_conn *conn = borrow(pool, &d.db);
        uint64_t gone;
        s = session_of(conn);
        give_back(conn);
        CHECK_EQ(dirty ? send(s->peer, "x", 1, 0) == 1 : shutdown(s->peer, SHUT_RDWR) == 0, 1);
        conn = borrow(pool, &d.db);
        CHECK(session_of(conn) != s);
        CHECK_EQ(vcp_conn_is_reused(conn), 0);
        EVENTUALLY(driver_frees(&d) == 1, 1000);
        EVENTUALLY(vcp_pool_conn_count(pool) == 1, 1000);
        gone = stats_of(pool).closed_while_idle + stats_of(pool).stale_at_borrow +
               stats_of(pool).dirty_at_borrow;
        CHECK_EQ(gone, 1);
        give_back(conn);
        DRIVER_END(&d);
    }
}

TEST(a_session_has_a_liveness_of_its_own,
     "sessions: vcp_session.liveness is the session's, over the pool's")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    session *s;
    driver_start(&d);
    options = driver_options(&d);
    d.liveness = VCP_LIVENESS_ALLOW_DATA;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    give_back(conn);
    CHECK_EQ(send(s->peer, "ticket", 6, 0), 6);
    await_arrival(s->fd);
    STAYS(idle_in(d.pool) == 1, 1200);
    conn = borrow(d.pool, &d.db);
    CHECK(session_of(conn) == s);
    give_back(conn);
    DRIVER_END(&d);
}

TEST(strict_peeks_and_watch_does_not,
     "sessions: A borrow under STRICT peeks once, and under WATCH not at all")
{
    int32_t modes[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_WATCH};
    int i;
    if (!CAN_GUARD) {
        SKIP("the library's calls cannot be seen here");
    }
    for (i = 0; i < 2; i++) {
        driver d;
        vcp_pool_options options;
        int before;
        int round;
        driver_start(&d);
        options = driver_options(&d);
        options.liveness = modes[i];
        driver_pool(&d, &options);
        give_back(borrow(d.pool, &d.db));
        before = peeks;
        for (round = 0; round < 10; round++) {
            give_back(borrow(d.pool, &d.db));
        }
        CHECK_BETWEEN(peeks - before, 10 * (1 - i), 20 * (1 - i));
        DRIVER_END(&d);
    }
}

TEST(the_descriptor_is_asked_for_at_every_give_back,
     "sessions: fd is asked when the session is opened and at every give-back, on the thread that "
     "does it")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    session *s = session_of(conn);
    int round;
    CHECK(s->fd_calls >= 1);
    CHECK(pthread_equal(s->fd_by, pthread_self()));
    for (round = 0; round < 5; round++) {
        int before = s->fd_calls;
        give_back(conn);
        CHECK_EQ(s->fd_calls, before + 1);
        conn = borrow(pool, &d.db);
        CHECK_EQ(s->fd_calls, before + 1);
    }
    give_back(conn);
    DRIVER_END(&d);
}

/* What the session has now is watched. */
static void check_is_watched(driver *d, session *s)
{
    CHECK_EQ(idle_in(d->pool), 1);
    EVENTUALLY(is_watched(session_socket(s)), 1000);
    CHECK_EQ(shutdown(s->peer, SHUT_RDWR), 0);
    check_leaves(d, VCP_CLOSE_PEER_CLOSED);
}

static void reconnects_during_a_borrow(int32_t liveness, void (*reconnects)(session *))
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    session *s;
    int before;
    driver_start(&d);
    options = driver_options(&d);
    options.liveness = liveness;
    observed_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    before = s->fd;
    reconnects(s);
    give_back(conn);
    CHECK(!is_watched(before) || before == s->fd);
    conn = NULL;
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), s->fd);
    CHECK_EQ(vcp_conn_raw_fd(conn), s->fd);
    CHECK(session_of(conn) == s);
    CHECK_EQ(d.asked, 1);
    give_back(conn);
    check_is_watched(&d, s);
    DRIVER_END(&d);
}

TEST(a_reconnect_under_another_number_is_noticed,
     "sessions: A session that reconnected during the borrow is lent out with its new descriptor, "
     "which is watched, and its old one is not")
{
    reconnects_during_a_borrow(VCP_LIVENESS_STRICT, session_reconnects);
    reconnects_during_a_borrow(VCP_LIVENESS_WATCH, session_reconnects);
}

TEST(a_reconnect_under_the_same_number_is_noticed,
     "sessions: A session that reconnected under the same number is watched anew")
{
    reconnects_during_a_borrow(VCP_LIVENESS_STRICT, session_reconnects_under_its_number);
    reconnects_during_a_borrow(VCP_LIVENESS_WATCH, session_reconnects_under_its_number);
}

/* Without an observer a session may be given back by the fast path. */
TEST(a_reconnect_is_noticed_on_the_fast_path_too,
     "sessions: A reconnect, under another number and under the same, is noticed after many quick "
     "cycles too: the new socket is watched")
{
    static const int32_t modes[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_ALLOW_DATA,
                                    VCP_LIVENESS_WATCH};
    int way;
    for (way = 0; way < 6; way++) {
        driver d;
        vcp_pool_options options;
        vcp_conn *conn = NULL;
        session *s;
        int round;
        driver_start(&d);
        options = driver_options(&d);
        options.liveness = modes[way / 2];
        driver_pool(&d, &options);
        for (round = 0; round < 10; round++) {
            give_back(borrow(d.pool, &d.db));
        }
        conn = borrow(d.pool, &d.db);
        s = session_of(conn);
        if (way % 2 == 0) {
            session_reconnects(s);
        } else {
            session_reconnects_under_its_number(s);
        }
        give_back(conn);
        for (round = 0; round < 10; round++) {
            CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), s->fd);
            CHECK_EQ(vcp_conn_raw_fd(conn), s->fd);
            give_back(conn);
        }
        CHECK_EQ(d.asked, 1);
        CHECK_EQ(shutdown(s->peer, SHUT_RDWR), 0);
        EVENTUALLY(driver_frees(&d) == 1, 1000 + LATENESS_MS);
        EVENTUALLY(idle_in(d.pool) == 0, 1000);
        DRIVER_END(&d);
    }
}

static int reconnects_in_the_hook(void *data, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    session_reconnects((session *)data);
    return 0;
}

TEST(a_reconnect_in_on_open_is_noticed,
     "sessions: A session that reconnects in on_open is lent out with its new descriptor")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn = NULL;
    session *s;
    int fd;
    driver_start(&d);
    options = driver_options(&d);
    options.on_open = driver_on_open;
    d.on_open.does = reconnects_in_the_hook;
    observed_pool(&d, &options);
    fd = vcp_dial(d.pool, d.db.network, d.db.address, &conn);
    s = session_of(conn);
    CHECK_EQ(fd, s->fd);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    give_back(conn);
    check_is_watched(&d, s);
    DRIVER_END(&d);
}

TEST(a_reconnect_in_on_release_is_noticed,
     "sessions: fd is asked after on_release: a session that reconnects in it is lent out with its "
     "new descriptor")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    session *s;
    driver_start(&d);
    options = driver_options(&d);
    options.on_release = driver_on_release;
    d.on_release.does = reconnects_in_the_hook;
    observed_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    give_back(conn);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), s->fd);
    give_back(conn);
    check_is_watched(&d, s);
    DRIVER_END(&d);
}

/* The server closes while a hook looks, and the driver dials anew; the watch has seen the end. */
static int is_cut_off_and_reconnects(void *data, vcp_conn *conn, int fd)
{
    session *s = (session *)data;
    (void)conn;
    if (s->idle_calls++ == 0) {
        CHECK_EQ(shutdown(s->peer, SHUT_RDWR), 0);
        await_arrival(fd);
        let_pass(30);
        session_reconnects(s);
    }
    return 0;
}

TEST(a_reconnect_after_a_hang_up_is_kept,
     "sessions: A session whose server hangs up during on_release, on_idle or the borrow, and that "
     "has reconnected when it is asked, is kept")
{
    int way;
    for (way = 0; way < 4; way++) {
        driver d;
        vcp_pool_options options;
        vcp_conn *conn;
        session *s;
        driver_start(&d);
        options = driver_options(&d);
        options.on_release = way == 1 || way == 2 ? driver_on_release : NULL;
        options.on_release_in_background = way == 2;
        options.on_idle = way == 3 ? driver_on_idle : NULL;
        options.on_idle_ms = 20;
        d.on_release.does = is_cut_off_and_reconnects;
        d.on_idle.does = is_cut_off_and_reconnects;
        observed_pool(&d, &options);
        conn = borrow(d.pool, &d.db);
        s = session_of(conn);
        if (way == 0) {
            is_cut_off_and_reconnects(s, conn, s->fd);
        }
        give_back(conn);
        EVENTUALLY(way != 3 || driver_number(&d, &d.on_idle.calls) > 0, 5000);
        EVENTUALLY(idle_in(d.pool) == 1, 5000);
        CHECK_EQ(driver_frees(&d), 0);
        conn = borrow(d.pool, &d.db);
        CHECK(session_of(conn) == s);
        CHECK_EQ(d.asked, 1);
        give_back(conn);
        EVENTUALLY(idle_in(d.pool) == 1, 5000);
        DRIVER_END(&d);
    }
}

TEST(a_session_that_hung_up_during_the_borrow_is_closed,
     "sessions: -1 at the give-back from a session that has told a descriptor: closed (FAILED), "
     "free_data once, on the thread that gives back")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    driver_start(&d);
    options = driver_options(&d);
    observed_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    session_hangs_up(session_of(conn));
    give_back(conn);
    CHECK_EQ(d.frees, 1);
    CHECK(pthread_equal(d.sessions->freed_by, pthread_self()));
    CHECK_EQ(d.reasons[VCP_CLOSE_FAILED], 1);
    CHECK_EQ(stats_of(d.pool).closed_discarded, 1);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

static int hangs_up_in_the_hook(void *data, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    session_hangs_up((session *)data);
    return 0;
}

TEST(a_session_that_hangs_up_in_on_open_is_a_failed_dial,
     "sessions: -1 after on_open from a session that has told a descriptor: the dial fails with "
     "CALLBACK, free_data once")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn = NULL;
    driver_start(&d);
    options = driver_options(&d);
    options.on_open = driver_on_open;
    d.on_open.does = hangs_up_in_the_hook;
    observed_pool(&d, &options);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), VCP_ERR_CALLBACK);
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(stats_of(d.pool).dial_failures, 1);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

TEST(a_session_that_hangs_up_in_on_release_is_closed,
     "sessions: -1 after on_release: closed (FAILED), free_data once")
{
    driver d;
    vcp_pool_options options;
    driver_start(&d);
    options = driver_options(&d);
    options.on_release = driver_on_release;
    d.on_release.does = hangs_up_in_the_hook;
    observed_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(d.reasons[VCP_CLOSE_FAILED], 1);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

TEST(a_descriptor_may_be_told_late,
     "sessions: -1 from a session that has never told a descriptor means that it has none yet; "
     "what it tells at a give-back counts from then on")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn = NULL;
    session *s;
    driver_start(&d);
    options = driver_options(&d);
    d.tells = 0;
    observed_pool(&d, &options);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), 0);
    CHECK_EQ(vcp_conn_raw_fd(conn), VCP_ERR_NOT_AVAILABLE);
    s = session_of(conn);
    give_back(conn);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), 0);
    CHECK(session_of(conn) == s);
    s->tells = 1;
    give_back(conn);
    CHECK_EQ(vcp_dial(d.pool, d.db.network, d.db.address, &conn), s->fd);
    CHECK_EQ(vcp_conn_raw_fd(conn), s->fd);
    give_back(conn);
    check_is_watched(&d, s);
    DRIVER_END(&d);
}

static int is_watched_at_the_end;

static void ends_and_looks(void *data)
{
    __atomic_store_n(&is_watched_at_the_end, is_watched(((session *)data)->fd), __ATOMIC_SEQ_CST);
    session_free(data);
}

static int opens_one_that_looks(void *user, const vcp_session_request *request, vcp_session *filled)
{
    int answer = driver_opens(user, request, filled);
    filled->free_data = ends_and_looks;
    return answer;
}

TEST(the_library_has_let_go_before_free_data,
     "sessions: free_data runs after the library has let go of the descriptor, which is open still")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    driver_start(&d);
    options = driver_options(&d);
    options.open_session = opens_one_that_looks;
    observed_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    __atomic_store_n(&is_watched_at_the_end, -1, __ATOMIC_SEQ_CST);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(__atomic_load_n(&is_watched_at_the_end, __ATOMIC_SEQ_CST), 0);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(is_watched(session_socket(d.sessions)), 1000);
    __atomic_store_n(&is_watched_at_the_end, -1, __ATOMIC_SEQ_CST);
    CHECK_EQ(vcp_pool_close_idle(d.pool), VCP_OK);
    CHECK_EQ(__atomic_load_n(&is_watched_at_the_end, __ATOMIC_SEQ_CST), 0);
    give_back(borrow(d.pool, &d.db));
    EVENTUALLY(is_watched(session_socket(d.sessions)), 1000);
    __atomic_store_n(&is_watched_at_the_end, -1, __ATOMIC_SEQ_CST);
    CHECK_EQ(shutdown(d.sessions->peer, SHUT_RDWR), 0);
    EVENTUALLY(driver_frees(&d) == 3, 1000);
    CHECK_EQ(__atomic_load_n(&is_watched_at_the_end, __ATOMIC_SEQ_CST), 0);
    DRIVER_END(&d);
}

TEST(abort_shuts_the_drivers_descriptor_down,
     "sessions: vcp_pool_abort shuts down the descriptor of a borrowed session, which is closed "
     "when it is given back")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    session *s = session_of(conn);
    int before = shutdowns;
    CHECK_EQ(vcp_pool_abort(pool), VCP_OK);
    CHECK(peer_sees_end(s->peer));
    CHECK(is_open(s->fd));
    CHECK(!CAN_GUARD || shutdowns == before + 1);
    CHECK_EQ(vcp_conn_wait(conn, VCP_READABLE), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(d.frees, 0);
    give_back(conn);
    CHECK_EQ(d.frees, 1);
    DRIVER_END(&d);
}

TEST(abort_leaves_a_number_alone_that_the_driver_has_closed,
     "sessions: vcp_pool_abort looks whether the number still is the session's socket before it "
     "shuts it down")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    session *s = session_of(conn);
    int fd = s->fd;
    int own[2];
    char byte;
    session_hangs_up(s);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, own), 0);
    CHECK_EQ(own[0], fd);
    CHECK_EQ(vcp_pool_abort(pool), VCP_OK);
    CHECK_EQ(send(own[0], "a", 1, MSG_NOSIGNAL), 1);
    CHECK_EQ(recv(own[1], &byte, 1, MSG_DONTWAIT), 1);
    give_back(conn);
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(send(own[0], "a", 1, MSG_NOSIGNAL), 1);
    close(own[0]);
    close(own[1]);
    DRIVER_END(&d);
}

static int waits_for_the_end(void *data, vcp_conn *conn, int fd)
{
    session *s = (session *)data;
    char byte;
    (void)conn;
    CHECK_EQ(fd, s->fd);
    CHECK(readable_within(fd, 10000));
    CHECK_EQ(recv(fd, &byte, 1, MSG_DONTWAIT), 0);
    return 0;
}

TEST(
    a_hook_whose_time_is_over_is_shut_down,
    "sessions: When hook_timeout_ms is over the session's descriptor is shut down, and the session "
    "closed (HOOK) when on_release returns")
{
    driver d;
    vcp_pool_options options;
    int64_t start;
    driver_start(&d);
    options = driver_options(&d);
    options.on_release = driver_on_release;
    options.hook_timeout_ms = 100;
    d.on_release.does = waits_for_the_end;
    observed_pool(&d, &options);
    start = now_ms();
    give_back(borrow(d.pool, &d.db));
    CHECK_BETWEEN(now_ms() - start, 99, at_most(100 + LATENESS_MS));
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(d.reasons[VCP_CLOSE_HOOK], 1);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

TEST(an_opening_whose_time_is_over_is_shut_down,
     "sessions: When the dial's time is over the session's descriptor is shut down under on_open: "
     "TIMEOUT (opening), free_data once")
{
    driver d;
    vcp_pool_options options;
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conn = NULL;
    driver_start(&d);
    options = driver_options(&d);
    options.on_open = driver_on_open;
    d.on_open.does = waits_for_the_end;
    observed_pool(&d, &options);
    dial.timeout_ms = at_most(100);
    CHECK_EQ(vcp_dial_with(d.pool, d.db.network, d.db.address, &dial, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
    EVENTUALLY(driver_frees(&d) == 1, 1000);
    CHECK_HOLDS(&d, 0, 0);
    DRIVER_END(&d);
}

TEST(io_of_a_session_is_its_drivers,
     "sessions: vcp_conn_read, write, try_read, try_write, read_full and shutdown are "
     "INVALID_ARGUMENT and change nothing; vcp_conn_wait works")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    session *s = session_of(conn);
    char text[8];
    CHECK_EQ(vcp_conn_read(conn, text, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_write(conn, "a", 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_try_read(conn, text, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_try_write(conn, "a", 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_read_full(conn, text, 1), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_shutdown(conn, SHUT_RDWR), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_wait(conn, VCP_WRITABLE), VCP_WRITABLE);
    CHECK_EQ(vcp_conn_set_deadline(conn, 20), VCP_OK);
    CHECK_EQ(vcp_conn_set_deadline(conn, -1), VCP_OK);
    CHECK_EQ(send(s->peer, "row", 3, 0), 3);
    CHECK_EQ(vcp_conn_wait(conn, VCP_READABLE), VCP_READABLE);
    CHECK_EQ(recv(s->fd, text, sizeof text, MSG_DONTWAIT), 3);
    CHECK(peer_sees_life(s->peer));
    give_back(conn);
    CHECK_HOLDS(&d, 1, 1);
    DRIVER_END(&d);
}

TEST(a_wait_for_a_session_that_timed_out_discards_it,
     "sessions: vcp_conn_wait keeps the deadline on a session's descriptor")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn = borrow(pool, &d.db);
    int64_t start = now_ms();
    CHECK_EQ(vcp_conn_set_deadline(conn, 50), VCP_OK);
    CHECK_EQ(vcp_conn_wait(conn, VCP_READABLE), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 50);
    give_back(conn);
    CHECK_EQ(d.frees, 1);
    DRIVER_END(&d);
}

TEST(what_the_driver_met_is_told_by_report,
     "sessions: vcp_conn_report and vcp_conn_discard tell what the driver met; a reused session "
     "that ended before its first byte should be retried")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_conn *conn;
    give_back(borrow(pool, &d.db));
    conn = borrow(pool, &d.db);
    CHECK_EQ(vcp_conn_report(conn, 12, 0), VCP_OK);
    CHECK_EQ(vcp_conn_report(conn, -1, EAGAIN), VCP_OK);
    give_back(conn);
    CHECK_HOLDS(&d, 1, 1);
    conn = borrow(pool, &d.db);
    CHECK_EQ(vcp_conn_report(conn, -1, ECONNRESET), VCP_OK);
    CHECK_EQ(vcp_conn_should_retry(conn), 1);
    give_back(conn);
    CHECK_EQ(d.frees, 1);
    CHECK_EQ(stats_of(pool).closed_discarded, 1);
    conn = borrow(pool, &d.db);
    CHECK_EQ(vcp_conn_report(conn, 0, 0), VCP_OK);
    CHECK_EQ(vcp_conn_should_retry(conn), 0);
    give_back(conn);
    CHECK_EQ(d.frees, 2);
    DRIVER_END(&d);
}

TEST(a_session_takes_no_descriptor_of_the_library,
     "sessions: Each idle session costs its driver's own descriptor and no other")
{
    enum { MANY = 32 };
    driver d;
    vcp_pool_options options;
    vcp_conn *conns[MANY];
    int before;
    int i;
    driver_start(&d);
    options = driver_options(&d);
    options.max_idle_per_address = MANY;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    before = open_fds();
    for (i = 0; i < MANY; i++) {
        conns[i] = borrow(d.pool, &d.db);
    }
    for (i = 0; i < MANY; i++) {
        give_back(conns[i]);
    }
    /* Two for each new one: its socket, and the server's end. */
    CHECK_EQ(open_fds() - before, 2 * (MANY - 1));
    DRIVER_END(&d);
}

static int reconnects_and_stays(void *data, vcp_conn *conn, int fd)
{
    session *s = (session *)data;
    (void)conn;
    CHECK_EQ(fd, s->fd);
    session_reconnects(s);
    return 0;
}

/* vcp_dial returned a number that was closed. */
TEST(a_reconnect_in_on_reuse_is_noticed,
     "sessions: A session that reconnects in on_reuse is lent out with its new descriptor")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    session *s;
    driver_start(&d);
    options = driver_options(&d);
    options.on_reuse = driver_on_reuse;
    d.on_reuse.does = reconnects_and_stays;
    driver_pool(&d, &options);
    give_back(borrow(d.pool, &d.db));
    conn = borrow(d.pool, &d.db);
    s = session_of(conn);
    CHECK_EQ(vcp_conn_raw_fd(conn), s->fd);
    CHECK_EQ(d.on_reuse.calls, 1);
    give_back(conn);
    CHECK_EQ(d.asked, 1);
    DRIVER_END(&d);
}

static int waits_until_it_is_cut(void *data, vcp_conn *conn, int fd)
{
    struct pollfd polled;
    (void)conn;
    CHECK_EQ(fd, ((session *)data)->fd);
    polled.fd = fd;
    polled.events = POLLRDHUP;
    CHECK_EQ(poll(&polled, 1, 5000), 1);
    return 0;
}

/* It was shut down by the number of before, which was closed; the hook went on. */
TEST(on_release_of_a_session_that_was_reconnected_ends_in_time,
     "sessions: on_release gets the descriptor of a session that its borrower has reconnected, and "
     "hook_timeout_ms shuts that one down")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn;
    driver_start(&d);
    options = driver_options(&d);
    options.on_release = driver_on_release;
    options.hook_timeout_ms = 50;
    d.on_release.does = waits_until_it_is_cut;
    driver_pool(&d, &options);
    conn = borrow(d.pool, &d.db);
    session_reconnects(session_of(conn));
    give_back(conn);
    CHECK_EQ(stats_of(d.pool).closed_hook, 1);
    CHECK_EQ(driver_frees(&d), 1);
    DRIVER_END(&d);
}
