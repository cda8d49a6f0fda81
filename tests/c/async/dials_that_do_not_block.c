/* vcp_dial_async and vcp_queue_*. Contract sections 4 and 5. */
#include "child_processes.h"
#include "completions.h"

static int a, b, c; /* tokens */

TEST(a_miss_comes_through_the_queue_and_a_hit_at_once,
     "async: A hit is returned at once; a miss is IN_PROGRESS with conn NULL, and comes through "
     "the queue")
{
    fixture f = fixture_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_completion completion;
    vcp_conn *conn;
    vcp_conn *again;
    int fd;
    CHECK(!has_completion(queue));
    CHECK_EQ(vcp_queue_next(queue, &completion, sizeof completion), 0);
    begin_dial(f.pool, &f.s, NULL, queue, &a);
    CHECK(readable_within(vcp_queue_fd(queue), 5000));
    CHECK(has_completion(queue));
    conn = next_conn(queue, &a);
    CHECK(!has_completion(queue));
    CHECK_EQ(vcp_queue_next(queue, &completion, sizeof completion), 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(vcp_conn_uses(conn), 1);
    CHECK(!is_nonblocking(vcp_conn_raw_fd(conn)));
    give_back(conn);
    fd = dial_async(f.pool, &f.s, NULL, queue, &b, &again);
    CHECK(fd >= 0);
    CHECK_EQ(fd, vcp_conn_raw_fd(again));
    CHECK_EQ(vcp_conn_is_reused(again), 1);
    CHECK(!has_completion(queue));
    give_back(again);
    CHECK_STATS_ADD_UP(f.pool);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

TEST(the_descriptor_is_readable_exactly_while_completions_wait,
     "async: The queue's descriptor is readable exactly while completions wait, and closed by "
     "vcp_queue_free")
{
    fixture f = fixture_new(NULL);
    vcp_queue *queue = queue_new();
    int fd = vcp_queue_fd(queue);
    vcp_conn *conns[5];
    int i;
    for (i = 0; i < 5; i++) {
        begin_dial(f.pool, &f.s, NULL, queue, &conns[i]);
    }
    EVENTUALLY(stats_of(f.pool).borrowed == 5, 5000);
    CHECK_EQ(vcp_queue_fd(queue), fd);
    for (i = 0; i < 5; i++) {
        vcp_completion completion = next_completion(queue);
        conns[i] = completion.conn;
        CHECK(completion.status >= 0);
        CHECK_EQ(has_completion(queue), i < 4);
    }
    for (i = 0; i < 5; i++) {
        give_back(conns[i]);
    }
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK(!is_open(fd));
    FIXTURE_END(&f);
}

TEST(what_is_known_to_fail_fails_at_once,
     "async: Arguments, limits, a fired token, REUSE_ONLY with nothing idle, a closed pool: "
     "returned at once")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    vcp_cancel *cancel;
    vcp_conn *conn;
    vcp_conn *refused = (vcp_conn *)&a;
    options.max_conns = 1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    CHECK_EQ(dial_async(pool, &s, NULL, queue, &a, &refused), VCP_ERR_POOL_EXHAUSTED);
    CHECK(refused == NULL);
    CHECK_HAS(vcp_last_error(), "max_conns=1 idle=0 borrowed=1");
    CHECK_EQ(vcp_dial_async(pool, "tcpx", s.address, NULL, queue, &a, &refused),
             VCP_ERR_UNKNOWN_NETWORK);
    CHECK_EQ(vcp_dial_async(pool, "tcp", "127.0.0.1:99999", NULL, queue, &a, &refused),
             VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_dial_async(pool, "tcp", NULL, NULL, queue, &a, &refused),
             VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_dial_async(pool, "tcp", s.address, NULL, NULL, &a, &refused),
             VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_dial_async(pool, "tcp", s.address, NULL, queue, &a, NULL),
             VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_dial_async(NULL, "tcp", s.address, NULL, queue, &a, &refused),
             VCP_ERR_INVALID_HANDLE);
    dial.flags = VCP_DIAL_FRESH | VCP_DIAL_REUSE_ONLY;
    CHECK_EQ(dial_async(pool, &s, &dial, queue, &a, &refused), VCP_ERR_INVALID_ARGUMENT);
    dial.flags = VCP_DIAL_REUSE_ONLY;
    CHECK_EQ(dial_async(pool, &s, &dial, queue, &a, &refused), VCP_ERR_NOT_AVAILABLE);
    give_back(conn);
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
    dial = dial_options(0);
    dial.cancel = cancel;
    CHECK_EQ(dial_async(pool, &s, &dial, queue, &a, &refused), VCP_ERR_CANCELED);
    dial = dial_options(0);
    dial.timeout_ms = 0;
    CHECK_EQ(dial_async(pool, &s, &dial, queue, &a, &refused), VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    STAYS(!has_completion(queue), 20);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(dial_async(pool, &s, NULL, queue, &a, &refused), VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(dial_async(pool, &s, NULL, queue, &a, &refused), VCP_ERR_POOL_CLOSED);
    server_close(&s);
}

TEST(queued_answers_everything_through_the_queue,
     "async: QUEUED: VCP_OK, and every outcome comes through the queue; bad arguments alone are "
     "returned")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(VCP_DIAL_QUEUED);
    vcp_cancel *cancel;
    vcp_conn *conn;
    vcp_conn *none = (vcp_conn *)&a;
    options.max_conns = 1;
    pool = pool_new(&options);
    CHECK_EQ(dial_async(pool, &s, &dial, queue, &a, &none), VCP_OK);
    CHECK(none == NULL);
    conn = next_conn(queue, &a);
    CHECK_EQ(dial_async(pool, &s, &dial, queue, &b, &none), VCP_OK);
    next_fails(queue, &b, VCP_ERR_POOL_EXHAUSTED);
    CHECK_HAS(vcp_last_error(), "pool exhausted: max_conns=1");
    give_back(conn);
    CHECK_EQ(dial_async(pool, &s, &dial, queue, &c, &none), VCP_OK);
    conn = next_conn(queue, &c);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    dial.flags |= VCP_DIAL_REUSE_ONLY;
    CHECK_EQ(dial_async(pool, &s, &dial, queue, &a, &none), VCP_OK);
    next_fails(queue, &a, VCP_ERR_NOT_AVAILABLE);
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
    dial.cancel = cancel;
    CHECK_EQ(dial_async(pool, &s, &dial, queue, &b, &none), VCP_OK);
    next_fails(queue, &b, VCP_ERR_CANCELED);
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    dial = dial_options(VCP_DIAL_QUEUED);
    CHECK_EQ(vcp_dial_async(pool, "tcp", "127.0.0.1:x y", &dial, queue, &c, &none), VCP_OK);
    next_fails(queue, &c, VCP_ERR_INVALID_ADDRESS);
    CHECK_EQ(vcp_dial_async(pool, "tcp", "127.0.0.1:70000", &dial, queue, &c, &none),
             VCP_ERR_INVALID_ADDRESS);
    CHECK(!has_completion(queue));
    give_back(conn);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(failures_tell_the_thread_that_fetches_them,
     "async: vcp_queue_next sets the last error of the thread that fetches a failure")
{
    server nobody = refusing_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_queue *queue = queue_new();
    char message[200];
    begin_dial(pool, &nobody, NULL, queue, &a);
    next_fails(queue, &a, VCP_ERR_CONNECT);
    CHECK_EQ(vcp_last_errno(), ECONNREFUSED);
    snprintf(message, sizeof message, "dial tcp %s: ", nobody.address);
    CHECK_HAS(vcp_last_error(), message);
    CHECK_EQ(stats_of(pool).dial_failures, 1);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(deadlines_end_dials_and_waits,
     "async: timeout_ms and wait_timeout_ms end asynchronous dials, with their phases")
{
    full_server full = full_server_new();
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    vcp_conn *conn;
    int64_t start = now_ms();
    options.max_conns_per_address = 1;
    pool = pool_new(&options);
    dial.timeout_ms = 100;
    begin_dial(pool, &full.s, &dial, queue, &a);
    next_fails(queue, &a, VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_CONNECTING);
    CHECK_TOOK(start, 100);
    conn = borrow(pool, &s);
    start = now_ms();
    dial.timeout_ms = 10000;
    dial.wait_timeout_ms = 100;
    begin_dial(pool, &s, &dial, queue, &b);
    CHECK_EQ(stats_of(pool).waiting, 1);
    next_fails(queue, &b, VCP_ERR_TIMEOUT);
    CHECK_EQ(vcp_last_phase(), VCP_PHASE_WAITING);
    CHECK_TOOK(start, 100);
    CHECK_EQ(stats_of(pool).waiting, 0);
    CHECK_EQ(stats_of(pool).wait_timeouts, 1);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    full_server_close(&full);
}

TEST(one_token_ends_all_that_carry_it,
     "async: One token ends all asynchronous dials and waits that carry it, each once")
{
    enum { MANY = 50 };
    full_server full = full_server_new();
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_dial_options dial = dial_options(0);
    vcp_cancel *cancel;
    vcp_conn *conn;
    char seen[2 * MANY];
    int i;
    options.max_conns_per_address = MANY;
    options.wait_timeout_ms = -1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_cancel_new(&cancel), VCP_OK);
    dial.cancel = cancel;
    memset(seen, 0, sizeof seen);
    for (i = 0; i < 2 * MANY; i++) {
        begin_dial(pool, &full.s, &dial, queue, &seen[i]);
    }
    CHECK_EQ(stats_of(pool).waiting, MANY);
    STAYS(!has_completion(queue), 20);
    CHECK_EQ(vcp_cancel_fire(cancel), VCP_OK);
    CHECK_EQ(vcp_cancel_free(cancel), VCP_OK);
    for (i = 0; i < 2 * MANY; i++) {
        vcp_completion completion = next_completion(queue);
        CHECK_EQ(completion.status, VCP_ERR_CANCELED);
        CHECK_EQ((*(char *)completion.token)++, 0);
    }
    STAYS(!has_completion(queue), 20);
    CHECK_EQ(stats_of(pool).waiting, 0);
    CHECK_EQ(stats_of(pool).dialing, 0);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    full_server_close(&full);
}

typedef struct {
    vcp_pool *pool;
    const server *s;
    vcp_conn *conn;
} blocking_dial;

static void *dial_blocking(void *argument)
{
    blocking_dial *dial = (blocking_dial *)argument;
    dial->conn = borrow(dial->pool, dial->s);
    return NULL;
}

TEST(waits_stand_in_one_line_with_blocking_ones,
     "async: Asynchronous and blocking waiters stand in one line")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    blocking_dial blocking;
    pthread_t thread;
    vcp_conn *conn;
    options.max_conns = 1;
    options.wait_timeout_ms = -1;
    pool = pool_new(&options);
    conn = borrow(pool, &s);
    begin_dial(pool, &s, NULL, queue, &a);
    blocking.pool = pool;
    blocking.s = &s;
    blocking.conn = NULL;
    CHECK_EQ(pthread_create(&thread, NULL, dial_blocking, &blocking), 0);
    EVENTUALLY(stats_of(pool).waiting == 2, 5000);
    begin_dial(pool, &s, NULL, queue, &b);
    CHECK_EQ(stats_of(pool).waiting, 3);
    give_back(conn);
    conn = next_conn(queue, &a);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(stats_of(pool).waiting, 2);
    give_back(conn);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(!has_completion(queue));
    give_back(blocking.conn);
    conn = next_conn(queue, &b);
    CHECK_EQ(stats_of(pool).dials, 1);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

static void count_dials(void *user, const vcp_event *event)
{
    if (event->kind == VCP_EVENT_DIAL_START) {
        __sync_add_and_fetch((int *)user, 1);
    }
}

TEST(a_dial_takes_what_is_given_back_meanwhile,
     "async: An asynchronous dial is answered by a connection given back meanwhile")
{
    full_server full = full_server_new();
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    int begun = 0;
    options.user = &begun;
    options.on_event = count_dials;
    pool = pool_new(&options);
    begin_dial(pool, &full.s, NULL, queue, &a);
    EVENTUALLY(__sync_add_and_fetch(&begun, 0) == 1, 5000);
    CHECK_EQ(vcp_pool_put(pool, client_of(&s), full.s.network, full.s.address, NULL), VCP_OK);
    conn = next_conn(queue, &a);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    CHECK_EQ(stats_of(pool).dialing, 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    STAYS(!has_completion(queue), 20);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
    full_server_close(&full);
}

TEST(a_dial_that_nobody_waits_for_any_more_fills_the_shelf,
     "async: Its own connect then goes on for the shelf")
{
    server s = tcp_server();
    server other = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_conn *conns[20];
    int i;
    for (i = 0; i < 20; i++) {
        CHECK_EQ(vcp_pool_put(pool, client_of(&other), s.network, s.address, NULL),
                 i < 8 ? VCP_OK : VCP_ERR_IDLE_FULL);
        if (i >= 8) {
            break;
        }
    }
    for (i = 0; i < 8; i++) {
        conns[i] = borrow(pool, &s);
    }
    for (i = 0; i < 8; i++) {
        begin_dial(pool, &s, NULL, queue, &conns[i]);
    }
    for (i = 0; i < 8; i++) {
        give_back(conns[i]);
    }
    for (i = 0; i < 8; i++) {
        vcp_completion completion = next_completion(queue);
        CHECK(completion.status >= 0);
        conns[i] = completion.conn;
    }
    EVENTUALLY(stats_of(pool).dialing == 0, 5000);
    for (i = 0; i < 8; i++) {
        give_back(conns[i]);
    }
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(idle_in(pool), 8);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    server_close(&other);
}

TEST(a_pools_close_answers_what_is_in_flight_and_waits,
     "async: A pool's close answers asynchronous dials and waits with POOL_CLOSED")
{
    full_server full = full_server_new();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    char seen[20];
    int i;
    options.max_conns = 10;
    options.wait_timeout_ms = -1;
    pool = pool_new(&options);
    memset(seen, 0, sizeof seen);
    for (i = 0; i < 20; i++) {
        begin_dial(pool, &full.s, NULL, queue, &seen[i]);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    for (i = 0; i < 20; i++) {
        vcp_completion completion = next_completion(queue);
        CHECK_EQ(completion.status, VCP_ERR_POOL_CLOSED);
        CHECK_EQ((*(char *)completion.token)++, 0);
    }
    STAYS(!has_completion(queue), 20);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    full_server_close(&full);
}

TEST(a_drain_answers_them_too, "async: drain does too")
{
    full_server full = full_server_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_queue *queue = queue_new();
    begin_dial(pool, &full.s, NULL, queue, &a);
    CHECK_EQ(vcp_pool_drain(pool, 0), 0);
    next_fails(queue, &a, VCP_ERR_POOL_CLOSED);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    full_server_close(&full);
}

TEST(a_freed_queue_gives_back_what_was_not_fetched_and_cancels_the_rest,
     "async: vcp_queue_free cancels what is in flight for it, and gives back connections of "
     "unread completions")
{
    full_server full = full_server_new();
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    vcp_queue *other = queue_new();
    vcp_completion completion;
    options.max_conns_per_address = 2;
    options.wait_timeout_ms = -1;
    pool = pool_new(&options);
    begin_dial(pool, &s, NULL, queue, &a);
    CHECK(readable_within(vcp_queue_fd(queue), 5000));
    begin_dial(pool, &full.s, NULL, queue, &b);
    begin_dial(pool, &full.s, NULL, other, &b);
    begin_dial(pool, &full.s, NULL, queue, &c);
    CHECK_EQ(stats_of(pool).waiting, 1);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    EVENTUALLY(idle_at(pool, &s) == 1, 5000);
    EVENTUALLY(stats_of(pool).dialing == 1 && stats_of(pool).waiting == 0, 5000);
    CHECK_EQ(vcp_queue_next(queue, &completion, sizeof completion), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_queue_fd(queue), VCP_ERR_INVALID_HANDLE);
    CHECK_EQ(vcp_queue_free(queue), VCP_ERR_INVALID_HANDLE);
    CHECK(!has_completion(other));
    CHECK_EQ(vcp_queue_free(other), VCP_OK);
    EVENTUALLY(stats_of(pool).dialing == 0, 5000);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
    full_server_close(&full);
}

typedef struct {
    pthread_barrier_t start;
    vcp_pool *pool;
    const server *s;
    vcp_queue *queue;
    int rounds;
} race;

static void *begins_dials(void *argument)
{
    race *r = (race *)argument;
    int i;
    for (i = 0; i < r->rounds; i++) {
        vcp_conn *conn;
        int status;
        pthread_barrier_wait(&r->start);
        status = dial_async(r->pool, r->s, NULL, r->queue, &a, &conn);
        CHECK(status == VCP_ERR_IN_PROGRESS || status == VCP_ERR_INVALID_HANDLE);
        pthread_barrier_wait(&r->start);
    }
    return NULL;
}

TEST(a_queue_that_is_freed_while_a_dial_begins_cancels_it_too,
     "async: vcp_queue_free cancels a dial that begins at the same moment")
{
    full_server full = full_server_new();
    vcp_pool_options options = pool_options();
    pthread_t thread;
    race r;
    int i;
    options.dial_timeout_ms = 0;
    memset(&r, 0, sizeof r);
    r.pool = pool_new(&options);
    r.s = &full.s;
    r.rounds = slowness() > 1 ? 100 : 3000;
    CHECK_EQ(pthread_barrier_init(&r.start, NULL, 2), 0);
    CHECK_EQ(pthread_create(&thread, NULL, begins_dials, &r), 0);
    for (i = 0; i < r.rounds; i++) {
        volatile int spin;
        r.queue = queue_new();
        pthread_barrier_wait(&r.start);
        for (spin = 0; spin < i % 100 * 20; spin++) {
        }
        CHECK_EQ(vcp_queue_free(r.queue), VCP_OK);
        pthread_barrier_wait(&r.start);
    }
    CHECK_EQ(pthread_join(thread, NULL), 0);
    EVENTUALLY(stats_of(r.pool).dialing == 0, 5000);
    CHECK_EQ(pthread_barrier_destroy(&r.start), 0);
    CHECK_EQ(vcp_pool_close(r.pool), VCP_OK);
    full_server_close(&full);
}

TEST(a_completion_follows_the_size_rule,
     "async: vcp_completion: an unknown tail is zeroed, a bad size loses nothing")
{
    fixture f = fixture_new(NULL);
    vcp_queue *queue = queue_new();
    struct {
        vcp_completion completion;
        char tail[16];
    } larger;
    int i;
    memset(&larger, 7, sizeof larger);
    begin_dial(f.pool, &f.s, NULL, queue, &a);
    CHECK(readable_within(vcp_queue_fd(queue), 5000));
    CHECK_EQ(vcp_queue_next(queue, NULL, sizeof larger), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_queue_next(queue, &larger.completion, 0), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(vcp_queue_next(queue, &larger.completion, sizeof larger), 1);
    CHECK_EQ(larger.completion.size, sizeof larger);
    CHECK(larger.completion.token == &a);
    for (i = 0; i < 16; i++) {
        CHECK_EQ(larger.tail[i], 0);
    }
    give_back(larger.completion.conn);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

/* It was taken off the queue, and its connection with it: nobody had the handle. */
TEST(a_completion_too_short_for_its_connection_stays_in_the_queue,
     "async: vcp_completion: a size shorter than version 0.1's is INVALID_ARGUMENT, and the "
     "completion stays")
{
    fixture f = fixture_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_completion completion;
    size_t size;
    begin_dial(f.pool, &f.s, NULL, queue, &a);
    CHECK(readable_within(vcp_queue_fd(queue), 5000));
    for (size = 0; size < sizeof completion; size++) {
        memset(&completion, 7, sizeof completion);
        CHECK_EQ(vcp_queue_next(queue, &completion, size), VCP_ERR_INVALID_ARGUMENT);
        CHECK_HAS(vcp_last_error(), "vcp_completion");
        CHECK(strstr(vcp_last_error(), "_init") == NULL);
        CHECK_EQ(completion.size, 0x0707070707070707LL);
        CHECK(has_completion(queue));
    }
    give_back(next_conn(queue, &a));
    CHECK_EQ(idle_in(f.pool), 1);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

typedef struct {
    vcp_queue *queue;
    int calls;
    int answer;
} caller_of_a_queue;

static void *asks_for_the_descriptor(void *argument)
{
    caller_of_a_queue *caller = (caller_of_a_queue *)argument;
    do {
        caller->answer = vcp_queue_fd(caller->queue);
        __sync_add_and_fetch(&caller->calls, 1);
    } while (caller->answer >= 0);
    return NULL;
}

/* It was told VCP_ERR_SYSTEM, "eventfd: success", if it had found the queue before it was freed. */
TEST(a_queue_freed_while_its_descriptor_is_asked_for_is_no_queue,
     "async: vcp_queue_fd while another thread frees the queue: a descriptor or INVALID_HANDLE")
{
    int round;
    for (round = 0; round < 300; round++) {
        caller_of_a_queue caller;
        pthread_t thread;
        memset(&caller, 0, sizeof caller);
        caller.queue = queue_new();
        CHECK_EQ(pthread_create(&thread, NULL, asks_for_the_descriptor, &caller), 0);
        while (__sync_add_and_fetch(&caller.calls, 0) < 10) {
            sched_yield();
        }
        CHECK_EQ(vcp_queue_free(caller.queue), VCP_OK);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(caller.answer, VCP_ERR_INVALID_HANDLE);
    }
}

TEST(names_of_services_are_looked_up_elsewhere,
     "async: A service name that was not seen before is looked up off the thread of an "
     "asynchronous dial")
{
    vcp_pool *pool = pool_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    vcp_completion completion;
    CHECK_EQ(vcp_dial_async(pool, "tcp", "127.0.0.1:no-such-service", NULL, queue, &a, &conn),
             VCP_ERR_IN_PROGRESS);
    next_fails(queue, &a, VCP_ERR_INVALID_ADDRESS);
    CHECK_HAS(vcp_last_error(), "no-such-service");
    CHECK_EQ(vcp_dial_async(pool, "tcp", "127.0.0.1:gopher", NULL, queue, &b, &conn),
             VCP_ERR_IN_PROGRESS);
    completion = next_completion(queue);
    CHECK(completion.token == &b);
    CHECK_HAS(completion.status < 0 ? vcp_last_error() : "127.0.0.1:70", "127.0.0.1:70");
    if (completion.status >= 0) {
        give_back(completion.conn);
    }
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

/* A protocol's name was looked up elsewhere every time, so that its hit came through the queue. */
TEST(a_hit_of_a_protocol_with_a_name_is_returned_at_once,
     "async: A hit of a protocol with a name (ip4:icmp) that was seen before is returned at once")
{
    fixture f = fixture_new(NULL);
    vcp_queue *queue = queue_new();
    vcp_conn *conn = NULL;
    CHECK_EQ(vcp_pool_put(f.pool, client_of(&f.s), "ip4:icmp", "127.0.0.1", NULL), VCP_OK);
    CHECK(vcp_dial_async(f.pool, "ip4:icmp", "127.0.0.1", NULL, queue, &a, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    give_back(conn);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    FIXTURE_END(&f);
}

typedef struct {
    pthread_t caller;
    const server *s;
    int calls;
    int on_caller;
} witness;

static void note(void *user)
{
    witness *w = (witness *)user;
    __sync_add_and_fetch(&w->calls, 1);
    if (pthread_equal(pthread_self(), w->caller)) {
        __sync_add_and_fetch(&w->on_caller, 1);
    }
}

static int resolves(void *user, const char *network, const char *host, int64_t timeout_ms,
                    vcp_resolved *out)
{
    note(user);
    (void)network;
    (void)host;
    CHECK(timeout_ms == -1 || timeout_ms > 0);
    return vcp_resolved_add(out, "127.0.0.1");
}

static int controls(void *user, const char *network, const char *address, int fd)
{
    note(user);
    (void)address;
    CHECK_STR(network, "tcp4");
    return fd < 0;
}

static int opens(void *user, vcp_conn *conn, int fd)
{
    note(user);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    return 0;
}

static int dials(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    note(user);
    (void)network;
    (void)address;
    (void)timeout_ms;
    return client_of(((witness *)user)->s);
}

TEST(callbacks_never_run_on_the_caller,
     "async: Callbacks and hooks of an asynchronous dial never run on its caller")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_queue *queue = queue_new();
    vcp_pool *pool;
    vcp_conn *conn;
    vcp_dial_options dial = dial_options(0);
    witness w;
    char address[64];
    int round;
    memset(&w, 0, sizeof w);
    w.caller = pthread_self();
    w.s = &s;
    options.user = &w;
    options.resolve = resolves;
    options.control = controls;
    options.on_open = opens;
    options.on_reuse = opens;
    dial.timeout_ms = -1;
    snprintf(address, sizeof address, "some.host:%d", s.port);
    for (round = 0; round < 2; round++) {
        pool = pool_new(&options);
        CHECK_EQ(vcp_dial_async(pool, "tcp", address, &dial, queue, &a, &conn),
                 VCP_ERR_IN_PROGRESS);
        give_back(next_conn(queue, &a));
        CHECK_EQ(vcp_dial_async(pool, "tcp", address, &dial, queue, &b, &conn),
                 VCP_ERR_IN_PROGRESS);
        conn = next_conn(queue, &b);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        give_back(conn);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        options.resolve = NULL;
        options.control = NULL;
        options.dial = dials;
    }
    CHECK_EQ(w.calls, 7);
    CHECK_EQ(w.on_caller, 0);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
}

TEST(a_child_has_an_empty_queue_of_its_own,
     "async: In a child queues are empty, with descriptors of their own")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_queue *queue = queue_new();
    int fd = vcp_queue_fd(queue);
    pid_t child;
    int status;
    begin_dial(pool, &s, NULL, queue, &a);
    CHECK(readable_within(fd, 5000));
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        vcp_completion completion;
        CHECK_EQ(vcp_queue_next(queue, &completion, sizeof completion), 0);
        CHECK(vcp_queue_fd(queue) != fd);
        begin_dial(pool, &s, NULL, queue, &b);
        give_back(next_conn(queue, &b));
        CHECK_EQ(vcp_queue_free(queue), VCP_OK);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        child_ends();
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
    give_back(next_conn(queue, &a));
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}
