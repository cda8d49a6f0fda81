/*
 * Wrong handles and wrong values from four threads, beside two users who do everything right: the
 * worst that a wrong call gets is an error, and nobody else notices. VCP_MISUSE_CALLS says how many
 * calls (40,000), VCP_SEED repeats a run.
 *
 * All six borrow from one pool, so the misusers' stale handles name the very connections that the
 * proper users have. Whatever ended or closed one of them would show in the pool's statistics; who
 * got another's descriptor would read another nonce or find its mark.
 */
#include "misused_calls.h"

enum { MISUSERS = 4, USERS = 2, LIMIT = 4, TIMES_AT_ONCE = 64 };

static nonce_server served;
static vcp_pool *proper_pool;
static int64_t calls_left;
static int32_t is_over;
static int64_t proper_operations;

/* ---- who does everything right ---- */

static vcp_conn *borrow_properly(void)
{
    vcp_conn *conn = borrow(proper_pool, &served.at[0]);
    int fd = vcp_conn_raw_fd(conn);
    own_fd(fd);
    __atomic_store_n(&proper_fd, fd, __ATOMIC_RELAXED);
    return conn;
}

static void give_back_properly(vcp_conn *conn)
{
    disown_fd(vcp_conn_raw_fd(conn));
    give_back(conn);
}

static void *uses_properly(void *argument)
{
    uint32_t serial = (uint32_t)(uintptr_t)argument << 28;
    while (!load(&is_over)) {
        vcp_conn *conn = borrow_properly();
        CHECK_EQ(vcp_conn_set_deadline(conn, at_most(10000)), VCP_OK);
        ask(conn, serial++);
        give_back_properly(conn);
        __atomic_fetch_add(&proper_operations, 1, __ATOMIC_RELAXED);
    }
    return NULL;
}

/* ---- who does everything wrong ---- */

/* Helper threads change it. */
static vcp_resolved *resolved_lately(void)
{
    return __atomic_load_n(&last_resolved, __ATOMIC_RELAXED);
}

static int adds_no_more(void *user, const char *network, const char *host, int64_t timeout_ms,
                        vcp_resolved *out)
{
    vcp_resolved *stale = __atomic_exchange_n(&last_resolved, out, __ATOMIC_RELAXED);
    (void)user;
    (void)network;
    (void)host;
    (void)timeout_ms;
    CHECK(vcp_resolved_add(stale, "127.0.0.1") <= 0);
    return vcp_resolved_add(out, "127.0.0.1");
}

static void share_new_pool(misuser *m)
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool = NULL;
    int result;
    options.max_conns = draw(&m->random, 6);
    options.liveness = draw(&m->random, 4) ? (int32_t)draw(&m->random, 3) : any_number(m);
    options.hook_timeout_ms = draw(&m->random, 8) ? 5000 : any_time(m);
    options.on_release_in_background = draw(&m->random, 8) ? 0 : any_number(m);
    options.resolve = adds_no_more;
    options.name = any_text(m);
    options.size = draw(&m->random, 8) ? sizeof options : any_size(m);
    result = vcp_pool_new(&options, &pool);
    note_result(m, result);
    if (result == VCP_OK && !share(A_POOL, pool)) {
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        remember_stale(m, A_POOL, pool);
    }
}

static void share_new_queue(misuser *m)
{
    vcp_queue *queue = NULL;
    CHECK_EQ(vcp_queue_new(&queue), VCP_OK);
    if (!share(A_QUEUE, queue)) {
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
        remember_stale(m, A_QUEUE, queue);
    }
}

static void share_new_cancel(misuser *m)
{
    vcp_cancel *cancel = NULL;
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    if (!share(A_CANCEL, cancel)) {
        CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
        remember_stale(m, A_CANCEL, cancel);
    }
}

/* What takes no handle, or makes one. */
static void misuse_the_others(misuser *m)
{
    int64_t result = VCP_OK;
    vcp_pool_options options;
    switch (draw(&m->random, 12)) {
    case 0:
        result = vcp_pool_options_init(draw(&m->random, 2) ? &options : NULL, any_size(m));
        break;
    case 1:
        result = vcp_dial_options_init(NULL, any_size(m));
        break;
    case 2:
        result = vcp_session_init(NULL, any_size(m));
        break;
    case 3:
        result = vcp_set_callback_error(any_text(m));
        break;
    case 4:
        result = vcp_resolved_add(
            draw(&m->random, 2) ? resolved_lately() : (vcp_resolved *)garbage(m), any_address(m));
        break;
    case 5:
        result = vcp_pool_new(NULL, NULL);
        break;
    case 6:
        result = draw(&m->random, 2) ? vcp_queue_new(NULL) : vcp_cancel_new(NULL);
        break;
    case 7:
        CHECK(vcp_status_name(any_number(m)) != NULL && vcp_strerror(any_number(m)) != NULL);
        CHECK(vcp_last_error() != NULL && vcp_last_errno() >= -1000 && vcp_last_phase() >= 0);
        CHECK(vcp_version_number() == VCP_VERSION_NUMBER && vcp_version_string() != NULL);
        break;
    case 8:
        result = vcp_set_last_error(any_number(m), any_text(m));
        result = result == -99 ? VCP_ERR_INVALID_ARGUMENT : result;
        break;
    case 9:
        share_new_queue(m);
        break;
    case 10:
        share_new_cancel(m);
        break;
    default:
        share_new_pool(m);
        return;
    }
    note_result(m, result);
}

static void misuse_a_handle(misuser *m)
{
    const misused_call *chosen = &DRAW_OF(&m->random, misused_calls);
    handle_value given = any_handle(m, chosen->kind);
    int64_t result;
    /* What is alive is to live for a while. */
    if (given.is == MAYBE_ALIVE && chosen->ends && draw(&m->random, 8)) {
        return;
    }
    result = chosen->call(m, given.value);
    if (given.value == NULL && chosen->ends == BY_CLOSE) {
        CHECK_EQ(result, VCP_OK);
        note_result(m, result);
    } else {
        judge(m, chosen->name, chosen->kind, given, result);
    }
}

/* Its handle is dead afterwards, and its connection the next one's. */
static void borrow_and_remember(misuser *m)
{
    vcp_conn *conn = borrow_properly();
    give_back_properly(conn);
    remember_stale(m, A_CONN, conn);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
}

static void *misuses(void *argument)
{
    misuser *m = (misuser *)argument;
    int i;
    while (__atomic_sub_fetch(&calls_left, TIMES_AT_ONCE, __ATOMIC_RELAXED) >= 0) {
        borrow_and_remember(m);
        for (i = 0; i < TIMES_AT_ONCE;) {
            int64_t before = m->calls;
            if (draw(&m->random, 5) == 0) {
                misuse_the_others(m);
            } else {
                misuse_a_handle(m);
            }
            i += (int)(m->calls - before);
        }
    }
    return NULL;
}

/* ---- the test ---- */

static void end_all_that_is_shared(misuser *m)
{
    int i;
    for (i = 0; i < SHARED_MOST; i++) {
        misuse_conn_close(m, shared_at(A_CONN, (uint32_t)i));
        misuse_queue_free(m, shared_at(A_QUEUE, (uint32_t)i));
        misuse_cancel_free(m, shared_at(A_CANCEL, (uint32_t)i));
        misuse_pool_close(m, shared_at(A_POOL, (uint32_t)i));
    }
    for (i = 0; i < HANDLE_KINDS; i++) {
        CHECK_EQ(shared[i].ended, shared[i].begun);
    }
}

static void print_results(const misuser *all)
{
    int64_t total = 0;
    int status;
    int i;
    for (status = 0; status <= 20; status++) {
        int64_t count = 0;
        for (i = 0; i < MISUSERS; i++) {
            count += all[i].results[status];
        }
        if (count > 0) {
            printf("  %10lld %s\n", (long long)count,
                   status == 0 ? "success" : vcp_status_name(-status));
        }
        total += count;
    }
    printf("  %lld misuses from %d threads, %lld operations of %d proper users, all well\n",
           (long long)total, MISUSERS, (long long)proper_operations, USERS);
}

/* Nothing but dials, reuses and releases. */
static void check_nobody_noticed(void)
{
    vcp_stats s = stats_of(proper_pool);
    CHECK_BETWEEN(s.dials, 1, LIMIT);
    CHECK_EQ(s.dial_failures, 0);
    CHECK_EQ(s.idle, s.dials);
    CHECK_EQ(s.puts + s.gets + s.detached + s.stale_at_borrow + s.dirty_at_borrow, 0);
    CHECK_EQ(endings(&s), 0);
    CHECK_EQ(s.borrowed + s.dialing + s.waiting, 0);
    CHECK_STATS_ADD_UP(proper_pool);
}

TEST(misuse_of_every_function_reaches_nobody,
     "handles: A million calls with wrong handles and values from four threads: only error codes, "
     "and two users of the same connections notice nothing")
{
    vcp_pool_options options = pool_options();
    static misuser all[MISUSERS];
    pthread_t users[USERS];
    int fds = open_fds();
    uint64_t seed = seed_of_run();
    intptr_t i;
    served = nonce_server_new();
    snprintf(real_address, sizeof real_address, "%s", served.at[0].address);
    memset(long_text, 'x', sizeof long_text - 1);
    calls_left = rounds_of("VCP_MISUSE_CALLS", 40000);
    options.max_conns = LIMIT;
    options.wait_timeout_ms = VCP_FOREVER;
    options.liveness = VCP_LIVENESS_WATCH;
    proper_pool = pool_new(&options);
    proper[A_POOL] = proper_pool;
    for (i = 0; i < USERS; i++) {
        CHECK_EQ(pthread_create(&users[i], NULL, uses_properly, (void *)(i + 1)), 0);
    }
    for (i = 0; i < MISUSERS; i++) {
        all[i].random = seed + (uint64_t)i * 7919;
        CHECK_EQ(pthread_create(&all[i].thread, NULL, misuses, &all[i]), 0);
    }
    for (i = 0; i < MISUSERS; i++) {
        CHECK_EQ(pthread_join(all[i].thread, NULL), 0);
    }
    __atomic_store_n(&is_over, 1, __ATOMIC_SEQ_CST);
    for (i = 0; i < USERS; i++) {
        CHECK_EQ(pthread_join(users[i], NULL), 0);
    }
    print_results(all);
    CHECK(proper_operations > 0);
    check_nobody_noticed();
    end_all_that_is_shared(&all[0]);
    CHECK_EQ(vcp_pool_close(proper_pool), VCP_OK);
    nonce_server_close(&served);
    CHECK_BASELINE(fds, 1 + TOOL_THREADS);
}
