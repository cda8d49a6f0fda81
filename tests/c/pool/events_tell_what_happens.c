/*
 * on_event: every kind, every reason, and that the events and vcp_stats tell the same story.
 * Contract section 4.
 */
#include "check.h"

enum { KINDS = VCP_EVENT_LEAK_RETURNED + 1, REASONS = VCP_CLOSE_FOREIGN_FD + 1, LAST_MOST = 64 };

/* What one event said. */
typedef struct said {
    int kind;
    int reason;
    int status;
    int fd;
    int fd_was_open;
    int64_t duration_us;
    char network[16];
    char address[160];
    char label[32];
    char reuse_tag[32];
    char remote_address[160];
    char message[256];
} said;

/* Everything that was told. */
typedef struct record {
    pthread_mutex_t lock;
    int kinds[KINDS];
    int reasons[REASONS];
    said last[LAST_MOST]; /* the first ones, in fact; more are counted only */
    int count;
    vcp_pool *asks; /* stats of this pool are read in the callback */
    uint64_t asked;
} record;

static record told;

static void remember(void *user, const vcp_event *event)
{
    record *r = (record *)user;
    said one;
    memset(&one, 0, sizeof one);
    CHECK(event->size == sizeof *event);
    CHECK_BETWEEN(event->kind, 0, KINDS - 1);
    CHECK_BETWEEN(event->reason, 0, REASONS - 1);
    CHECK(event->duration_us >= 0);
    one.kind = event->kind;
    one.reason = event->reason;
    one.status = event->status;
    one.fd = event->fd;
    one.fd_was_open = event->fd >= 0 && is_open(event->fd);
    one.duration_us = event->duration_us;
    snprintf(one.network, sizeof one.network, "%s", event->network);
    snprintf(one.address, sizeof one.address, "%s", event->address);
    snprintf(one.label, sizeof one.label, "%s", event->label);
    snprintf(one.reuse_tag, sizeof one.reuse_tag, "%s", event->reuse_tag);
    snprintf(one.remote_address, sizeof one.remote_address, "%s", event->remote_address);
    snprintf(one.message, sizeof one.message, "%s", event->message);
    if (r->asks != NULL) {
        r->asked += stats_of(r->asks).dials + 1;
    }
    pthread_mutex_lock(&r->lock);
    r->kinds[event->kind]++;
    if (event->kind == VCP_EVENT_CLOSED) {
        r->reasons[event->reason]++;
    }
    if (r->count < LAST_MOST) {
        r->last[r->count] = one;
    }
    r->count++;
    pthread_mutex_unlock(&r->lock);
}

static vcp_pool_options observed(void)
{
    vcp_pool_options options = pool_options();
    memset(&told, 0, sizeof told);
    CHECK_EQ(pthread_mutex_init(&told.lock, NULL), 0);
    options.on_event = remember;
    options.user = &told;
    return options;
}

static int kind_count(int kind)
{
    int count;
    pthread_mutex_lock(&told.lock);
    count = told.kinds[kind];
    pthread_mutex_unlock(&told.lock);
    return count;
}

static int reason_count(int reason)
{
    int count;
    pthread_mutex_lock(&told.lock);
    count = told.reasons[reason];
    pthread_mutex_unlock(&told.lock);
    return count;
}

static int told_count(void)
{
    int count;
    pthread_mutex_lock(&told.lock);
    count = told.count;
    pthread_mutex_unlock(&told.lock);
    return count;
}

/* The event told as number `index`, which has been told. */
static said told_at(int index)
{
    said one;
    pthread_mutex_lock(&told.lock);
    CHECK(index < told.count && index < LAST_MOST);
    one = told.last[index];
    pthread_mutex_unlock(&told.lock);
    return one;
}

static vcp_conn *borrow_as(vcp_pool *pool, const server *s, const char *label, uint32_t flags)
{
    vcp_dial_options d = dial_options(flags);
    vcp_conn *conn;
    d.label = label;
    CHECK(vcp_dial_with(pool, s->network, s->address, &d, &conn) >= 0);
    return conn;
}

TEST(a_borrow_is_told_from_dial_to_close,
     "events: on_event: DIAL_START, DIAL_DONE, RELEASED, REUSED, CLOSED, with descriptor, label, "
     "peer and times; the descriptor is open while CLOSED is told")
{
    server s = tcp_server();
    vcp_pool_options options = observed();
    vcp_pool *pool = pool_new(&options);
    vcp_conn *conn = borrow_as(pool, &s, "first", 0);
    int fd = vcp_conn_raw_fd(conn);
    said one;
    int i;
    CHECK_EQ(told_count(), 2);
    one = told_at(0);
    CHECK_EQ(one.kind, VCP_EVENT_DIAL_START);
    CHECK_EQ(one.fd, -1);
    CHECK_STR(one.remote_address, "");
    one = told_at(1);
    CHECK_EQ(one.kind, VCP_EVENT_DIAL_DONE);
    CHECK_EQ(one.fd, fd);
    CHECK_STR(one.remote_address, s.address);
    CHECK_BETWEEN(one.duration_us, 0, at_most(LATENESS_MS) * 1000);
    let_pass(20); /* How long it was borrowed is what is told. */
    give_back(conn);
    CHECK_EQ(told_count(), 3);
    one = told_at(2);
    CHECK_EQ(one.kind, VCP_EVENT_RELEASED);
    CHECK_EQ(one.fd, fd);
    CHECK_BETWEEN(one.duration_us, 20 * 1000, at_most(20 + LATENESS_MS) * 1000);
    CHECK_STR(one.label, "first");

    conn = borrow_as(pool, &s, "second", 0);
    CHECK_EQ(told_count(), 4);
    one = told_at(3);
    CHECK_EQ(one.kind, VCP_EVENT_REUSED);
    CHECK_EQ(one.fd, fd);
    CHECK_STR(one.label, "second");
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    let_pass(20);
    give_back(conn);
    CHECK_EQ(told_count(), 5);
    one = told_at(4);
    CHECK_EQ(one.kind, VCP_EVENT_CLOSED);
    CHECK_EQ(one.reason, VCP_CLOSE_DISCARDED);
    CHECK_EQ(one.fd, fd);
    CHECK(one.fd_was_open);
    CHECK(!is_open(fd));
    CHECK_STR(one.label, "second");
    CHECK_BETWEEN(one.duration_us, 20 * 1000, at_most(20 + LATENESS_MS) * 1000);
    for (i = 0; i < 5; i++) {
        one = told_at(i);
        CHECK_STR(one.network, "tcp");
        CHECK_STR(one.address, s.address);
        CHECK_STR(one.reuse_tag, "");
        CHECK_STR(one.message, "");
        CHECK_EQ(one.status, VCP_OK);
        CHECK(one.kind == VCP_EVENT_CLOSED || one.reason == VCP_CLOSE_NONE);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(told_count(), 5);
    server_close(&s);
}

TEST(a_failed_dial_is_told_with_its_text,
     "events: on_event: DIAL_FAILED carries the status, the failure's text, the label and the "
     "reuse tag")
{
    server s = refusing_server();
    vcp_pool_options options = observed();
    vcp_pool *pool = pool_new(&options);
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn;
    said one;
    d.label = "unlucky";
    d.reuse_tag = "a tag";
    CHECK_EQ(vcp_dial_with(pool, "tcp", s.address, &d, &conn), VCP_ERR_CONNECT);
    CHECK_EQ(told_count(), 2);
    CHECK_EQ(told_at(0).kind, VCP_EVENT_DIAL_START);
    one = told_at(1);
    CHECK_EQ(one.kind, VCP_EVENT_DIAL_FAILED);
    CHECK_EQ(one.status, VCP_ERR_CONNECT);
    CHECK_STR(one.message, vcp_last_error());
    CHECK_HAS(one.message, "connection refused");
    CHECK_STR(one.label, "unlucky");
    CHECK_STR(one.reuse_tag, "a tag");
    CHECK_EQ(one.fd, -1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* What begins no dial is none. */
TEST(what_fails_before_a_dial_tells_nothing,
     "events: on_event: what fails before a dial begins tells nothing")
{
    server s = tcp_server();
    vcp_pool_options options = observed();
    vcp_pool *pool;
    vcp_conn *conn, *refused;
    int before;
    options.max_conns = 1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    before = told_count();
    CHECK_EQ(vcp_dial(pool, "tcp", s.address, &refused), VCP_ERR_POOL_EXHAUSTED);
    CHECK_EQ(vcp_dial(pool, "tcp", "no port", &refused), VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(dial_flags(pool, &s, VCP_DIAL_REUSE_ONLY, &refused), VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(told_count(), before);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_wait_is_told_when_it_begins_and_ends,
     "events: on_event: WAIT_START and WAIT_DONE, with status and time")
{
    server s = tcp_server();
    vcp_pool_options options = observed();
    vcp_pool *pool;
    vcp_conn *held, *conn;
    said one;
    options.max_conns = 1;
    options.wait_timeout_ms = at_most(30);
    pool = pool_new(&options);
    held = borrow(pool, &s);
    CHECK_EQ(vcp_dial(pool, "tcp", s.address, &conn), VCP_ERR_TIMEOUT);
    CHECK_EQ(told_count(), 4);
    CHECK_EQ(told_at(2).kind, VCP_EVENT_WAIT_START);
    one = told_at(3);
    CHECK_EQ(one.kind, VCP_EVENT_WAIT_DONE);
    CHECK_EQ(one.status, VCP_ERR_TIMEOUT);
    CHECK_HAS(one.message, "waiting");
    /* The limit runs from the call, the event's time from the end of WAIT_START. */
    CHECK_BETWEEN(one.duration_us, 15 * 1000, at_most(30 + LATENESS_MS) * 1000);
    give_back(held);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static void expect_closed(int reason, int count)
{
    CHECK_EQ(reason_count(reason), count);
}

/* One way to each reason, and none is told twice. */
TEST(every_reason_is_told,
     "events: on_event: CLOSED tells FAILED, IDLE_FULL, DIRTY, PEER_CLOSED, EVICTED, FOREIGN_FD, "
     "POOL_CLOSED, each once")
{
    server s = tcp_server();
    server other = tcp_server();
    vcp_pool_options options = observed();
    vcp_pool *pool;
    vcp_conn *conn, *second;
    int peer, fd, foreign;
    char byte;
    options.max_idle_per_address = 1;
    options.max_conns = 2;
    options.verify_release = 1;
    pool = pool_new(&options);

    conn = borrow(pool, &s);
    peer = server_accept(&s);
    second = borrow(pool, &s);
    close(server_accept(&s));
    give_back(conn);
    await_arrival(vcp_conn_raw_fd(second));
    CHECK_EQ(vcp_conn_read(second, &byte, 1), 0);
    give_back(second);
    expect_closed(VCP_CLOSE_FAILED, 1);

    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    second = borrow(pool, &s);
    fd = vcp_conn_raw_fd(conn);
    give_back(conn);
    give_back(second);
    expect_closed(VCP_CLOSE_IDLE_FULL, 1);

    close(server_accept(&s));

    CHECK_EQ(send(peer, "x", 1, MSG_NOSIGNAL), 1);
    await_arrival(fd);
    CHECK_EQ(dial_flags(pool, &s, VCP_DIAL_REUSE_ONLY, &second), VCP_ERR_NOT_AVAILABLE);
    expect_closed(VCP_CLOSE_DIRTY, 1);
    close(peer);

    conn = borrow(pool, &s);
    peer = server_accept(&s);
    give_back(conn);
    close(peer);
    EVENTUALLY(reason_count(VCP_CLOSE_PEER_CLOSED) == 1, 2000);

    give_back(borrow(pool, &s));
    CHECK_EQ(vcp_pool_evict(pool, NULL, NULL), VCP_OK);
    expect_closed(VCP_CLOSE_EVICTED, 1);

    conn = borrow(pool, &s);
    fd = vcp_conn_raw_fd(conn);
    foreign = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    CHECK_EQ(dup3(foreign, fd, O_CLOEXEC), fd);
    close(foreign);
    give_back(conn);
    expect_closed(VCP_CLOSE_FOREIGN_FD, 1);
    close(fd);

    give_back(borrow(pool, &other));
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    expect_closed(VCP_CLOSE_POOL_CLOSED, 1);
    give_back(conn);
    expect_closed(VCP_CLOSE_POOL_CLOSED, 2);
    CHECK_EQ(told.kinds[VCP_EVENT_CLOSED], told.kinds[VCP_EVENT_DIAL_DONE]);
    server_close(&s);
    server_close(&other);
}

TEST(the_end_of_life_is_told, "events: on_event: CLOSED tells MAX_USES, IDLE_TIMEOUT, LIFETIME")
{
    int sockets = open_sockets();
    server s = tcp_server();
    vcp_pool_options options = observed();
    vcp_pool *pool;
    options.max_uses = 1;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    expect_closed(VCP_CLOSE_MAX_USES, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);

    options = observed();
    options.idle_timeout_ms = 100;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    EVENTUALLY(reason_count(VCP_CLOSE_IDLE_TIMEOUT) == 1, 2000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);

    options = observed();
    options.max_lifetime_ms = 100;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    EVENTUALLY(reason_count(VCP_CLOSE_LIFETIME) == 1, 2000);
    CHECK_STR(told_at(told_count() - 1).label, "");
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    /* A helper thread tells CLOSED, and closes the descriptor then. */
    EVENTUALLY(open_sockets() == sockets, LATENESS_MS);
}

/* The callback runs without any lock, so it may call the library. */
TEST(a_callback_may_call_the_library,
     "events: on_event runs without a lock: it may call the library")
{
    vcp_pool_options options = observed();
    fixture f = fixture_new(&options);
    told.asks = f.pool;
    give_back(borrow(f.pool, &f.s));
    CHECK_EQ(vcp_pool_close_idle(f.pool), VCP_OK);
    CHECK_EQ(told_count(), 4);
    CHECK(told.asked >= 4);
    FIXTURE_END(&f);
}

typedef struct worker {
    pthread_t thread;
    vcp_pool *pool;
    const server *good;
    const server *bad;
    unsigned seed;
} worker;

static void *works(void *argument)
{
    worker *w = (worker *)argument;
    int i;
    for (i = 0; i < 300; i++) {
        vcp_dial_options d;
        vcp_conn *conn;
        const server *s;
        w->seed = w->seed * 1103515245U + 12345U;
        s = (w->seed >> 16) % 8 == 0 ? w->bad : w->good;
        d = dial_options((w->seed >> 20) % 8 == 0 ? VCP_DIAL_FRESH : 0);
        d.wait_timeout_ms = (w->seed >> 24) % 2 == 0 ? 1 : -1;
        if (vcp_dial_with(w->pool, s->network, s->address, &d, &conn) < 0) {
            continue;
        }
        if ((w->seed >> 28) % 4 == 0) {
            CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        }
        give_back(conn);
    }
    return NULL;
}

/* Counters and events are two reports of the same changes. */
TEST(events_and_stats_agree, "events: Events and vcp_stats agree")
{
    server good = tcp_server();
    server bad = refusing_server();
    vcp_pool_options options = observed();
    worker all[4];
    vcp_pool *pool;
    vcp_stats stats;
    int i;
    server_start_echo(&good);
    options.max_conns = 2;
    options.max_idle_per_address = 1;
    pool = pool_new(&options);
    for (i = 0; i < 4; i++) {
        all[i].pool = pool;
        all[i].good = &good;
        all[i].bad = &bad;
        all[i].seed = 7U + (unsigned)i;
        CHECK_EQ(pthread_create(&all[i].thread, NULL, works, &all[i]), 0);
    }
    for (i = 0; i < 4; i++) {
        CHECK_EQ(pthread_join(all[i].thread, NULL), 0);
    }
    EVENTUALLY(stats_of(pool).dialing == 0 && stats_of(pool).borrowed == 0, 5000);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    CHECK_STATS_ADD_UP(pool);
    stats = stats_of(pool);
    EVENTUALLY(kind_count(VCP_EVENT_DIAL_DONE) + kind_count(VCP_EVENT_DIAL_FAILED) ==
                   (int)stats.dials,
               5000);
    CHECK_EQ(kind_count(VCP_EVENT_DIAL_START), stats.dials);
    CHECK_EQ(kind_count(VCP_EVENT_DIAL_FAILED), stats.dial_failures);
    CHECK_EQ(kind_count(VCP_EVENT_REUSED), stats.reuses);
    EVENTUALLY(kind_count(VCP_EVENT_RELEASED) == (int)stats.releases, 5000);
    CHECK_EQ(kind_count(VCP_EVENT_WAIT_START), stats.waits);
    CHECK_EQ(kind_count(VCP_EVENT_WAIT_DONE), stats.waits);
    CHECK(stats.waits > 0 && stats.reuses > 0 && stats.dial_failures > 0);
    EVENTUALLY(kind_count(VCP_EVENT_CLOSED) == (int)endings(&stats), 5000);
    CHECK_EQ(reason_count(VCP_CLOSE_DISCARDED) + reason_count(VCP_CLOSE_FAILED),
             stats.closed_discarded);
    CHECK_EQ(reason_count(VCP_CLOSE_EVICTED), stats.closed_evicted);
    CHECK_EQ(reason_count(VCP_CLOSE_IDLE_FULL), stats.closed_idle_full);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&good);
    server_close(&bad);
}

/*
 * A dial ahead hangs when its pool is closed, and an idle one has just died: the library's threads
 * say no more.
 */
TEST(nothing_is_told_in_the_background_after_close,
     "events: After vcp_pool_close has returned, no thread of the library tells on_event anything")
{
    server s = tcp_server();
    full_server full = full_server_new();
    vcp_pool *other = pool_new(NULL);
    int round;
    for (round = 0; round < 20; round++) {
        vcp_pool_options options = observed();
        vcp_pool *pool;
        int count, fd = client_of(&s);
        options.min_idle_per_address = 1;
        pool = pool_new(&options);
        CHECK_EQ(vcp_pool_put(pool, fd, full.s.network, full.s.address, NULL), VCP_OK);
        give_back(borrow(pool, &full.s));
        close(server_accept(&s));
        EVENTUALLY(stats_of(pool).closed_while_idle == 1, 2000);
        if (round % 2 == 0) {
            EVENTUALLY(stats_of(pool).dialing == 1, 2000);
        }
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        count = told_count();
        STAYS(told_count() == count, 20);
    }
    CHECK_EQ(vcp_pool_close(other), VCP_OK);
    full_server_close(&full);
    server_close(&s);
}

/* ---- leaks ---- */

static vcp_pool *leak_watching_pool(void)
{
    vcp_pool_options options = observed();
    options.leak_threshold_ms = 100;
    options.name = "the pool";
    return pool_new(&options);
}

TEST(a_connection_borrowed_too_long_is_reported_once,
     "events: leak_threshold_ms: LEAKED once per borrow, LEAK_RETURNED when it comes back after "
     "all; `leaks` counts")
{
    server s = tcp_server();
    vcp_pool *pool = leak_watching_pool();
    vcp_conn *kept = borrow_as(pool, &s, "forgetful", 0);
    vcp_conn *conn;
    said one;
    EVENTUALLY(kind_count(VCP_EVENT_LEAKED) == 1, 100 + 1000);
    one = told_at(2);
    CHECK_EQ(one.kind, VCP_EVENT_LEAKED);
    CHECK_STR(one.label, "forgetful");
    CHECK_STR(one.address, s.address);
    CHECK_STR(one.remote_address, s.address);
    CHECK_EQ(one.fd, vcp_conn_raw_fd(kept));
    CHECK(one.duration_us >= 100 * 1000);
    CHECK_HAS(one.message, "the pool");
    CHECK_EQ(stats_of(pool).leaks, 1);
    STAYS(kind_count(VCP_EVENT_LEAKED) == 1, 300);

    give_back(kept);
    CHECK_EQ(kind_count(VCP_EVENT_LEAK_RETURNED), 1);
    CHECK_EQ(told_at(3).kind, VCP_EVENT_LEAK_RETURNED);
    CHECK_STR(told_at(3).label, "forgetful");
    CHECK_EQ(told_at(4).kind, VCP_EVENT_RELEASED);
    CHECK_EQ(stats_of(pool).leaks, 1);

    conn = borrow_as(pool, &s, NULL, 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    EVENTUALLY(kind_count(VCP_EVENT_LEAKED) == 2, 100 + 1000);
    CHECK_STR(told_at(told_count() - 1).label, "");
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(kind_count(VCP_EVENT_LEAK_RETURNED), 2);
    CHECK_EQ(told_at(told_count() - 1).kind, VCP_EVENT_CLOSED);
    CHECK_EQ(stats_of(pool).leaks, 2);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* Borrowed again and again, each time shortly; and idle for longer than the threshold. */
TEST(what_comes_back_in_time_is_no_leak,
     "events: leak_threshold_ms: what comes back in time, or is idle, is no leak")
{
    server s = tcp_server();
    vcp_pool *pool = leak_watching_pool();
    int64_t end = now_ms() + 400;
    while (now_ms() < end) {
        vcp_conn *conn = borrow(pool, &s);
        let_pass(5);
        give_back(conn);
    }
    STAYS(kind_count(VCP_EVENT_LEAKED) == 0, 300);
    CHECK_EQ(stats_of(pool).leaks, 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* Counted without a callback too. */
TEST(leaks_are_counted_without_on_event, "events: leak_threshold_ms counts without on_event too")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.leak_threshold_ms = 50;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    EVENTUALLY(stats_of(pool).leaks == 1, 50 + 1000);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    give_back(conn);
    server_close(&s);
}
