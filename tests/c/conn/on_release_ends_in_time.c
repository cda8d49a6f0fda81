/*
 * hook_timeout_ms: how long on_release may take. When its time is over the socket is shut down
 * under it, and the connection is closed as soon as the hook returns. Contract section 4.
 */
#include "completions.h"

#define LIMIT 100

/* What the hook does, and what it has seen. */
static struct {
    int64_t answer;
    int reason;
    int calls;
} seen;

static void sees(void *user, const vcp_event *event)
{
    (void)user;
    if (event->kind == VCP_EVENT_CLOSED) {
        seen.reason = event->reason;
    }
}

static int waits_on_the_descriptor(void *user, vcp_conn *conn, int fd)
{
    char byte;
    (void)user;
    (void)conn;
    seen.answer = recv(fd, &byte, 1, 0);
    seen.calls++;
    return 0;
}

static int waits_in_the_library(void *user, vcp_conn *conn, int fd)
{
    char byte;
    (void)user;
    (void)fd;
    seen.answer = vcp_conn_read(conn, &byte, 1);
    seen.calls++;
    return 0;
}

static int takes_its_time(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    (void)fd;
    let_pass(2 * LIMIT);
    seen.calls++;
    return 0;
}

static int is_quick(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    seen.calls++;
    return fd < 0;
}

static vcp_pool *pool_with(vcp_conn_hook_fn on_release, int64_t timeout_ms)
{
    vcp_pool_options options = pool_options();
    memset(&seen, 0, sizeof seen);
    options.on_release = on_release;
    options.on_event = sees;
    options.hook_timeout_ms = timeout_ms;
    return pool_new(&options);
}

static void check_closed_by_its_hook(vcp_pool *pool)
{
    CHECK_EQ(seen.calls, 1);
    CHECK_EQ(seen.reason, VCP_CLOSE_HOOK);
    CHECK_EQ(stats_of(pool).closed_hook, 1);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(io_on_the_descriptor_ends_with_the_time_of_the_hook,
     "on_release: After hook_timeout_ms the socket is shut down under on_release, and the "
     "connection "
     "is closed (HOOK) when it returns")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(waits_on_the_descriptor, LIMIT);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    int64_t start = now_ms();
    CHECK_EQ(vcp_conn_close(conn), VCP_OK);
    CHECK_EQ(seen.answer, 0);
    CHECK_BETWEEN(now_ms() - start, LIMIT - 1, at_most(LIMIT + LATENESS_MS));
    check_closed_by_its_hook(pool);
    CHECK(peer_sees_end(peer));
    close(peer);
    server_close(&s);
}

TEST(io_by_the_library_ends_with_the_time_of_the_hook,
     "on_release: vcp_conn_read inside on_release answers VCP_ERR_TIMEOUT then")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(waits_in_the_library, LIMIT);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    int64_t start = now_ms();
    CHECK_EQ(vcp_conn_close(conn), VCP_OK);
    CHECK_EQ(seen.answer, VCP_ERR_TIMEOUT);
    CHECK_BETWEEN(now_ms() - start, LIMIT - 1, at_most(LIMIT + LATENESS_MS));
    check_closed_by_its_hook(pool);
    close(peer);
    server_close(&s);
}

TEST(a_hook_that_is_late_without_io_closes_its_connection,
     "on_release: A hook that returns too late closes its connection, whatever it returns")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(takes_its_time, LIMIT);
    CHECK_EQ(vcp_conn_close(borrow(pool, &s)), VCP_OK);
    check_closed_by_its_hook(pool);
    server_close(&s);
}

TEST(the_time_of_a_hook_ends_with_it,
     "on_release: The time of a hook that has returned shuts nothing down, and binds no borrower")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(is_quick, LIMIT);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    char byte;
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    let_pass(2 * LIMIT);
    CHECK(peer_sees_life(peer));
    CHECK_EQ(send(peer, "a", 1, MSG_NOSIGNAL), 1);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 1);
    give_back(conn);
    let_pass(2 * LIMIT);
    CHECK_EQ(idle_in(pool), 1);
    CHECK(peer_sees_life(peer));
    CHECK_EQ(stats_of(pool).closed_hook, 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

TEST(forever_is_no_limit, "on_release: hook_timeout_ms VCP_FOREVER: no limit")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(takes_its_time, VCP_FOREVER);
    give_back(borrow(pool, &s));
    CHECK_EQ(idle_in(pool), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_hundred_hooks_are_timed_one_by_one,
     "on_release: Each hook has its own time, whichever came before it")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(is_quick, LIMIT);
    vcp_conn *conn = borrow(pool, &s);
    int64_t start = now_ms();
    int round;
    give_back(conn);
    for (round = 0; round < 100 || now_ms() - start < 3 * LIMIT; round++) {
        give_back(borrow(pool, &s));
        let_pass(1);
    }
    CHECK_EQ(stats_of(pool).reuses, round);
    CHECK_EQ(stats_of(pool).closed_hook, 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static int refuses_after_a_failed_read(void *user, vcp_conn *conn, int fd)
{
    char byte;
    (void)user;
    (void)fd;
    CHECK_EQ(vcp_conn_set_deadline(conn, 10), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    seen.calls++;
    return 1;
}

TEST(a_refusal_is_the_hooks_whatever_its_io_came_to,
     "on_release: A hook that refuses after its own read failed closes with HOOK, not FAILED")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(refuses_after_a_failed_read, VCP_FOREVER);
    CHECK_EQ(vcp_conn_close(borrow(pool, &s)), VCP_OK);
    check_closed_by_its_hook(pool);
    server_close(&s);
}

static int has_begun;

static int says_that_it_waits(void *user, vcp_conn *conn, int fd)
{
    __atomic_store_n(&has_begun, 1, __ATOMIC_SEQ_CST);
    return waits_on_the_descriptor(user, conn, fd);
}

static void *gives_back(void *conn)
{
    CHECK_EQ(vcp_conn_close((vcp_conn *)conn), VCP_OK);
    return NULL;
}

TEST(the_end_of_the_last_pool_leaves_a_hook_its_time,
     "on_release: A hook that runs while the last pool is closed still ends in its time")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(says_that_it_waits, LIMIT);
    vcp_conn *conn = borrow(pool, &s);
    int64_t start = now_ms();
    pthread_t giver;
    __atomic_store_n(&has_begun, 0, __ATOMIC_SEQ_CST);
    CHECK_EQ(pthread_create(&giver, NULL, gives_back, conn), 0);
    EVENTUALLY(__atomic_load_n(&has_begun, __ATOMIC_SEQ_CST), 2000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(pthread_join(giver, NULL), 0);
    CHECK_EQ(seen.answer, 0);
    CHECK_BETWEEN(now_ms() - start, LIMIT - 1, at_most(LIMIT + LATENESS_MS));
    await_end_of_threads();
    server_close(&s);
}

/* As daemons do that put /dev/null in the place of descriptors they did not open. */
static void replace_the_epoll_of_the_library(void)
{
    char path[64];
    char target[64];
    int null = open("/dev/null", O_RDWR | O_CLOEXEC);
    int fd;
    for (fd = 3; fd < 256; fd++) {
        ssize_t size;
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        size = readlink(path, target, sizeof target - 1);
        target[size > 0 ? size : 0] = '\0';
        if (strstr(target, "eventpoll") != NULL) {
            CHECK_EQ(dup3(null, fd, O_CLOEXEC), fd);
        }
    }
    close(null);
}

static int breaks_the_engine_and_waits(void *user, vcp_conn *conn, int fd)
{
    vcp_pool *pool = pool_new(NULL);
    vcp_queue *queue = queue_new();
    server s = tcp_server();
    vcp_conn *other = NULL;
    replace_the_epoll_of_the_library();
    /* The background thread is woken, and finds out. */
    CHECK(dial_async(pool, &s, NULL, queue, &seen, &other) < 0);
    waits_on_the_descriptor(user, conn, fd);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    return 0;
}

TEST(a_background_thread_that_cannot_go_on_ends_the_hooks_in_its_care,
     "on_release: When the background thread cannot go on, the hooks that it watches end then")
{
    server s = tcp_server();
    vcp_pool *pool = pool_with(breaks_the_engine_and_waits, 3600000);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    CHECK_EQ(vcp_conn_close(conn), VCP_OK);
    CHECK_EQ(seen.answer, 0);
    check_closed_by_its_hook(pool);
    close(peer);
    server_close(&s);
}
