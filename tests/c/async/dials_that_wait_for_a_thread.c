/*
 * Asynchronous dials whose callbacks have to wait until a helper thread of the library is free.
 * Contract sections 4 and 5.
 */
#include "busy_helpers.h"
#include "fixture.h"

static int a; /* a token */

#define KINDS (VCP_EVENT_LEAK_RETURNED + 1)

/* What the callbacks of a pool saw. */
typedef struct {
    pthread_t closer;
    const server *s;
    int calls;
    int on_closer;
    int events[KINDS];
} witness;

static void note(void *user)
{
    witness *w = (witness *)user;
    __sync_add_and_fetch(&w->calls, 1);
    if (pthread_equal(pthread_self(), w->closer)) {
        __sync_add_and_fetch(&w->on_closer, 1);
    }
}

static int rewrites(void *user, const char *network, const char *address, char *out, size_t size)
{
    note(user);
    (void)network;
    snprintf(out, size, "%s", address);
    return 0;
}

static int dials(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    note(user);
    (void)network;
    (void)address;
    (void)timeout_ms;
    return client_of(((witness *)user)->s);
}

static int controls(void *user, const char *network, const char *address, int fd)
{
    note(user);
    (void)network;
    (void)address;
    return fd < 0;
}

static int hooks(void *user, vcp_conn *conn, int fd)
{
    note(user);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    return 0;
}

static void sees(void *user, const vcp_event *event)
{
    CHECK(event->kind >= 0 && event->kind < KINDS);
    __sync_add_and_fetch(&((witness *)user)->events[event->kind], 1);
}

static int told(witness *w, int kind)
{
    return __sync_add_and_fetch(&w->events[kind], 0);
}

/* What a dial may wait for a thread with. */
enum { REWRITE, DIAL, CONTROL, OPEN, REUSE, EVENT, WAYS };

/* A pool whose next dial waits for a thread; all helpers become busy in between. */
static vcp_pool *pool_that_needs_a_thread(int way, const server *s, busy_helpers *busy, witness *w)
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    memset(w, 0, sizeof *w);
    w->closer = pthread_self();
    w->s = s;
    options.user = w;
    options.rewrite = way == REWRITE ? rewrites : NULL;
    options.dial = way == DIAL ? dials : NULL;
    options.control = way == CONTROL ? controls : NULL;
    options.on_open = way == OPEN ? hooks : NULL;
    options.on_reuse = way == REUSE ? hooks : NULL;
    options.on_event = way == EVENT ? sees : NULL;
    pool = pool_new(&options);
    if (way == REUSE) {
        give_back(borrow(pool, s));
    }
    busy_helpers_start(busy);
    return pool;
}

TEST(a_close_runs_no_callback_on_its_own_thread,
     "async: A pool's close runs no rewrite, dial, control, on_open or on_reuse for a dial that "
     "waits for a thread")
{
    server s = tcp_server();
    int way;
    for (way = 0; way < WAYS; way++) {
        vcp_queue *queue = queue_new();
        busy_helpers busy;
        witness w;
        vcp_pool *pool = pool_that_needs_a_thread(way, &s, &busy, &w);
        begin_dial(pool, &s, NULL, queue, &a);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
        CHECK_EQ(w.calls, 0);
        busy_helpers_end(&busy);
        CHECK_EQ(w.calls, 0);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
    server_close(&s);
}

/* The file of services is read on a thread that may block, and a close has no need of it. */
TEST(a_close_reads_no_file_of_services, "async: Nor does it look up a service name for it")
{
    vcp_queue *queue = queue_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    busy_helpers busy;
    busy_helpers_start(&busy);
    CHECK_EQ(vcp_dial_async(pool, "tcp", "127.0.0.1:no-such-service", NULL, queue, &a, &conn),
             VCP_ERR_IN_PROGRESS);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
    busy_helpers_end(&busy);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
}

/* It stuck there: nobody fetched it, and nobody else could have it. */
TEST(what_is_given_back_serves_a_dial_that_waits_for_on_open,
     "async: A connection given back answers an asynchronous dial that is connected and waits for "
     "a thread to run on_open")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    busy_helpers busy;
    witness w;
    memset(&w, 0, sizeof w);
    options.user = &w;
    options.on_open = hooks;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    close(server_accept(&s));
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    busy_helpers_start(&busy);
    begin_dial(pool, &s, NULL, queue, &a);
    /* It is connected; whether the engine has seen it by the time of the put does not matter. */
    close(server_accept(&s));
    let_pass(50);
    CHECK_EQ(vcp_pool_put(pool, client_of(&s), s.network, s.address, NULL), VCP_OK);
    conn = next_conn(queue, &a);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(w.calls, 1);
    CHECK_EQ(stats_of(pool).dialing, 1);
    busy_helpers_end(&busy);
    EVENTUALLY(stats_of(pool).dialing == 0, 5000);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_token_ends_what_waits_for_a_thread,
     "async: The token ends an asynchronous dial that waits for a thread, with every callback, "
     "hook or on_event")
{
    server s = tcp_server();
    int way;
    for (way = 0; way < WAYS; way++) {
        vcp_queue *queue = queue_new();
        vcp_dial_options dial = dial_options(0);
        vcp_cancel *cancel;
        busy_helpers busy;
        witness w;
        vcp_pool *pool = pool_that_needs_a_thread(way, &s, &busy, &w);
        CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
        dial.cancel = cancel;
        begin_dial(pool, &s, &dial, queue, &a);
        STAYS(!has_completion(queue), 20);
        CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
        next_fails(queue, &a, VCP_ERR_CANCELED);
        CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
        busy_helpers_end(&busy);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        CHECK_EQ(w.calls, 0);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
    server_close(&s);
}

TEST(the_deadline_ends_what_waits_for_a_thread,
     "async: The deadline ends a dial that waits for a helper thread, with the phase")
{
    server s = tcp_server();
    int way;
    for (way = 0; way < WAYS; way++) {
        vcp_queue *queue = queue_new();
        vcp_dial_options dial = dial_options(0);
        int64_t start;
        busy_helpers busy;
        witness w;
        vcp_pool *pool = pool_that_needs_a_thread(way, &s, &busy, &w);
        dial.timeout_ms = 100;
        start = now_ms();
        begin_dial(pool, &s, &dial, queue, &a);
        next_fails(queue, &a, VCP_ERR_TIMEOUT);
        CHECK_EQ(vcp_last_phase(),
                 way == OPEN || way == REUSE ? VCP_PHASE_OPENING : VCP_PHASE_CONNECTING);
        CHECK_TOOK(start, 100);
        CHECK_EQ(idle_in(pool), way == REUSE);
        CHECK_STATS_ADD_UP(pool);
        busy_helpers_end(&busy);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        CHECK_EQ(w.calls, 0);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
    server_close(&s);
}

TEST(a_drain_ends_what_waits_for_a_thread,
     "async: A drain ends a dial that waits for a helper thread")
{
    server s = tcp_server();
    int way;
    for (way = 0; way < WAYS; way++) {
        vcp_queue *queue = queue_new();
        busy_helpers busy;
        witness w;
        vcp_pool *pool = pool_that_needs_a_thread(way, &s, &busy, &w);
        begin_dial(pool, &s, NULL, queue, &a);
        CHECK_EQ(vcp_pool_drain(pool, at_most(5000)), 0);
        next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
        busy_helpers_end(&busy);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        CHECK_EQ(w.calls, 0);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
    server_close(&s);
}

TEST(a_wait_ends_in_time_where_events_are_told,
     "async: The wait of a pool with on_event ends in time, whether or not a thread is free")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_dial_options dial = dial_options(0);
    vcp_queue *queue = queue_new();
    vcp_cancel *cancel;
    vcp_pool *pool;
    vcp_conn *conn;
    int64_t start;
    busy_helpers busy;
    witness w;
    memset(&w, 0, sizeof w);
    options.user = &w;
    options.on_event = sees;
    options.max_conns = 1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    busy_helpers_start(&busy);
    dial.wait_timeout_ms = 100;
    start = now_ms();
    begin_dial(pool, &s, &dial, queue, &a);
    next_fails(queue, &a, VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_WAITING);
    CHECK_TOOK(start, 100);
    EVENTUALLY(told(&w, VCP_EVENT_WAIT_DONE) == 1, 5000);
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    dial.wait_timeout_ms = -1;
    dial.cancel = cancel;
    begin_dial(pool, &s, &dial, queue, &a);
    CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
    next_fails(queue, &a, VCP_ERR_CANCELED);
    EVENTUALLY(told(&w, VCP_EVENT_WAIT_DONE) == 2, 5000);
    CHECK_EQ(told(&w, VCP_EVENT_WAIT_START), 2);
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    busy_helpers_end(&busy);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
}

/* The engine ends the dial and a helper tells of it: a close in between must not swallow that. */
TEST(what_the_engine_ended_is_told_before_the_close_returns,
     "async: What the background thread ended is told to on_event before the pool's close returns")
{
    full_server full = full_server_new();
    int round;
    for (round = 0; round < 50; round++) {
        vcp_pool_options options = pool_options();
        vcp_queue *queue = queue_new();
        vcp_pool *pool;
        witness w;
        memset(&w, 0, sizeof w);
        options.user = &w;
        options.on_event = sees;
        pool = pool_new(&options);
        begin_dial(pool, &full.s, NULL, queue, &a);
        EVENTUALLY(told(&w, VCP_EVENT_DIAL_START) == 1, 5000);
        CHECK_EQ(vcp_pool_drain(pool, 0), 0);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        CHECK_EQ(told(&w, VCP_EVENT_DIAL_FAILED), 1);
        next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
        CHECK_EQ(told(&w, VCP_EVENT_DIAL_FAILED), 1);
    }
    full_server_close(&full);
}

/* A pool with one turn to dial: on_open holds it, and on_reuse ends the dial that it is asked for.
 */
typedef struct {
    vcp_queue *queue;
    int holds;
} turn;

static int holds_turn(void *user, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    while (__sync_add_and_fetch(&((turn *)user)->holds, 0) != 0) {
        let_pass(1);
    }
    return 0;
}

static int refuses(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    return fd >= 0;
}

static void ends_its_dial(void *user, const vcp_event *event)
{
    if (event->reason == VCP_CLOSE_HOOK) {
        CHECK_EQ(vcp_queue_free(((turn *)user)->queue), VCP_OK);
    }
}

TEST(a_dial_that_ends_before_its_wait_has_begun_leaves_the_line,
     "async: A dial whose queue is freed when on_event tells that on_reuse has refused takes no "
     "turn "
     "to dial along")
{
    turn its = {queue_new(), 0};
    vcp_pool_options options = pool_options();
    vcp_dial_options fresh = dial_options(VCP_DIAL_FRESH);
    vcp_queue *queue = queue_new();
    fixture f;
    options.user = &its;
    options.max_dials_per_address = 1;
    options.on_open = holds_turn;
    options.on_reuse = refuses;
    options.on_event = ends_its_dial;
    f = fixture_new(&options);
    give_back(borrow(f.pool, &f.s));
    __sync_add_and_fetch(&its.holds, 1);
    begin_dial(f.pool, &f.s, &fresh, queue, &a);
    CHECK_EQ(stats_of(f.pool).dialing, 1);
    begin_dial(f.pool, &f.s, NULL, its.queue, &its);
    EVENTUALLY(stats_of(f.pool).closed_hook == 1 && stats_of(f.pool).waiting == 0, 5000);
    __sync_sub_and_fetch(&its.holds, 1);
    give_back(next_conn(queue, &a));
    CHECK_EQ(stats_of(f.pool).waits, 1);
    EVENTUALLY(stats_of(f.pool).dialing == 0, 5000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

TEST(a_lack_of_threads_is_not_blamed_on_the_destination,
     "async: fail_fast_ms: a deadline that passes while no thread is free is not the "
     "destination's failure")
{
    server s = tcp_server();
    int way;
    for (way = REWRITE; way <= OPEN; way++) {
        vcp_pool_options options = pool_options();
        vcp_queue *queue = queue_new();
        vcp_pool *pool;
        busy_helpers busy;
        witness w;
        memset(&w, 0, sizeof w);
        w.closer = pthread_self();
        w.s = &s;
        options.user = &w;
        options.rewrite = way == REWRITE ? rewrites : NULL;
        options.dial = way == DIAL ? dials : NULL;
        options.control = way == CONTROL ? controls : NULL;
        options.on_open = way == OPEN ? hooks : NULL;
        options.fail_fast_ms = 60000;
        options.dial_timeout_ms = 300;
        pool = pool_new(&options);
        busy_helpers_start(&busy);
        begin_dial(pool, &s, NULL, queue, &a);
        next_fails(queue, &a, VCP_ERR_TIMEOUT);
        give_back(borrow(pool, &s));
        busy_helpers_end(&busy);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
    server_close(&s);
}
