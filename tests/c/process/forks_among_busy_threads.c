/*
 * Forks while many threads hold the library's locks: no child hangs, and none touches its parent's
 * connections. Contract section 7.
 */
#include "child_processes.h"
#include "completions.h"

#include <sys/mman.h>
#include <sys/prctl.h>

#define HAMMERS 4
#define AT_ONCE 4
#define PEERS_MOST 512

/* ---- a server in a process of its own, which knows who may speak on which connection ---- */

typedef struct word {
    int32_t pid;
    uint32_t serial;
} word;

/* Shared with the server's process. */
typedef struct seen {
    int32_t parent;      /* whose connections must neither end nor carry anybody else's words */
    int32_t foreign;     /* words of another process than the one that spoke first */
    int32_t ended_early; /* ends of the parent's connections */
    int32_t may_end;
} seen;

typedef struct watcher {
    server s;
    seen *saw;
    pid_t process;
} watcher;

static int32_t load(const int32_t *number)
{
    return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

static void count_one(int32_t *number)
{
    __atomic_fetch_add(number, 1, __ATOMIC_SEQ_CST);
}

/* One word, sent back; false at the end. */
static int watcher_hears(watcher *w, int fd, int32_t *speaker)
{
    word said;
    ssize_t got = recv(fd, &said, sizeof said, MSG_WAITALL);
    if (got != (ssize_t)sizeof said) {
        if ((*speaker == w->saw->parent || got > 0) && !load(&w->saw->may_end))
            count_one(&w->saw->ended_early);
        return 0;
    }
    if (*speaker == 0)
        *speaker = said.pid;
    if (*speaker != said.pid)
        count_one(&w->saw->foreign);
    return send(fd, &said, sizeof said, MSG_NOSIGNAL) == (ssize_t)sizeof said;
}

static void watcher_serves(watcher *w)
{
    struct pollfd polled[PEERS_MOST];
    int32_t speakers[PEERS_MOST];
    int count = 1;
    int i;
    memset(polled, 0, sizeof polled);
    polled[0].fd = w->s.fd;
    polled[0].events = POLLIN;
    for (;;) {
        if (poll(polled, (nfds_t)count, -1) < 0)
            continue;
        for (i = count - 1; i >= 1; i--) {
            if (polled[i].revents != 0 && !watcher_hears(w, polled[i].fd, &speakers[i])) {
                close(polled[i].fd);
                polled[i] = polled[--count];
                speakers[i] = speakers[count];
            }
        }
        if (polled[0].revents != 0) {
            int fd = accept4(w->s.fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0) {
                CHECK(count < PEERS_MOST);
                polled[count].fd = fd;
                polled[count].events = POLLIN;
                polled[count].revents = 0;
                speakers[count++] = 0;
            }
        }
    }
}

static watcher watcher_of(server s)
{
    watcher w;
    w.s = s;
    w.saw = (seen *)mmap(NULL, sizeof *w.saw, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
                         -1, 0);
    CHECK(w.saw != MAP_FAILED);
    w.saw->parent = getpid();
    w.process = fork_by(BY_FORK);
    CHECK(w.process >= 0);
    if (w.process == 0) {
        CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        watcher_serves(&w);
    }
    return w;
}

static void watcher_ends(watcher *w)
{
    int status;
    CHECK_EQ(load(&w->saw->foreign), 0);
    CHECK_EQ(kill(w->process, SIGKILL), 0);
    CHECK_EQ(waitpid(w->process, &status, 0), w->process);
    CHECK_EQ(munmap(w->saw, sizeof *w->saw), 0);
    server_close(&w->s);
}

/* ---- who dials ---- */

typedef struct ground {
    watcher w;
    vcp_pool *pool;
    char name[64];
    vcp_cancel *token;
    int32_t stop;
    int32_t rounds;
} ground;

typedef struct hammer {
    ground *g;
    int number;
    pthread_t thread;
} hammer;

static int resolves_to_loopback(void *user, const char *network, const char *host,
                                int64_t timeout_ms, vcp_resolved *out)
{
    (void)user;
    (void)network;
    (void)host;
    (void)timeout_ms;
    return vcp_resolved_add(out, "127.0.0.1");
}

/* A word there and back. */
static void converse(vcp_conn *conn, uint32_t serial)
{
    word said;
    word heard;
    size_t have = 0;
    said.pid = getpid();
    said.serial = serial;
    CHECK_EQ(vcp_conn_write(conn, &said, sizeof said), (int64_t)sizeof said);
    while (have < sizeof heard) {
        int64_t count = vcp_conn_read(conn, (char *)&heard + have, sizeof heard - have);
        CHECK(count > 0);
        have += (size_t)count;
    }
    CHECK_EQ(memcmp(&said, &heard, sizeof said), 0);
}

static void ignore(void *data)
{
    (void)data;
}

/* Each takes another way through the library, and with it other locks. */
static void strike(ground *g, int number, uint32_t serial)
{
    vcp_dial_options d = dial_options(0);
    vcp_cancel *token = NULL;
    vcp_conn *conn = NULL;
    const char *network = g->w.s.network;
    const char *address = g->w.s.address;
    if (number == 1) {
        CHECK_EQ(vcp_cancel_new(&token), VCP_OK);
        d.cancel = token;
    }
    if (number == 2 && g->name[0] != '\0') {
        address = g->name;
        /* So many that all of them can be idle at once: none is closed for want of room. */
        d.flags = serial < 400 && serial % 8 == 0 ? (uint32_t)VCP_DIAL_FRESH : 0;
    }
    CHECK(vcp_dial_with(g->pool, network, address, &d, &conn) >= 0);
    if (number == 1)
        CHECK_EQ(vcp_conn_set_cancel(conn, token), VCP_OK);
    if (number == 3) {
        CHECK_EQ(vcp_conn_set_data(conn, g, ignore), VCP_OK);
        CHECK(vcp_conn_data(conn) == g);
        CHECK(vcp_pool_conn_count(g->pool) > 0);
    }
    converse(conn, serial);
    give_back(conn);
    CHECK_EQ(vcp_cancel_free(token), VCP_OK);
}

static void *hammers(void *argument)
{
    hammer *h = (hammer *)argument;
    uint32_t serial = 0;
    do {
        strike(h->g, h->number, serial++);
        count_one(&h->g->rounds);
    } while (!load(&h->g->stop));
    return NULL;
}

static void crowd_begins(ground *g, hammer *crowd, int count)
{
    int i;
    g->stop = 0;
    for (i = 0; i < count; i++) {
        crowd[i].g = g;
        crowd[i].number = i;
        CHECK_EQ(pthread_create(&crowd[i].thread, NULL, hammers, &crowd[i]), 0);
    }
    EVENTUALLY(load(&g->rounds) >= count * 4, 5000);
}

static void crowd_ends(ground *g, hammer *crowd, int count)
{
    int i;
    __atomic_store_n(&g->stop, 1, __ATOMIC_SEQ_CST);
    for (i = 0; i < count; i++)
        CHECK_EQ(pthread_join(crowd[i].thread, NULL), 0);
}

/* ---- the children ---- */

/*
 * Every way once, and the end of the pool: pins, locks and helpers of the parent's threads must not
 * matter.
 */
static void strikes_every_way(void *argument)
{
    ground *g = (ground *)argument;
    int number;
    for (number = 0; number < HAMMERS; number++)
        strike(g, number, (uint32_t)number);
    CHECK_EQ(vcp_pool_close(g->pool), VCP_OK);
}

TEST(a_hundred_children_of_a_busy_parent_dial_and_disturb_nothing,
     "fork: 100 children of a parent whose 4 threads dial: each dials, echoes and ends within 2 "
     "s; no end and no foreign byte on the parent's connections")
{
    vcp_pool_options options = pool_options();
    hammer crowd[HAMMERS];
    pid_t children[AT_ONCE];
    int count = slowness() > 1 ? 20 : 100;
    ground g;
    int i;
    int k;
    memset(&g, 0, sizeof g);
    g.w = watcher_of(tcp_server());
    snprintf(g.name, sizeof g.name, "somewhere.test:%d", g.w.s.port);
    options.max_idle_per_address = 200;
    options.resolve = resolves_to_loopback;
    g.pool = pool_new(&options);
    crowd_begins(&g, crowd, HAMMERS);
    for (i = 0; i < count; i += AT_ONCE) {
        for (k = 0; k < AT_ONCE; k++)
            children[k] = child_that(BY_FORK, 2, strikes_every_way, &g);
        for (k = 0; k < AT_ONCE; k++)
            CHECK_CHILD(children[k]);
        CHECK_EQ(load(&g.w.saw->ended_early), 0);
    }
    crowd_ends(&g, crowd, HAMMERS);
    printf("  %d children, %d rounds of the parent\n", count, load(&g.rounds));
    CHECK_STATS_ADD_UP(g.pool);
    CHECK_EQ(stats_of(g.pool).stale_at_borrow, 0);
    CHECK_EQ(stats_of(g.pool).dirty_at_borrow, 0);
    CHECK_EQ(load(&g.w.saw->ended_early), 0);
    __atomic_store_n(&g.w.saw->may_end, 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(vcp_pool_close(g.pool), VCP_OK);
    watcher_ends(&g.w);
}

/* Is inside the handle tables most of the time. */
static void *looks(void *argument)
{
    ground *g = (ground *)argument;
    while (!load(&g->stop)) {
        CHECK_EQ(vcp_cancel_fire(g->token), VCP_OK);
        CHECK(idle_in(g->pool) >= 0);
    }
    return NULL;
}

#define CHILDS_THREADS 2

/* More borrowers than connections, in the child as in the parent. */
static void crowds_at_a_limit(void *argument)
{
    ground *g = (ground *)argument;
    hammer crowd[CHILDS_THREADS];
    int i;
    g->rounds = 0;
    g->stop = 1;
    for (i = 0; i < CHILDS_THREADS; i++) {
        crowd[i].g = g;
        crowd[i].number = 0;
        CHECK_EQ(pthread_create(&crowd[i].thread, NULL, hammers, &crowd[i]), 0);
    }
    strike(g, 0, 1);
    for (i = 0; i < CHILDS_THREADS; i++)
        CHECK_EQ(pthread_join(crowd[i].thread, NULL), 0);
    CHECK_EQ(load(&g->rounds), CHILDS_THREADS);
    CHECK_EQ(vcp_cancel_free(g->token), VCP_OK);
    CHECK_EQ(vcp_pool_close(g->pool), VCP_OK);
}

TEST(of_five_thousand_quick_forks_under_contention_none_hangs,
     "fork: 5,000 forks with all locks contended in parent and child: none hangs")
{
    vcp_pool_options options = pool_options();
    hammer crowd[HAMMERS];
    int count = slowness() > 1 ? 50 : 5000;
    pthread_t looker;
    int64_t start;
    ground g;
    int i;
    memset(&g, 0, sizeof g);
    g.w = watcher_of(unix_server(SOCK_STREAM, 1));
    options.max_conns = 2;
    options.wait_timeout_ms = -1;
    g.pool = pool_new(&options);
    CHECK_EQ(vcp_cancel_new(&g.token), VCP_OK);
    crowd_begins(&g, crowd, HAMMERS);
    CHECK_EQ(pthread_create(&looker, NULL, looks, &g), 0);
    start = now_ms();
    for (i = 0; i < count; i++)
        CHECK_CHILD(child_that(BY_FORK, 2, crowds_at_a_limit, &g));
    printf("  %d children in %lld ms, %d rounds of the parent\n", count,
           (long long)(now_ms() - start), load(&g.rounds));
    crowd_ends(&g, crowd, HAMMERS);
    CHECK_EQ(pthread_join(looker, NULL), 0);
    CHECK_EQ(vcp_cancel_free(g.token), VCP_OK);
    CHECK_STATS_ADD_UP(g.pool);
    CHECK_EQ(load(&g.w.saw->ended_early), 0);
    __atomic_store_n(&g.w.saw->may_end, 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(vcp_pool_close(g.pool), VCP_OK);
    watcher_ends(&g.w);
}

/* ---- children that are forked on a thread of the library ---- */

typedef struct {
    pid_t child;
    int stop;
} forker;

static int forks_and_refuses(void *user, const char *network, const char *address,
                             int64_t timeout_ms)
{
    forker *f = (forker *)user;
    pid_t child = fork();
    (void)network;
    (void)address;
    (void)timeout_ms;
    CHECK(child >= 0);
    if (child == 0) {
        sigset_t alarms;
        sigemptyset(&alarms);
        sigaddset(&alarms, SIGALRM);
        CHECK_EQ(pthread_sigmask(SIG_UNBLOCK, &alarms, NULL), 0);
        signal(SIGALRM, SIG_DFL);
        alarm((unsigned)at_most(5));
        /* When its only thread ends, the process does. */
        CHECK_EQ(atexit(child_ends), 0);
        return -1;
    }
    f->child = child;
    return -1;
}

/* Goes through the list of all dials in flight, again and again. */
static void *frees_queues(void *argument)
{
    const forker *f = (const forker *)argument;
    while (!load(&f->stop)) {
        CHECK_EQ(vcp_queue_free(queue_new()), VCP_OK);
    }
    return NULL;
}

/*
 * In the child the callback returned to a thread of the library that then locked what another
 * thread held for ever.
 */
TEST(children_forked_on_a_helper_thread_end,
     "fork: A child forked inside a callback on a thread of the library ends, whatever lock "
     "another thread held")
{
    enum { WAITERS = 1000, CHILDREN = 20 };
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *full;
    vcp_pool *pool;
    vcp_queue *waiters = queue_new();
    vcp_queue *queue = queue_new();
    vcp_conn *conn;
    pthread_t freer;
    forker f;
    int i;
    memset(&f, 0, sizeof f);
    options.max_conns = 1;
    options.wait_timeout_ms = -1;
    full = pool_new(&options);
    conn = borrow(full, &s);
    for (i = 0; i < WAITERS; i++)
        begin_dial(full, &s, NULL, waiters, &f);
    options = pool_options();
    options.dial = forks_and_refuses;
    options.user = &f;
    pool = pool_new(&options);
    CHECK_EQ(pthread_create(&freer, NULL, frees_queues, &f), 0);
    for (i = 0; i < CHILDREN; i++) {
        begin_dial(pool, &s, NULL, queue, &f);
        next_fails(queue, &f, VCP_ERR_CALLBACK);
        CHECK_CHILD(f.child);
    }
    __atomic_store_n(&f.stop, 1, __ATOMIC_SEQ_CST);
    CHECK_EQ(pthread_join(freer, NULL), 0);
    CHECK_EQ(vcp_queue_free(waiters), VCP_OK);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_pool_close(full), VCP_OK);
    server_close(&s);
}
