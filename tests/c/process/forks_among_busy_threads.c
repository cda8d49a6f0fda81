/*
 * Forks while many threads hold the library's locks: no child hangs, and none touches its parent's
 * connections. Contract section 7.
 */
#include "completions.h"
#include "nonces.h"

#define HAMMERS 3

/* ---- who dials ---- */

typedef struct ground {
    nonce_server served;
    vcp_pool *pool;
    vcp_cancel *token;
    int32_t stop;
    int32_t rounds;
} ground;

typedef struct hammer {
    ground *g;
    int number;
    pthread_t thread;
} hammer;

static void ignore(void *data)
{
    (void)data;
}

/* Each takes another way through the library, and with it other locks. */
static void strike(ground *g, int number, uint32_t serial)
{
    vcp_dial_options d = dial_options(0);
    vcp_cancel *token = NULL;
    vcp_conn *conn = NULL;
    const server *s = &g->served.at[0];
    if (number == 1) {
        CHECK_EQ(vcp_cancel_new(&token), VCP_OK);
        d.cancel = token;
    }
    CHECK(vcp_dial_with(g->pool, s->network, s->address, &d, &conn) >= 0);
    if (number == 1)
        CHECK_EQ(vcp_conn_set_cancel(conn, token), VCP_OK);
    if (number == 2) {
        CHECK_EQ(vcp_conn_set_data(conn, g, ignore), VCP_OK);
        CHECK(vcp_conn_data(conn) == g);
        CHECK(vcp_pool_conn_count(g->pool) > 0);
    }
    ask(conn, serial);
    give_back(conn);
    CHECK_EQ(vcp_cancel_free(token), VCP_OK);
}

static void *hammers(void *argument)
{
    hammer *h = (hammer *)argument;
    uint32_t serial = 0;
    do {
        strike(h->g, h->number, serial++);
        count_one(&h->g->rounds);
    } while (!load(&h->g->stop));
    return NULL;
}

static void crowd_begins(ground *g, hammer *crowd, int count)
{
    int i;
    g->stop = 0;
    for (i = 0; i < count; i++) {
        crowd[i].g = g;
        crowd[i].number = i;
        CHECK_EQ(pthread_create(&crowd[i].thread, NULL, hammers, &crowd[i]), 0);
    }
    EVENTUALLY(load(&g->rounds) >= count * 4, 5000);
}

static void crowd_ends(ground *g, hammer *crowd, int count)
{
    int i;
    __atomic_store_n(&g->stop, 1, __ATOMIC_SEQ_CST);
    for (i = 0; i < count; i++)
        CHECK_EQ(pthread_join(crowd[i].thread, NULL), 0);
}

/* ---- the children ---- */

/* Is inside the handle tables most of the time. */
static void *looks(void *argument)
{
    ground *g = (ground *)argument;
    while (!load(&g->stop)) {
        CHECK_EQ(vcp_cancel_fire(g->token), VCP_OK);
        CHECK(idle_in(g->pool) >= 0);
    }
    return NULL;
}

#define CHILDS_THREADS 2

/* More borrowers than connections, in the child as in the parent. */
static void crowds_at_a_limit(void *argument)
{
    ground *g = (ground *)argument;
    hammer crowd[CHILDS_THREADS];
    int i;
    g->rounds = 0;
    g->stop = 1;
    for (i = 0; i < CHILDS_THREADS; i++) {
        crowd[i].g = g;
        crowd[i].number = 0;
        CHECK_EQ(pthread_create(&crowd[i].thread, NULL, hammers, &crowd[i]), 0);
    }
    strike(g, 0, 1);
    for (i = 0; i < CHILDS_THREADS; i++)
        CHECK_EQ(pthread_join(crowd[i].thread, NULL), 0);
    CHECK_EQ(load(&g->rounds), CHILDS_THREADS);
    CHECK_EQ(vcp_cancel_free(g->token), VCP_OK);
    CHECK_EQ(vcp_pool_close(g->pool), VCP_OK);
}

TEST(of_five_thousand_quick_forks_under_contention_none_hangs,
     "fork: 5,000 forks with all locks contended in parent and child: none hangs")
{
    vcp_pool_options options = pool_options();
    hammer crowd[HAMMERS];
    int count = slowness() > 1 ? 50 : 5000;
    pthread_t looker;
    int64_t start;
    server at;
    ground g;
    int i;
    memset(&g, 0, sizeof g);
    at = unix_server(SOCK_STREAM, 1);
    g.served = nonce_server_at(&at, 1);
    options.max_conns = 2;
    options.wait_timeout_ms = -1;
    g.pool = pool_new(&options);
    CHECK_EQ(vcp_cancel_new(&g.token), VCP_OK);
    crowd_begins(&g, crowd, HAMMERS);
    CHECK_EQ(pthread_create(&looker, NULL, looks, &g), 0);
    start = now_ms();
    for (i = 0; i < count; i++)
        CHECK_CHILD(child_that(BY_FORK, 2, crowds_at_a_limit, &g));
    printf("  %d children in %lld ms, %d rounds of the parent\n", count,
           (long long)(now_ms() - start), load(&g.rounds));
    crowd_ends(&g, crowd, HAMMERS);
    CHECK_EQ(pthread_join(looker, NULL), 0);
    CHECK_EQ(vcp_cancel_free(g.token), VCP_OK);
    CHECK_STATS_ADD_UP(g.pool);
    CHECK_EQ(load(&g.served.counts->ended_early), 0);
    __atomic_store_n(&g.served.counts->may_end, 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(vcp_pool_close(g.pool), VCP_OK);
    nonce_server_close(&g.served);
}

/* ---- children that are forked on a thread of the library ---- */

typedef struct {
    pid_t child;
    int stop;
} forker;

static int forks_and_refuses(void *user, const char *network, const char *address,
                             int64_t timeout_ms)
{
    forker *f = (forker *)user;
    pid_t child = fork();
    (void)network;
    (void)address;
    (void)timeout_ms;
    CHECK(child >= 0);
    if (child == 0) {
        sigset_t alarms;
        sigemptyset(&alarms);
        sigaddset(&alarms, SIGALRM);
        CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL), 0);
        signal(SIGALRM, SIG_DFL);
        alarm((unsigned)at_most(5));
        /* When its only thread ends, the process does. */
        CHECK_EQ(atexit(child_ends), 0);
        return -1;
    }
    f->child = child;
    return -1;
}

/* Goes through the list of all dials in flight, again and again. */
static void *frees_queues(void *argument)
{
    const forker *f = (const forker *)argument;
    while (!load(&f->stop)) {
        CHECK_EQ(vcp_queue_free(queue_new()), VCP_OK);
    }
    return NULL;
}

/*
 * In the child the callback returned to a thread of the library that then locked what another
 * thread held for ever.
 */
TEST(children_forked_on_a_helper_thread_end,
     "fork: A child forked inside a callback on a thread of the library ends, whatever lock "
     "another thread held")
{
    enum { WAITERS = 1000, CHILDREN = 20 };
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *full;
    vcp_pool *pool;
    vcp_queue *waiters = queue_new();
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    pthread_t freer;
    forker f;
    int i;
    memset(&f, 0, sizeof f);
    options.max_conns = 1;
    options.wait_timeout_ms = -1;
    full = pool_new(&options);
    conn = borrow(full, &s);
    for (i = 0; i < WAITERS; i++)
        begin_dial(full, &s, NULL, waiters, &f);
    options = pool_options();
    options.dial = forks_and_refuses;
    options.user = &f;
    pool = pool_new(&options);
    CHECK_EQ(pthread_create(&freer, NULL, frees_queues, &f), 0);
    for (i = 0; i < CHILDREN; i++) {
        begin_dial(pool, &s, NULL, queue, &f);
        next_fails(queue, &f, VCP_ERR_CALLBACK);
        CHECK_CHILD(f.child);
    }
    __atomic_store_n(&f.stop, 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(pthread_join(freer, NULL), 0);
    CHECK_EQ(vcp_queue_free(waiters), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_pool_close(full), VCP_OK);
    server_close(&s);
}
