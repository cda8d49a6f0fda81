/*
 * Names that hang: who asks for one is back at its deadline, everybody else is served, and the
 * library's threads stay few and end. getaddrinfo(3) cannot be stopped, so each lookup that hangs
 * holds a thread until it returns.
 */
#include "check.h"
#include "dialing_threads.h"
#include "fake_getaddrinfo.h"

/* The library's threads that resolve, and as many of them may hold names that timed out lately. */
#define RESOLVER_MOST 64
#define SLOW_MOST 32

/*
 * Hanging names are numbered through all tests, so that each is new unless a test means it not to
 * be.
 */
static int next_name;

static int new_names(int count)
{
    next_name += count;
    return next_name - count;
}

static vcp_pool *forgetful_pool(void)
{
    vcp_pool_options options = pool_options();
    options.max_idle_per_address = 0;
    return pool_new(&options);
}

static dialer hanging(vcp_pool *pool, int64_t timeout_ms)
{
    dialer like = dialer_of(pool, "hang-%d.test:1");
    like.timeout_ms = timeout_ms;
    return like;
}

/* So many dials of names that hang, from number `first` on, until all of them are back. */
static void hang_for(vcp_pool *pool, int count, int first, int64_t timeout_ms)
{
    dialer like = hanging(pool, timeout_ms);
    dialers c;
    int i;
    dialers_start(&c, count, &like, first);
    dialers_join(&c);
    for (i = 0; i < count; i++) {
        CHECK_EQ(c.all[i].status, VCP_ERR_TIMEOUT);
        CHECK_EQ(c.all[i].phase, VCP_PHASE_RESOLVING);
    }
}

/* A dial of a name that resolves, within so long. */
static void dial_by_name(vcp_pool *pool, const char *host, const server *s, int64_t timeout_ms)
{
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn;
    char address[64];
    d.timeout_ms = timeout_ms;
    snprintf(address, sizeof address, "%s:%d", host, s->port);
    CHECK(vcp_dial_with(pool, "tcp", address, &d, &conn) >= 0);
    give_back(conn);
}

/* Of this program alone: pthread_join returns a moment before the thread has left /proc. */
static int own_threads(void)
{
    EVENTUALLY(threads() == 1 + TOOL_THREADS, 5000 + LATENESS_MS);
    return 1 + TOOL_THREADS;
}

/* Lets all lookups return and waits until they have. */
static void let_all_return(void)
{
    names_let_go();
    EVENTUALLY(lookups() == 0, 5000);
}

TEST(sixty_four_dials_of_hanging_names_are_back_at_their_deadlines,
     "names: 64 dials of 64 hanging names are back at their deadlines: TIMEOUT, phase resolving")
{
    vcp_pool *pool = forgetful_pool();
    dialer like = hanging(pool, 200);
    dialers c;
    int64_t late = lateness_of(64, 200);
    int64_t later;
    int i;
    names_hold();
    dialers_start(&c, 64, &like, new_names(64));
    dialers_join(&c);
    later = lateness_of(64, 200);
    late = later > late ? later : late;
    for (i = 0; i < 64; i++) {
        const dialer *m = &c.all[i];
        CHECK_EQ(m->status, VCP_ERR_TIMEOUT);
        CHECK_EQ(m->phase, VCP_PHASE_RESOLVING);
        CHECK_EQ(m->number, 0);
        CHECK_HAS(m->error, "resolving");
        CHECK_BETWEEN(m->ended - m->began, 200 - 1, at_most(300) + late);
    }
    CHECK_EQ(stats_of(pool).dialing, 0);
    CHECK_STATS_ADD_UP(pool);
    let_all_return();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(healthy_names_resolve_while_others_hang,
     "names: Meanwhile a name that is known to resolve, and a new one, are dialed")
{
    server s = tcp_server();
    vcp_pool *pool = forgetful_pool();
    dialer like = hanging(pool, 1000 + at_most(1000));
    dialers c;
    int i;
    name_is("known.test", "127.0.0.1");
    name_is("new.test", "127.0.0.1");
    dial_by_name(pool, "known.test", &s, 1000);
    names_hold();
    dialers_start(&c, 64, &like, new_names(64));
    EVENTUALLY(dialers_sleep(&c), 1000);
    for (i = 0; i < 5; i++)
        dial_by_name(pool, "known.test", &s, at_most(500));
    dial_by_name(pool, "new.test", &s, at_most(5000));
    dialers_join(&c);
    let_all_return();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(at_most_sixty_four_threads_resolve,
     "names: At most 64 names are looked up at once, on as many threads")
{
    int own = own_threads();
    vcp_pool *pool = forgetful_pool();
    int round;
    names_hold();
    for (round = 0; round < 8; round++) {
        dialer like = hanging(pool, 150);
        dialers c;
        int i;
        dialers_start(&c, 64, &like, new_names(64));
        for (i = 0; i < 20; i++) {
            CHECK(threads() - own <= 64 + RESOLVER_MOST);
            poll(NULL, 0, 5);
        }
        dialers_join(&c);
        EVENTUALLY(threads() - own <= RESOLVER_MOST, LATENESS_MS);
    }
    CHECK(most_lookups() <= RESOLVER_MOST);
    let_all_return();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(the_threads_end_when_the_lookups_have_returned,
     "names: The threads that resolve end within 5 s of their last lookup")
{
    int own = own_threads();
    vcp_pool *pool = forgetful_pool();
    names_hold();
    hang_for(pool, 64, new_names(64), 100);
    CHECK(threads() > own);
    let_all_return();
    EVENTUALLY(threads() == own, 5000 + LATENESS_MS);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(closing_the_last_pool_ends_the_threads_at_once,
     "names: They end at once with the last pool, or when their getaddrinfo returns")
{
    int own = own_threads();
    vcp_pool *pool;
    int round;
    for (round = 0; round < 2; round++) {
        int is_hanging = round == 1;
        int64_t start;
        pool = forgetful_pool();
        names_hold();
        hang_for(pool, 20, new_names(20), 100);
        CHECK(threads() > own);
        if (!is_hanging)
            let_all_return();
        start = now_ms();
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        CHECK(now_ms() - start <= at_most(LATENESS_MS));
        if (is_hanging) {
            /* They cannot end before; then they do. */
            CHECK(threads() > own);
            names_let_go();
        }
        EVENTUALLY(threads() == own, LATENESS_MS);
    }
}

/* Nobody else's deadline has to pass for it. */
TEST(a_new_healthy_name_resolves_while_patient_dials_hang,
     "names: A new name resolves behind 64 hanging ones whose dials have time")
{
    server s = tcp_server();
    vcp_pool *pool = forgetful_pool();
    dialer like = hanging(pool, 30000);
    dialers c;
    int i;
    name_is("newer.test", "127.0.0.1");
    names_hold();
    dialers_start(&c, 64, &like, new_names(64));
    EVENTUALLY(dialers_sleep(&c), 5000);
    dial_by_name(pool, "newer.test", &s, at_most(3000));
    names_let_go();
    dialers_join(&c);
    for (i = 0; i < 64; i++)
        CHECK(c.all[i].status == VCP_ERR_CONNECT);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * They time out, their lookups fail at last, and they hang again: as when the system's DNS server
 * is down.
 */
TEST(names_that_timed_out_lately_hold_half_of_the_threads_at_most,
     "names: Names that timed out within the last minute get at most half of the 64 places")
{
    vcp_pool *pool = forgetful_pool();
    int first = new_names(64);
    int i;
    names.after_hanging = EAI_AGAIN;
    for (i = 0; i < 4; i++) {
        int before = all_calls();
        names_hold();
        hang_for(pool, 16, first + 16 * i, at_most(150));
        CHECK_EQ(all_calls() - before, 16);
        let_all_return();
    }
    names_hold();
    hang_for(pool, 64, first, at_most(150));
    CHECK(lookups() <= SLOW_MOST);
    let_all_return();
    names.after_hanging = 0;
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/*
 * While its lookup hangs, a name that is asked for again shares it: one thread each, however often.
 */
TEST(names_that_hang_on_get_no_more_threads_when_asked_again,
     "names: A hanging name that is asked for again takes no second thread")
{
    vcp_pool *pool = forgetful_pool();
    int first = new_names(64);
    int before = all_calls();
    int round;
    names_hold();
    for (round = 0; round < 5; round++) {
        hang_for(pool, 64, first, 150);
        CHECK(lookups() < RESOLVER_MOST);
        CHECK_EQ(all_calls() - before, lookups());
    }
    let_all_return();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(two_hundred_hanging_names_do_not_block_a_known_one,
     "names: 200 hanging names, 20 at a time, do not block a name that is known to resolve")
{
    server s = tcp_server();
    vcp_pool *pool = forgetful_pool();
    int round;
    name_is("staple.test", "127.0.0.1");
    dial_by_name(pool, "staple.test", &s, 1000);
    names_hold();
    for (round = 0; round < 10; round++) {
        hang_for(pool, 20, new_names(20), 150);
        dial_by_name(pool, "staple.test", &s, at_most(1000));
    }
    let_all_return();
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
