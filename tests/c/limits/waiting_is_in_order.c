/* Waiting at a limit and for a turn to dial. Contract section 4, "Rules that tie them". */
#include "check.h"

#include <signal.h>

/* One thread that dials, and when it was answered among all of them. */
typedef struct waiter {
    vcp_pool *pool;
    const server *to;
    uint32_t flags;
    int64_t timeout_ms;
    int64_t wait_timeout_ms;
    vcp_cancel *token;
    pthread_t thread;
    vcp_conn *conn;
    int status;
    int phase;
    int number;
    int64_t took;
} waiter;

static int answered;

static void *dials(void *argument)
{
    waiter *w = (waiter *)argument;
    vcp_dial_options d = dial_options(w->flags);
    int64_t start = now_ms();
    d.timeout_ms = w->timeout_ms;
    d.wait_timeout_ms = w->wait_timeout_ms;
    d.cancel = w->token;
    w->status = vcp_dial_with(w->pool, w->to->network, w->to->address, &d, &w->conn);
    w->number = __atomic_add_fetch(&answered, 1, __ATOMIC_SEQ_CST);
    w->phase = vcp_last_phase();
    w->took = now_ms() - start;
    return NULL;
}

static waiter waiter_for(vcp_pool *pool, const server *to)
{
    waiter w;
    memset(&w, 0, sizeof w);
    w.pool = pool;
    w.to = to;
    w.timeout_ms = INT64_MIN;
    w.wait_timeout_ms = INT64_MIN;
    return w;
}

/* Returns when it waits, so that tickets are drawn in the order of the calls. */
static void begin_to_wait(waiter *w)
{
    uint64_t before = stats_of(w->pool).waiting;
    CHECK_EQ(pthread_create(&w->thread, NULL, dials, w), 0);
    EVENTUALLY(stats_of(w->pool).waiting == before + 1, 5000);
}

static void await(waiter *w)
{
    CHECK_EQ(pthread_join(w->thread, NULL), 0);
}

static vcp_pool *waiting_pool(uint32_t max_conns, int64_t wait_timeout_ms)
{
    vcp_pool_options options = pool_options();
    options.max_conns = max_conns;
    options.wait_timeout_ms = wait_timeout_ms;
    return pool_new(&options);
}

TEST(a_wait_that_runs_out_is_a_timeout_that_tells_the_numbers,
     "waiting: A wait that runs out is TIMEOUT in phase waiting, and the message carries the "
     "numbers")
{
    server s = tcp_server();
    vcp_pool *pool = waiting_pool(1, 100);
    vcp_conn *held = borrow(pool, &s);
    vcp_conn *conn = held;
    int64_t start = now_ms();
    vcp_stats stats;
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &conn), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 100);
    CHECK(conn == NULL);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_WAITING);
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_HAS(vcp_last_error(), "waiting");
    CHECK_HAS(vcp_last_error(), "max_conns=1 idle=0 borrowed=1 dialing=0 waiting=1");
    stats = stats_of(pool);
    CHECK_EQ(stats.waits, 1);
    CHECK_EQ(stats.wait_timeouts, 1);
    /* The deadline counts from the call; the wait begins a little later. */
    CHECK_BETWEEN(stats.wait_us, 50000, at_most(100 + LATENESS_MS) * 1000);
    CHECK_EQ(stats.waiting, 0);
    give_back(held);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_dials_own_wait_timeout_goes_before_the_pools,
     "waiting: A dial's own wait_timeout_ms goes before the pool's; < 0 is as long as the dial "
     "may take; REUSE_ONLY never waits")
{
    server s = tcp_server();
    vcp_pool *pool = waiting_pool(1, -1);
    vcp_conn *held = borrow(pool, &s);
    vcp_conn *conn;
    vcp_dial_options d = dial_options(0);
    int64_t start = now_ms();
    d.wait_timeout_ms = 0;
    CHECK_EQ(vcp_dial_with(pool, s.network, s.address, &d, &conn), VCP_ERR_POOL_EXHAUSTED);
    CHECK_HAS(vcp_last_error(), "wait_timeout_ms=0");
    CHECK_TOOK(start, 0);
    d.wait_timeout_ms = -1;
    d.timeout_ms = 150;
    start = now_ms();
    CHECK_EQ(vcp_dial_with(pool, s.network, s.address, &d, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_WAITING);
    CHECK_TOOK(start, 150);
    d.wait_timeout_ms = 60000;
    start = now_ms();
    CHECK_EQ(vcp_dial_with(pool, s.network, s.address, &d, &conn), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 150);
    d.flags = VCP_DIAL_REUSE_ONLY;
    start = now_ms();
    CHECK_EQ(vcp_dial_with(pool, s.network, s.address, &d, &conn), VCP_ERR_NOT_AVAILABLE);
    CHECK_TOOK(start, 0);
    give_back(held);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(what_is_given_back_goes_to_the_oldest_waiter_as_it_is,
     "waiting: What is given back goes to the oldest waiter directly, with max_idle_per_address 0 "
     "too")
{
    enum { MANY = 4 };
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *held;
    waiter w[MANY];
    int i;
    options.max_conns = 1;
    options.wait_timeout_ms = -1;
    options.max_idle_per_address = 0;
    pool = pool_new(&options);
    held = borrow(pool, &s);
    for (i = 0; i < MANY; i++) {
        w[i] = waiter_for(pool, &s);
        begin_to_wait(&w[i]);
    }
    answered = 0;
    for (i = 0; i < MANY; i++) {
        give_back(held);
        await(&w[i]);
        CHECK(w[i].status >= 0);
        CHECK_EQ(w[i].number, i + 1);
        held = w[i].conn;
        CHECK_EQ(vcp_conn_is_reused(held), 1);
        CHECK_EQ(vcp_conn_uses(held), i + 2);
        CHECK_EQ(stats_of(pool).waiting, (uint64_t)(MANY - 1 - i));
    }
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_EQ(stats_of(pool).releases, MANY);
    give_back(held);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_slot_that_becomes_free_goes_to_the_oldest_waiter,
     "waiting: A slot that becomes free (discard, detach) goes to the oldest waiter")
{
    server s = tcp_server();
    vcp_pool *pool = waiting_pool(1, -1);
    vcp_conn *held = borrow(pool, &s);
    waiter first = waiter_for(pool, &s);
    waiter second = waiter_for(pool, &s);
    int detached;
    begin_to_wait(&first);
    begin_to_wait(&second);
    CHECK_EQ(vcp_conn_discard(held), VCP_OK);
    give_back(held);
    await(&first);
    CHECK(first.status >= 0);
    CHECK_EQ(vcp_conn_is_reused(first.conn), 0);
    CHECK_EQ(stats_of(pool).waiting, 1);
    detached = vcp_conn_detach(first.conn);
    await(&second);
    CHECK(second.status >= 0);
    give_back(second.conn);
    close(detached);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * The older waiter is another destination's: the connection is closed for its slot, and the younger
 * one of its own waits on.
 */
TEST(an_older_waiter_of_another_destination_gets_the_slot,
     "waiting: An older waiter of another destination is served by closing what is given back "
     "(EVICTED)")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool *pool = waiting_pool(1, -1);
    vcp_conn *held = borrow(pool, &a);
    waiter other = waiter_for(pool, &b);
    waiter own = waiter_for(pool, &a);
    begin_to_wait(&other);
    begin_to_wait(&own);
    give_back(held);
    await(&other);
    CHECK(other.status >= 0);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    CHECK_EQ(stats_of(pool).waiting, 1);
    give_back(other.conn);
    await(&own);
    CHECK(own.status >= 0);
    CHECK_EQ(vcp_conn_is_reused(own.conn), 0);
    CHECK_EQ(stats_of(pool).closed_evicted, 2);
    give_back(own.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

TEST(a_fresh_waiter_gets_a_new_connection,
     "waiting: A FRESH waiter is not served with a used connection")
{
    server s = tcp_server();
    vcp_pool *pool = waiting_pool(1, -1);
    vcp_conn *held = borrow(pool, &s);
    waiter fresh = waiter_for(pool, &s);
    waiter any = waiter_for(pool, &s);
    fresh.flags = VCP_DIAL_FRESH;
    begin_to_wait(&fresh);
    begin_to_wait(&any);
    give_back(held);
    await(&fresh);
    CHECK(fresh.status >= 0);
    CHECK_EQ(vcp_conn_is_reused(fresh.conn), 0);
    give_back(fresh.conn);
    await(&any);
    CHECK_EQ(vcp_conn_is_reused(any.conn), 1);
    give_back(any.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* The oldest waiter is held by its own destination's limit: it is skipped, and keeps its ticket. */
TEST(a_waiter_held_by_its_own_limit_is_skipped,
     "waiting: A waiter held by its own per-address limit is skipped and keeps its ticket")
{
    server a = tcp_server();
    server b = tcp_server();
    server c = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *of_a;
    vcp_conn *of_b;
    waiter for_a, for_c;
    options.max_conns = 2;
    options.max_conns_per_address = 1;
    options.wait_timeout_ms = -1;
    pool = pool_new(&options);
    of_a = borrow(pool, &a);
    of_b = borrow(pool, &b);
    for_a = waiter_for(pool, &a);
    for_c = waiter_for(pool, &c);
    begin_to_wait(&for_a);
    begin_to_wait(&for_c);
    give_back(of_b);
    await(&for_c);
    CHECK(for_c.status >= 0);
    CHECK_EQ(stats_of(pool).waiting, 1);
    give_back(of_a);
    await(&for_a);
    CHECK(for_a.status >= 0);
    CHECK_EQ(vcp_conn_is_reused(for_a.conn), 1);
    give_back(for_a.conn);
    give_back(for_c.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
    server_close(&c);
}

TEST(one_waiter_too_many_is_sent_away, "waiting: max_waiters: one more is POOL_EXHAUSTED")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *held;
    vcp_conn *conn;
    waiter w;
    options.max_conns = 1;
    options.max_waiters = 1;
    options.wait_timeout_ms = -1;
    pool = pool_new(&options);
    held = borrow(pool, &s);
    w = waiter_for(pool, &s);
    begin_to_wait(&w);
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &conn), VCP_ERR_POOL_EXHAUSTED);
    CHECK_HAS(vcp_last_error(), "waiting=1 (max_waiters=1)");
    CHECK_EQ(stats_of(pool).waiting, 1);
    give_back(held);
    await(&w);
    CHECK(w.status >= 0);
    give_back(w.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(who_gave_up_swallows_nothing,
     "waiting: A waiter that timed out or was canceled swallows nothing")
{
    server s = tcp_server();
    vcp_pool *pool = waiting_pool(1, -1);
    vcp_conn *held = borrow(pool, &s);
    waiter canceled = waiter_for(pool, &s);
    waiter late = waiter_for(pool, &s);
    waiter last = waiter_for(pool, &s);
    CHECK_EQ(vcp_cancel_new(&canceled.token), VCP_OK);
    late.wait_timeout_ms = 100;
    begin_to_wait(&canceled);
    begin_to_wait(&late);
    begin_to_wait(&last);
    CHECK_EQ(vcp_cancel_fire(canceled.token), VCP_OK);
    await(&canceled);
    CHECK_EQ(canceled.status, VCP_ERR_CANCELED);
    await(&late);
    CHECK_EQ(late.status, VCP_ERR_TIMEOUT);
    CHECK_EQ(late.phase, VCP_PHASE_WAITING);
    CHECK_EQ(stats_of(pool).waiting, 1);
    give_back(held);
    await(&last);
    CHECK(last.status >= 0);
    CHECK_EQ(vcp_conn_is_reused(last.conn), 1);
    give_back(last.conn);
    CHECK_EQ(vcp_cancel_free(canceled.token), VCP_OK);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(closing_the_pool_ends_every_wait, "waiting: close ends waiters with POOL_CLOSED")
{
    enum { MANY = 8 };
    server s = tcp_server();
    vcp_pool *pool = waiting_pool(1, -1);
    vcp_conn *held = borrow(pool, &s);
    waiter w[MANY];
    int64_t start;
    int i;
    server_start_echo(&s);
    for (i = 0; i < MANY; i++) {
        w[i] = waiter_for(pool, &s);
        begin_to_wait(&w[i]);
    }
    start = now_ms();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    for (i = 0; i < MANY; i++) {
        await(&w[i]);
        CHECK_EQ(w[i].status, VCP_ERR_POOL_CLOSED);
        CHECK(w[i].conn == NULL);
    }
    CHECK_TOOK(start, 0);
    CHECK_ECHO(held, "still mine");
    give_back(held);
    server_close(&s);
}

/* A waiter that is handed a connection whose peer is gone gets another one within the same wait. */
TEST(a_dead_connection_is_not_handed_on,
     "waiting: A connection handed on is checked as at any borrow")
{
    server s = tcp_server();
    vcp_pool *pool = waiting_pool(1, -1);
    vcp_conn *held = borrow(pool, &s);
    int peer = server_accept(&s);
    waiter w = waiter_for(pool, &s);
    begin_to_wait(&w);
    close(peer);
    await_arrival(vcp_conn_raw_fd(held));
    give_back(held);
    await(&w);
    CHECK(w.status >= 0);
    CHECK_EQ(vcp_conn_is_reused(w.conn), 0);
    give_back(w.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * One dial hangs; the others wait their turn although nobody may wait at a limit, and count nowhere
 * as waiters.
 */
TEST(dials_beyond_max_dials_per_address_wait_their_turn,
     "waiting: max_dials_per_address: those beyond wait their turn within the dial's timeout, and "
     "not against max_waiters")
{
    full_server full = full_server_new();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    waiter w[3];
    int i;
    options.max_dials_per_address = 1;
    options.max_waiters = 1;
    options.wait_timeout_ms = 0;
    pool = pool_new(&options);
    for (i = 0; i < 3; i++) {
        w[i] = waiter_for(pool, &full.s);
        w[i].timeout_ms = 1000 + 600 * i; /* all have begun before the first ends */
        if (i == 0) {
            CHECK_EQ(pthread_create(&w[i].thread, NULL, dials, &w[i]), 0);
            EVENTUALLY(stats_of(pool).dialing == 1, 5000);
        } else {
            begin_to_wait(&w[i]);
        }
    }
    CHECK_EQ(stats_of(pool).dialing, 1);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    for (i = 0; i < 3; i++) {
        await(&w[i]);
        CHECK_EQ(w[i].status, VCP_ERR_TIMEOUT);
        CHECK_BETWEEN(w[i].took, 999 + 600 * i, at_most(1000 + 600 * i + LATENESS_MS));
        CHECK_EQ(w[i].phase, VCP_PHASE_CONNECTING);
    }
    w[0].timeout_ms = 1500;
    CHECK_EQ(pthread_create(&w[0].thread, NULL, dials, &w[0]), 0);
    EVENTUALLY(stats_of(pool).dialing == 1, 5000);
    w[1].timeout_ms = 100;
    CHECK_EQ(pthread_create(&w[1].thread, NULL, dials, &w[1]), 0);
    await(&w[1]);
    CHECK_EQ(w[1].status, VCP_ERR_TIMEOUT);
    CHECK_EQ(w[1].phase, VCP_PHASE_WAITING);
    await(&w[0]);
    CHECK_EQ(stats_of(pool).wait_timeouts, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
}

/* What the program puts in goes to whoever waits for that destination. */
TEST(a_connection_put_goes_to_a_waiter_first, "waiting: put: a waiter gets it first")
{
    server s = tcp_server();
    full_server full = full_server_new();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    waiter hangs, waits;
    int fd = client_of(&s);
    int fillers = connects_under_way();
    options.max_dials_per_address = 1;
    options.max_idle_per_address = 0;
    pool = pool_new(&options);
    hangs = waiter_for(pool, &full.s);
    hangs.timeout_ms = 20000; /* it ends by what is given back */
    waits = waiter_for(pool, &full.s);
    CHECK_EQ(pthread_create(&hangs.thread, NULL, dials, &hangs), 0);
    EVENTUALLY(connects_under_way() == fillers + 1, 5000);
    begin_to_wait(&waits);
    CHECK_EQ(vcp_pool_put(pool, fd, full.s.network, full.s.address, NULL), VCP_OK);
    await(&waits);
    CHECK_EQ(waits.status, fd);
    CHECK_EQ(vcp_conn_is_reused(waits.conn), 1);
    give_back(waits.conn);
    await(&hangs);
    CHECK_EQ(hangs.status, fd);
    give_back(hangs.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
    server_close(&s);
}

TEST(one_failed_dial_fails_one_caller, "waiting: One failed dial fails one caller")
{
    enum { MANY = 6 };
    server refusing = refusing_server();
    server s = tcp_server();
    vcp_pool *pool = waiting_pool(1, -1);
    vcp_conn *held = borrow(pool, &s);
    waiter w[MANY];
    int i;
    for (i = 0; i < MANY; i++) {
        w[i] = waiter_for(pool, i % 2 ? &s : &refusing);
        begin_to_wait(&w[i]);
    }
    CHECK_EQ(vcp_conn_discard(held), VCP_OK);
    give_back(held);
    for (i = 0; i < MANY; i++) {
        await(&w[i]);
        if (i % 2) {
            CHECK(w[i].status >= 0);
            give_back(w[i].conn);
        } else {
            CHECK_EQ(w[i].status, VCP_ERR_CONNECT);
        }
    }
    CHECK_EQ(stats_of(pool).dial_failures, MANY / 2);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * A dial to a server that never answers; what is given back to its destination meanwhile is the
 * answer.
 */
TEST(a_dial_in_flight_takes_what_is_given_back,
     "waiting: A dial in flight is answered by what is given back meanwhile (not a FRESH one); "
     "its own failure fails nobody")
{
    server s = tcp_server();
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    int fd = client_of(&s);
    waiter hangs = waiter_for(pool, &full.s);
    waiter fresh = waiter_for(pool, &full.s);
    int fillers = connects_under_way();
    vcp_conn *held;
    int64_t start;
    hangs.timeout_ms = 3000 + at_most(200);
    fresh.timeout_ms = 3000 + at_most(200);
    fresh.flags = VCP_DIAL_FRESH;
    CHECK_EQ(vcp_pool_put(pool, fd, full.s.network, full.s.address, NULL), VCP_OK);
    held = borrow(pool, &full.s);
    CHECK_EQ(pthread_create(&fresh.thread, NULL, dials, &fresh), 0);
    CHECK_EQ(pthread_create(&hangs.thread, NULL, dials, &hangs), 0);
    EVENTUALLY(connects_under_way() == fillers + 2, 5000);
    start = now_ms();
    give_back(held);
    await(&hangs);
    CHECK_TOOK(start, 0);
    CHECK_EQ(hangs.status, fd);
    CHECK_EQ(vcp_conn_is_reused(hangs.conn), 1);
    CHECK_EQ(vcp_conn_uses(hangs.conn), 2);
    /* Its connect goes on and fails nobody; the fresh dial has only its own. */
    CHECK_EQ(stats_of(pool).dialing, 2);
    await(&fresh);
    CHECK_EQ(fresh.status, VCP_ERR_TIMEOUT);
    EVENTUALLY(stats_of(pool).dialing == 0, 5000);
    CHECK_EQ(stats_of(pool).dial_failures, 2);
    CHECK_EQ(stats_of(pool).releases, 1);
    CHECK_EQ(stats_of(pool).reuses, 2);
    give_back(hangs.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
    server_close(&s);
}

/* Peers' ends taken off a listener's queue. */
typedef struct accepted {
    int fds[16];
    int count;
} accepted;

static int makes_room_in(const full_server *full, accepted *room)
{
    while (room->count < 16 && readable_within(full->s.fd, 0)) {
        room->fds[room->count++] = server_accept(&full->s);
    }
    return 1;
}

/* The connect that its caller left comes through, and is there for the next one. */
TEST(a_connect_that_was_left_ends_on_the_shelf,
     "waiting: A connect whose caller was served otherwise goes on in the background, for the "
     "shelf")
{
    server s = tcp_server();
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    int fd = client_of(&s);
    waiter hangs = waiter_for(pool, &full.s);
    int fillers = connects_under_way();
    vcp_conn *held;
    vcp_conn *conn;
    accepted room;
    room.count = 0;
    hangs.timeout_ms = 20000;
    CHECK_EQ(vcp_pool_put(pool, fd, full.s.network, full.s.address, NULL), VCP_OK);
    held = borrow(pool, &full.s);
    CHECK_EQ(pthread_create(&hangs.thread, NULL, dials, &hangs), 0);
    EVENTUALLY(connects_under_way() == fillers + 1, 5000);
    give_back(held);
    await(&hangs);
    CHECK_EQ(hangs.status, fd);
    /* The kernel sends the SYN again after 1 s, then 2. */
    EVENTUALLY(makes_room_in(&full, &room) && idle_at(pool, &full.s) == 1, 15000);
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_EQ(stats_of(pool).dial_failures, 0);
    conn = borrow(pool, &full.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    give_back(conn);
    give_back(hangs.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    while (room.count > 0) {
        close(room.fds[--room.count]);
    }
    full_server_close(&full);
    server_close(&s);
}

static vcp_cancel *for_the_handler;

/* Threads that sleep in a bare poll(2) are woken with the waiters: their lateness is the machine's.
 */
static int bare_wake[2];

static void fires(int number)
{
    (void)number;
    vcp_cancel_fire(for_the_handler);
    close(bare_wake[1]);
}

static void *sleeps_in_poll(void *woken_at)
{
    struct pollfd one;
    one.fd = bare_wake[0];
    one.events = POLLIN;
    one.revents = 0;
    poll(&one, 1, -1);
    *(int64_t *)woken_at = now_ms();
    return NULL;
}

TEST(a_signal_handler_ends_64_waits,
     "waiting: A token fired in a signal handler ends 64 waits within 50 ms")
{
    enum { MANY = 64 };
    static waiter w[MANY];
    server s = tcp_server();
    vcp_pool *pool = waiting_pool(1, -1);
    vcp_conn *held = borrow(pool, &s);
    struct sigaction action, before;
    static pthread_t bare[MANY];
    static int64_t woken_at[MANY];
    int64_t took;
    int64_t fired;
    int64_t late = 0;
    int i;
    CHECK_EQ(vcp_cancel_new(&for_the_handler), VCP_OK);
    for (i = 0; i < MANY; i++) {
        w[i] = waiter_for(pool, &s);
        w[i].token = for_the_handler;
        begin_to_wait(&w[i]);
    }
    CHECK_EQ(pipe2(bare_wake, O_CLOEXEC), 0);
    for (i = 0; i < MANY; i++) {
        CHECK_EQ(pthread_create(&bare[i], NULL, sleeps_in_poll, &woken_at[i]), 0);
    }
    memset(&action, 0, sizeof action);
    action.sa_handler = fires;
    CHECK_EQ(sigaction(SIGUSR1, &action, &before), 0);
    fired = now_ms();
    CHECK_EQ(raise(SIGUSR1), 0);
    for (i = 0; i < MANY; i++) {
        await(&w[i]);
        CHECK_EQ(w[i].status, VCP_ERR_CANCELED);
    }
    took = now_ms() - fired;
    for (i = 0; i < MANY; i++) {
        CHECK_EQ(pthread_join(bare[i], NULL), 0);
        late = woken_at[i] - fired > late ? woken_at[i] - fired : late;
    }
    close(bare_wake[0]);
    CHECK_BETWEEN(took, 0, at_most(50) + late);
    CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
    CHECK_EQ(vcp_cancel_free(for_the_handler), VCP_OK);
    give_back(held);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
