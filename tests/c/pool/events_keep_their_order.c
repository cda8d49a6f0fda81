/*
 * The order of events: who counts them sees no limit broken and no connection twice, however many
 * threads tell them. Contract section 4.
 */
#include "check.h"
#include "completions.h"

#include <sched.h>

enum { THREADS = 8, ROUNDS = 150, PLACES = 3, DESCRIPTORS = 1024 };
enum { GONE, DIALED, OUT, IN };

/* What an observer makes of the events alone. */
typedef struct account {
    pthread_mutex_t lock;
    const server *places[PLACES];
    int dialing[PLACES];
    int open_at[PLACES];
    int open;
    int waiting;
    int most_dialing;
    int most_open_at;
    int most_open;
    int most_waiting;
    int wrong;
    char whereabouts[DESCRIPTORS];
} account;

static void add(int *count, int change, int *most)
{
    *count += change;
    if (*count > *most) {
        *most = *count;
    }
}

static int place_of(const account *a, const char *address)
{
    int i;
    for (i = 0; i < PLACES; i++) {
        if (a->places[i] != NULL && strcmp(a->places[i]->address, address) == 0) {
            return i;
        }
    }
    return 0;
}

/* A connection that is there goes from one of two places to another. */
static void move(account *a, int fd, int from, int or_from, int to)
{
    char *now = &a->whereabouts[fd];
    if (*now != from && *now != or_from) {
        a->wrong++;
    }
    *now = (char)to;
}

static void count_event(void *user, const vcp_event *event)
{
    account *a = (account *)user;
    int at;
    /* Whatever was freed before this was counted is used now. */
    sched_yield();
    pthread_mutex_lock(&a->lock);
    at = place_of(a, event->address);
    switch (event->kind) {
    case VCP_EVENT_DIAL_START:
        add(&a->dialing[at], 1, &a->most_dialing);
        add(&a->open_at[at], 1, &a->most_open_at);
        add(&a->open, 1, &a->most_open);
        break;
    case VCP_EVENT_DIAL_DONE:
        a->dialing[at]--;
        move(a, event->fd, GONE, GONE, DIALED);
        break;
    case VCP_EVENT_DIAL_FAILED:
        a->dialing[at]--;
        a->open_at[at]--;
        a->open--;
        break;
    case VCP_EVENT_REUSED:
        /* One whose dialer was served otherwise is idle without having been given back. */
        move(a, event->fd, IN, DIALED, OUT);
        break;
    case VCP_EVENT_RELEASED:
        move(a, event->fd, OUT, DIALED, IN);
        break;
    case VCP_EVENT_CLOSED:
        a->wrong += a->whereabouts[event->fd] == GONE;
        a->whereabouts[event->fd] = GONE;
        a->open_at[at]--;
        a->open--;
        break;
    case VCP_EVENT_WAIT_START:
        add(&a->waiting, 1, &a->most_waiting);
        break;
    case VCP_EVENT_WAIT_DONE:
        a->waiting--;
        break;
    default:
        break;
    }
    pthread_mutex_unlock(&a->lock);
}

static account counted;

static vcp_pool_options counted_options(void)
{
    vcp_pool_options options = pool_options();
    memset(&counted, 0, sizeof counted);
    CHECK_EQ(pthread_mutex_init(&counted.lock, NULL), 0);
    options.on_event = count_event;
    options.user = &counted;
    options.wait_timeout_ms = VCP_FOREVER;
    return options;
}

typedef struct customer {
    vcp_pool *pool;
    const server *places[PLACES];
    unsigned number;
    int refused;
} customer;

/* Dials here and there, fresh or not, and gives back or discards. */
static void *deals(void *argument)
{
    customer *c = (customer *)argument;
    unsigned dice = c->number * 2654435761u + 1;
    int i;
    for (i = 0; i < ROUNDS; i++) {
        const server *s;
        vcp_conn *conn;
        dice = dice * 1664525u + 1013904223u;
        s = c->places[(dice >> 16) % PLACES];
        if (dial_flags(c->pool, s, (dice >> 20) % 4 == 0 ? VCP_DIAL_FRESH : 0, &conn) >= 0) {
            if ((dice >> 24) % 3 == 0) {
                CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
            }
            give_back(conn);
        } else {
            c->refused++;
        }
    }
    return NULL;
}

static void all_deal(vcp_pool *pool, const server *const places[PLACES])
{
    pthread_t threads[THREADS];
    customer customers[THREADS];
    int i;
    for (i = 0; i < THREADS; i++) {
        memset(&customers[i], 0, sizeof customers[i]);
        customers[i].pool = pool;
        memcpy(customers[i].places, places, sizeof customers[i].places);
        customers[i].number = (unsigned)i;
        CHECK_EQ(pthread_create(&threads[i], NULL, deals, &customers[i]), 0);
    }
    for (i = 0; i < THREADS; i++) {
        CHECK_EQ(pthread_join(threads[i], NULL), 0);
    }
}

TEST(an_observer_counts_no_more_than_the_limits_allow,
     "events: CLOSED, DIAL_DONE and DIAL_FAILED are told before what they free is used; RELEASED "
     "before REUSED")
{
    fixture f;
    server other = tcp_server();
    server closed = refusing_server();
    vcp_pool_options options = counted_options();
    const server *places[PLACES];
    options.max_conns = 3;
    options.max_conns_per_address = 2;
    options.max_dials_per_address = 1;
    options.max_idle_per_address = 1;
    f = fixture_new(&options);
    server_start_echo(&f.s);
    server_start_echo(&other);
    counted.places[0] = places[0] = &f.s;
    counted.places[1] = places[1] = &other;
    counted.places[2] = places[2] = &closed;
    all_deal(f.pool, places);
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    CHECK_BETWEEN(counted.most_open, 1, 3);
    CHECK_BETWEEN(counted.most_open_at, 1, 2);
    CHECK_EQ(counted.most_dialing, 1);
    CHECK_EQ(counted.wrong, 0);
    CHECK_EQ(counted.open, 0);
    CHECK_EQ(counted.waiting, 0);
    FIXTURE_END(&f);
    server_close(&other);
}

TEST(an_observer_counts_no_more_waiters_than_may_wait,
     "events: WAIT_DONE is told before another dial waits in its place")
{
    fixture f;
    vcp_pool_options options = counted_options();
    const server *places[PLACES];
    int i;
    options.max_conns = 1;
    options.max_waiters = 2;
    f = fixture_new(&options);
    server_start_echo(&f.s);
    for (i = 0; i < PLACES; i++) {
        places[i] = &f.s;
    }
    counted.places[0] = &f.s;
    all_deal(f.pool, places);
    CHECK_BETWEEN(counted.most_waiting, 0, 2);
    CHECK_EQ(counted.most_open, 1);
    CHECK_EQ(counted.wrong, 0);
    CHECK_EQ(counted.waiting, 0);
    FIXTURE_END(&f);
}

TEST(dials_that_the_background_ends_free_their_turn_when_that_is_told,
     "events: DIAL_FAILED of asynchronous dials is told before their turn is used")
{
    enum { DIALS = 24 };
    vcp_pool_options options = counted_options();
    full_server full = full_server_new();
    vcp_queue *queue = queue_new();
    vcp_dial_options d = dial_options(VCP_DIAL_QUEUED);
    vcp_pool *pool;
    int i;
    options.max_dials_per_address = 2;
    pool = pool_new(&options);
    counted.places[0] = &full.s;
    for (i = 0; i < DIALS; i++) {
        vcp_conn *conn;
        d.timeout_ms = at_most(20 + 5 * i);
        CHECK_EQ(vcp_dial_async(pool, full.s.network, full.s.address, &d, queue, NULL, &conn),
                 VCP_OK);
    }
    for (i = 0; i < DIALS; i++) {
        CHECK_EQ(next_completion(queue).status, VCP_ERR_TIMEOUT);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_BETWEEN(counted.most_dialing, 1, 2);
    CHECK_EQ(counted.dialing[0], 0);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    full_server_close(&full);
}

/* A program that dials again as soon as it is told that something is free. */
typedef struct reconnector {
    vcp_pool *pool;
    const server *s;
    int kind;
    int result;
    vcp_conn *conn;
} reconnector;

static void reconnect(void *user, const vcp_event *event)
{
    reconnector *r = (reconnector *)user;
    if (event->kind == r->kind && r->result == 0) {
        r->result = -1;
        r->result = dial_flags(r->pool, r->s, 0, &r->conn);
    }
}

static void dials_again_when_told(int kind, int is_kept)
{
    fixture f;
    reconnector r;
    vcp_pool_options options = pool_options();
    vcp_conn *conn;
    int64_t start;
    memset(&r, 0, sizeof r);
    options.on_event = reconnect;
    options.user = &r;
    options.max_conns = 1;
    options.wait_timeout_ms = VCP_FOREVER;
    options.dial_timeout_ms = 20000;
    f = fixture_new(&options);
    r.pool = f.pool;
    r.s = &f.s;
    r.kind = kind;
    conn = borrow(f.pool, &f.s);
    start = now_ms();
    if (!is_kept) {
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    }
    give_back(conn);
    CHECK_TOOK(start, 0);
    CHECK(r.result > 0);
    CHECK_EQ(vcp_conn_is_reused(r.conn), is_kept);
    give_back(r.conn);
    FIXTURE_END(&f);
}

TEST(a_callback_may_use_what_it_is_told_of,
     "events: on_event may dial at a limit: what it is told of is free for it")
{
    dials_again_when_told(VCP_EVENT_RELEASED, 1);
    dials_again_when_told(VCP_EVENT_CLOSED, 0);
}

/* ---- a leak that comes back while the observer is busy ---- */

static struct {
    int is_busy;   /* LEAKED of "first" is being told */
    int may_go_on; /* the test has given "second" back */
    int leaked;    /* LEAKED of "second" was told */
    int returned_before;
} leaks;

static void is_slow_about_the_first(void *user, const vcp_event *event)
{
    (void)user;
    if (event->kind == VCP_EVENT_LEAKED && strcmp(event->label, "first") == 0) {
        __atomic_store_n(&leaks.is_busy, 1, __ATOMIC_SEQ_CST);
        EVENTUALLY(__atomic_load_n(&leaks.may_go_on, __ATOMIC_SEQ_CST), 10000);
    } else if (event->kind == VCP_EVENT_LEAKED) {
        __atomic_store_n(&leaks.leaked, 1, __ATOMIC_SEQ_CST);
    } else if (event->kind == VCP_EVENT_LEAK_RETURNED &&
               !__atomic_load_n(&leaks.leaked, __ATOMIC_SEQ_CST) &&
               strcmp(event->label, "second") == 0) {
        leaks.returned_before = 1;
    }
}

TEST(a_leak_is_told_before_it_returns,
     "events: LEAKED comes before LEAK_RETURNED, though on_event is busy with another leak")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_dial_options labels = dial_options(0);
    vcp_conn *first, *second;
    vcp_pool *pool;
    memset(&leaks, 0, sizeof leaks);
    options.leak_threshold_ms = 50;
    options.on_event = is_slow_about_the_first;
    pool = pool_new(&options);
    labels.label = "first";
    CHECK(vcp_dial_with(pool, "tcp", s.address, &labels, &first) >= 0);
    labels.label = "second";
    CHECK(vcp_dial_with(pool, "tcp", s.address, &labels, &second) >= 0);
    EVENTUALLY(stats_of(pool).leaks == 2, 5000);
    EVENTUALLY(__atomic_load_n(&leaks.is_busy, __ATOMIC_SEQ_CST), 5000);
    CHECK_EQ(vcp_conn_close(second), VCP_OK);
    CHECK_EQ(leaks.leaked, 1);
    CHECK_EQ(leaks.returned_before, 0);
    __atomic_store_n(&leaks.may_go_on, 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(vcp_conn_close(first), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
