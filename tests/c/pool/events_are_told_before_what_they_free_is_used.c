/*
 * Whoever counts events never sees a limit broken or a connection twice: what the end of a dial, a
 * give-back, a close or the end of a wait frees is used only after that event has been told.
 *
 * The observer dawdles before it counts. An event that comes too late is then always seen too late.
 */
#include "check.h"

enum { THREADS = 8, ROUNDS = 12, DESCRIPTORS = 1024 };

typedef struct observer {
    pthread_mutex_t lock;
    int dialing, most_dialing;
    int open, most_open; /* dialing included */
    int waiting, most_waiting;
    int lent[DESCRIPTORS];
    int lent_twice;
} observer;

static void note(int *count, int by, int *most)
{
    *count += by;
    *most = *count > *most ? *count : *most;
}

static void lend(observer *o, int fd, int is_reuse)
{
    CHECK_BETWEEN(fd, 0, DESCRIPTORS - 1);
    o->lent_twice += is_reuse && o->lent[fd];
    o->lent[fd] = is_reuse;
}

static int frees(int kind)
{
    return kind == VCP_EVENT_DIAL_DONE || kind == VCP_EVENT_DIAL_FAILED ||
           kind == VCP_EVENT_RELEASED || kind == VCP_EVENT_CLOSED || kind == VCP_EVENT_WAIT_DONE;
}

static void observe(void *user, const vcp_event *event)
{
    observer *o = (observer *)user;
    if (frees(event->kind)) {
        let_pass(2);
    }
    pthread_mutex_lock(&o->lock);
    switch (event->kind) {
    case VCP_EVENT_DIAL_START:
        note(&o->dialing, 1, &o->most_dialing);
        note(&o->open, 1, &o->most_open);
        break;
    case VCP_EVENT_DIAL_DONE:
        note(&o->dialing, -1, &o->most_dialing);
        lend(o, event->fd, 0);
        break;
    case VCP_EVENT_DIAL_FAILED:
        note(&o->dialing, -1, &o->most_dialing);
        note(&o->open, -1, &o->most_open);
        break;
    case VCP_EVENT_REUSED:
        lend(o, event->fd, 1);
        break;
    case VCP_EVENT_RELEASED:
        lend(o, event->fd, 0);
        break;
    case VCP_EVENT_CLOSED:
        lend(o, event->fd, 0);
        note(&o->open, -1, &o->most_open);
        break;
    case VCP_EVENT_WAIT_START:
        note(&o->waiting, 1, &o->most_waiting);
        break;
    case VCP_EVENT_WAIT_DONE:
        note(&o->waiting, -1, &o->most_waiting);
        break;
    default:
        break;
    }
    pthread_mutex_unlock(&o->lock);
}

static vcp_pool_options observed(observer *o)
{
    vcp_pool_options options = pool_options();
    memset(o, 0, sizeof *o);
    CHECK_EQ(pthread_mutex_init(&o->lock, NULL), 0);
    options.on_event = observe;
    options.user = o;
    options.wait_timeout_ms = -1;
    return options;
}

/* One thread's dials of one address, over and over. */
typedef struct borrower {
    vcp_pool *pool;
    const server *s;
    uint32_t flags;
    int discards;
    int may_fail;
    pthread_t thread;
} borrower;

static void *borrows(void *argument)
{
    borrower *b = (borrower *)argument;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        vcp_conn *conn;
        int result = dial_flags(b->pool, b->s, b->flags, &conn);
        CHECK(result >= 0 || b->may_fail);
        if (result >= 0) {
            if (b->discards) {
                CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
            }
            give_back(conn);
        }
    }
    return NULL;
}

static void let_threads_borrow(const borrower *like)
{
    borrower all[THREADS];
    int i;
    for (i = 0; i < THREADS; i++) {
        all[i] = *like;
        CHECK_EQ(pthread_create(&all[i].thread, NULL, borrows, &all[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(all[i].thread, NULL), 0);
    }
}

static void run(const vcp_pool_options *options, uint32_t flags, int discards, int may_fail)
{
    server s = may_fail == VCP_ERR_CONNECT ? refusing_server() : tcp_server();
    borrower like;
    memset(&like, 0, sizeof like);
    like.pool = pool_new(options);
    like.s = &s;
    like.flags = flags;
    like.discards = discards;
    like.may_fail = may_fail;
    let_threads_borrow(&like);
    EVENTUALLY(stats_of(like.pool).dialing == 0, 5000);
    CHECK_STATS_ADD_UP(like.pool);
    CHECK_EQ(vcp_pool_close(like.pool), VCP_OK);
    if (may_fail != VCP_ERR_CONNECT) {
        server_close(&s);
    }
}

TEST(a_dial_that_is_done_is_told_before_the_next_takes_its_turn,
     "events: DIAL_DONE is told before a dial begins in its turn (max_dials_per_address)")
{
    static observer o;
    vcp_pool_options options = observed(&o);
    options.max_dials_per_address = 2;
    run(&options, VCP_DIAL_FRESH, 1, 0);
    CHECK_BETWEEN(o.most_dialing, 1, 2);
    CHECK_EQ(o.dialing, 0);
}

TEST(a_dial_that_failed_is_told_before_the_next_takes_its_turn,
     "events: DIAL_FAILED is told before a dial begins in its turn (max_dials_per_address)")
{
    static observer o;
    vcp_pool_options options = observed(&o);
    options.max_dials_per_address = 2;
    run(&options, VCP_DIAL_FRESH, 1, VCP_ERR_CONNECT);
    CHECK_BETWEEN(o.most_dialing, 1, 2);
    CHECK_EQ(o.open, 0);
}

TEST(a_close_is_told_before_a_dial_takes_its_place,
     "events: CLOSED is told before a dial begins in its place (max_conns)")
{
    static observer o;
    vcp_pool_options options = observed(&o);
    options.max_conns = 3;
    run(&options, VCP_DIAL_FRESH, 1, 0);
    CHECK_BETWEEN(o.most_open, 1, 3);
    CHECK_EQ(o.open, 0);
}

TEST(a_failed_dial_is_told_before_another_takes_its_place,
     "events: DIAL_FAILED is told before a dial begins in its place (max_conns)")
{
    static observer o;
    vcp_pool_options options = observed(&o);
    options.max_conns = 3;
    run(&options, VCP_DIAL_FRESH, 1, VCP_ERR_CONNECT);
    CHECK_BETWEEN(o.most_open, 1, 3);
    CHECK_EQ(o.open, 0);
}

TEST(a_give_back_is_told_before_a_waiter_has_it,
     "events: RELEASED is told before the REUSED of the one who gets the connection")
{
    static observer o;
    vcp_pool_options options = observed(&o);
    options.max_conns = 2;
    run(&options, 0, 0, 0);
    CHECK_EQ(o.lent_twice, 0);
    CHECK_BETWEEN(o.most_open, 1, 2);
}

TEST(an_idle_one_is_told_before_the_next_borrower_has_it,
     "events: RELEASED is told before the REUSED of the one who borrows the idle connection")
{
    static observer o;
    vcp_pool_options options = observed(&o);
    run(&options, 0, 0, 0);
    CHECK_EQ(o.lent_twice, 0);
}

TEST(a_wait_that_is_over_is_told_before_another_takes_its_place,
     "events: WAIT_DONE is told before a wait begins in its place (max_waiters)")
{
    static observer o;
    vcp_pool_options options = observed(&o);
    options.max_conns = 1;
    options.max_waiters = 2;
    run(&options, 0, 0, VCP_ERR_POOL_EXHAUSTED);
    CHECK_BETWEEN(o.most_waiting, 1, 2);
    CHECK_EQ(o.waiting, 0);
    CHECK_EQ(o.lent_twice, 0);
}
