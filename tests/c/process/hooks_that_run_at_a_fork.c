/*
 * A hook of the parent runs at the fork, on another thread, and so its connection is in no
 * borrower's hands: the child drops it. Contract sections 4 and 7.
 *
 * The child's copy of the descriptor stayed open: the library had lent the connection to the hook,
 * and a copy of what is lent was closed by its borrower's vcp_conn_close alone.
 */
#include "child_processes.h"
#include "own_driver.h"

/* A connection that a hook looks at while the child is made. */
typedef struct home {
    driver d;
    hook_script *hook;
    int is_session;
    int fd;
} home;

static void home_start(home *h, hook_script *hook, int is_session)
{
    vcp_pool_options options;
    driver_start(&h->d);
    h->is_session = is_session;
    h->hook = hook;
    options = driver_options(&h->d);
    options.open_session = is_session ? driver_opens : NULL;
    options.on_release = driver_on_release;
    options.on_release_in_background = 1;
    options.on_idle = driver_on_idle;
    options.on_idle_ms = 50;
    options.on_open = driver_on_open;
    driver_pool(&h->d, &options);
    hook->holds = 1;
}

static const server *place(home *h)
{
    return h->is_session ? &h->d.db : &h->d.where;
}

static void await_the_hook(home *h)
{
    EVENTUALLY(driver_number(&h->d, &h->hook->inside) == 1, 5000);
    h->fd = driver_number(&h->d, &h->hook->fd);
    EVENTUALLY(others_sleep_for_a_while(), 5000);
}

static void lets_it_end(home *h)
{
    driver_sets(&h->d, &h->hook->holds, 0);
}

static void works_on_its_own(void *argument)
{
    home *h = (home *)argument;
    int asked;
    CHECK_EQ(vcp_pool_conn_count(h->d.pool), 0);
    CHECK_EQ(stats_of(h->d.pool).releasing, 0);
    CHECK(!is_open(h->fd));
    CHECK_EQ(h->d.frees, 0);
    h->hook->holds = 0;
    give_back(borrow(h->d.pool, place(h)));
    EVENTUALLY(stats_of(h->d.pool).releases == 1, 5000);
    asked = driver_number(&h->d, &h->d.on_idle.calls);
    EVENTUALLY(driver_number(&h->d, &h->d.on_idle.calls) > asked, 5000);
    CHECK_EQ(vcp_pool_drain(h->d.pool, VCP_FOREVER), 0);
    CHECK_EQ(vcp_pool_close(h->d.pool), VCP_OK);
    EVENTUALLY(driver_frees(&h->d) == h->is_session, 5000);
}

/* The parent's goes on. */
static void check_goes_on(home *h)
{
    vcp_conn *conn;
    CHECK_EQ(driver_frees(&h->d), 0);
    lets_it_end(h);
    EVENTUALLY(idle_in(h->d.pool) == 1, 5000);
    conn = borrow(h->d.pool, place(h));
    CHECK_EQ(vcp_conn_raw_fd(conn), h->fd);
    give_back(conn);
    EVENTUALLY(stats_of(h->d.pool).borrowed == 0, 5000);
    DRIVER_END(&h->d);
}

TEST(a_child_drops_what_was_being_released,
     "background release: In a forked child a connection that was being released is dropped: its "
     "copy is closed, no free_data runs, and the child's own work; the parent's goes on")
{
    int is_session;
    for (is_session = 0; is_session < 2; is_session++) {
        home h;
        memset(&h, 0, sizeof h);
        home_start(&h, &h.d.on_release, is_session);
        h.d.on_release.holds = 1;
        give_back(borrow(h.d.pool, place(&h)));
        await_the_hook(&h);
        IN_A_CHILD(BY_FORK, works_on_its_own, &h);
        CHECK_EQ(stats_of(h.d.pool).releasing, 1);
        check_goes_on(&h);
    }
}

TEST(a_child_asks_its_own_connections,
     "on_idle: In a forked child a connection that was being asked is dropped, and the child's own "
     "are asked; the parent's goes on")
{
    int is_session;
    for (is_session = 0; is_session < 2; is_session++) {
        home h;
        memset(&h, 0, sizeof h);
        home_start(&h, &h.d.on_idle, is_session);
        give_back(borrow(h.d.pool, place(&h)));
        await_the_hook(&h);
        IN_A_CHILD(BY_FORK, works_on_its_own, &h);
        CHECK_EQ(stats_of(h.d.pool).borrowed, 1);
        check_goes_on(&h);
    }
}

TEST(a_child_drops_what_was_being_opened,
     "hooks: In a forked child a connection whose on_open ran on another thread is dropped: its "
     "copy is closed; the parent's goes on")
{
    int is_session;
    for (is_session = 0; is_session < 2; is_session++) {
        home h;
        vcp_queue *queue = queue_new();
        vcp_conn *conn;
        memset(&h, 0, sizeof h);
        home_start(&h, &h.d.on_open, is_session);
        begin_dial(h.d.pool, place(&h), NULL, queue, &h);
        await_the_hook(&h);
        IN_A_CHILD(BY_FORK, works_on_its_own, &h);
        lets_it_end(&h);
        conn = next_conn(queue, &h);
        CHECK_EQ(vcp_conn_raw_fd(conn), h.fd);
        give_back(conn);
        check_goes_on(&h);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
}

static void finds_a_closed_pool(void *argument)
{
    home *h = (home *)argument;
    CHECK_EQ(vcp_pool_conn_count(h->d.pool), VCP_ERR_POOL_CLOSED);
    CHECK(!is_open(h->fd));
    CHECK_EQ(h->d.frees, 0);
}

TEST(a_child_drops_what_was_being_released_into_a_closed_pool,
     "background release: In a child the copy of a connection whose pool was closed during the "
     "hook is closed too")
{
    home h;
    memset(&h, 0, sizeof h);
    home_start(&h, &h.d.on_release, 1);
    give_back(borrow(h.d.pool, place(&h)));
    await_the_hook(&h);
    CHECK_EQ(vcp_pool_close(h.d.pool), VCP_OK);
    EVENTUALLY(others_sleep_for_a_while(), 5000);
    IN_A_CHILD(BY_FORK, finds_a_closed_pool, &h);
    h.d.pool = NULL;
    lets_it_end(&h);
    EVENTUALLY(driver_frees(&h.d) == 1, 5000);
    DRIVER_END(&h.d);
}

typedef struct forking {
    server s;
    pid_t child;
} forking;

/* Once; both sides come back to the library, which has called it on a thread of its own. */
static int forks_once(void *user, vcp_conn *conn, int fd)
{
    forking *f = (forking *)user;
    pid_t child;
    (void)conn;
    (void)fd;
    if (__atomic_load_n(&f->child, __ATOMIC_SEQ_CST) != 0) {
        return 0;
    }
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        alarm((unsigned)at_most(10));
        child = -1;
    }
    __atomic_store_n(&f->child, child, __ATOMIC_SEQ_CST);
    return 0;
}

TEST(
    a_child_that_returns_from_a_hook_on_a_librarys_thread_ends,
    "fork: A child that returns from a hook on a thread of the library (on_idle, on_release in the "
    "background, on_open of an asynchronous dial) ends with it, and the parent goes on")
{
    int which;
    if (getenv("VCP_C_PREFIX") != NULL)
        SKIP("valgrind reports what is left at the end of such a child");
    for (which = 0; which < 3; which++) {
        vcp_pool_options options = pool_options();
        vcp_queue *queue = queue_new();
        vcp_pool *pool;
        forking f;
        memset(&f, 0, sizeof f);
        f.s = tcp_server();
        options.user = &f;
        options.on_idle = which == 0 ? forks_once : NULL;
        options.on_idle_ms = which == 0 ? 10 : VCP_FOREVER;
        options.on_release = which == 1 ? forks_once : NULL;
        options.on_release_in_background = which == 1;
        options.on_open = which == 2 ? forks_once : NULL;
        pool = pool_new(&options);
        begin_dial(pool, &f.s, NULL, queue, &f);
        give_back(next_conn(queue, &f));
        EVENTUALLY(__atomic_load_n(&f.child, __ATOMIC_SEQ_CST) > 0, 5000);
        CHECK_CHILD(f.child);
        EVENTUALLY(idle_in(pool) == 1, 5000);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
        server_close(&f.s);
    }
}
