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
    int frees;
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

/* ---- dials ---- */

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

/*
 * True if the background thread had polled the dial, and not put it down yet, when the pool was
 * closed: the close left the end of the dial to it, and did not wait. False if the helper thread
 * was still busy, and took the dial as its next job: nobody asked for a thread.
 */
static int is_closed_while_the_engine_polls(const server *full, const server *s)
{
    vcp_queue *queue = queue_new();
    witness w;
    vcp_pool *pool = observed_pool(&w, 0);
    int has_asked;
    __atomic_store_n(&asks_for_a_thread, 0, __ATOMIC_SEQ_CST);
    begin_dial(pool, full, NULL, queue, &a);
    EVENTUALLY(told(&w, VCP_EVENT_DIAL_START) == 1, 5000);
    EVENTUALLY(threads_called("vcp-helper") == 1, 5000);
    before_thread = holds_the_engine;
    CHECK_EQ(vcp_pool_put(pool, client_of(s), full->network, full->address, NULL), VCP_OK);
    EVENTUALLY(number(&asks_for_a_thread) > 0 || readable_within(vcp_queue_fd(queue), 0), 5000);
    has_asked = number(&asks_for_a_thread) > 0;
    if (!has_asked) {
        give_back(next_conn(queue, &a));
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(told(&w, VCP_EVENT_DIAL_DONE) + told(&w, VCP_EVENT_DIAL_FAILED), 1);
    if (has_asked) {
        next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
    }
    before_thread = NULL;
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    EVENTUALLY(threads() == 1 + TOOL_THREADS, 5000 + LATENESS_MS);
    return has_asked;
}

TEST(the_end_of_a_dial_that_the_engine_is_polling_is_told,
     "close: The end of an asynchronous dial is told before vcp_pool_close returns, also while the "
     "background thread asks for a helper thread for it")
{
    full_server full = full_server_new();
    server s = tcp_server();
    int tries = 0;
    while (!is_closed_while_the_engine_polls(&full.s, &s)) {
        CHECK(++tries < 50);
        close(server_accept(&s));
    }
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

/* ---- connections ---- */

static void frees_for_a_while(void *data)
{
    witness *w = (witness *)data;
    if (__sync_add_and_fetch(&w->begun, 1) == 1) {
        let_pass(HOLD_MS);
    }
    __sync_add_and_fetch(&w->frees, 1);
}

/* Idle connections whose data takes a while to be freed. */
static void leave_idle(vcp_pool *pool, const server *s, witness *w, int count)
{
    vcp_conn *conns[2];
    int i;
    for (i = 0; i < count; i++) {
        conns[i] = borrow(pool, s);
        CHECK_EQ(vcp_conn_set_data(conns[i], w, frees_for_a_while), VCP_OK);
    }
    for (i = 0; i < count; i++) {
        give_back(conns[i]);
    }
}

TEST(a_connection_that_a_helper_is_closing_is_told,
     "close: CLOSED of a connection that a helper thread is closing is told before vcp_pool_close "
     "returns")
{
    server s = tcp_server();
    witness w;
    vcp_pool *pool = observed_pool(&w, 50);
    leave_idle(pool, &s, &w, 1);
    EVENTUALLY(number(&w.begun) == 1, 5000);
    CHECK_EQ(stats_of(pool).closed_idle_timeout, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(w.frees, 1);
    CHECK_EQ(told(&w, VCP_EVENT_CLOSED), 1);
    server_close(&s);
}

#if CAN_FAKE_THREADS
/* The only helper thread is busy with the first, and the system refuses another one. */
TEST(a_connection_that_no_helper_has_come_to_is_told,
     "close: So is CLOSED of one that waits for a helper thread to close it")
{
    server s = tcp_server();
    witness w;
    vcp_pool *pool;
    pool = observed_pool(&w, 50);
    give_back(borrow(pool, &s));
    EVENTUALLY(threads_called("vcp-helper") == 1, 5000);
    before_thread = refuses;
    leave_idle(pool, &s, &w, 2);
    EVENTUALLY(number(&w.begun) > 0 && idle_in(pool) == 0, 5000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    before_thread = NULL;
    CHECK_EQ(w.frees, 2);
    CHECK_EQ(told(&w, VCP_EVENT_CLOSED), told(&w, VCP_EVENT_DIAL_DONE));
    server_close(&s);
}
#endif
