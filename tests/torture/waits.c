/*
 * Dials that wait at a limit, and what is handed on to them by another thread.
 */
#include "torture_test.h"

static const int wait_errors[] = {VCP_ERR_TIMEOUT,     VCP_ERR_CANCELED,       VCP_ERR_SYSTEM,
                                  VCP_ERR_CONNECT,     VCP_ERR_RESOLVE,        VCP_ERR_NO_MEMORY,
                                  VCP_ERR_POOL_CLOSED, VCP_ERR_POOL_EXHAUSTED, 0};

typedef struct waiter {
    const scene *s;
    const server *where;
    vcp_cancel *cancel;
    int64_t wanted; /* VCP_OK, or how it must fail */
    int is_over;
    pthread_t thread;
} waiter;

static void *waits(void *argument)
{
    waiter *w = (waiter *)argument;
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn = NULL;
    int64_t fd;
    options.wait_timeout_ms = VCP_FOREVER;
    options.cancel = w->cancel;
    fd = COMES_TO(vcp_dial_with(w->s->pool, w->where->network, w->where->address, &options, &conn),
                  DIAL_MS, w->wanted, wait_errors);
    CHECK_EQ(conn != NULL, fd >= 0);
    if (conn != NULL) {
        disowns(owns(vcp_conn_raw_fd(conn)));
    }
    gives_back(conn);
    __atomic_store_n(&w->is_over, 1, __ATOMIC_SEQ_CST);
    return NULL;
}

static void waiter_starts(waiter *w, const scene *s, const server *where, int64_t wanted,
                          vcp_cancel *cancel)
{
    memset(w, 0, sizeof *w);
    w->wanted = wanted;
    w->s = s;
    w->where = where;
    w->cancel = cancel;
    CHECK_EQ(pthread_create(&w->thread, NULL, waits, w), 0);
}

/* It waits in the pool, or is over already, because something failed. */
static void await_waiting(const scene *s, const waiter *w, uint64_t waiting)
{
    EVENTUALLY(stats_of(s->pool).waiting >= waiting ||
                   __atomic_load_n(&w->is_over, __ATOMIC_SEQ_CST),
               2000);
}

static void waiter_ends(waiter *w)
{
    CHECK_EQ(pthread_join(w->thread, NULL), 0);
}

static scene scene_of_one(void)
{
    vcp_pool_options options = scene_options();
    options.max_conns = 1;
    return scene_new(&options);
}

TEST(a_connection_is_handed_on,
     "torture: What is given back reaches the dial that waits for it, whatever fails meanwhile")
{
    scene s = scene_of_one();
    if (s.pool != NULL) {
        vcp_conn *conn = dials(&s, &peers[UNIX], 0);
        waiter w;
        waiter_starts(&w, &s, &peers[UNIX], VCP_OK, NULL);
        if (conn != NULL) {
            await_waiting(&s, &w, 1);
            gives_back(conn);
        }
        waiter_ends(&w);
    }
    scene_end(&s);
}

TEST(a_slot_is_handed_on,
     "torture: The slot of what is closed reaches the dial that waits for it, whatever fails "
     "meanwhile")
{
    scene s = scene_of_one();
    if (s.pool != NULL) {
        vcp_conn *conn = dials(&s, &peers[UNIX], 0);
        waiter w;
        waiter_starts(&w, &s, &peers[TCP4], VCP_OK, NULL);
        if (conn != NULL) {
            await_waiting(&s, &w, 1);
            MUST(vcp_conn_discard(conn), 0);
            gives_back(conn);
        }
        waiter_ends(&w);
    }
    scene_end(&s);
}

TEST(a_token_ends_a_wait, "torture: A token ends a wait, whatever fails meanwhile")
{
    scene s = scene_of_one();
    vcp_cancel *cancel = NULL;
    if (s.pool != NULL && MAY(vcp_cancel_new(&cancel), 0, resource_errors) >= 0) {
        vcp_conn *conn = dials(&s, &peers[UNIX], 0);
        waiter w;
        waiter_starts(&w, &s, &peers[UNIX], VCP_ERR_CANCELED, cancel);
        if (conn != NULL) {
            await_waiting(&s, &w, 1);
        }
        MUST(vcp_cancel_fire(cancel), 0);
        waiter_ends(&w);
        gives_back(conn);
        MUST(vcp_cancel_free(cancel), 0);
    }
    scene_end(&s);
}

TEST(waits_run_out, "torture: A wait ends in time, whatever fails meanwhile")
{
    scene s = scene_of_one();
    if (s.pool != NULL) {
        vcp_conn *held = dials(&s, &peers[UNIX], 0);
        vcp_conn *conn = NULL;
        vcp_dial_options options = dial_options(0);
        options.wait_timeout_ms = 5;
        if (held != NULL) {
            COMES_TO(vcp_dial_with(s.pool, "tcp", peers[TCP4].address, &options, &conn), 5,
                     VCP_ERR_TIMEOUT, dial_errors);
            options.wait_timeout_ms = 0;
            COMES_TO(vcp_dial_with(s.pool, "tcp", peers[TCP4].address, &options, &conn), 0,
                     VCP_ERR_POOL_EXHAUSTED, dial_errors);
            CHECK(conn == NULL);
        }
        gives_back(held);
    }
    scene_end(&s);
}

TEST(a_raised_limit_lets_waiters_in,
     "torture: A raised limit lets in those that wait, whatever fails meanwhile")
{
    scene s = scene_of_one();
    if (s.pool != NULL) {
        vcp_conn *conn = dials(&s, &peers[UNIX], 0);
        waiter two[2];
        waiter_starts(&two[0], &s, &peers[UNIX], VCP_OK, NULL);
        waiter_starts(&two[1], &s, &peers[TCP4], VCP_OK, NULL);
        if (conn != NULL) {
            await_waiting(&s, &two[1], 2);
        }
        s.options.max_conns = 3;
        if (MAY(vcp_pool_set_limits(s.pool, &s.options), 0, memory_errors) < 0) {
            s.options.max_conns = 1;
        }
        gives_back(conn);
        waiter_ends(&two[0]);
        waiter_ends(&two[1]);
    }
    scene_end(&s);
}

TEST(dials_take_turns,
     "torture: Dials of one address take turns, and what is given back meanwhile serves them, "
     "whatever fails")
{
    vcp_pool_options options = scene_options();
    scene s;
    options.max_dials_per_address = 1;
    options.max_conns_per_address = 2;
    options.wait_timeout_ms = VCP_FOREVER;
    s = scene_new(&options);
    s.fills = NULL;
    if (s.pool != NULL) {
        waiter three[3];
        int i;
        for (i = 0; i < 3; i++) {
            waiter_starts(&three[i], &s, &peers[TCP4], VCP_OK, NULL);
        }
        for (i = 0; i < 3; i++) {
            waiter_ends(&three[i]);
        }
    }
    scene_end(&s);
}

TEST(waiters_of_a_closed_pool,
     "torture: A pool that is drained or closed ends the waits in it, whatever fails meanwhile")
{
    scene s = scene_of_one();
    if (s.pool != NULL) {
        vcp_conn *conn = dials(&s, &peers[UNIX], 0);
        waiter w;
        waiter_starts(&w, &s, &peers[TCP4], VCP_ERR_POOL_CLOSED, NULL);
        if (conn != NULL) {
            await_waiting(&s, &w, 1);
        }
        s.fills = NULL;
        CHECK(MUST(vcp_pool_drain(s.pool, 0), 0) == 1 || conn == NULL);
        waiter_ends(&w);
        gives_back(conn);
    }
    scene_end(&s);
}
