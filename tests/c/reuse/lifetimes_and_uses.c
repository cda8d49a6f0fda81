/*
 * Idle age, lifetime and number of uses: at borrow, at give-back, in the background. Contract
 * section 4.
 */
#include "check.h"
#include "completions.h"

TEST(an_old_idle_one_is_not_borrowed, "lifetime: idle_timeout_ms is checked at borrow")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.idle_timeout_ms = 60;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    let_pass(80);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(stats_of(pool).closed_idle_timeout, 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_young_idle_one_is_borrowed, "lifetime: Within idle_timeout_ms it is reused")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int round;
    options.idle_timeout_ms = 60000;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    for (round = 0; round < 3; round++) {
        let_pass(30);
        conn = borrow(pool, &s);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        give_back(conn);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(an_old_idle_one_leaves_in_the_background,
     "lifetime: idle_timeout_ms is checked in the background, within 1 s of its time and not "
     "before")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int peer;
    options.idle_timeout_ms = 300;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    peer = server_accept(&s);
    STAYS(peer_sees_life(peer), 200);
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, 100 + 1000);
    CHECK_EQ(stats_of(pool).closed_idle_timeout, 1);
    CHECK(peer_sees_end(peer));
    close(peer);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(get_gives_away_nothing_too_old, "lifetime: get checks the idle age")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    options.idle_timeout_ms = 40;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    let_pass(60);
    CHECK_EQ(vcp_pool_get(pool, s.network, s.address, NULL), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(the_idle_age_begins_anew_at_each_give_back,
     "lifetime: The idle age begins anew at each give-back")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int round;
    int64_t start = now_ms();
    options.idle_timeout_ms = 1000 * slowness();
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    for (round = 0; round < 4; round++) {
        let_pass(300 * slowness());
        conn = borrow(pool, &s);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        give_back(conn);
    }
    CHECK(now_ms() - start > options.idle_timeout_ms);
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(an_idle_timeout_of_zero_is_for_ever, "lifetime: idle_timeout_ms 0: for ever")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    options.idle_timeout_ms = 0;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    STAYS(idle_in(pool) == 1, 1200);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_borrowed_one_is_never_cut, "lifetime: A borrowed connection is never cut by age or lifetime")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.max_lifetime_ms = 50;
    options.idle_timeout_ms = 50;
    pool = pool_new(&options);
    server_start_echo(&s);
    conn = borrow(pool, &s);
    let_pass(1200);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    CHECK_ECHO(conn, "still there");
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(at_the_end_of_its_lifetime_it_is_not_kept, "lifetime: max_lifetime_ms is checked at give-back")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.max_lifetime_ms = 50;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    let_pass(70);
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(stats_of(pool).closed_lifetime, 1);
    CHECK_EQ(stats_of(pool).releases, 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(at_the_end_of_its_lifetime_it_is_not_borrowed,
     "lifetime: max_lifetime_ms is checked at borrow")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.max_lifetime_ms = 100;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    let_pass(120);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(stats_of(pool).closed_lifetime, 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(at_the_end_of_its_lifetime_it_leaves_in_the_background,
     "lifetime: max_lifetime_ms is checked in the background, within 1 s of its time")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    options.max_lifetime_ms = 200;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, 200 + 1000);
    CHECK_EQ(stats_of(pool).closed_lifetime, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* Drawn in [1 - j, 1]: with j = 50 % nobody goes in the first half, and not all go together. */
/* Dialed together, they must not all go together; the one that is borrowed stays. */
TEST(lifetimes_are_drawn_within_the_jitter,
     "lifetime: Each lifetime is drawn once in [1-j, 1]: none earlier, none later, not all at once")
{
    enum { MANY = 100, JITTER_PERCENT = 20 };
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conns[MANY];
    int64_t lifetime = 2000 * slowness();
    int64_t start;
    int64_t first_gone = 0;
    int64_t last_gone = 0;
    int64_t dialed;
    int i;
    options.max_lifetime_ms = lifetime;
    options.lifetime_jitter_percent = JITTER_PERCENT;
    options.max_idle_per_address = MANY;
    pool = pool_new(&options);
    server_start_echo(&s);
    start = now_ms();
    for (i = 0; i < MANY; i++) {
        conns[i] = borrow(pool, &s);
    }
    for (i = 1; i < MANY; i++) {
        give_back(conns[i]);
    }
    dialed = now_ms();
    while (idle_in(pool) > 0) {
        last_gone = now_ms();
        if (first_gone == 0 && idle_in(pool) < MANY - 1) {
            first_gone = last_gone;
        }
        /* The contract's bound: within 1 s of their time. */
        CHECK(last_gone - dialed < lifetime + 1000 + at_most(LATENESS_MS));
        poll(NULL, 0, 5);
    }
    CHECK_BETWEEN(first_gone - start, lifetime - lifetime * JITTER_PERCENT / 100, lifetime);
    CHECK(last_gone - first_gone >= lifetime * 15 / 100);
    CHECK_EQ(stats_of(pool).closed_lifetime, MANY - 1);
    CHECK_ECHO(conns[0], "not cut while borrowed");
    CHECK_EQ(vcp_conn_close(conns[0]), VCP_OK);
    CHECK_EQ(stats_of(pool).closed_lifetime, MANY);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(after_max_uses_it_is_not_kept,
     "lifetime: max_uses: after so many borrows it is closed at give-back")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int use;
    int peer;
    options.max_uses = 3;
    pool = pool_new(&options);
    for (use = 1; use <= 3; use++) {
        CHECK_EQ(stats_of(pool).closed_max_uses, 0);
        conn = borrow(pool, &s);
        CHECK_EQ(vcp_conn_uses(conn), use);
        give_back(conn);
    }
    peer = server_accept(&s);
    CHECK(peer_sees_end(peer));
    close(peer);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(stats_of(pool).closed_max_uses, 1);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(one_use_is_the_dial_itself, "lifetime: max_uses counts the first borrow")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    options.max_uses = 1;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(stats_of(pool).closed_max_uses, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(what_was_put_has_a_lifetime_too, "lifetime: max_lifetime_ms binds what was put")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    options.max_lifetime_ms = 100;
    pool = pool_new(&options);
    CHECK_EQ(vcp_pool_add(pool, client_of(&s)), VCP_OK);
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, 100 + 1000);
    CHECK_EQ(stats_of(pool).closed_lifetime, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(an_age_counts_from_the_opening_or_the_put,
     "lifetimes: vcp_conn_age_ms counts from the dial, the put or the add, over all borrows")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int64_t start = now_ms();
    int64_t put, age;
    int fd;
    CHECK_BETWEEN(vcp_conn_age_ms(conn), 0, at_most(LATENESS_MS));
    give_back(conn);
    let_pass(60);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_BETWEEN(vcp_conn_age_ms(conn), 60, now_ms() - start + at_most(LATENESS_MS));
    fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    put = now_ms();
    CHECK_EQ(vcp_pool_put(f.pool, fd, f.s.network, f.s.address, NULL), VCP_OK);
    conn = borrow(f.pool, &f.s);
    age = vcp_conn_age_ms(conn);
    CHECK_BETWEEN(age, 0, now_ms() - put);
    give_back(conn);
    FIXTURE_END(&f);
}

static int saw_idle_in_hook;

static int sees_idle(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)fd;
    saw_idle_in_hook = (int)vcp_conn_idle_ms(conn);
    return 0;
}

/* Idle for `ms` before this borrow. */
#define CHECK_IDLE(conn, ms) \
    CHECK_BETWEEN(vcp_conn_idle_ms(conn), (ms)-COARSE_MS, at_most((ms) + LATENESS_MS))

TEST(a_borrow_knows_how_long_it_had_been_idle,
     "lifetimes: vcp_conn_idle_ms: 0 for a fresh connection, else how long it had been idle before "
     "this borrow, however it was borrowed")
{
    fixture f = fixture_new(NULL);
    vcp_dial_options labelled = dial_options(0);
    vcp_conn *conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_idle_ms(conn), 0);
    let_pass(30);
    CHECK_EQ(vcp_conn_idle_ms(conn), 0);
    give_back(conn);
    let_pass(60);
    conn = borrow(f.pool, &f.s); /* by the fast path */
    CHECK_IDLE(conn, 60);
    let_pass(500);
    CHECK_IDLE(conn, 60);
    give_back(conn);
    let_pass(300);
    labelled.label = "by the pool";
    CHECK(vcp_dial_with(f.pool, f.s.network, f.s.address, &labelled, &conn) >= 0);
    CHECK_IDLE(conn, 300);
    give_back(conn);
    conn = borrow(f.pool, &f.s);
    CHECK_IDLE(conn, 0);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_conn_idle_ms(conn), 0);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(what_was_handed_over_was_not_idle,
     "lifetimes: vcp_conn_idle_ms: a connection handed over to a waiter had not been idle")
{
    vcp_pool_options options = pool_options();
    fixture f;
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    f = fixture_new(&options);
    give_back(borrow(f.pool, &f.s));
    let_pass(300);
    conn = borrow(f.pool, &f.s);
    CHECK_IDLE(conn, 300);
    begin_dial(f.pool, &f.s, NULL, queue, NULL);
    let_pass(600);
    give_back(conn);
    conn = next_conn(queue, NULL);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_IDLE(conn, 0);
    give_back(conn);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

TEST(what_was_put_or_warmed_is_idle_from_then_on,
     "lifetimes: vcp_conn_idle_ms counts from the put, the add or the warming, and on_reuse knows "
     "it")
{
    vcp_pool_options options = pool_options();
    fixture f;
    vcp_conn *conn;
    options.on_reuse = sees_idle;
    f = fixture_new(&options);
    CHECK_EQ(vcp_pool_put(f.pool, client_of(&f.s), f.s.network, f.s.address, NULL), VCP_OK);
    let_pass(300);
    conn = borrow(f.pool, &f.s);
    CHECK_IDLE(conn, 300);
    CHECK_EQ(saw_idle_in_hook, vcp_conn_idle_ms(conn));
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_pool_warm(f.pool, f.s.network, f.s.address, NULL, 1), 1);
    let_pass(60);
    conn = borrow(f.pool, &f.s);
    CHECK_IDLE(conn, 60);
    give_back(conn);
    FIXTURE_END(&f);
}
