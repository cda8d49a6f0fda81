/*
 * fail_fast_ms: what failed a moment ago fails at once; and addresses that failed of late are tried
 * last.
 */
#include <sys/syscall.h>
#include <unistd.h>

#include "check.h"
#include "dialing_threads.h"
#include "fake_getaddrinfo.h"
#include "dial_fixture.h"

#define FAST 300

static vcp_pool *failing_fast(dial_fixture *g, int64_t fail_fast_ms)
{
    dial_fixture_init(g);
    g->options.fail_fast_ms = fail_fast_ms;
    return dial_fixture_pool(g);
}

/* Dials once; the status. A success is given back. */
static int tries(vcp_pool *pool, const char *address)
{
    vcp_conn *conn = NULL;
    int status = vcp_dial(pool, "tcp", address, &conn);
    give_back(conn);
    return status < 0 ? status : VCP_OK;
}

/*
 * Dials all the time until one dial of the destination is let through again; how long after `start`
 * that was.
 */
static int64_t let_through_after(vcp_pool *pool, script *s, const char *address, int64_t start)
{
    int before = attempts(s);
    while (attempts(s) == before) {
        CHECK(now_ms() - start < at_most(5000));
        tries(pool, address);
        poll(NULL, 0, 2);
    }
    return now_ms() - start;
}

static int sockets_made;

static int counts_sockets(void *user, const char *network, const char *address, int fd)
{
    (void)user;
    (void)network;
    (void)address;
    (void)fd;
    sockets_made++;
    return 0;
}

/* Nobody listens there; how many sockets the dial has made. */
static int sockets_for(vcp_pool *pool, int number)
{
    vcp_conn *conn;
    char name[64];
    sockets_made = 0;
    snprintf(name, sizeof name, "@vconnpool-nobody-%d-%d", (int)getpid(), number);
    CHECK_EQ(vcp_dial(pool, "unix", name, &conn), VCP_ERR_CONNECT);
    return sockets_made;
}

TEST(so_many_failures_are_remembered,
     "failures: fail_fast_ms remembers 1,024 failed destinations: one more, and the oldest is "
     "forgotten")
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int i;
    options.fail_fast_ms = 600000;
    options.control = counts_sockets;
    pool = pool_new(&options);
    for (i = 0; i < 1024; i++) {
        CHECK_EQ(sockets_for(pool, i), 1);
    }
    CHECK_EQ(sockets_for(pool, 0), 0);
    CHECK_EQ(sockets_for(pool, 1024), 1);
    CHECK_EQ(sockets_for(pool, 1023), 0);
    CHECK_EQ(sockets_for(pool, 0), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(after_a_failed_dial_others_fail_at_once_with_the_same_error,
     "failures: fail_fast_ms: after a failed dial others fail at once with the same error, "
     "without a socket, for so long")
{
    dial_fixture g;
    vcp_pool *pool = failing_fast(&g, FAST);
    vcp_conn *conn;
    char message[512];
    int64_t start = now_ms();
    int i;
    CHECK_EQ(vcp_dial(pool, "tcp", g.where.at[1].address, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(attempts(&g.s), 1);
    snprintf(message, sizeof message, "%s", vcp_last_error());
    for (i = 0; i < 100 && now_ms() - start < FAST / 2; i++) {
        conn = (vcp_conn *)&g;
        CHECK_EQ(vcp_dial(pool, "tcp", g.where.at[1].address, &conn), VCP_ERR_CONNECT);
        CHECK(conn == NULL);
        CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
        CHECK_EQ(vcp_last_phase(), VCP_PHASE_NONE);
        CHECK_EQ(strncmp(vcp_last_error(), message, strlen(message)), 0);
    }
    if (now_ms() - start < FAST)
        CHECK_EQ(attempts(&g.s), 1);
    CHECK_BETWEEN(let_through_after(pool, &g.s, g.where.at[1].address, start), FAST,
                  at_most(FAST + LATENESS_MS));
    dial_fixture_end(&g);
}

/* While it is set, CLOCK_MONOTONIC_COARSE (clock_gettime(2)) ticks only every so many ns. */
static volatile long coarse_tick;

#ifdef __cplusplus
extern "C" {
#endif

int clock_gettime(clockid_t id, struct timespec *now)
{
    long tick = id == CLOCK_MONOTONIC_COARSE ? coarse_tick : 0;
    int result = (int)syscall(SYS_clock_gettime, tick > 0 ? CLOCK_MONOTONIC : id, now);
    if (tick > 0)
        now->tv_nsec -= now->tv_nsec % tick;
    return result;
}

#ifdef __cplusplus
}
#endif

TEST(it_lasts_no_shorter_where_the_clock_is_coarse,
     "failures: fail_fast_ms: a coarse clock makes the time no shorter")
{
    const long tick = 100000000;
    dial_fixture g;
    vcp_pool *pool = failing_fast(&g, FAST);
    int64_t start;
    coarse_tick = tick;
    /* In the middle of a tick, the coarse clock is far behind. */
    let_pass((tick / 1000000 * 3 / 2 - now_ms() % (tick / 1000000)) % (tick / 1000000));
    start = now_ms();
    CHECK_EQ(tries(pool, g.where.at[1].address), VCP_ERR_CONNECT);
    CHECK(let_through_after(pool, &g.s, g.where.at[1].address, start) >= FAST);
    coarse_tick = 0;
    dial_fixture_end(&g);
}

TEST(a_failed_probe_starts_it_anew, "failures: fail_fast_ms begins anew with every failure")
{
    dial_fixture g;
    vcp_pool *pool = failing_fast(&g, FAST);
    int64_t start;
    int i;
    CHECK_EQ(tries(pool, g.where.at[1].address), VCP_ERR_CONNECT);
    for (i = 0; i < 3; i++) {
        start = now_ms();
        /* What let_through_after saw last was the probe, and it failed. */
        CHECK(let_through_after(pool, &g.s, g.where.at[1].address, start) <=
              at_most(FAST + LATENESS_MS));
        start = g.s.all[g.s.count - 1].at_us / 1000;
        CHECK(let_through_after(pool, &g.s, g.where.at[1].address, start) >= FAST);
    }
    dial_fixture_end(&g);
}

/*
 * 16 threads at the moment when the time has passed: one dials, the others fail at once until it
 * has ended.
 */
static void check_probe(int answers)
{
    dial_fixture g;
    vcp_pool *pool = failing_fast(&g, FAST);
    dialer like, probe;
    dialers c;
    int64_t start;
    int i;
    CHECK_EQ(tries(pool, g.where.at[1].address), VCP_ERR_CONNECT);
    if (answers)
        endpoint_answers(&g.where.at[1]);
    script_holds(&g.s, &g.s.control_holds, 1);
    probe = like = dialer_of(pool, g.where.at[1].address);
    for (start = now_ms(); attempts(&g.s) == 1;) {
        /* Each fails at once, until one is let through and stays in its control callback. */
        CHECK(now_ms() - start < at_most(5000));
        probe = like;
        dialer_start(&probe);
        EVENTUALLY(attempts(&g.s) == 2 || dialer_has_returned(&probe), 5000);
        if (attempts(&g.s) == 1)
            dialer_join(&probe);
    }
    dialers_start(&c, 16, &like, 0);
    dialers_join(&c);
    for (i = 0; i < 16; i++) {
        CHECK_EQ(c.all[i].status, VCP_ERR_CONNECT);
        CHECK_EQ(c.all[i].number, ECONNREFUSED);
        CHECK(c.all[i].ended - c.all[i].began <= at_most(LATENESS_MS));
    }
    CHECK_EQ(attempts(&g.s), 2);
    start = now_ms();
    script_holds(&g.s, &g.s.control_holds, 0);
    dialer_join(&probe);
    if (answers) {
        CHECK(probe.status >= 0);
        give_back(probe.conn);
        for (i = 0; i < 5; i++) {
            CHECK_EQ(tries(pool, g.where.at[1].address), VCP_OK);
            CHECK_EQ(attempts(&g.s), 3 + i);
        }
    } else {
        CHECK_EQ(probe.status, VCP_ERR_CONNECT);
        CHECK_BETWEEN(let_through_after(pool, &g.s, g.where.at[1].address, start), FAST,
                      at_most(FAST + LATENESS_MS));
    }
    dial_fixture_end(&g);
}

TEST(one_probe_is_let_through_and_its_success_ends_it,
     "failures: Then one dial is let through, and the others fail at once until it has ended; its "
     "success ends this")
{
    check_probe(1);
}

TEST(one_probe_is_let_through_and_its_failure_starts_it_anew,
     "failures: The failure of the one let through starts it anew")
{
    check_probe(0);
}

/* Whoever gave up has not shown anything: the next dial is a real one. */
TEST(a_callers_own_impatience_is_no_failure,
     "failures: A caller's own shorter timeout or cancellation is no failure")
{
    dial_fixture g;
    vcp_dial_options d = dial_options(0);
    vcp_pool *pool = failing_fast(&g, 60000);
    vcp_conn *conn;
    dialer m;
    int i;
    endpoint_stays_silent(&g.where.at[1]);
    for (i = 1; i <= 3; i++) {
        d.timeout_ms = 50;
        CHECK_EQ(vcp_dial_with(pool, "tcp", g.where.at[1].address, &d, &conn), VCP_ERR_TIMEOUT);
        CHECK_EQ(attempts(&g.s), i);
    }
    for (; i <= 6; i++) {
        m = dialer_of(pool, g.where.at[1].address);
        CHECK_EQ(vcp_cancel_new(&m.token), VCP_OK);
        dialer_start(&m);
        EVENTUALLY(attempts(&g.s) == i, 5000);
        CHECK_EQ(vcp_cancel_fire(m.token), VCP_OK);
        dialer_join(&m);
        CHECK_EQ(m.status, VCP_ERR_CANCELED);
        CHECK_EQ(vcp_cancel_free(m.token), VCP_OK);
    }
    dial_fixture_end(&g);
}

/* The destination is as it was before the probe: not known to work, but worth a try. */
TEST(a_probe_that_is_given_up_lets_the_next_one_through,
     "failures: One let through that its caller gives up lets the next one through")
{
    dial_fixture g;
    vcp_dial_options d = dial_options(0);
    vcp_pool *pool = failing_fast(&g, 50);
    vcp_conn *conn;
    int i;
    CHECK_EQ(tries(pool, g.where.at[1].address), VCP_ERR_CONNECT);
    endpoint_stays_silent(&g.where.at[1]);
    let_pass(100);
    d.timeout_ms = 50;
    for (i = 2; i <= 4; i++) {
        CHECK_EQ(vcp_dial_with(pool, "tcp", g.where.at[1].address, &d, &conn), VCP_ERR_TIMEOUT);
        CHECK_EQ(attempts(&g.s), i);
    }
    dial_fixture_end(&g);
}

TEST(the_pools_own_timeout_is_a_failure,
     "failures: The pool's own dial_timeout_ms is a failure, remembered with its phase")
{
    dial_fixture g;
    vcp_pool *pool;
    vcp_conn *conn;
    int64_t start;
    dial_fixture_init(&g);
    g.options.fail_fast_ms = 60000;
    g.options.dial_timeout_ms = 100;
    pool = dial_fixture_pool(&g);
    endpoint_stays_silent(&g.where.at[1]);
    CHECK_EQ(vcp_dial(pool, "tcp", g.where.at[1].address, &conn), VCP_ERR_TIMEOUT);
    start = now_ms();
    CHECK_EQ(vcp_dial(pool, "tcp", g.where.at[1].address, &conn), VCP_ERR_TIMEOUT);
    CHECK(now_ms() - start <= at_most(50));
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_CONNECTING);
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_EQ(attempts(&g.s), 1);
    dial_fixture_end(&g);
}

static int dial_calls;

static int refusing_dial(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    (void)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    dial_calls++;
    CHECK_EQ(vcp_set_callback_error("not today"), VCP_OK);
    return -77;
}

TEST(refusing_callbacks_and_names_that_do_not_resolve_are_failures,
     "failures: CALLBACK and RESOLVE are failures")
{
    dial_fixture g, refusing;
    vcp_pool *pool = failing_fast(&g, 60000);
    int i;
    name_fails("nobody.test", EAI_AGAIN, 0);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(tries(pool, "nobody.test:1"), VCP_ERR_RESOLVE);
        CHECK_EQ(vcp_last_errno(), EAI_AGAIN);
        CHECK_HAS(vcp_last_error(), "nobody.test");
    }
    CHECK_EQ(calls_for("nobody.test"), 1);
    dial_fixture_end(&g);

    dial_fixture_init(&refusing);
    refusing.options.fail_fast_ms = 60000;
    refusing.options.dial = refusing_dial;
    pool = dial_fixture_pool(&refusing);
    for (i = 0; i < 3; i++) {
        CHECK_EQ(tries(pool, "127.0.0.1:1"), VCP_ERR_CALLBACK);
        CHECK_EQ(vcp_last_errno(), -77);
        CHECK_HAS(vcp_last_error(), "not today");
    }
    CHECK_EQ(dial_calls, 1);
    dial_fixture_end(&refusing);
}

TEST(each_destination_fails_for_itself,
     "failures: fail_fast_ms counts per destination: network, address, tag")
{
    dial_fixture g;
    vcp_dial_options d = dial_options(0);
    vcp_pool *pool = failing_fast(&g, 60000);
    vcp_conn *conn;
    endpoint_answers(&g.where.at[2]);
    CHECK_EQ(tries(pool, g.where.at[1].address), VCP_ERR_CONNECT);
    CHECK_EQ(tries(pool, g.where.at[2].address), VCP_OK);
    CHECK_EQ(attempts(&g.s), 2);

    /* The same address under another tag, and over another network. */
    d.reuse_tag = "another";
    CHECK_EQ(vcp_dial_with(pool, "tcp", g.where.at[1].address, &d, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(attempts(&g.s), 3);
    CHECK_EQ(vcp_dial(pool, "tcp4", g.where.at[1].address, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(attempts(&g.s), 4);
    CHECK_EQ(vcp_dial_with(pool, "tcp", g.where.at[1].address, &d, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(tries(pool, g.where.at[1].address), VCP_ERR_CONNECT);
    CHECK_EQ(attempts(&g.s), 4);
    dial_fixture_end(&g);
}

TEST(an_idle_connection_is_handed_out_meanwhile,
     "failures: A hit is served meanwhile, and does not end it")
{
    dial_fixture g;
    vcp_dial_options fresh = dial_options(VCP_DIAL_FRESH);
    vcp_pool *pool;
    vcp_conn *conn;
    int i;
    dial_fixture_init(&g);
    g.options.fail_fast_ms = 60000;
    g.options.max_idle_per_address = 8;
    pool = dial_fixture_pool(&g);
    endpoint_answers(&g.where.at[1]);
    CHECK_EQ(tries(pool, g.where.at[1].address), VCP_OK);
    g.s.control_answer = 5;
    CHECK_EQ(vcp_dial_with(pool, "tcp", g.where.at[1].address, &fresh, &conn), VCP_ERR_CALLBACK);
    CHECK_EQ(attempts(&g.s), 2);
    for (i = 0; i < 3; i++) {
        CHECK(vcp_dial(pool, "tcp", g.where.at[1].address, &conn) >= 0);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        give_back(conn);
        /* A hit shows nothing about new connections. */
        CHECK_EQ(vcp_dial_with(pool, "tcp", g.where.at[1].address, &fresh, &conn),
                 VCP_ERR_CALLBACK);
    }
    CHECK_EQ(attempts(&g.s), 2);
    dial_fixture_end(&g);
}

TEST(without_fail_fast_ms_every_dial_tries, "failures: fail_fast_ms 0: every dial tries")
{
    dial_fixture g;
    vcp_pool *pool;
    int i;
    dial_fixture_init(&g);
    pool = dial_fixture_pool(&g);
    for (i = 1; i <= 5; i++) {
        CHECK_EQ(tries(pool, g.where.at[1].address), VCP_ERR_CONNECT);
        CHECK_EQ(attempts(&g.s), i);
    }
    dial_fixture_end(&g);
}

/* Dials the name, which has these addresses, and compares the order of attempts. */
static void expect_order(dial_fixture *g, const char *ips, const char *order)
{
    char text[256];
    name_is("somewhere.test", ips);
    g->s.count = 0;
    tries(g->pool, g->name);
    CHECK_STR(order_of(&g->s, text, sizeof text), order);
}

TEST(an_address_that_failed_is_tried_last,
     "failures: An address that failed within the last minute is tried last, until it is "
     "connected to")
{
    dial_fixture g;
    dial_fixture_init(&g);
    dial_fixture_pool(&g);
    endpoint_answers(&g.where.at[2]);
    expect_order(&g, "127.0.0.1 127.0.0.2", "127.0.0.1 127.0.0.2");
    expect_order(&g, "127.0.0.1 127.0.0.2", "127.0.0.2");

    /* Last, not never; and it stays behind those that nothing is known of, of whatever family. */
    expect_order(&g, "127.0.0.1", "127.0.0.1");
    expect_order(&g, "127.0.0.3 127.0.0.1 ::1 127.0.0.2", "127.0.0.3 [::1] 127.0.0.2");

    /* It works again: no longer avoided. */
    endpoint_answers(&g.where.at[1]);
    expect_order(&g, "127.0.0.1", "127.0.0.1");
    expect_order(&g, "127.0.0.1 127.0.0.2", "127.0.0.1");

    /* All of them have failed: as they come. */
    expect_order(&g, "127.0.0.4 127.0.0.3 ::1", "127.0.0.4 [::1] 127.0.0.3");
    expect_order(&g, "127.0.0.4 127.0.0.3 ::1", "127.0.0.4 [::1] 127.0.0.3");
    dial_fixture_end(&g);
}

TEST(an_address_that_was_unanswered_when_another_won_is_tried_last,
     "failures: An address that was unanswered when another one won is tried last")
{
    dial_fixture g;
    dial_fixture_init(&g);
    g.options.fallback_delay_ms = 30;
    dial_fixture_pool(&g);
    endpoint_stays_silent(&g.where.at[1]);
    endpoint_answers(&g.where.at[2]);
    expect_order(&g, "127.0.0.1 127.0.0.2", "127.0.0.1 127.0.0.2");
    expect_order(&g, "127.0.0.1 127.0.0.2", "127.0.0.2");
    dial_fixture_end(&g);
}
