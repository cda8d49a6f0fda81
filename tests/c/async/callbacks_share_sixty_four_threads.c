/*
 * Callbacks on the library's own threads: how many at once, which kinds leave threads to which, and
 * what happens when the system has no thread left. Contract section 2.
 */
#include "completions.h"
#include "fake_pthread_create.h"

static int a; /* a token */

/* What callbacks do: they hold their threads until they are let go. */
static struct {
    int inside; /* of all kinds */
    int most_inside;
    int dials;
    int resolves;
    int refills;
    int events;
    int frees;
    int releases;
    int checks;
    int holds;
    int on_engine;
    pthread_t opener; /* the program's own thread, which is none of the library's */
} seen;

static int reads(int *of)
{
    return __sync_add_and_fetch(of, 0);
}

static void name_of_thread(char *name, size_t size)
{
    CHECK_EQ(pthread_getname_np(pthread_self(), name, size), 0);
}

static void hold(int *kind)
{
    char name[16];
    int now;
    if (pthread_equal(pthread_self(), seen.opener)) {
        return;
    }
    name_of_thread(name, sizeof name);
    if (strcmp(name, "vcp-engine") == 0) {
        __sync_add_and_fetch(&seen.on_engine, 1);
    }
    now = __sync_add_and_fetch(&seen.inside, 1);
    for (;;) {
        int most = reads(&seen.most_inside);
        if (now <= most || __sync_bool_compare_and_swap(&seen.most_inside, most, now)) {
            break;
        }
    }
    __sync_add_and_fetch(kind, 1);
    while (reads(&seen.holds) != 0) {
        let_pass(1);
    }
    __sync_sub_and_fetch(&seen.inside, 1);
}

static int dials(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    (void)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    hold(&seen.dials);
    return -1;
}

static int resolves(void *user, const char *network, const char *host, int64_t timeout_ms,
                    vcp_resolved *out)
{
    (void)user;
    (void)network;
    (void)host;
    (void)timeout_ms;
    hold(&seen.resolves);
    return vcp_resolved_add(out, "127.0.0.1");
}

static int opens(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    hold(&seen.refills);
    return fd < 0;
}

static int releases(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    hold(&seen.releases);
    return fd < 0;
}

static int checks(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)conn;
    hold(&seen.checks);
    return fd < 0;
}

static void sees(void *user, const vcp_event *event)
{
    (void)user;
    (void)event;
    hold(&seen.events);
}

static void frees(void *data)
{
    (void)data;
    hold(&seen.frees);
}

static void forget(int holds)
{
    memset(&seen, 0, sizeof seen);
    seen.opener = pthread_self();
    seen.holds = holds;
}

static void let_go(void)
{
    __sync_lock_test_and_set(&seen.holds, 0);
    EVENTUALLY(reads(&seen.inside) == 0, 10000);
}

/* Asynchronous dials, more than there are threads, whose callback holds its thread. */
#define DIALS 100

static vcp_pool *dials_that_hold(vcp_queue *queue)
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int i;
    options.dial = dials;
    options.dial_timeout_ms = 0;
    pool = pool_new(&options);
    for (i = 0; i < DIALS; i++) {
        vcp_conn *conn;
        CHECK_EQ(vcp_dial_async(pool, "tcp", "127.0.0.1:1", NULL, queue, &a, &conn),
                 VCP_ERR_IN_PROGRESS);
    }
    return pool;
}

/* The same with names, and a resolve callback. */
static vcp_pool *lookups_that_hold(vcp_queue *queue)
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int i;
    options.resolve = resolves;
    options.dial_timeout_ms = 0;
    pool = pool_new(&options);
    for (i = 0; i < DIALS; i++) {
        char address[32];
        vcp_conn *conn;
        snprintf(address, sizeof address, "name-%d.test:1", i);
        CHECK_EQ(vcp_dial_async(pool, "tcp", address, NULL, queue, &a, &conn), VCP_ERR_IN_PROGRESS);
    }
    return pool;
}

/* Idle connections with data of the program, which the engine closes when their peers do. */
#define CONNS 30

static vcp_pool *idle_conns_with_data(const server *s, int *peers, int with_events)
{
    vcp_pool_options options = pool_options();
    vcp_conn *conns[CONNS];
    vcp_pool *pool;
    int i;
    options.max_idle_per_address = CONNS;
    options.on_event = with_events ? sees : NULL;
    pool = pool_new(&options);
    for (i = 0; i < CONNS; i++) {
        conns[i] = borrow_fresh(pool, s);
        peers[i] = server_accept(s);
        CHECK_EQ(vcp_conn_set_data(conns[i], &a, frees), VCP_OK);
    }
    for (i = 0; i < CONNS; i++) {
        give_back(conns[i]);
    }
    return pool;
}

/* Connections that on_release looks at in the background. */
static vcp_pool *releases_that_hold(const server *s)
{
    vcp_pool_options options = pool_options();
    vcp_conn *conns[CONNS];
    vcp_pool *pool;
    int i;
    options.max_idle_per_address = CONNS;
    options.on_release = releases;
    options.on_release_in_background = 1;
    pool = pool_new(&options);
    for (i = 0; i < CONNS; i++) {
        conns[i] = borrow_fresh(pool, s);
    }
    for (i = 0; i < CONNS; i++) {
        give_back(conns[i]);
    }
    return pool;
}

/* Idle connections that on_idle is asked about. */
static vcp_pool *checks_that_hold(const server *s)
{
    vcp_pool_options options = pool_options();
    vcp_conn *conns[CONNS];
    vcp_pool *pool;
    int i;
    options.max_idle_per_address = CONNS;
    options.on_idle = checks;
    options.on_idle_ms = 1;
    pool = pool_new(&options);
    for (i = 0; i < CONNS; i++) {
        conns[i] = borrow_fresh(pool, s);
    }
    for (i = 0; i < CONNS; i++) {
        give_back(conns[i]);
    }
    return pool;
}

/* Destinations that lack an idle connection: they are dialed one by one each. */
#define REFILLS 20

static void close_all(const int *peers)
{
    int i;
    for (i = 0; i < CONNS; i++) {
        close(peers[i]);
    }
}

static void end(vcp_pool *pool, vcp_queue *queue, int answers)
{
    int i;
    for (i = 0; i < answers; i++) {
        vcp_completion completion = next_completion(queue);
        CHECK(completion.status < 0);
    }
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
}

TEST(
    no_more_than_sixty_four_callbacks_hold_threads_of_the_library,
    "threads: At most 64 callbacks of a process run on helper threads at once, whatever their kind")
{
    server s = tcp_server();
    server short_of[REFILLS];
    vcp_queue *queue = queue_new();
    vcp_pool *pool, *dialing, *resolving, *refilling, *releasing, *checking;
    vcp_pool_options options = pool_options();
    int peers[CONNS];
    int i;
    forget(1);
    pool = idle_conns_with_data(&s, peers, 1);
    dialing = dials_that_hold(queue);
    resolving = lookups_that_hold(queue);
    options.min_idle_per_address = 2;
    options.on_open = opens;
    refilling = pool_new(&options);
    for (i = 0; i < REFILLS; i++) {
        short_of[i] = tcp_server();
        give_back(borrow(refilling, &short_of[i]));
    }
    releasing = releases_that_hold(&s);
    checking = checks_that_hold(&s);
    close_all(peers);
    /* Each kind has its share, and a while later no more have begun. */
    EVENTUALLY(reads(&seen.inside) == 64, 10000);
    STAYS(reads(&seen.inside) == 64, 200);
    CHECK(reads(&seen.dials) >= 24);
    CHECK(reads(&seen.resolves) >= 4);
    CHECK(reads(&seen.refills) >= 4);
    CHECK(reads(&seen.events) + reads(&seen.frees) >= 8);
    CHECK(reads(&seen.releases) >= 4);
    CHECK_BETWEEN(reads(&seen.checks), 2, 16);
    let_go();
    end(dialing, queue, DIALS);
    end(resolving, queue, DIALS);
    EVENTUALLY(reads(&seen.frees) == CONNS, 10000);
    CHECK_EQ(vcp_pool_close(refilling), VCP_OK);
    CHECK_EQ(vcp_pool_close(releasing), VCP_OK);
    CHECK_EQ(vcp_pool_close(checking), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_BETWEEN(reads(&seen.most_inside), 64, 64);
    CHECK_EQ(reads(&seen.on_engine), 0);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    for (i = 0; i < REFILLS; i++) {
        server_close(&short_of[i]);
    }
    server_close(&s);
}

TEST(dials_that_hang_leave_threads_to_destructors_and_events,
     "threads: Callbacks of dials that hang do not keep free_data and on_event from running")
{
    server s = tcp_server();
    vcp_queue *queue = queue_new();
    vcp_pool *pool, *dialing;
    int peers[CONNS];
    forget(1);
    dialing = dials_that_hold(queue);
    EVENTUALLY(reads(&seen.dials) >= 24, 10000);
    STAYS(reads(&seen.dials) < 64, 100);
    pool = idle_conns_with_data(&s, peers, 0);
    close_all(peers);
    EVENTUALLY(reads(&seen.frees) >= 8, 10000);
    let_go();
    EVENTUALLY(reads(&seen.frees) == CONNS, 10000);
    end(dialing, queue, DIALS);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
}

TEST(lookups_that_hang_leave_threads_to_dials,
     "threads: Resolve callbacks that hang do not keep the callbacks of other dials from running")
{
    vcp_queue *queue = queue_new();
    vcp_pool *dialing, *resolving;
    forget(1);
    resolving = lookups_that_hold(queue);
    EVENTUALLY(reads(&seen.resolves) >= 4, 10000);
    dialing = dials_that_hold(queue);
    EVENTUALLY(reads(&seen.dials) >= 24, 10000);
    let_go();
    end(dialing, queue, DIALS);
    end(resolving, queue, DIALS);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
}

TEST(the_threads_of_the_library_have_names,
     "threads: The library's threads are called vcp-engine, vcp-helper and vcp-resolver")
{
    server s = tcp_server();
    vcp_queue *queue = queue_new();
    vcp_pool *dialing = NULL;
    vcp_pool *pool;
    int own = threads();
    vcp_dial_options options = dial_options(0);
    vcp_conn *conn;
    forget(1);
    pool = pool_new(NULL);
    give_back(borrow(pool, &s));
    EVENTUALLY(threads_called("vcp-engine") == 1, 5000);
    EVENTUALLY(threads_called("vcp-helper") == 1, 5000);
    dialing = dials_that_hold(queue);
    options.timeout_ms = 20000;
    CHECK(vcp_dial_with(pool, "tcp", "localhost:1", &options, &conn) < 0);
    EVENTUALLY(threads_called("vcp-resolver") == 1, 5000);
    EVENTUALLY(reads(&seen.dials) >= 24, 10000);
    /* None of them has another name, once each has begun. */
    EVENTUALLY(threads_called("vcp-engine") + threads_called("vcp-helper") +
                       threads_called("vcp-resolver") >=
                   threads() - own,
               5000);
    let_go();
    end(dialing, queue, DIALS);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
}

#if CAN_FAKE_THREADS
TEST(without_threads_no_callback_runs_on_the_engine,
     "threads: No callback ever runs on the background thread, not even when the system refuses "
     "threads")
{
    server s = tcp_server();
    vcp_pool *pool;
    int peers[CONNS];
    forget(0);
    pool = idle_conns_with_data(&s, peers, 1);
    before_thread = refuses;
    /* The thread that is there may have ended but for the last by then. */
    EVENTUALLY(threads_called("vcp-helper") == 1, 5000);
    close_all(peers);
    EVENTUALLY(reads(&seen.frees) == CONNS, 10000);
    EVENTUALLY(reads(&seen.events) == CONNS, 10000);
    CHECK_EQ(reads(&seen.on_engine), 0);
    before_thread = NULL;
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(without_threads_asynchronous_dials_fail_and_blocking_ones_work,
     "threads: Where no thread can be started vcp_dial works, and vcp_dial_async is an error")
{
    server s = tcp_server();
    vcp_queue *queue = queue_new();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn;
    before_thread = refuses;
    CHECK_EQ(dial_async(pool, &s, NULL, queue, &a, &conn), VCP_ERR_SYSTEM);
    give_back(borrow(pool, &s));
    give_back(borrow(pool, &s));
    CHECK_EQ(stats_of(pool).reuses, 1);
    before_thread = NULL;
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    server_close(&s);
}
#endif
