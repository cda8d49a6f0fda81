/* on_open, on_reuse, on_release, free_user. Contract section 4. */
#include "child_processes.h"
#include "completions.h"

typedef struct {
    vcp_pool *pool;
    vcp_conn *seen;
    int opened;
    int reused;
    int released;
    int freed;
    int open_answer;
    int reuse_answer;
    int release_answer;
    int hangs;
    int64_t read_answer;
    int phase;
    int freed_data;
    int data_fd;
    int data_fd_was_open;
    int events;
} record;

static void free_data(void *data)
{
    record *r = (record *)data;
    r->data_fd_was_open = is_open(r->data_fd);
    __sync_add_and_fetch(&r->freed_data, 1);
}

static int count(int *counter)
{
    return __sync_add_and_fetch(counter, 0);
}

static int refuse(int answer)
{
    if (answer != 0) {
        CHECK_EQ(vcp_set_callback_error("the hook says no"), VCP_OK);
    }
    return answer;
}

static int opens(void *user, vcp_conn *conn, int fd)
{
    record *r = (record *)user;
    char text[64];
    char byte;
    r->seen = conn;
    __sync_add_and_fetch(&r->opened, 1);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_conn_detach(conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK(vcp_conn_address(conn, text, sizeof text) > 0);
    if (r->hangs) {
        r->read_answer = vcp_conn_read(conn, &byte, 1);
        r->phase = vcp_last_phase();
    }
    if (r->hangs == 2) {
        /* The descriptor's own I/O ends too. */
        CHECK(readable_within(fd, 10000));
        CHECK_EQ(recv(fd, &byte, 1, 0), 0);
    }
    r->data_fd = fd;
    CHECK_EQ(vcp_conn_set_data(conn, r, free_data), VCP_OK);
    return refuse(r->open_answer);
}

static int reuses(void *user, vcp_conn *conn, int fd)
{
    record *r = (record *)user;
    r->seen = conn;
    __sync_add_and_fetch(&r->reused, 1);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_INVALID_ARGUMENT);
    return refuse(r->reuse_answer);
}

static int releases(void *user, vcp_conn *conn, int fd)
{
    record *r = (record *)user;
    __sync_add_and_fetch(&r->released, 1);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_conn_detach(conn), VCP_ERR_INVALID_ARGUMENT);
    return refuse(r->release_answer);
}

static void frees(void *user)
{
    __sync_add_and_fetch(&((record *)user)->freed, 1);
}

static vcp_pool_options recorded(record *r)
{
    vcp_pool_options options = pool_options();
    memset(r, 0, sizeof *r);
    options.user = r;
    options.on_open = opens;
    options.on_reuse = reuses;
    options.on_release = releases;
    options.free_user = frees;
    return options;
}

TEST(each_runs_at_its_time_and_sees_the_borrowers_handle,
     "hooks: on_open after a connect, on_reuse before a reuse, on_release before it is kept, with "
     "the borrower's handle; closing and detaching it inside is INVALID_ARGUMENT; free_user after "
     "the last connection")
{
    server s = tcp_server();
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool = pool_new(&options);
    vcp_conn *conn = borrow(pool, &s);
    vcp_conn *first = conn;
    CHECK_EQ(r.opened, 1);
    CHECK(r.seen == conn);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    CHECK(vcp_conn_data(conn) == &r);
    give_back(conn);
    CHECK_EQ(r.released, 1);
    CHECK_EQ(vcp_conn_close(first), VCP_ERR_CONN_CLOSED);
    conn = borrow(pool, &s);
    CHECK_EQ(r.reused, 1);
    CHECK(r.seen == conn);
    CHECK(conn != first);
    CHECK_EQ(vcp_conn_uses(conn), 2);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(r.released, 1);
    CHECK_EQ(r.freed_data, 1);
    CHECK(r.data_fd_was_open);
    CHECK_EQ(r.opened, 1);
    CHECK_STATS_ADD_UP(pool);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(r.freed, 0);
    give_back(conn);
    CHECK_EQ(r.released, 1);
    CHECK_EQ(r.freed, 1);
    server_close(&s);
}

TEST(what_on_open_refuses_is_a_failed_dial,
     "hooks: on_open refuses: CALLBACK with number and text, a dial_failure only, user data is "
     "freed")
{
    server s = tcp_server();
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool = pool_new(&options);
    vcp_conn *conn = NULL;
    int peer;
    r.open_answer = 7;
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &conn), VCP_ERR_CALLBACK);
    CHECK(conn == NULL);
    CHECK_EQ(vcp_last_errno(), 7);
    CHECK_HAS(vcp_last_error(), "on_open callback refused: 7: the hook says no");
    CHECK_EQ(r.freed_data, 1);
    CHECK(r.data_fd_was_open);
    CHECK(vcp_conn_raw_fd(r.seen) == VCP_ERR_CONN_CLOSED);
    peer = server_accept(&s);
    CHECK(peer_sees_end(peer));
    close(peer);
    CHECK_EQ(stats_of(pool).dial_failures, 1);
    CHECK_EQ(stats_of(pool).closed_hook, 0);
    CHECK_STATS_ADD_UP(pool);
    r.open_answer = 0;
    conn = borrow(pool, &s);
    CHECK(conn != r.seen || vcp_conn_raw_fd(conn) >= 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(r.freed, 1);
    server_close(&s);
}

TEST(what_on_reuse_refuses_is_closed_and_the_next_one_serves,
     "hooks: on_reuse refuses: closed (closed_hook), the next idle one or a fresh dial")
{
    record r;
    vcp_pool_options options = recorded(&r);
    fixture f = fixture_new(&options);
    vcp_conn *one = borrow(f.pool, &f.s);
    vcp_conn *two = borrow(f.pool, &f.s);
    vcp_conn *conn;
    give_back(one);
    give_back(two);
    r.reuse_answer = 3;
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(r.reused, 2);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(stats_of(f.pool).closed_hook, 2);
    CHECK_EQ(stats_of(f.pool).reuses, 0);
    CHECK_EQ(r.freed_data, 2);
    CHECK_STATS_ADD_UP(f.pool);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(what_on_release_refuses_is_not_kept, "hooks: on_release refuses: closed (closed_hook)")
{
    record r;
    vcp_pool_options options = recorded(&r);
    fixture f = fixture_new(&options);
    vcp_conn *conn = borrow(f.pool, &f.s);
    r.release_answer = 1;
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 0);
    CHECK_EQ(stats_of(f.pool).closed_hook, 1);
    CHECK_EQ(stats_of(f.pool).releases, 0);
    CHECK_EQ(r.freed_data, 1);
    FIXTURE_END(&f);
}

TEST(on_release_sees_only_what_may_be_kept,
     "hooks: on_release is not called for what was evicted or is too old")
{
    server s = tcp_server();
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool = pool_new(&options);
    vcp_conn *conn = borrow(pool, &s);
    CHECK_EQ(vcp_pool_evict(pool, s.network, s.address), VCP_OK);
    give_back(conn);
    CHECK_EQ(r.released, 0);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    options = recorded(&r);
    options.max_lifetime_ms = 1;
    options.lifetime_jitter_percent = 0;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    let_pass(30); /* it ages */
    give_back(conn);
    CHECK_EQ(r.released, 0);
    CHECK_EQ(stats_of(pool).closed_lifetime, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_hook_that_hangs_ends_with_the_dials_deadline,
     "hooks: A hook that outlives the dial's deadline: reads in it end, the socket is shut down, "
     "TIMEOUT with phase opening")
{
    server s = tcp_server();
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool;
    vcp_conn *conn = NULL;
    int64_t start;
    int hangs;
    options.dial_timeout_ms = 200;
    for (hangs = 1; hangs <= 2; hangs++) {
        recorded(&r);
        pool = pool_new(&options);
        r.hangs = hangs;
        start = now_ms();
        CHECK_EQ(vcp_dial(pool, s.network, s.address, &conn), VCP_ERR_TIMEOUT);
        CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
        CHECK_HAS(vcp_last_error(), "opening");
        CHECK_TOOK(start, 200);
        CHECK_EQ(r.read_answer, VCP_ERR_TIMEOUT);
        CHECK_EQ(r.phase, VCP_PHASE_READING);
        CHECK_EQ(r.freed_data, 1);
        CHECK_EQ(stats_of(pool).dial_failures, 1);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    }
    server_close(&s);
}

TEST(the_deadline_of_the_dial_ends_with_it, "hooks: The hook's deadline does not bind the borrower")
{
    server s = tcp_server();
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool;
    vcp_conn *conn;
    server_start_echo(&s);
    options.dial_timeout_ms = 100;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    let_pass(150);
    CHECK_ECHO(conn, "long after");
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static void *fire(void *cancel)
{
    let_pass(50);
    CHECK_EQ(vcp_cancel_fire((vcp_cancel *)cancel), VCP_OK);
    return NULL;
}

TEST(a_token_ends_a_hook_that_hangs, "hooks: The token ends a hook: CANCELED")
{
    record r;
    vcp_pool_options options = recorded(&r);
    fixture f = fixture_new(&options);
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conn = NULL;
    vcp_cancel *cancel;
    pthread_t thread;
    r.hangs = 2;
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    dial.cancel = cancel;
    CHECK_EQ(pthread_create(&thread, NULL, fire, cancel), 0);
    CHECK_EQ(vcp_dial_with(f.pool, f.s.network, f.s.address, &dial, &conn), VCP_ERR_CANCELED);
    CHECK_EQ(r.read_answer, VCP_ERR_CANCELED);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    FIXTURE_END(&f);
}

static void *close_pool(void *argument)
{
    record *r = (record *)argument;
    EVENTUALLY(count(&r->opened) == 1, 5000);
    let_pass(50);
    CHECK_EQ(vcp_pool_close(r->pool), VCP_OK);
    return NULL;
}

TEST(a_pools_close_ends_a_hook_that_hangs, "hooks: The pool's close ends a hook: POOL_CLOSED")
{
    server s = tcp_server();
    int is_async;
    for (is_async = 0; is_async < 2; is_async++) {
        record r;
        vcp_pool_options options = recorded(&r);
        vcp_pool *pool = pool_new(&options);
        vcp_queue *queue = queue_new();
        vcp_conn *conn = NULL;
        pthread_t thread;
        r.hangs = 2;
        r.pool = pool;
        CHECK_EQ(pthread_create(&thread, NULL, close_pool, &r), 0);
        if (is_async) {
            begin_dial(pool, &s, NULL, queue, &r);
            next_fails(queue, &r, VCP_ERR_POOL_CLOSED);
        } else {
            CHECK_EQ(vcp_dial(pool, s.network, s.address, &conn), VCP_ERR_POOL_CLOSED);
        }
        CHECK_EQ(r.read_answer, VCP_ERR_POOL_CLOSED);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        EVENTUALLY(count(&r.freed) == 1, 5000);
        CHECK_EQ(r.freed_data, 1);
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    }
    server_close(&s);
}

static int lifts_its_terms(void *user, vcp_conn *conn, int fd)
{
    record *r = (record *)user;
    char byte;
    (void)fd;
    CHECK_EQ(vcp_conn_set_deadline(conn, -1), VCP_OK);
    CHECK_EQ(vcp_conn_set_cancel(conn, NULL), VCP_OK);
    __sync_add_and_fetch(&r->opened, 1);
    r->read_answer = vcp_conn_read(conn, &byte, 1);
    r->phase = vcp_last_phase();
    CHECK_EQ(vcp_conn_try_read(conn, &byte, 1), r->read_answer);
    CHECK_EQ(vcp_conn_write(conn, "x", 1), r->read_answer);
    CHECK_EQ(vcp_conn_wait(conn, VCP_READABLE), (int)r->read_answer);
    return 0;
}

/*
 * The socket is shut down under it, which looked like the peer's end of stream: an answer cut short
 * looked like a whole one.
 */
TEST(a_hook_with_a_deadline_and_token_of_its_own_reads_no_false_end_of_stream,
     "hooks: A hook with a deadline and token of its own reads no end of stream when the dial's "
     "time is over: TIMEOUT, CANCELED, POOL_CLOSED")
{
    static const int endings[] = {VCP_ERR_TIMEOUT, VCP_ERR_CANCELED, VCP_ERR_POOL_CLOSED};
    server s = tcp_server();
    int i;
    for (i = 0; i < 3; i++) {
        record r;
        vcp_pool_options options = recorded(&r);
        vcp_dial_options dial = dial_options(0);
        vcp_conn *conn = NULL;
        vcp_cancel *cancel;
        pthread_t thread;
        options.on_open = lifts_its_terms;
        r.pool = pool_new(&options);
        CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
        dial.cancel = cancel;
        dial.timeout_ms = i == 0 ? 100 : 10000;
        if (i > 0) {
            CHECK_EQ(pthread_create(&thread, NULL, i == 1 ? fire : close_pool,
                                    i == 1 ? (void *)cancel : &r),
                     0);
        }
        CHECK_EQ(vcp_dial_with(r.pool, s.network, s.address, &dial, &conn), endings[i]);
        CHECK_EQ(r.read_answer, endings[i]);
        CHECK_EQ(r.phase, i == 0 ? VCP_PHASE_READING : VCP_PHASE_NONE);
        if (i > 0) {
            CHECK_EQ(pthread_join(thread, NULL), 0);
        }
        CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
        if (i < 2) {
            CHECK_EQ(vcp_pool_close(r.pool), VCP_OK);
        }
    }
    server_close(&s);
}

TEST(asynchronous_dials_have_them_too,
     "hooks: Hooks of asynchronous dials, their refusals and deadlines")
{
    server s = tcp_server();
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool = pool_new(&options);
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conn;
    int64_t start;
    begin_dial(pool, &s, NULL, queue, &r);
    conn = next_conn(queue, &r);
    CHECK(conn == r.seen);
    CHECK_EQ(r.opened, 1);
    give_back(conn);
    CHECK_EQ(r.released, 1);
    begin_dial(pool, &s, NULL, queue, &r);
    conn = next_conn(queue, &r);
    CHECK(conn == r.seen);
    CHECK_EQ(r.reused, 1);
    give_back(conn);
    r.reuse_answer = 1;
    r.open_answer = 5;
    begin_dial(pool, &s, NULL, queue, &r);
    next_fails(queue, &r, VCP_ERR_CALLBACK);
    CHECK_EQ(vcp_last_errno(), 5);
    CHECK_HAS(vcp_last_error(), "on_open callback refused: 5: the hook says no");
    CHECK_EQ(stats_of(pool).closed_hook, 1);
    r.open_answer = 0;
    r.hangs = 2;
    dial.timeout_ms = 150;
    start = now_ms();
    begin_dial(pool, &s, &dial, queue, &r);
    next_fails(queue, &r, VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_OPENING);
    CHECK_TOOK(start, 150);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    EVENTUALLY(count(&r.freed) == 1, 5000);
    server_close(&s);
}

TEST(a_freed_queue_ends_a_hook_that_hangs,
     "hooks: vcp_queue_free ends a hook of its dial: the socket is shut down")
{
    server s = tcp_server();
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    options.dial_timeout_ms = 0;
    pool = pool_new(&options);
    r.hangs = 2;
    begin_dial(pool, &s, NULL, queue, &r);
    EVENTUALLY(count(&r.opened) == 1, 5000);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    EVENTUALLY(stats_of(pool).dialing == 0, 5000);
    CHECK_EQ(stats_of(pool).dial_failures, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(data_is_freed_when_a_queue_is_freed_with_its_connection_inside,
     "hooks: free_data runs once, before the descriptor closes, when a queue is freed with the "
     "connection unread")
{
    server s = tcp_server();
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    options.max_idle_per_address = 0;
    pool = pool_new(&options);
    begin_dial(pool, &s, NULL, queue, &r);
    CHECK(readable_within(vcp_queue_fd(queue), 5000));
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(r.released, 1);
    CHECK_EQ(r.freed_data, 1);
    CHECK(r.data_fd_was_open);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(warm_connections_are_opened_and_not_yet_used,
     "hooks: Warm connections are opened by on_open, and their first borrow is use 1")
{
    record r;
    vcp_pool_options options = recorded(&r);
    fixture f = fixture_new(&options);
    vcp_conn *conn;
    CHECK_EQ(vcp_pool_warm(f.pool, f.s.network, f.s.address, NULL, 2), 2);
    CHECK_EQ(r.opened, 2);
    CHECK_EQ(r.released, 0);
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(r.reused, 1);
    give_back(conn);
    FIXTURE_END(&f);
}

typedef struct {
    vcp_pool *pool;
    const server *s;
    int is_inside;
    int may_return;
    int opened;
} late_dial;

static int controls_late(void *user, const char *network, const char *address, int fd)
{
    late_dial *late = (late_dial *)user;
    (void)network;
    (void)address;
    (void)fd;
    __sync_add_and_fetch(&late->is_inside, 1);
    EVENTUALLY(count(&late->may_return) == 1, 10000);
    return 0;
}

static int opens_late(void *user, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    __sync_add_and_fetch(&((late_dial *)user)->opened, 1);
    return 0;
}

static void *dial_is_refused(void *argument)
{
    const late_dial *late = (const late_dial *)argument;
    vcp_conn *conn = NULL;
    CHECK_EQ(vcp_dial(late->pool, late->s->network, late->s->address, &conn), VCP_ERR_POOL_CLOSED);
    return NULL;
}

/*
 * It had no chaperone: nothing would have ended it. A unix socket is connected at once, so nobody
 * asks again after control.
 */
TEST(no_hook_begins_after_the_pools_close,
     "hooks: on_open and on_reuse do not begin after the pool's close")
{
    server s = unix_server(SOCK_STREAM, 1);
    vcp_pool_options options = pool_options();
    late_dial late;
    pthread_t thread;
    memset(&late, 0, sizeof late);
    late.s = &s;
    options.user = &late;
    options.control = controls_late;
    options.on_open = opens_late;
    late.pool = pool_new(&options);
    CHECK_EQ(pthread_create(&thread, NULL, dial_is_refused, &late), 0);
    EVENTUALLY(count(&late.is_inside) == 1, 5000);
    CHECK_EQ(vcp_pool_close(late.pool), VCP_OK);
    __sync_add_and_fetch(&late.may_return, 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(late.opened, 0);
    server_close(&s);
}

typedef struct {
    vcp_pool *pool;
    const char *places[4];
    int dials;
    int reuses;
    int answer;
    int is_answered;
} fickle;

static int rewrites_in_turn(void *user, const char *network, const char *address, char *out,
                            size_t size)
{
    fickle *f = (fickle *)user;
    int turn = __sync_fetch_and_add(&f->dials, 1);
    (void)network;
    (void)address;
    CHECK(turn < 4);
    snprintf(out, size, "%s", f->places[turn]);
    return 0;
}

static int refuses_the_first(void *user, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    return __sync_fetch_and_add(&((fickle *)user)->reuses, 1) == 0;
}

static void *dial_somewhere(void *user)
{
    fickle *f = (fickle *)user;
    vcp_conn *conn = NULL;
    f->answer = vcp_dial(f->pool, "tcp", "some.service:1", &conn);
    __sync_add_and_fetch(&f->is_answered, 1);
    if (f->answer >= 0) {
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        give_back(conn);
    }
    return NULL;
}

/*
 * It dialed again beside its own first dial, under the same ticket; when the first ended, the other
 * was off the list.
 */
TEST(a_dial_that_was_given_what_on_reuse_refuses_goes_on,
     "hooks: A dial that was given a connection which on_reuse refuses goes on, and takes the "
     "next one or the pool's close")
{
    server s = tcp_server();
    int is_closed;
    for (is_closed = 0; is_closed < 2; is_closed++) {
        full_server full = full_server_new();
        full_server other = full_server_new();
        int fillers = connects_under_way();
        vcp_pool_options options = pool_options();
        vcp_conn *conns[2];
        pthread_t thread;
        fickle f;
        int i;
        memset(&f, 0, sizeof f);
        f.places[0] = f.places[1] = s.address;
        f.places[2] = full.s.address;
        f.places[3] = other.s.address;
        options.user = &f;
        options.rewrite = rewrites_in_turn;
        options.on_reuse = refuses_the_first;
        f.pool = pool_new(&options);
        for (i = 0; i < 2; i++) {
            CHECK(vcp_dial(f.pool, "tcp", "some.service:1", &conns[i]) >= 0);
        }
        CHECK_EQ(pthread_create(&thread, NULL, dial_somewhere, &f), 0);
        EVENTUALLY(connects_under_way() == fillers + 1, 5000);
        give_back(conns[0]);
        EVENTUALLY(stats_of(f.pool).closed_hook == 1, 5000);
        STAYS(count(&f.dials) == 3 && stats_of(f.pool).dialing == 1, 50);
        if (is_closed) {
            CHECK_EQ(vcp_pool_close(f.pool), VCP_OK);
            CHECK_EQ(pthread_join(thread, NULL), 0);
            CHECK_EQ(f.answer, VCP_ERR_POOL_CLOSED);
            give_back(conns[1]);
        } else {
            give_back(conns[1]);
            EVENTUALLY(count(&f.is_answered) == 1, 5000);
            CHECK_EQ(pthread_join(thread, NULL), 0);
            CHECK(f.answer >= 0);
            CHECK_EQ(vcp_pool_close(f.pool), VCP_OK);
        }
        CHECK_EQ(f.dials, 3);
        full_server_close(&other);
        full_server_close(&full);
    }
    server_close(&s);
}

static int reads_what_the_peer_sent(void *user, vcp_conn *conn, int fd)
{
    char byte;
    (void)fd;
    CHECK_EQ(send(*(int *)user, "!", 1, MSG_NOSIGNAL), 1);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 1);
    return 0;
}

/* A ping in on_reuse counted as the borrower's reading. */
TEST(what_on_reuse_read_is_no_reason_not_to_retry,
     "hooks: vcp_conn_should_retry does not count what on_reuse read")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int peer = -1;
    char byte;
    options.user = &peer;
    options.on_reuse = reads_what_the_peer_sent;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    peer = server_accept(&s);
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    close(peer);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 0);
    CHECK_EQ(vcp_conn_should_retry(conn), 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static int reads_in_vain(void *user, vcp_conn *conn, int fd)
{
    char byte;
    (void)user;
    (void)fd;
    CHECK_EQ(vcp_conn_set_read_deadline(conn, 0), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_TIMEOUT);
    return 0;
}

TEST(what_failed_in_on_reuse_is_refused,
     "hooks: A connection on which a read failed in on_reuse is refused, whatever the hook says")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.on_reuse = reads_in_vain;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(stats_of(pool).closed_hook, 1);
    CHECK_STATS_ADD_UP(pool);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static int accepts_one(const server *s)
{
    if (readable_within(s->fd, 0)) {
        close(server_accept(s));
    }
    return 1;
}

/*
 * Its connect is answered when the server makes room and the kernel sends its SYN once more, after
 * a second.
 */
TEST(a_dial_that_was_answered_otherwise_is_still_opened,
     "hooks: A dial that was answered by a connection given back is opened by on_open when its "
     "own connect is done")
{
    full_server full = full_server_new();
    server s = tcp_server();
    int fillers = connects_under_way();
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool = pool_new(&options);
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    begin_dial(pool, &full.s, NULL, queue, &r);
    EVENTUALLY(connects_under_way() == fillers + 1, 5000);
    CHECK_EQ(vcp_pool_put(pool, client_of(&s), full.s.network, full.s.address, NULL), VCP_OK);
    conn = next_conn(queue, &r);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(count(&r.opened), 0);
    /* The filler that has waited in front of it comes first. */
    EVENTUALLY(accepts_one(&full.s) && count(&r.opened) == 1, 20000);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
    full_server_close(&full);
}

static void give_back_at_the_end(void *conn)
{
    give_back((vcp_conn *)conn);
}

typedef struct {
    vcp_pool *pool;
    const server *s;
    pthread_key_t key;
} last_words;

static void *ends_with_a_connection(void *argument)
{
    const last_words *l = (const last_words *)argument;
    CHECK_EQ(pthread_setspecific(l->key, borrow(l->pool, l->s)), 0);
    return NULL;
}

static void counts_events(void *user, const vcp_event *event)
{
    (void)event;
    __sync_add_and_fetch(&((record *)user)->events, 1);
}

/*
 * What a thread keeps for itself in Rust is gone when the destructors of pthread_key_create(3) run:
 * the close was VCP_ERR_INTERNAL.
 */
TEST(on_release_runs_in_a_destructor_at_the_end_of_a_thread,
     "hooks: Every function may be called from any thread, one that is ending too: on_release and "
     "on_event run in a destructor of pthread_key_create")
{
    server s = tcp_server();
    record r;
    vcp_pool_options options = recorded(&r);
    last_words l;
    pthread_t thread;
    options.on_event = counts_events;
    l.pool = pool_new(&options);
    l.s = &s;
    CHECK_EQ(pthread_key_create(&l.key, give_back_at_the_end), 0);
    CHECK_EQ(pthread_create(&thread, NULL, ends_with_a_connection, &l), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(r.released, 1);
    CHECK_EQ(idle_in(l.pool), 1);
    CHECK(r.events > 0);
    CHECK_EQ(pthread_key_delete(l.key), 0);
    CHECK_EQ(vcp_pool_close(l.pool), VCP_OK);
    server_close(&s);
}

static int sets_liveness(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)fd;
    return vcp_conn_set_liveness(conn, VCP_LIVENESS_ALLOW_DATA);
}

TEST(on_open_may_set_the_liveness,
     "hooks: vcp_conn_set_liveness in on_open holds for the connection's life")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    int peer;
    options.on_open = sets_liveness;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    peer = server_accept(&s);
    CHECK_EQ(send(peer, "ticket", 6, MSG_NOSIGNAL), 6);
    await_arrival(vcp_conn_raw_fd(conn));
    give_back(conn);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    close(peer);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(free_user_runs_once_and_not_for_a_pool_that_never_was,
     "hooks: free_user runs once; not for a pool that vcp_pool_new refused")
{
    record r;
    vcp_pool_options options = recorded(&r);
    vcp_pool *pool = NULL;
    options.on_open = NULL;
    options.on_reuse = NULL;
    options.on_release = NULL;
    options.lifetime_jitter_percent = 101;
    CHECK_EQ(vcp_pool_new(&options, &pool), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(r.freed, 0);
    options.lifetime_jitter_percent = 0;
    pool = pool_new(&options);
    CHECK_EQ(r.freed, 0);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(r.freed, 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(r.freed, 1);
}

static int freed_nothings;

static void frees_nothing(void *data)
{
    CHECK(data != NULL);
    __sync_add_and_fetch(&freed_nothings, 1);
}

/* free_user was called with NULL, free_data never. */
TEST(nothing_is_freed_where_nothing_was_given,
     "hooks: free_user is not called where user is NULL, as free_data where data is NULL")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn;
    options.free_user = frees_nothing;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_set_data(conn, NULL, frees_nothing), VCP_OK);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(freed_nothings, 0);
    server_close(&s);
}

static int forks(void *user, vcp_conn *conn, int fd)
{
    (void)conn;
    (void)fd;
    *(pid_t *)user = fork();
    CHECK(*(pid_t *)user >= 0);
    return 0;
}

TEST(a_fork_inside_a_hook_ends_the_call_in_the_child,
     "hooks: A fork inside on_open fails the dial in the child")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_conn *conn = NULL;
    pid_t child = -1;
    int status;
    options.on_open = forks;
    options.user = &child;
    pool = pool_new(&options);
    status = vcp_dial(pool, s.network, s.address, &conn);
    if (child == 0) {
        CHECK_EQ(status, VCP_ERR_CALLBACK);
        CHECK(conn == NULL);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        child_ends();
    }
    CHECK(status >= 0);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
