/* vcp_cancel_*: from any thread and from a signal handler, for dials, reads, writes and waits. */
#include "check.h"
#include "dialing_threads.h"
#include "fake_getaddrinfo.h"

static vcp_cancel *token_new(void)
{
    vcp_cancel *token = NULL;
    CHECK_EQ(vcp_cancel_new(&token), VCP_OK);
    CHECK(token != NULL);
    return token;
}

static void *fires_after_100_ms(void *token)
{
    let_pass(100);
    CHECK_EQ(vcp_cancel_fire((vcp_cancel *)token), VCP_OK);
    return NULL;
}

TEST(a_fired_token_fails_the_dial_even_on_a_hit,
     "tokens: A token that fired fails the dial even when something is idle")
{
    fixture f = fixture_new(NULL);
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn = borrow(f.pool, &f.s);
    give_back(conn);
    d.cancel = token_new();
    CHECK(vcp_dial_with(f.pool, f.s.network, f.s.address, &d, &conn) >= 0);
    give_back(conn);
    CHECK_EQ(vcp_cancel_fire(d.cancel), VCP_OK);
    CHECK_EQ(vcp_dial_with(f.pool, f.s.network, f.s.address, &d, &conn), VCP_ERR_CANCELED);
    CHECK(conn == NULL);
    CHECK_EQ(vcp_last_errno(), 0);
    CHECK_EQ(idle_at(f.pool, &f.s), 1);
    CHECK_EQ(vcp_cancel_free(d.cancel), VCP_OK);
    FIXTURE_END(&f);
}

TEST(firing_ends_a_dial_that_connects, "tokens: Firing ends a dial that connects")
{
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn = NULL;
    pthread_t thread;
    int64_t start = now_ms();
    d.cancel = token_new();
    CHECK_EQ(pthread_create(&thread, NULL, fires_after_100_ms, d.cancel), 0);
    CHECK_EQ(vcp_dial_with(pool, "tcp", full.s.address, &d, &conn), VCP_ERR_CANCELED);
    CHECK_TOOK(start, 100);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(vcp_cancel_free(d.cancel), VCP_OK);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
}

TEST(firing_ends_a_read_a_wait_and_a_write,
     "tokens: Firing ends a read, a wait and a write: CANCELED, and the connection is discarded")
{
    fixture f = fixture_new(NULL);
    char buffer[16];
    static char much[8 << 20];
    int what;
    for (what = 0; what < 3; what++) {
        vcp_conn *conn = borrow_fresh(f.pool, &f.s);
        vcp_cancel *token = token_new();
        pthread_t thread;
        int64_t start = now_ms();
        CHECK_EQ(vcp_conn_set_cancel(conn, token), VCP_OK);
        CHECK_EQ(pthread_create(&thread, NULL, fires_after_100_ms, token), 0);
        if (what == 0)
            CHECK_EQ(vcp_conn_read(conn, buffer, sizeof buffer), VCP_ERR_CANCELED);
        else if (what == 1)
            CHECK_EQ(vcp_conn_wait(conn, VCP_READABLE), VCP_ERR_CANCELED);
        else
            CHECK_EQ(vcp_conn_write(conn, much, sizeof much), VCP_ERR_CANCELED);
        CHECK_TOOK(start, 100);
        CHECK_EQ(vcp_conn_should_retry(conn), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(vcp_cancel_free(token), VCP_OK);
        give_back(conn);
        CHECK_EQ(idle_at(f.pool, &f.s), 0);
    }
    FIXTURE_END(&f);
}

typedef struct {
    vcp_conn *conn;
    int64_t result;
    int is_reading;
} reading;

static void *reads(void *argument)
{
    reading *r = (reading *)argument;
    char byte;
    __atomic_store_n(&r->is_reading, 1, __ATOMIC_RELEASE);
    r->result = vcp_conn_read(r->conn, &byte, 1);
    return NULL;
}

TEST(a_running_read_follows_a_token_set_meanwhile,
     "tokens: A running read follows a token set meanwhile")
{
    fixture f = fixture_new(NULL);
    reading r;
    pthread_t thread;
    vcp_cancel *token = token_new();
    r.conn = borrow(f.pool, &f.s);
    r.result = 0;
    r.is_reading = 0;
    CHECK_EQ(pthread_create(&thread, NULL, reads, &r), 0);
    EVENTUALLY(__atomic_load_n(&r.is_reading, __ATOMIC_ACQUIRE), 1000);
    CHECK_EQ(vcp_cancel_fire(token), VCP_OK);
    CHECK_EQ(vcp_conn_set_cancel(r.conn, token), VCP_OK);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(r.result, VCP_ERR_CANCELED);
    CHECK_EQ(vcp_cancel_free(token), VCP_OK);
    give_back(r.conn);
    FIXTURE_END(&f);
}

TEST(a_token_ends_with_the_borrow, "tokens: A token set on a connection ends with the borrow")
{
    fixture f = fixture_new(NULL);
    vcp_cancel *token = token_new();
    vcp_conn *conn;
    server_start_echo(&f.s);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_set_cancel(conn, token), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_cancel_fire(token), VCP_OK);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_ECHO(conn, "still here");
    CHECK_EQ(vcp_conn_set_cancel(conn, NULL), VCP_OK);
    CHECK_ECHO(conn, "and here");
    give_back(conn);
    CHECK_EQ(vcp_cancel_free(token), VCP_OK);
    FIXTURE_END(&f);
}

static vcp_cancel *for_the_handler;
static volatile sig_atomic_t handler_said;

static void fires(int number)
{
    (void)number;
    errno = 77;
    handler_said = vcp_cancel_fire(for_the_handler);
    if (errno != 77)
        handler_said = 1;
}

/*
 * 64 threads dial what `like` says; the handler ends all of them within 50 ms, but for the lateness
 * of this machine.
 */
static void check_handler_ends(dialer like)
{
    enum { MANY = 64 };
    int64_t late = lateness_of(MANY, 50);
    struct sigaction action, before;
    dialers c;
    int64_t fired;
    int i;
    like.token = for_the_handler = token_new();
    dialers_start(&c, MANY, &like, 0);
    EVENTUALLY(dialers_sleep(&c), 5000);
    CHECK_EQ(stats_of(like.pool).dialing, MANY);
    memset(&action, 0, sizeof action);
    action.sa_handler = fires;
    CHECK_EQ(sigaction(SIGUSR1, &action, &before), 0);
    fired = now_ms();
    CHECK_EQ(raise(SIGUSR1), 0);
    CHECK_EQ(handler_said, VCP_OK);
    dialers_join(&c);
    for (i = 0; i < MANY; i++) {
        CHECK_EQ(c.all[i].status, VCP_ERR_CANCELED);
        CHECK_EQ(c.all[i].phase, VCP_PHASE_NONE);
        CHECK_BETWEEN(c.all[i].ended - fired, 0, at_most(50) + late);
    }
    CHECK_EQ(sigaction(SIGUSR1, &before, NULL), 0);
    CHECK_EQ(vcp_cancel_free(for_the_handler), VCP_OK);
    CHECK_STATS_ADD_UP(like.pool);
    CHECK_EQ(vcp_pool_close(like.pool), VCP_OK);
}

TEST(a_signal_handler_ends_64_dials_at_once,
     "tokens: A token fired in a signal handler ends 64 dials at once")
{
    full_server full = full_server_new();
    check_handler_ends(dialer_of(pool_new(NULL), full.s.address));
    full_server_close(&full);
}

/* 64 names, of which some have a thread that resolves them and some wait for one. */
TEST(a_signal_handler_ends_64_dials_that_resolve_at_once,
     "tokens: A token fired in a signal handler ends 64 dials that resolve 64 names at once")
{
    names_hold();
    check_handler_ends(dialer_of(pool_new(NULL), "hang-%d.test:1"));
    CHECK(lookups() > 0);
    names_let_go();
    EVENTUALLY(lookups() == 0, 5000);
}

TEST(a_token_may_be_freed_while_dials_carry_it,
     "tokens: A token may be freed at any time; what carries it goes on")
{
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    dialer m = dialer_of(pool, full.s.address);
    m.token = token_new();
    dialer_start(&m);
    EVENTUALLY(stats_of(pool).dialing == 1, 5000);
    CHECK_EQ(vcp_cancel_fire(m.token), VCP_OK);
    CHECK_EQ(vcp_cancel_free(m.token), VCP_OK);
    dialer_join(&m);
    CHECK_EQ(m.status, VCP_ERR_CANCELED);
    CHECK_EQ(vcp_cancel_free(m.token), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_cancel_fire(m.token), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    full_server_close(&full);
}

TEST(wrong_tokens_are_invalid_handles, "tokens: NULL, garbage and freed tokens are INVALID_HANDLE")
{
    fixture f = fixture_new(NULL);
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_cancel_new(NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_queue_new(NULL), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_cancel_fire(NULL), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_cancel_free(NULL), VCP_OK);
    CHECK_EQ(vcp_conn_set_cancel(conn, (vcp_cancel *)f.pool), VCP_ERR_INVALID_HANDLE);
    give_back(conn);
    d.cancel = (vcp_cancel *)&f.s;
    CHECK_EQ(vcp_dial_with(f.pool, f.s.network, f.s.address, &d, &conn), VCP_ERR_INVALID_HANDLE);
    FIXTURE_END(&f);
}
