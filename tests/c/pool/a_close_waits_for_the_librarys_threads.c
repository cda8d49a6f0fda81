/*
 * vcp_pool_close while the library's threads are at work for the pool: it waits for callbacks, and
 * what was counted before it is told before it returns. Contract section 4.
 */
#include <sys/prctl.h>

#include "completions.h"
#include "fake_pthread_create.h"
#include "fixture.h"

static int a; /* a token */

#define KINDS (VCP_EVENT_LEAK_RETURNED + 1)

/* How long the library's threads are held in the middle of what they do. */
#define HOLD_MS 300

/* What the callbacks of a pool saw. */
typedef struct witness {
    int events[KINDS];
    int begun;
    int inside;
} witness;

static int number(const int *what)
{
    return __sync_add_and_fetch((int *)what, 0);
}

static void sees(void *user, const vcp_event *event)
{
    CHECK(event->kind >= 0 && event->kind < KINDS);
    __sync_add_and_fetch(&((witness *)user)->events[event->kind], 1);
}

static int told(witness *w, int kind)
{
    return number(&w->events[kind]);
}

static vcp_pool *observed_pool(witness *w, int64_t idle_timeout_ms)
{
    vcp_pool_options options = pool_options();
    memset(w, 0, sizeof *w);
    options.user = w;
    options.on_event = sees;
    options.idle_timeout_ms = idle_timeout_ms;
    return pool_new(&options);
}

#if CAN_FAKE_THREADS
static int asks_for_a_thread;

/* The background thread is slow to start a helper. */
static int holds_the_engine(void)
{
    char name[16] = "";
    CHECK_EQ(prctl(PR_GET_NAME, name), 0);
    if (strcmp(name, "vcp-engine") == 0) {
        __sync_add_and_fetch(&asks_for_a_thread, 1);
        let_pass(HOLD_MS);
    }
    return 0;
}

/* The background thread has polled the dial, and has not put it down yet: the close left the end
 * of the dial to it, and did not wait. */
TEST(the_end_of_a_dial_that_the_engine_is_polling_is_told,
     "close: The end of an asynchronous dial is told before vcp_pool_close returns, also while the "
     "background thread asks for a helper thread for it")
{
    full_server full = full_server_new();
    server s = tcp_server();
    vcp_queue *queue = queue_new();
    vcp_pool *pool;
    witness w;
    pool = observed_pool(&w, 0);
    begin_dial(pool, &full.s, NULL, queue, &a);
    EVENTUALLY(told(&w, VCP_EVENT_DIAL_START) == 1, 5000);
    EVENTUALLY(threads_called("vcp-helper") == 1, 5000);
    before_thread = holds_the_engine;
    CHECK_EQ(vcp_pool_put(pool, client_of(&s), full.s.network, full.s.address, NULL), VCP_OK);
    EVENTUALLY(number(&asks_for_a_thread) > 0, 5000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(told(&w, VCP_EVENT_DIAL_DONE) + told(&w, VCP_EVENT_DIAL_FAILED), 1);
    next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
    before_thread = NULL;
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
    full_server_close(&full);
}
#endif

static int resolves_for_a_while(void *user, const char *network, const char *host,
                                int64_t timeout_ms, vcp_resolved *out)
{
    witness *w = (witness *)user;
    (void)network;
    (void)host;
    (void)timeout_ms;
    (void)out;
    __sync_add_and_fetch(&w->inside, 1);
    __sync_add_and_fetch(&w->begun, 1);
    let_pass(HOLD_MS);
    __sync_sub_and_fetch(&w->inside, 1);
    return 1;
}

/* A lookup outlives its dial, which the close ends at once. */
TEST(a_close_waits_for_a_resolve_on_a_helper_thread,
     "close: When vcp_pool_close returns, no helper thread runs the pool's resolve callback")
{
    vcp_pool_options options = pool_options();
    vcp_queue *queue = queue_new();
    vcp_pool *pool;
    vcp_conn *conn;
    witness w;
    memset(&w, 0, sizeof w);
    options.user = &w;
    options.resolve = resolves_for_a_while;
    pool = pool_new(&options);
    CHECK_EQ(vcp_dial_async(pool, "tcp", "some.name:80", NULL, queue, &a, &conn),
             VCP_ERR_IN_PROGRESS);
    EVENTUALLY(number(&w.begun) == 1, 5000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(number(&w.inside), 0);
    next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
}
