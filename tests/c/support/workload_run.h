/*
 * workload_run.h - many threads at the workload of workload.h, and what must hold when they have
 * ended: nothing is lost, nothing is left.
 */
#ifndef WORKLOAD_RUN_H
#define WORKLOAD_RUN_H

#include "dialing_threads.h"
#include "workload_async.h"

enum { IN_LINE = 4 };

/* Of 1,000 cycles: most are hits, as in a program that a pool is for. */
static inline void act_once(actor *me)
{
    uint32_t what = draw(&me->random, 1000);
    if (load(&me->fired)) {
        act_cancel(me);
        __atomic_store_n(&me->fired, 0, __ATOMIC_SEQ_CST);
    }
    if (what < 820) {
        act_hit(me);
    } else if (what < 870) {
        act_fight(me);
    } else if (what < 895) {
        act_fussy(me);
    } else if (what < 925) {
        act_hooked(me);
    } else if (what < 950) {
        act_session(me);
    } else if (what < 970) {
        act_begin(me);
    } else if (what < 994) {
        act_fetch(me);
    } else {
        act_disturb(me);
    }
}

static inline int work_is_left(void)
{
    if (load(&work.is_over)) {
        return 0;
    }
    return __atomic_sub_fetch(&work.cycles_left, 1, __ATOMIC_RELAXED) >= 0;
}

/* What is in flight has a deadline of 40 ms at most. */
static inline void act_settle(actor *me)
{
    int64_t end = now_ms() + at_most(10000);
    while (act_is_pending(me)) {
        if (!act_fetch(me)) {
            poll(NULL, 0, 1);
        }
        CHECK(now_ms() < end);
    }
    while (me->held_count > 0) {
        act_let_go(me);
    }
    CHECK(!has_completion(me->queue));
}

static inline void actor_ends(actor *me)
{
    act_settle(me);
    CHECK_EQ(vcp_queue_free(me->queue), VCP_OK);
    CHECK_EQ(vcp_cancel_free(me->cancel), VCP_OK);
}

static inline void *acts(void *argument)
{
    actor *me = (actor *)argument;
    while (work_is_left()) {
        act_once(me);
        me->cycles++;
    }
    actor_ends(me);
    return NULL;
}

static inline void actor_begins(actor *me, uint64_t seed)
{
    memset(me, 0, sizeof *me);
    me->random = seed;
    me->queue = queue_new();
    act_new_cancel(me);
}

/* How late a thread comes back from a bare poll(2) at this time: no promise of the library. */
static inline void *naps_beside(void *argument)
{
    static const int64_t times[] = {1, 3, 20, 50};
    actor *me = (actor *)argument;
    uint64_t random = (uint64_t)(uintptr_t)me;
    while (!load(&work.naps_are_over)) {
        int64_t ms = DRAW_OF(&random, times);
        int64_t began = now_ms();
        int64_t late;
        let_pass(ms);
        late = now_ms() - began - ms;
        if (late > peek(&me->latest_nap)) {
            __atomic_store_n(&me->latest_nap, late, __ATOMIC_RELAXED);
        }
    }
    return NULL;
}

static inline void workload_begins(actor *all, int count, uint64_t seed)
{
    int i;
    work.naps_are_over = 0;
    for (i = 0; i < count; i++) {
        actor_begins(&all[i], seed + (uint64_t)i * 77777);
        CHECK_EQ(pthread_create(&all[i].thread, NULL, acts, &all[i]), 0);
        CHECK_EQ(pthread_create(&all[i].napper, NULL, naps_beside, &all[i]), 0);
    }
}

static inline void workload_ends(actor *all, int count)
{
    int i;
    for (i = 0; i < count; i++) {
        CHECK_EQ(pthread_join(all[i].thread, NULL), 0);
    }
    __atomic_store_n(&work.naps_are_over, 1, __ATOMIC_SEQ_CST);
    for (i = 0; i < count; i++) {
        CHECK_EQ(pthread_join(all[i].napper, NULL), 0);
    }
}

/* ---- the servers and the pools ---- */

static inline void workload_open_pools(void)
{
    int i;
    for (i = 0; i < POOLS; i++) {
        do {
            work.lives[i] = pool_life_new(i);
            work.pools[i] = workload_pool_new(work.lives[i]);
        } while (work.pools[i] == NULL);
    }
}

/* Before the program has any other thread: the server is forked. */
static inline void workload_open(void)
{
    server at[2];
    memset(&work, 0, sizeof work);
    at[0] = tcp_server();
    at[1] = unix_server(SOCK_STREAM, 1);
    work.served = nonce_server_at(at, 2);
    work.tcp_servers = 1;
    work.nobody = refusing_server();
    workload_open_pools();
}

/* No permit was lost: as many connections as the limit allows can be had at once, and no more. */
static inline void check_permits(int kind)
{
    vcp_pool *pool = work.pools[kind];
    vcp_pool_options o = workload_options(kind);
    vcp_dial_options d = dial_options(0);
    vcp_conn *conns[33];
    int i;
    d.wait_timeout_ms = 0;
    CHECK_EQ(vcp_pool_set_limits(pool, &o), VCP_OK);
    for (i = 0; i < pool_limits[kind]; i++) {
        CHECK(vcp_dial_with(pool, "tcp", work.served.at[0].address, &d, &conns[i]) >= 0);
        own_fd(vcp_conn_raw_fd(conns[i]));
    }
    CHECK_EQ(vcp_dial_with(pool, "tcp", work.served.at[0].address, &d, &conns[i]),
             VCP_ERR_POOL_EXHAUSTED);
    while (i > 0) {
        act_give_back(conns[i - 1], vcp_conn_raw_fd(conns[i - 1]), 0);
        i--;
    }
}

/* What comes back goes to who waits first. */
static inline void check_order(void)
{
    static dialer waiters[IN_LINE];
    vcp_pool *pool = work.pools[FIGHT];
    const server *s = &work.served.at[0];
    vcp_conn *conns[IN_LINE];
    int i;
    for (i = 0; i < IN_LINE; i++) {
        conns[i] = borrow(pool, s);
    }
    for (i = 0; i < IN_LINE; i++) {
        waiters[i] = dialer_of(pool, s->address);
        dialer_start(&waiters[i]);
        EVENTUALLY((int)stats_of(pool).waiting == i + 1, 5000);
    }
    for (i = 0; i < IN_LINE; i++) {
        give_back(conns[i]);
        dialer_join(&waiters[i]);
        CHECK(waiters[i].status >= 0);
        CHECK(i + 1 == IN_LINE || !dialer_has_returned(&waiters[i + 1]));
    }
    for (i = 0; i < IN_LINE; i++) {
        give_back(waiters[i].conn);
    }
}

/* At rest: total = idle + borrowed, and nobody dials, waits or is looked at. */
static inline void check_at_rest(int kind)
{
    vcp_pool *pool = work.pools[kind];
    /* min_idle and on_idle go on at rest; a drained pool has ended all that. */
    if (kind == HOOKED || kind == SESSIONS) {
        CHECK_EQ(vcp_pool_drain(pool, at_most(10000)), 0);
    }
    EVENTUALLY(stats_of(pool).dialing == 0 && stats_of(pool).borrowed == 0, 5000);
    CHECK_EQ(stats_of(pool).waiting, 0);
    CHECK_EQ(stats_of(pool).releasing, 0);
    CHECK_STATS_ADD_UP(pool);
}

static inline void check_no_owners(void)
{
    CHECK(memchr(nonce_marks, 1, sizeof nonce_marks) == NULL);
    CHECK(memchr(fd_marks, 1, sizeof fd_marks) == NULL);
}

/* The pools, when their actors have ended; the server is still there. */
static inline void workload_close_pools(void)
{
    int i;
    for (i = 0; i < POOLS; i++) {
        check_at_rest(i);
    }
    check_no_owners();
    check_permits(FAST);
    check_permits(FIGHT);
    check_order();
    for (i = 0; i < POOLS; i++) {
        CHECK_EQ(vcp_pool_close(work.pools[i]), VCP_OK);
    }
    EVENTUALLY(peek(&work.users_freed) == peek(&work.pools_made), 5000);
    CHECK_EQ(work.sessions_freed, work.sessions_opened);
    CHECK_EQ(work.data_freed, work.data_set);
    /* The server's view: no connection is left open anywhere. */
    EVENTUALLY(nonce_server_open(&work.served) == 0, 5000);
}

static inline void workload_close(void)
{
    workload_close_pools();
    nonce_server_close(&work.served);
}

/* ---- what came of it ---- */

/* In ms: 50; 250 more under sanitizers; valgrind runs one thread at a time. */
static inline int64_t lateness_allowed(void)
{
    return slowness() == 1 ? 50 : slowness() <= 10 ? 300 : at_most(50);
}

/*
 * No call came back later than 50 ms after its deadline, over what as many bare polls did; twice
 * that, because it may also have waited for a lock whose holder was late.
 */
static inline void check_latest(const actor *all, int count)
{
    int64_t late = 0;
    int64_t nap = 0;
    int i;
    for (i = 0; i < count; i++) {
        late = all[i].latest > late ? all[i].latest : late;
        nap = all[i].latest_nap > nap ? all[i].latest_nap : nap;
    }
    printf("  latest call %lld ms after its deadline, latest bare poll %lld ms\n", (long long)late,
           (long long)nap);
    CHECK(late <= 2 * nap + lateness_allowed());
}

static inline int64_t print_results(const actor *all, int count)
{
    int64_t cycles = 0;
    int status;
    int i;
    for (status = 0; status < STATUSES; status++) {
        int64_t sum = 0;
        for (i = 0; i < count; i++) {
            sum += all[i].results[status];
        }
        if (sum > 0) {
            printf("  %10lld %s\n", (long long)sum,
                   status == 0 ? "success" : vcp_status_name(-status));
        }
    }
    for (i = 0; i < count; i++) {
        cycles += all[i].cycles;
    }
    return cycles;
}

#endif
