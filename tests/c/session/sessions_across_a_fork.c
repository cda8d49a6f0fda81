/*
 * Sessions of a parent are never used and never ended in a child; the child's copies of their
 * descriptors are closed, and the parent notices nothing. Contract sections 7 and 9.
 */
#include "child_processes.h"
#include "own_driver.h"

/* A pool with an idle and a borrowed session. */
typedef struct home {
    driver d;
    vcp_conn *borrowed;
    session *idle;
    session *out;
    int has_fd;
} home;

static void home_start(home *h, int has_fd)
{
    vcp_conn *conn;
    vcp_pool_options options;
    memset(h, 0, sizeof *h);
    driver_start(&h->d);
    h->has_fd = has_fd;
    h->d.has_fd = has_fd;
    options = driver_options(&h->d);
    options.on_release = driver_on_release;
    driver_pool(&h->d, &options);
    conn = borrow(h->d.pool, &h->d.db);
    h->borrowed = borrow(h->d.pool, &h->d.db);
    h->idle = session_of(conn);
    h->out = session_of(h->borrowed);
    give_back(conn);
}

static void check_copy_is_closed(const home *h, const session *s)
{
    if (h->has_fd) {
        CHECK(!is_open(s->fd));
    }
}

static void has_sessions_of_its_own(void *argument)
{
    home *h = (home *)argument;
    vcp_conn *conn;
    int idle = h->idle->fd;
    CHECK_EQ(vcp_pool_conn_count(h->d.pool), 0);
    CHECK_EQ(idle_in(h->d.pool), 0);
    check_copy_is_closed(h, h->idle);
    CHECK_EQ(vcp_conn_raw_fd(h->borrowed), VCP_ERR_CONN_CLOSED);
    CHECK(vcp_conn_data(h->borrowed) == NULL);
    CHECK_EQ(vcp_conn_close(h->borrowed), VCP_ERR_CONN_CLOSED);
    check_copy_is_closed(h, h->out);
    conn = borrow(h->d.pool, &h->d.db);
    CHECK(session_of(conn) != h->idle && session_of(conn) != h->out);
    CHECK_EQ(h->d.asked, 3);
    give_back(conn);
    CHECK_EQ(idle_in(h->d.pool), 1);
    CHECK_EQ(vcp_pool_close(h->d.pool), VCP_OK);
    CHECK_EQ(h->d.frees, 1);
    CHECK_EQ(h->idle->frees + h->out->frees, 0);
    (void)idle;
}

static void check_the_parent_noticed_nothing(home *h)
{
    vcp_conn *conn;
    CHECK_HOLDS(&h->d, 2, 1);
    CHECK_EQ(h->d.frees, 0);
    if (h->has_fd) {
        CHECK(peer_sees_life(h->idle->peer));
        CHECK(peer_sees_life(h->out->peer));
        CHECK_EQ(send(h->out->peer, "row", 3, 0), 3);
        CHECK_EQ(vcp_conn_wait(h->borrowed, VCP_READABLE), VCP_READABLE);
        CHECK_EQ(recv(h->out->fd, h->d.label, 8, MSG_DONTWAIT), 3);
    }
    conn = borrow(h->d.pool, &h->d.db);
    CHECK(session_of(conn) == h->idle);
    give_back(conn);
    give_back(h->borrowed);
    CHECK_HOLDS(&h->d, 2, 2);
    DRIVER_END(&h->d);
}

static void lives_through(fork_kind how, int has_fd)
{
    home h;
    home_start(&h, has_fd);
    IN_A_CHILD(how, has_sessions_of_its_own, &h);
    check_the_parent_noticed_nothing(&h);
}

TEST(a_child_opens_sessions_of_its_own,
     "sessions: In a forked child sessions idle and borrowed are closed copies, free_data never "
     "runs for them, the child opens its own; the parent's go on")
{
    lives_through(BY_FORK, 1);
    lives_through(BY_FORK, 0);
}

TEST(a_child_by_underscore_fork_and_clone_too,
     "sessions: The same holds for children made by _Fork and clone")
{
    lives_through(BY_UNDERSCORE_FORK, 1);
    lives_through(BY_CLONE, 1);
    lives_through(BY_CLONE, 0);
}

static void closes_its_pool_at_once(void *argument)
{
    home *h = (home *)argument;
    CHECK_EQ(vcp_pool_close(h->d.pool), VCP_OK);
    check_copy_is_closed(h, h->idle);
    CHECK_EQ(vcp_conn_close(h->borrowed), VCP_ERR_CONN_CLOSED);
    check_copy_is_closed(h, h->out);
    CHECK_EQ(h->d.frees, 0);
}

TEST(a_child_that_closes_the_pool_ends_no_session,
     "sessions: A child whose first call closes the inherited pool ends no session of the parent")
{
    home h;
    home_start(&h, 1);
    IN_A_CHILD(BY_FORK, closes_its_pool_at_once, &h);
    check_the_parent_noticed_nothing(&h);
}

static void leaves_other_files_alone(void *argument)
{
    home *h = (home *)argument;
    int own[2];
    int fd = h->idle->fd;
    CHECK_EQ(close(fd), 0);
    CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, own), 0);
    CHECK_EQ(own[0], fd);
    CHECK_EQ(vcp_pool_conn_count(h->d.pool), 0);
    CHECK(is_open(fd));
    CHECK_EQ(send(own[0], "a", 1, MSG_NOSIGNAL), 1);
}

TEST(a_childs_own_file_under_the_number_is_left_alone,
     "sessions: A number that is the child's own file by then is not closed")
{
    home h;
    home_start(&h, 1);
    IN_A_CHILD(BY_FORK, leaves_other_files_alone, &h);
    check_the_parent_noticed_nothing(&h);
}

static void finds_the_socket_of_a_reconnect(void *argument)
{
    home *h = (home *)argument;
    CHECK_EQ(vcp_pool_conn_count(h->d.pool), 0);
    check_copy_is_closed(h, h->idle);
}

TEST(a_child_closes_the_copy_that_a_reconnect_left,
     "sessions: The child's copy of a descriptor that a reconnect brought is closed")
{
    home h;
    vcp_conn *conn;
    home_start(&h, 1);
    conn = borrow(h.d.pool, &h.d.db);
    session_reconnects(session_of(conn));
    give_back(conn);
    IN_A_CHILD(BY_FORK, finds_the_socket_of_a_reconnect, &h);
    check_the_parent_noticed_nothing(&h);
}

static void has_no_opening(void *argument)
{
    driver *d = (driver *)argument;
    vcp_conn *conn;
    CHECK_EQ(stats_of(d->pool).dialing, 0);
    /* The lock of the tests' driver is nobody's here: no thread of the parent was inside it. */
    d->holds_opening = 0;
    conn = borrow(d->pool, &d->db);
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(d->pool), 1);
}

TEST(a_dial_in_flight_is_the_parents,
     "sessions: A session that is being opened at fork is the parent's alone")
{
    driver d;
    vcp_pool *pool = driver_with(&d);
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    d.holds_opening = 1;
    begin_dial(pool, &d.db, NULL, queue, &d);
    EVENTUALLY(driver_number(&d, &d.opening) == 1, 5000);
    EVENTUALLY(others_sleep_for_a_while(), 5000);
    IN_A_CHILD(BY_FORK, has_no_opening, &d);
    driver_sets(&d, &d.holds_opening, 0);
    conn = next_conn(queue, &d);
    give_back(conn);
    CHECK_HOLDS(&d, 1, 1);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    DRIVER_END(&d);
}

static int forks_in_open_session(void *user, const vcp_session_request *request,
                                 vcp_session *filled)
{
    driver *d = (driver *)user;
    int answer = driver_opens(user, request, filled);
    if (d->asked == 1) {
        pid_t child = fork();
        CHECK(child >= 0);
        d->let_through = (int)child;
    }
    return answer;
}

TEST(a_fork_in_open_session_fails_the_dial_in_the_child,
     "sessions: A fork inside open_session fails the dial in the child, where free_data does not "
     "run")
{
    driver d;
    vcp_pool_options options;
    vcp_conn *conn = NULL;
    int answer;
    driver_start(&d);
    options = driver_options(&d);
    options.open_session = forks_in_open_session;
    driver_pool(&d, &options);
    fflush(stdout);
    answer = vcp_dial(d.pool, d.db.network, d.db.address, &conn);
    if (d.let_through == 0) {
        CHECK(answer < 0);
        CHECK_EQ(vcp_pool_conn_count(d.pool), 0);
        CHECK_EQ(d.frees, 0);
        child_ends();
    }
    CHECK_CHILD((pid_t)d.let_through);
    CHECK(answer >= 0);
    give_back(conn);
    CHECK_HOLDS(&d, 1, 1);
    DRIVER_END(&d);
}
