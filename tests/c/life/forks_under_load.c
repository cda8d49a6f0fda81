/*
 * Forks while eight threads use everything: hits, waits, asynchronous dials, hooks, sessions. Each
 * child lives a life of its own with the pools that it inherited, and the parent notices nothing.
 * VCP_FORKS says how many (20). Contract section 7.
 */
#include "workload_run.h"

enum { ACTORS = 8, AT_ONCE = 4, CHILDS_CYCLES = 200 };

static actor actors[ACTORS];

/* A dead handle, or one that is live in the parent alone: closed in both cases. */
static void check_inherited_handles(void)
{
    int i;
    for (i = 0; i < ACTORS; i++) {
        vcp_conn *conn = __atomic_load_n(&actors[i].borrowed, __ATOMIC_RELAXED);
        vcp_completion completion;
        if (conn != NULL) {
            CHECK_EQ(vcp_conn_raw_fd(conn), VCP_ERR_CONN_CLOSED);
            CHECK_EQ(vcp_conn_write(conn, "x", 1), VCP_ERR_CONN_CLOSED);
            CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
        }
        /* Empty, or freed at that moment. */
        CHECK(vcp_queue_next(actors[i].queue, &completion, sizeof completion) <= 0);
    }
}

static void check_pools_are_empty(void)
{
    int i;
    for (i = 0; i < POOLS; i++) {
        work.lives[i]->open = 0; /* what the parent's events have counted */
        CHECK_EQ(vcp_pool_conn_count(work.pools[i]), 0);
        CHECK_EQ(stats_of(work.pools[i]).dials, 0);
    }
}

/* Everything that the parent's threads do, and the end of the pools. */
static void lives_its_own_life(void *unused)
{
    static actor me;
    int64_t opened = work.sessions_opened;
    int64_t freed = work.sessions_freed;
    int i;
    (void)unused;
    memset(nonce_marks, 0, sizeof nonce_marks);
    memset(fd_marks, 0, sizeof fd_marks);
    CHECK_EQ(threads(), 1);
    check_pools_are_empty();
    check_inherited_handles();
    actor_begins(&me, (uint64_t)getpid());
    for (i = 0; i < CHILDS_CYCLES; i++) {
        act_once(&me);
    }
    act_session(&me);
    act_hooked(&me);
    actor_ends(&me);
    for (i = 0; i < POOLS; i++) {
        CHECK_EQ(vcp_pool_close(work.pools[i]), VCP_OK);
    }
    /* It ended its own sessions, and none of its parent's. */
    EVENTUALLY(peek(&work.sessions_freed) - freed == peek(&work.sessions_opened) - opened, 5000);
    check_no_owners();
}

/* Nobody has ended one of the parent's idle connections, or spoken on one. */
static void check_the_parent_noticed_nothing(void)
{
    vcp_stats s = stats_of(work.pools[FAST]);
    CHECK_EQ(s.stale_at_borrow + s.dirty_at_borrow + s.closed_while_idle, 0);
    CHECK_EQ(s.closed_discarded + s.closed_foreign_fd + s.dial_failures, 0);
}

TEST(forks_under_load_are_noticed_by_nobody,
     "fork: A hundred forks among eight threads that use everything: each child finds empty pools "
     "and closed handles, uses everything and ends; the parent notices nothing")
{
    int64_t count = rounds_of("VCP_FORKS", 20);
    int64_t began = now_ms();
    pid_t children[AT_ONCE];
    int64_t i;
    int k;
    int fds = open_fds();
    workload_open();
    work.keeps_pools = 1;
    work.cycles_left = INT64_MAX;
    workload_begins(actors, ACTORS, seed_of_run());
    for (i = 0; i < count; i += AT_ONCE) {
        for (k = 0; k < AT_ONCE; k++) {
            children[k] = child_that(BY_FORK, 60, lives_its_own_life, NULL);
        }
        for (k = 0; k < AT_ONCE; k++) {
            CHECK_CHILD_IN(children[k], 20000);
        }
    }
    __atomic_store_n(&work.is_over, 1, __ATOMIC_SEQ_CST);
    workload_ends(actors, ACTORS);
    check_the_parent_noticed_nothing();
    workload_close();
    CHECK_BASELINE(fds, 1);
    printf("  %lld forks in %lld ms, %lld cycles of the parent: nobody noticed\n", (long long)i,
           (long long)(now_ms() - began), (long long)print_results(actors, ACTORS));
}
