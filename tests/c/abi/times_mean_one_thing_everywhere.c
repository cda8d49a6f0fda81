/*
 * VCP_FOREVER, VCP_POOL_DEFAULT, absolute times, and every other negative time. Contract section 2.
 */
#include "check.h"

static const int64_t refused_times[] = {-2, -1000, INT64_MIN + 1};

#define REFUSED_TIMES (sizeof refused_times / sizeof refused_times[0])

static void pool_refuses(const vcp_pool_options *options, const char *field)
{
    vcp_pool *pool = NULL;
    CHECK_EQ(vcp_pool_new(options, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK(pool == NULL);
    CHECK_HAS(vcp_last_error(), field);
}

static void pool_takes(const vcp_pool_options *options)
{
    CHECK_EQ(vcp_pool_close(pool_new(options)), VCP_OK);
}

/* The field that each refuses and takes; of what is on: whether VCP_FOREVER may stand there. */
#define TIME_OF_A_POOL(field, takes_forever)  \
    do {                                      \
        vcp_pool_options o = pool_options();  \
        size_t i;                             \
        for (i = 0; i < REFUSED_TIMES; i++) { \
            o.field = refused_times[i];       \
            pool_refuses(&o, #field);         \
        }                                     \
        o.field = VCP_POOL_DEFAULT;           \
        pool_refuses(&o, #field);             \
        o.field = VCP_FOREVER;                \
        if (takes_forever) {                  \
            pool_takes(&o);                   \
        } else {                              \
            pool_refuses(&o, #field);         \
        }                                     \
        o.field = 1000;                       \
        pool_takes(&o);                       \
    } while (0)

TEST(a_pool_takes_no_negative_time_but_forever,
     "times: of a pool's options only VCP_FOREVER may be negative, in every field that is a time")
{
    TIME_OF_A_POOL(wait_timeout_ms, 1);
    TIME_OF_A_POOL(idle_timeout_ms, 1);
    TIME_OF_A_POOL(max_lifetime_ms, 1);
    TIME_OF_A_POOL(dial_timeout_ms, 1);
    TIME_OF_A_POOL(fallback_delay_ms, 1);
    TIME_OF_A_POOL(keepalive_idle_ms, 1);
    TIME_OF_A_POOL(keepalive_interval_ms, 0);
    TIME_OF_A_POOL(user_timeout_ms, 1);
    TIME_OF_A_POOL(dns_cache_ms, 1);
    TIME_OF_A_POOL(fail_fast_ms, 1);
    TIME_OF_A_POOL(leak_threshold_ms, 1);
    TIME_OF_A_POOL(hook_timeout_ms, 1);
}

TEST(a_hook_timeout_of_zero_is_refused, "times: a hook_timeout_ms of 0 is INVALID_ARGUMENT")
{
    vcp_pool_options options = pool_options();
    options.hook_timeout_ms = 0;
    pool_refuses(&options, "hook_timeout_ms");
}

TEST(forever_is_what_zero_is_where_zero_is_no_limit,
     "times: where 0 means no limit or off, VCP_FOREVER means the same")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.idle_timeout_ms = VCP_FOREVER;
    options.max_lifetime_ms = VCP_FOREVER;
    options.dial_timeout_ms = VCP_FOREVER;
    options.dns_cache_ms = VCP_FOREVER;
    options.fail_fast_ms = VCP_FOREVER;
    options.leak_threshold_ms = VCP_FOREVER;
    options.user_timeout_ms = VCP_FOREVER;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    STAYS(idle_in(pool) == 1, 1200);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    STAYS(stats_of(pool).leaks == 0, 1200);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static int dial_within(fixture *f, int64_t timeout_ms, int64_t wait_timeout_ms, uint32_t flags)
{
    vcp_dial_options options = dial_options(flags);
    vcp_conn *conn = NULL;
    int fd;
    options.timeout_ms = timeout_ms;
    options.wait_timeout_ms = wait_timeout_ms;
    fd = vcp_dial_with(f->pool, f->s.network, f->s.address, &options, &conn);
    if (fd >= 0) {
        give_back(conn);
    }
    return fd;
}

TEST(a_dial_takes_no_negative_time_but_forever_and_the_pools,
     "times: of a dial's options only VCP_FOREVER and VCP_POOL_DEFAULT may be negative, for a hit "
     "too")
{
    fixture f = fixture_new(NULL);
    size_t i;
    int has_idle;
    for (has_idle = 0; has_idle < 2; has_idle++) {
        for (i = 0; i < REFUSED_TIMES; i++) {
            int64_t bad = refused_times[i];
            CHECK_EQ(dial_within(&f, bad, VCP_POOL_DEFAULT, 0), VCP_ERR_INVALID_ARGUMENT);
            CHECK_HAS(vcp_last_error(), "timeout_ms");
            CHECK_EQ(dial_within(&f, VCP_POOL_DEFAULT, bad, 0), VCP_ERR_INVALID_ARGUMENT);
            CHECK_HAS(vcp_last_error(), "wait_timeout_ms");
        }
        CHECK_EQ(vcp_pool_conn_count(f.pool), has_idle);
        CHECK(dial_within(&f, VCP_FOREVER, VCP_FOREVER, 0) >= 0);
        CHECK(dial_within(&f, VCP_POOL_DEFAULT, VCP_POOL_DEFAULT, 0) >= 0);
    }
    FIXTURE_END(&f);
}

TEST(deadlines_and_drain_take_no_negative_time_but_forever,
     "times: of vcp_conn_set_*deadline and vcp_pool_drain only VCP_FOREVER may be negative, and "
     "nothing is changed")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    char byte;
    size_t i;
    CHECK_EQ(vcp_conn_set_deadline(conn, 20), VCP_OK);
    for (i = 0; i < REFUSED_TIMES; i++) {
        int64_t bad = refused_times[i];
        CHECK_EQ(vcp_conn_set_deadline(conn, bad), VCP_ERR_INVALID_ARGUMENT);
        CHECK_EQ(vcp_conn_set_read_deadline(conn, bad), VCP_ERR_INVALID_ARGUMENT);
        CHECK_EQ(vcp_conn_set_write_deadline(conn, bad), VCP_ERR_INVALID_ARGUMENT);
        CHECK_EQ(vcp_pool_drain(f.pool, bad), VCP_ERR_INVALID_ARGUMENT);
    }
    CHECK_EQ(vcp_conn_set_deadline(conn, VCP_POOL_DEFAULT), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_pool_drain(f.pool, VCP_POOL_DEFAULT), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    give_back(conn);
    give_back(borrow(f.pool, &f.s));
    CHECK_EQ(idle_in(f.pool), 1);
    CHECK_EQ(vcp_pool_drain(f.pool, VCP_FOREVER), 0);
    FIXTURE_END(&f);
}

TEST(vcp_now_ms_is_the_monotonic_clock, "times: vcp_now_ms is CLOCK_MONOTONIC in milliseconds")
{
    int64_t before = now_ms();
    int64_t seen = vcp_now_ms();
    CHECK_BETWEEN(seen, before, now_ms());
}

static int dial_until(fixture *f, int64_t timeout_ms, int64_t at_ms, vcp_conn **conn)
{
    vcp_dial_options options = dial_options(0);
    options.timeout_ms = timeout_ms;
    options.deadline_at_ms = at_ms;
    return vcp_dial_with(f->pool, f->s.network, f->s.address, &options, conn);
}

TEST(a_dial_whose_absolute_time_has_passed_fails_even_where_something_is_idle,
     "times: deadline_at_ms in the past, 0 and below fail the dial, for a hit too; INT64_MAX is "
     "none")
{
    fixture f = fixture_new(NULL);
    int64_t passed[4];
    vcp_conn *conn;
    size_t i;
    give_back(borrow(f.pool, &f.s));
    passed[0] = vcp_now_ms();
    passed[1] = 0;
    passed[2] = -1;
    passed[3] = INT64_MIN;
    for (i = 0; i < 4; i++) {
        CHECK_EQ(dial_until(&f, VCP_POOL_DEFAULT, passed[i], &conn), VCP_ERR_TIMEOUT);
        CHECK(conn == NULL);
        CHECK_EQ(dial_until(&f, VCP_FOREVER, passed[i], &conn), VCP_ERR_TIMEOUT);
    }
    CHECK_EQ(idle_in(f.pool), 1);
    CHECK(dial_until(&f, VCP_POOL_DEFAULT, INT64_MAX, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    CHECK(dial_until(&f, VCP_POOL_DEFAULT, vcp_now_ms() + 60000, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(the_earlier_of_two_times_ends_the_dial,
     "times: the earlier of timeout_ms and deadline_at_ms ends the dial")
{
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn;
    int64_t start = now_ms();
    options.deadline_at_ms = vcp_now_ms() + 100;
    CHECK_EQ(vcp_dial_with(pool, "tcp", full.s.address, &options, &conn), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 100);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_CONNECTING);
    start = now_ms();
    options.timeout_ms = 100;
    options.deadline_at_ms = vcp_now_ms() + 60000;
    CHECK_EQ(vcp_dial_with(pool, "tcp", full.s.address, &options, &conn), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 100);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
}

TEST(
    a_connection_has_an_absolute_deadline,
    "times: vcp_conn_set_deadline_at binds both directions; INT64_MAX is none, what has passed has "
    "passed")
{
    static const int64_t passed[] = {0, -1, -2, INT64_MIN};
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int peer = server_accept(&f.s);
    int64_t start = now_ms();
    char byte;
    size_t i;
    CHECK_EQ(vcp_conn_set_deadline_at(conn, vcp_now_ms() + 100), VCP_OK);
    CHECK_EQ(vcp_conn_write(conn, "x", 1), 1);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, 100);
    for (i = 0; i < sizeof passed / sizeof passed[0]; i++) {
        CHECK_EQ(vcp_conn_set_deadline_at(conn, passed[i]), VCP_OK);
        CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
        CHECK_EQ(vcp_conn_write(conn, "x", 1), VCP_ERR_TIMEOUT);
    }
    CHECK_EQ(vcp_conn_set_deadline_at(conn, INT64_MAX), VCP_OK);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 1);
    give_back(conn);
    close(peer);
    FIXTURE_END(&f);
}

TEST(one_budget_covers_a_dial_and_its_reads,
     "times: one absolute time covers a dial, a second dial and the reads after them")
{
    fixture f = fixture_new(NULL);
    int64_t start = now_ms();
    int64_t length = at_most(150);
    int64_t budget = vcp_now_ms() + length;
    vcp_conn *conn;
    char byte;
    CHECK(dial_until(&f, VCP_POOL_DEFAULT, budget, &conn) >= 0);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    let_pass(50);
    CHECK(dial_until(&f, VCP_POOL_DEFAULT, budget, &conn) >= 0);
    CHECK_EQ(vcp_conn_set_deadline_at(conn, budget), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    CHECK_TOOK(start, length);
    give_back(conn);
    CHECK_EQ(dial_until(&f, VCP_POOL_DEFAULT, budget, &conn), VCP_ERR_TIMEOUT);
    FIXTURE_END(&f);
}
