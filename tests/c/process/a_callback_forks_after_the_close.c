/*
 * A callback forks when its pool has been closed, and its thread is the last that holds the pool.
 * Contract section 7.
 */
#include "child_processes.h"
#include "completions.h"

static int a; /* a token */

/* A dial that waits for its turn when the pool is closed; on_event forks. */
typedef struct life {
    vcp_pool *pool;
    full_server full;
    int waits;
    int is_closed;
    int is_child;
    pid_t child;
    int frees;
} life;

static void frees_user(void *user)
{
    __sync_add_and_fetch(&((life *)user)->frees, 1);
}

static void forks_at_the_end(void *user, const vcp_event *event)
{
    life *l = (life *)user;
    if (event->kind != VCP_EVENT_WAIT_START) {
        return;
    }
    __sync_add_and_fetch(&l->waits, 1);
    EVENTUALLY(__sync_add_and_fetch(&l->is_closed, 0) == 1, 10000);
    /* This one and the test's: nobody else has anything of the pool. */
    EVENTUALLY(threads() == 2 + TOOL_THREADS, 10000);
    l->child = fork_by(BY_FORK);
    l->is_child = l->child == 0;
}

static void *dials(void *user)
{
    life *l = (life *)user;
    vcp_conn *conn = NULL;
    int status = vcp_dial(l->pool, l->full.s.network, l->full.s.address, &conn);
    CHECK(status < 0);
    if (l->is_child) {
        CHECK_EQ(l->frees, 0);
        child_ends();
    }
    CHECK_EQ(status, VCP_ERR_POOL_CLOSED);
    return NULL;
}

TEST(a_child_does_not_free_the_user_of_a_closed_pool,
     "fork: free_user runs in the parent alone, also where a callback forks after its pool's close")
{
    life l;
    vcp_pool_options options = pool_options();
    vcp_queue *queue = queue_new();
    pthread_t thread;
    memset(&l, 0, sizeof l);
    l.full = full_server_new();
    options.max_dials_per_address = 1;
    options.on_event = forks_at_the_end;
    options.user = &l;
    options.free_user = frees_user;
    l.pool = pool_new(&options);
    begin_dial(l.pool, &l.full.s, NULL, queue, &a);
    EVENTUALLY(stats_of(l.pool).dialing == 1, 5000);
    CHECK_EQ(pthread_create(&thread, NULL, dials, &l), 0);
    EVENTUALLY(__sync_add_and_fetch(&l.waits, 0) == 1, 5000);
    CHECK_EQ(vcp_pool_close(l.pool), VCP_OK);
    next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    __sync_add_and_fetch(&l.is_closed, 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_CHILD(l.child);
    CHECK_EQ(l.frees, 1);
    full_server_close(&l.full);
}
