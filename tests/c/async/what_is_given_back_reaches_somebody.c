/*
 * A connection that is given back while dials are on their way reaches one that wants it, or is
 * idle: none is kept for a dial that does not take it. Contract section 4.
 */
#include "busy_helpers.h"
#include "fixture.h"

static int a; /* tokens */
static int b;

/* dial callbacks: the one of that number is held. */
typedef struct {
    const server *s;
    int begun;
    int held;
    int holds;
} opener;

static int opens(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    opener *o = (opener *)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    if (__sync_add_and_fetch(&o->begun, 1) == o->held) {
        while (__sync_add_and_fetch(&o->holds, 0) != 0) {
            let_pass(1);
        }
        return -1;
    }
    return client_of(o->s);
}

/* How a dial whose callback runs on ends. */
enum { BY_DEADLINE, BY_TOKEN, BY_QUEUE, ENDS };

static void ends_without_its_callback(int way)
{
    opener o = {NULL, 0, 2, 1};
    vcp_pool_options options = pool_options();
    vcp_dial_options d = dial_options(0);
    vcp_queue *queue = queue_new();
    vcp_cancel *cancel;
    vcp_conn *conn;
    fixture f;
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    options.user = &o;
    options.dial = opens;
    f = fixture_new(&options);
    o.s = &f.s;
    conn = borrow(f.pool, &f.s);
    if (way == BY_DEADLINE) {
        d.timeout_ms = at_most(400);
    }
    d.cancel = cancel;
    begin_dial(f.pool, &f.s, &d, queue, &a);
    EVENTUALLY(__sync_add_and_fetch(&o.begun, 0) == 2, 5000);
    if (way == BY_TOKEN) {
        CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
    }
    if (way == BY_QUEUE) {
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
        queue = queue_new();
    } else {
        next_fails(queue, &a, way == BY_TOKEN ? VCP_ERR_CANCELED : VCP_ERR_TIMEOUT);
    }
    give_back(conn);
    CHECK_EQ(idle_at(f.pool, &f.s), 1);
    __sync_sub_and_fetch(&o.holds, 1);
    EVENTUALLY(stats_of(f.pool).dialing == 0, 5000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    FIXTURE_END(&f);
}

TEST(a_dial_that_has_ended_takes_nothing_while_its_callback_runs,
     "async: What is given back while the dial callback of a dial that has ended still runs is "
     "idle")
{
    int way;
    for (way = 0; way < ENDS; way++) {
        ends_without_its_callback(way);
    }
}

TEST(what_is_given_back_answers_a_dial_whose_callback_waits_for_a_thread,
     "async: A connection given back answers an asynchronous dial that waits for a thread to run "
     "the dial callback on")
{
    opener o = {NULL, 0, 0, 0};
    vcp_pool_options options = pool_options();
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    busy_helpers busy;
    fixture f;
    options.user = &o;
    options.dial = opens;
    f = fixture_new(&options);
    o.s = &f.s;
    conn = borrow(f.pool, &f.s);
    busy_helpers_start(&busy);
    begin_dial(f.pool, &f.s, NULL, queue, &b);
    CHECK_EQ(stats_of(f.pool).dialing, 1);
    /* Until the engine has asked for a thread; where it has not, the dial takes what is idle. */
    let_pass(50);
    give_back(conn);
    give_back(next_conn(queue, &b));
    CHECK_EQ(o.begun, 1);
    EVENTUALLY(stats_of(f.pool).dialing == 0, 5000);
    busy_helpers_end(&busy);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

/* While its dial makes room, one of two is given back; while on_reuse asks about that, the other.
 */
typedef struct {
    vcp_pool *pool;
    const server *s;
    vcp_conn *first;
    vcp_conn *second;
    int idle; /* after the second */
} borrows;

static void gives_first_back(void *user, const vcp_event *event)
{
    borrows *its = (borrows *)user;
    if (event->kind == VCP_EVENT_CLOSED && its->first != NULL) {
        vcp_conn *first = its->first;
        its->first = NULL;
        give_back(first);
    }
}

static int gives_second_back(void *user, vcp_conn *conn, int fd)
{
    borrows *its = (borrows *)user;
    (void)conn;
    (void)fd;
    if (its->second != NULL) {
        vcp_conn *second = its->second;
        its->second = NULL;
        give_back(second);
        its->idle = idle_at(its->pool, its->s);
    }
    return 0;
}

TEST(a_dial_that_was_served_before_it_began_takes_no_second_one,
     "limits: What is given back while on_reuse asks about the connection that has served a dial "
     "is idle")
{
    server other = tcp_server();
    vcp_pool_options options = pool_options();
    borrows its;
    vcp_conn *conn;
    fixture f;
    memset(&its, 0, sizeof its);
    options.user = &its;
    options.max_conns = 3;
    options.on_event = gives_first_back;
    options.on_reuse = gives_second_back;
    f = fixture_new(&options);
    its.pool = f.pool;
    its.s = &f.s;
    its.first = borrow(f.pool, &f.s);
    its.second = borrow(f.pool, &f.s);
    give_back(borrow(f.pool, &other));
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK(its.first == NULL && its.second == NULL);
    CHECK_EQ(its.idle, 1);
    give_back(conn);
    FIXTURE_END(&f);
    server_close(&other);
}
