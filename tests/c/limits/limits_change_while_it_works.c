/* vcp_pool_set_limits. Contract section 4. */
#include "check.h"
#include "child_processes.h"
#include "completions.h"

/* How often each reason was told. */
static int reasons[VCP_CLOSE_FOREIGN_FD + 1];

static void counts_reasons(void *user, const vcp_event *event)
{
    (void)user;
    if (event->kind == VCP_EVENT_CLOSED) {
        __atomic_add_fetch(&reasons[event->reason], 1, __ATOMIC_RELAXED);
    }
}

static int evicted(void)
{
    return __atomic_load_n(&reasons[VCP_CLOSE_EVICTED], __ATOMIC_RELAXED);
}

static fixture observed(const vcp_pool_options *limits)
{
    vcp_pool_options options = limits == NULL ? pool_options() : *limits;
    memset(reasons, 0, sizeof reasons);
    options.on_event = counts_reasons;
    return fixture_new(&options);
}

static void set_limits(vcp_pool *pool, const vcp_pool_options *options)
{
    CHECK_EQ(vcp_pool_set_limits(pool, options), VCP_OK);
}

enum { MANY = 4 };

/* Connections borrowed one after another, with the server's end of each. */
typedef struct {
    vcp_conn *conns[MANY];
    int peers[MANY];
} borrowed;

static borrowed borrow_many(vcp_pool *pool, const server *s)
{
    borrowed b;
    int i;
    for (i = 0; i < MANY; i++) {
        b.conns[i] = borrow(pool, s);
        b.peers[i] = server_accept(s);
    }
    return b;
}

/* In their order: the first is the longest idle one. */
static void give_back_many(borrowed *b)
{
    int i;
    for (i = 0; i < MANY; i++) {
        give_back(b->conns[i]);
        let_pass(12); /* ages are told by a clock that ticks every 1 to 10 ms */
    }
}

/* Of the first `ended` the peer sees the end, the others live. */
static void check_ended(const borrowed *b, int ended)
{
    int i;
    for (i = 0; i < MANY; i++) {
        CHECK(i < ended ? peer_sees_end(b->peers[i]) : peer_sees_life(b->peers[i]));
    }
}

static void close_peers(const borrowed *b)
{
    int i;
    for (i = 0; i < MANY; i++) {
        close(b->peers[i]);
    }
}

TEST(null_limits_are_refused, "set_limits: NULL options are INVALID_ARGUMENT")
{
    fixture f = fixture_new(NULL);
    CHECK_EQ(vcp_pool_set_limits(f.pool, NULL), VCP_ERR_INVALID_ARGUMENT);
    FIXTURE_END(&f);
}

TEST(a_struct_without_init_sets_no_limits,
     "set_limits: a struct without _init is refused, one of version 0.1 is taken")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options;
    memset(&options, 0, sizeof options);
    CHECK_EQ(vcp_pool_set_limits(f.pool, &options), VCP_ERR_INVALID_ARGUMENT);
    options = pool_options();
    options.size = offsetof(vcp_pool_options, open_session);
    set_limits(f.pool, &options);
    FIXTURE_END(&f);
}

TEST(bad_limits_change_nothing, "set_limits: if one field is bad, nothing changes")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    vcp_conn *one;
    vcp_conn *other;
    options.max_conns = 1;
    options.lifetime_jitter_percent = 101;
    CHECK_EQ(vcp_pool_set_limits(f.pool, &options), VCP_ERR_INVALID_ARGUMENT);
    CHECK_HAS(vcp_last_error(), "lifetime_jitter_percent");
    options = pool_options();
    options.max_conns = 1;
    options.idle_timeout_ms = -2;
    CHECK_EQ(vcp_pool_set_limits(f.pool, &options), VCP_ERR_INVALID_ARGUMENT);
    options.idle_timeout_ms = 0;
    options.wait_timeout_ms = -2;
    CHECK_EQ(vcp_pool_set_limits(f.pool, &options), VCP_ERR_INVALID_ARGUMENT);
    one = borrow(f.pool, &f.s);
    other = borrow(f.pool, &f.s);
    give_back(one);
    give_back(other);
    FIXTURE_END(&f);
}

static int never_called(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    (void)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    CHECK(!"the callbacks of set_limits are not looked at");
    return -1;
}

TEST(fields_of_the_other_groups_are_not_looked_at,
     "set_limits: fields of the other groups are not looked at, bad ones either")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    options.liveness = 77;
    options.reuse_order = VCP_REUSE_FIFO;
    options.verify_release = -1;
    options.dial_timeout_ms = -5;
    options.local_address = (const char *)1;
    options.no_delay = 9;
    options.name = (const char *)1;
    options.dial = never_called;
    options.hook_timeout_ms = 0;
    options.on_idle_ms = 5;
    set_limits(f.pool, &options);
    give_back(borrow(f.pool, &f.s));
    FIXTURE_END(&f);
}

TEST(idle_ones_above_a_lowered_limit_per_address_are_closed_longest_idle_first,
     "set_limits: above a lowered max_idle_per_address the longest idle are closed at once "
     "(EVICTED)")
{
    fixture f = observed(NULL);
    vcp_pool_options options = pool_options();
    borrowed b = borrow_many(f.pool, &f.s);
    give_back_many(&b);
    options.max_idle_per_address = 1;
    set_limits(f.pool, &options);
    CHECK_EQ(idle_in(f.pool), 1);
    CHECK_EQ(evicted(), 3);
    CHECK_EQ(stats_of(f.pool).closed_evicted, 3);
    check_ended(&b, 3);
    options.max_idle_per_address = 0;
    set_limits(f.pool, &options);
    check_ended(&b, 4);
    CHECK_EQ(evicted(), 4);
    close_peers(&b);
    FIXTURE_END(&f);
}

TEST(idle_ones_above_a_lowered_limit_of_all_are_closed_longest_idle_first,
     "set_limits: above a lowered max_idle the longest idle of all destinations are closed at once")
{
    fixture f = observed(NULL);
    server other = tcp_server();
    vcp_pool_options options = pool_options();
    borrowed old = borrow_many(f.pool, &other);
    borrowed young = borrow_many(f.pool, &f.s);
    give_back_many(&old);
    give_back_many(&young);
    options.max_idle = 6;
    set_limits(f.pool, &options);
    check_ended(&old, 2);
    check_ended(&young, 0);
    CHECK_EQ(evicted(), 2);
    options.max_idle = 3;
    set_limits(f.pool, &options);
    check_ended(&old, 4);
    check_ended(&young, 1);
    CHECK_EQ(evicted(), 5);
    close_peers(&old);
    close_peers(&young);
    EVENTUALLY(idle_in(f.pool) == 0, 2000);
    server_close(&other);
    FIXTURE_END(&f);
}

TEST(borrowed_ones_above_a_lowered_limit_are_closed_as_they_come_back,
     "set_limits: above a lowered max_conns idle ones are closed at once, borrowed ones as they "
     "come back, until the limit holds (EVICTED)")
{
    fixture f = observed(NULL);
    vcp_pool_options options = pool_options();
    borrowed b = borrow_many(f.pool, &f.s);
    vcp_conn *refused;
    give_back(b.conns[0]);
    options.max_conns = 2;
    set_limits(f.pool, &options);
    CHECK(peer_sees_end(b.peers[0]));
    CHECK_EQ(evicted(), 1);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 3);
    CHECK_EQ(vcp_dial(f.pool, f.s.network, f.s.address, &refused), VCP_ERR_POOL_EXHAUSTED);
    CHECK_HAS(vcp_last_error(), "max_conns=2");
    give_back(b.conns[1]);
    CHECK(peer_sees_end(b.peers[1]));
    CHECK_EQ(evicted(), 2);
    give_back(b.conns[2]);
    give_back(b.conns[3]);
    CHECK_EQ(idle_in(f.pool), 2);
    CHECK_EQ(evicted(), 2);
    CHECK(peer_sees_life(b.peers[2]) && peer_sees_life(b.peers[3]));
    close_peers(&b);
    EVENTUALLY(idle_in(f.pool) == 0, 2000);
    FIXTURE_END(&f);
}

TEST(a_lowered_limit_per_address_binds_its_own_address,
     "set_limits: a lowered max_conns_per_address closes what is above it there, and nothing "
     "elsewhere")
{
    fixture f = observed(NULL);
    server other = tcp_server();
    vcp_pool_options options = pool_options();
    borrowed b = borrow_many(f.pool, &f.s);
    vcp_conn *elsewhere = borrow(f.pool, &other);
    give_back(b.conns[0]);
    give_back(b.conns[1]);
    options.max_conns_per_address = 1;
    set_limits(f.pool, &options);
    CHECK_EQ(evicted(), 2);
    give_back(elsewhere);
    CHECK_EQ(idle_at(f.pool, &other), 1);
    give_back(b.conns[2]);
    CHECK_EQ(evicted(), 3);
    give_back(b.conns[3]);
    CHECK_EQ(evicted(), 3);
    CHECK_EQ(idle_at(f.pool, &f.s), 1);
    close_peers(&b);
    server_close(&other);
    FIXTURE_END(&f);
}

TEST(what_the_fast_path_has_lent_is_borrowed,
     "set_limits: a connection lent by the fast path is borrowed: it is closed as it comes back")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    vcp_conn *first = borrow(f.pool, &f.s);
    vcp_conn *second = borrow(f.pool, &f.s);
    give_back(first);
    first = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(first), 1);
    options.max_conns = 1;
    set_limits(f.pool, &options);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 2);
    give_back(first);
    CHECK_EQ(vcp_pool_conn_count(f.pool), 1);
    CHECK_EQ(stats_of(f.pool).closed_evicted, 1);
    give_back(second);
    CHECK_EQ(idle_in(f.pool), 1);
    FIXTURE_END(&f);
}

/* Begins dials that wait, in order. */
static void begin_waiting(fixture *f, vcp_queue *queue, int *tokens, int count)
{
    int i;
    for (i = 0; i < count; i++) {
        begin_dial(f->pool, &f->s, NULL, queue, &tokens[i]);
        CHECK_EQ(stats_of(f->pool).waiting, i + 1);
    }
}

TEST(a_raised_limit_lets_waiters_in_at_once_in_order,
     "set_limits: waiters whom a raised limit lets in go at once, the oldest first; the others "
     "wait on")
{
    vcp_pool_options options = pool_options();
    fixture f;
    vcp_queue *queue = queue_new();
    vcp_conn *held;
    vcp_conn *first;
    vcp_conn *second;
    int tokens[3];
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    f = observed(&options);
    held = borrow(f.pool, &f.s);
    begin_waiting(&f, queue, tokens, 3);
    STAYS(!has_completion(queue), 30);
    options.max_conns = 2;
    set_limits(f.pool, &options);
    first = next_conn(queue, &tokens[0]);
    CHECK_EQ(stats_of(f.pool).waiting, 2);
    STAYS(!has_completion(queue), 30);
    options.max_conns = 3;
    set_limits(f.pool, &options);
    second = next_conn(queue, &tokens[1]);
    STAYS(!has_completion(queue), 30);
    options.max_conns = 0;
    set_limits(f.pool, &options);
    give_back(next_conn(queue, &tokens[2]));
    give_back(first);
    give_back(second);
    give_back(held);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

TEST(a_raised_limit_per_address_lets_waiters_in,
     "set_limits: a raised max_conns_per_address lets its waiters in at once")
{
    vcp_pool_options options = pool_options();
    fixture f;
    vcp_queue *queue = queue_new();
    vcp_conn *held;
    int token;
    options.max_conns_per_address = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    f = observed(&options);
    held = borrow(f.pool, &f.s);
    begin_waiting(&f, queue, &token, 1);
    options.max_conns_per_address = 2;
    set_limits(f.pool, &options);
    give_back(next_conn(queue, &token));
    give_back(held);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

TEST(a_raised_limit_of_dials_gives_the_next_their_turn,
     "set_limits: a raised max_dials_per_address gives those that wait their turn to dial")
{
    full_server full = full_server_new();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    int tokens[2];
    int before = connects_under_way();
    options.max_dials_per_address = 1;
    pool = pool_new(&options);
    begin_dial(pool, &full.s, NULL, queue, &tokens[0]);
    EVENTUALLY(connects_under_way() == before + 1, 5000);
    begin_dial(pool, &full.s, NULL, queue, &tokens[1]);
    CHECK_EQ(stats_of(pool).waiting, 1);
    STAYS(connects_under_way() == before + 1, 30);
    options.max_dials_per_address = 2;
    set_limits(pool, &options);
    EVENTUALLY(connects_under_way() == before + 2, 5000);
    CHECK_EQ(stats_of(pool).waiting, 0);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
}

TEST(waiting_and_its_limit_follow, "set_limits: wait_timeout_ms and max_waiters are those set last")
{
    vcp_pool_options options = pool_options();
    fixture f;
    vcp_queue *queue = queue_new();
    vcp_conn *held;
    vcp_conn *none;
    int64_t start;
    int tokens[2];
    options.max_conns = 1;
    f = observed(&options);
    held = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_dial(f.pool, f.s.network, f.s.address, &none), VCP_ERR_POOL_EXHAUSTED);
    options.wait_timeout_ms = 80;
    set_limits(f.pool, &options);
    start = now_ms();
    CHECK_EQ(vcp_dial(f.pool, f.s.network, f.s.address, &none), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 80);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_WAITING);
    options.wait_timeout_ms = VCP_FOREVER;
    options.max_waiters = 1;
    set_limits(f.pool, &options);
    begin_waiting(&f, queue, tokens, 1);
    CHECK_EQ(vcp_dial(f.pool, f.s.network, f.s.address, &none), VCP_ERR_POOL_EXHAUSTED);
    CHECK_HAS(vcp_last_error(), "max_waiters=1");
    give_back(held);
    give_back(next_conn(queue, &tokens[0]));
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

TEST(a_shorter_idle_timeout_ends_what_is_idle_for_longer,
     "set_limits: a shorter idle_timeout_ms closes what is idle for longer within 1 s, and no dial "
     "gets it")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    vcp_conn *conn;
    give_back(borrow(f.pool, &f.s));
    give_back(borrow(f.pool, &f.s));
    let_pass(60);
    options.idle_timeout_ms = 50;
    set_limits(f.pool, &options);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    EVENTUALLY(idle_in(f.pool) == 0, 1500);
    CHECK_EQ(stats_of(f.pool).closed_idle_timeout, 2);
    FIXTURE_END(&f);
}

TEST(uses_are_limited_for_living_connections_too,
     "set_limits: max_uses counts the borrows of connections that are there already, those by the "
     "fast path too")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    vcp_conn *conn;
    int i;
    for (i = 0; i < 3; i++) {
        give_back(borrow(f.pool, &f.s));
    }
    options.max_uses = 5;
    set_limits(f.pool, &options);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_uses(conn), 4);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 1);
    give_back(borrow(f.pool, &f.s));
    CHECK_EQ(idle_in(f.pool), 0);
    CHECK_EQ(stats_of(f.pool).closed_max_uses, 1);
    options.max_uses = 0;
    set_limits(f.pool, &options);
    for (i = 0; i < 8; i++) {
        give_back(borrow(f.pool, &f.s));
    }
    CHECK_EQ(stats_of(f.pool).dials, 2);
    FIXTURE_END(&f);
}

TEST(what_has_no_uses_left_is_not_idle_any_more,
     "set_limits: A lower max_uses closes what is idle and was borrowed as often; the others stay")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    vcp_conn *other = borrow(f.pool, &f.s);
    int i;
    for (i = 0; i < 3; i++) {
        give_back(borrow(f.pool, &f.s));
    }
    give_back(other);
    options.max_uses = 3;
    set_limits(f.pool, &options);
    CHECK_EQ(idle_in(f.pool), 1);
    CHECK_EQ(stats_of(f.pool).closed_max_uses, 1);
    other = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_uses(other), 2);
    give_back(other);
    options.max_uses = 2;
    set_limits(f.pool, &options);
    CHECK_EQ(idle_in(f.pool), 0);
    CHECK_EQ(stats_of(f.pool).closed_max_uses, 2);
    FIXTURE_END(&f);
}

TEST(lifetimes_that_were_drawn_stay,
     "set_limits: a new max_lifetime_ms holds for new connections; lifetimes drawn before stay")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    vcp_conn *old = borrow(f.pool, &f.s);
    vcp_conn *young;
    options.max_lifetime_ms = 100;
    options.lifetime_jitter_percent = 0;
    set_limits(f.pool, &options);
    young = borrow(f.pool, &f.s);
    let_pass(120);
    give_back(young);
    CHECK_EQ(stats_of(f.pool).closed_lifetime, 1);
    give_back(old);
    CHECK_EQ(idle_in(f.pool), 1);
    STAYS(idle_in(f.pool) == 1, 1200);
    FIXTURE_END(&f);
}

TEST(idle_ones_are_dialed_ahead_from_then_on,
     "set_limits: min_idle_per_address is kept up at once where there is a connection")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    vcp_conn *conn;
    give_back(borrow(f.pool, &f.s));
    options.min_idle_per_address = 2;
    set_limits(f.pool, &options);
    EVENTUALLY(idle_in(f.pool) == 2, 2000);
    conn = borrow(f.pool, &f.s);
    options.min_idle_per_address = 3;
    set_limits(f.pool, &options);
    EVENTUALLY(idle_in(f.pool) == 3, 2000);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(a_pool_that_kept_nothing_watches_what_it_keeps_now,
     "set_limits: a pool that kept nothing keeps and watches connections once it may")
{
    vcp_pool_options options = pool_options();
    fixture f;
    vcp_conn *conn;
    int peer;
    options.max_idle_per_address = 0;
    f = fixture_new(&options);
    conn = borrow(f.pool, &f.s);
    peer = server_accept(&f.s);
    options.max_idle_per_address = 1;
    set_limits(f.pool, &options);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 1);
    close(peer);
    EVENTUALLY(idle_in(f.pool) == 0, 1000);
    FIXTURE_END(&f);
}

static void child_is_at_its_limit(void *argument)
{
    fixture *f = (fixture *)argument;
    vcp_conn *held = borrow(f->pool, &f->s);
    vcp_conn *none;
    CHECK_EQ(vcp_dial(f->pool, f->s.network, f->s.address, &none), VCP_ERR_POOL_EXHAUSTED);
    CHECK_HAS(vcp_last_error(), "max_conns=1");
    give_back(held);
}

TEST(a_child_has_the_limits_that_were_set, "set_limits: a forked child has the limits set last")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    options.max_conns = 1;
    set_limits(f.pool, &options);
    CHECK_CHILD(child_that(BY_FORK, 10, child_is_at_its_limit, &f));
    FIXTURE_END(&f);
}

TEST(reports_show_the_limits_that_were_set,
     "set_limits: vcp_pool_describe shows the limits set last")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    char text[4096];
    options.max_conns = 4321;
    set_limits(f.pool, &options);
    CHECK(vcp_pool_describe(f.pool, VCP_FORMAT_JSON, text, sizeof text) > 0);
    CHECK_HAS(text, "4321");
    FIXTURE_END(&f);
}

/* Threads that borrow and give back while limits go up and down. */
static void *borrows_and_gives_back(void *argument)
{
    fixture *f = (fixture *)argument;
    int i;
    for (i = 0; i < 3000; i++) {
        vcp_conn *conn;
        int fd = vcp_dial(f->pool, f->s.network, f->s.address, &conn);
        if (fd >= 0) {
            give_back(conn);
        } else {
            CHECK_EQ(fd, VCP_ERR_POOL_EXHAUSTED);
        }
    }
    return NULL;
}

TEST(limits_change_while_threads_borrow,
     "set_limits: while four threads borrow, limits go up and down; what is there at the end keeps "
     "them, and the sums hold")
{
    fixture f = fixture_new(NULL);
    vcp_pool_options options = pool_options();
    pthread_t threads[4];
    int i;
    server_start_echo(&f.s);
    for (i = 0; i < 4; i++) {
        CHECK_EQ(pthread_create(&threads[i], NULL, borrows_and_gives_back, &f), 0);
    }
    for (i = 0; i < 400; i++) {
        options.max_conns = (uint32_t)(i % 5);
        options.max_idle_per_address = (uint32_t)(i % 3);
        options.max_uses = (uint32_t)(i % 7 == 0 ? 3 : 0);
        set_limits(f.pool, &options);
        let_pass(1);
    }
    for (i = 0; i < 4; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
    options.max_idle_per_address = 1;
    set_limits(f.pool, &options);
    CHECK(vcp_pool_conn_count(f.pool) <= 1);
    FIXTURE_END(&f);
}

/* It had been wanted before, and that was long ago. */
TEST(idle_ones_are_dialed_ahead_again,
     "set_limits: min_idle_per_address is kept up at once where it was lifted before")
{
    fixture f;
    vcp_pool_options options = pool_options();
    vcp_conn *conn;
    options.min_idle_per_address = 1;
    options.idle_timeout_ms = 50;
    f = fixture_new(&options);
    give_back(borrow(f.pool, &f.s));
    options.min_idle_per_address = 0;
    set_limits(f.pool, &options);
    EVENTUALLY(idle_in(f.pool) == 0, 5000);
    conn = borrow(f.pool, &f.s);
    options.idle_timeout_ms = 60000;
    options.min_idle_per_address = 2;
    set_limits(f.pool, &options);
    EVENTUALLY(idle_in(f.pool) == 2, 5000);
    give_back(conn);
    FIXTURE_END(&f);
}

/* What the process has used of the processors. */
static int64_t cpu_ms(void)
{
    struct timespec used;
    CHECK_EQ(clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used), 0);
    return (int64_t)used.tv_sec * 1000 + used.tv_nsec / 1000000;
}

TEST(the_background_thread_rests_once_nothing_is_dialed_ahead,
     "set_limits: without min_idle_per_address nothing looks for what is to be dialed ahead")
{
    fixture f;
    vcp_pool_options options = pool_options();
    int64_t before;
    options.min_idle_per_address = 1;
    f = fixture_new(&options);
    give_back(borrow(f.pool, &f.s));
    /* A look is due 10 ms after the borrow. */
    options.min_idle_per_address = 0;
    set_limits(f.pool, &options);
    let_pass(30);
    before = cpu_ms();
    let_pass(500);
    CHECK_BETWEEN(cpu_ms() - before, 0, at_most(50));
    FIXTURE_END(&f);
}
