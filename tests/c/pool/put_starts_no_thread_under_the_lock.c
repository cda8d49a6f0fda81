/*
 * What a put does while it holds its pool's lock. A thread takes its time to start (clone(2), an
 * mmap(2) for its stack), and every other borrower would wait for it.
 */
#include "check.h"
#include "fake_pthread_create.h"

#if CAN_FAKE_THREADS
static struct {
    vcp_pool *pool;
    int starts;      /* attempts to start a thread */
    int asks;        /* the other thread is to ask the pool */
    int has_answer;  /* and it has got its answer */
    int was_blocked; /* it got none while a thread was being started */
} look;

static int reads(int *of)
{
    return __sync_add_and_fetch(of, 0);
}

static void *asks_the_pool(void *unused)
{
    (void)unused;
    while (reads(&look.asks) == 0) {
        let_pass(1);
    }
    CHECK(vcp_pool_conn_count(look.pool) >= 0);
    __sync_add_and_fetch(&look.has_answer, 1);
    return NULL;
}

/* The system refuses threads. From the second attempt on another thread asks the pool meanwhile. */
static int is_asked_meanwhile(void)
{
    int i;
    if (__sync_add_and_fetch(&look.starts, 1) > 1) {
        __sync_add_and_fetch(&look.asks, 1);
        for (i = 0; i < 2000 && reads(&look.has_answer) == 0; i++) {
            let_pass(1);
        }
        look.was_blocked |= reads(&look.has_answer) == 0;
    }
    return EAGAIN;
}

TEST(a_put_that_gets_no_thread_does_not_try_again_under_the_lock,
     "threads: vcp_pool_put starts no thread while other calls on its pool have to wait for it")
{
    server s = tcp_server();
    pthread_t other;
    memset(&look, 0, sizeof look);
    look.pool = pool_new(NULL);
    CHECK_EQ(pthread_create(&other, NULL, asks_the_pool, NULL), 0);
    before_thread = is_asked_meanwhile;
    CHECK_EQ(vcp_pool_put(look.pool, client_of(&s), s.network, s.address, NULL), VCP_OK);
    before_thread = NULL;
    __sync_add_and_fetch(&look.asks, 1);
    CHECK_EQ(pthread_join(other, NULL), 0);
    CHECK(look.starts >= 1);
    CHECK_EQ(look.was_blocked, 0);
    /* What could not be watched is peeked at, and watched from its next give-back on. */
    give_back(borrow(look.pool, &s));
    CHECK_EQ(stats_of(look.pool).reuses, 1);
    CHECK_EQ(vcp_pool_close(look.pool), VCP_OK);
    server_close(&s);
}

/* A borrower needs the background thread, which takes long to start. */
static int starts_slowly(void)
{
    if (__sync_add_and_fetch(&look.starts, 1) == 1) {
        __sync_add_and_fetch(&look.asks, 1);
        while (reads(&look.has_answer) == 0) {
            let_pass(1);
        }
    }
    return 0;
}

static void *drains_meanwhile(void *unused)
{
    (void)unused;
    while (reads(&look.asks) == 0) {
        let_pass(1);
    }
    CHECK(vcp_pool_drain(look.pool, 0) >= 0);
    __sync_add_and_fetch(&look.has_answer, 1);
    return NULL;
}

TEST(a_thread_that_starts_slowly_holds_up_no_drain,
     "threads: A drain does not wait for the background thread that another call starts")
{
    server s = tcp_server();
    pthread_t other;
    vcp_conn *conn;
    int tasks = threads();
    memset(&look, 0, sizeof look);
    look.pool = pool_new(NULL);
    CHECK_EQ(pthread_create(&other, NULL, drains_meanwhile, NULL), 0);
    before_thread = starts_slowly;
    if (vcp_dial(look.pool, s.network, s.address, &conn) >= 0) {
        give_back(conn);
    }
    before_thread = NULL;
    CHECK_EQ(pthread_join(other, NULL), 0);
    CHECK_EQ(idle_in(look.pool), 0);
    CHECK_EQ(vcp_pool_close(look.pool), VCP_OK);
    EVENTUALLY(threads() == tasks, LATENESS_MS);
    server_close(&s);
}
#endif
