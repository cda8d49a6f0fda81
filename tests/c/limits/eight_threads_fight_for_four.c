/*
 * Eight threads fight for four connections: dials, waits, timeouts, cancels, discards, evictions,
 * puts, and a server that hangs up. VCP_STRESS_MS in the environment says how long (2,000).
 *
 * The server gives each connection a number of its own. Who borrows a connection marks that number
 * as owned: nobody else may own it then, and every answer carries it, together with what was asked.
 */
#include "check.h"
#include <sched.h>
#include <stdint.h>

/* With seven for eight a thread mostly finds its own again, and sometimes all are out. */
enum { WORKERS = 8, LIMIT = 4, FAST_LIMIT = 7, PEERS = 64, NONCES = 1 << 20, DESCRIPTORS = 1024 };

typedef struct question {
    uint32_t worker;
    uint32_t round;
} question;

typedef struct answer {
    question asked;
    uint32_t nonce;
    uint32_t padding;
} answer;

static struct {
    vcp_pool *pool;
    server s;
    pthread_t thread;
    int stop[2];
    int is_over;
    unsigned char owned[NONCES];
    unsigned char borrowed[DESCRIPTORS];
    uint32_t nonces;
    int hung_up;
    int lost; /* handles that were dead before they were given back */
} g;

static uint32_t draw(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;
    return *seed >> 8;
}

/* ---- the server ---- */

typedef struct peer {
    int fd;
    uint32_t nonce;
} peer;

/* Answers one question, or hangs up: after the answer, or in place of it. */
static int serves(peer *p, uint32_t *seed)
{
    question asked;
    answer back;
    uint32_t mood = draw(seed) % 64;
    if (recv(p->fd, &asked, sizeof asked, MSG_WAITALL) != (ssize_t)sizeof asked || mood == 0) {
        return 0;
    }
    memset(&back, 0, sizeof back);
    back.asked = asked;
    back.nonce = p->nonce;
    if (send(p->fd, &back, sizeof back, MSG_NOSIGNAL) != (ssize_t)sizeof back) {
        return 0;
    }
    return mood != 1;
}

static void *serve(void *unused)
{
    peer peers[PEERS];
    struct pollfd all[PEERS + 2];
    uint32_t seed = 1;
    int count = 0;
    (void)unused;
    memset(all, 0, sizeof all);
    all[0].fd = g.stop[0];
    all[0].events = POLLIN;
    all[1].fd = g.s.fd;
    for (;;) {
        int i;
        all[1].events = count < PEERS ? POLLIN : 0;
        for (i = 0; i < count; i++) {
            all[i + 2].fd = peers[i].fd;
            all[i + 2].events = POLLIN;
        }
        CHECK(poll(all, (nfds_t)count + 2, -1) > 0);
        if (all[0].revents != 0) {
            break;
        }
        for (i = count - 1; i >= 0; i--) {
            if (all[i + 2].revents != 0 && !serves(&peers[i], &seed)) {
                close(peers[i].fd);
                peers[i] = peers[--count];
                __sync_add_and_fetch(&g.hung_up, 1);
            }
        }
        if (all[1].revents != 0) {
            peers[count].fd = server_accept(&g.s);
            peers[count].nonce = ++g.nonces;
            CHECK(g.nonces < NONCES);
            count++;
        }
    }
    while (count > 0) {
        close(peers[--count].fd);
    }
    return NULL;
}

/* ---- the clients ---- */

typedef struct worker {
    pthread_t thread;
    uint32_t number;
    uint32_t seed;
    vcp_cancel *token;
    int64_t served;
    int64_t refused;
} worker;

/*
 * One question and its answer: the connection's number, owned from now on, or 0 if the server hung
 * up (then the library discards the connection).
 */
static uint32_t asks(worker *w, vcp_conn *conn, uint32_t round)
{
    question mine;
    answer back;
    char *into = (char *)&back;
    size_t got = 0;
    mine.worker = w->number;
    mine.round = round;
    CHECK_EQ(vcp_conn_set_deadline(conn, at_most(10000)), VCP_OK);
    if (vcp_conn_write(conn, &mine, sizeof mine) != (int64_t)sizeof mine) {
        return 0;
    }
    while (got < sizeof back) {
        int64_t count = vcp_conn_read(conn, into + got, sizeof back - got);
        if (count <= 0) {
            CHECK(count != VCP_ERR_TIMEOUT);
            return 0;
        }
        got += (size_t)count;
    }
    CHECK_EQ(back.asked.worker, mine.worker);
    CHECK_EQ(back.asked.round, mine.round);
    CHECK(back.nonce > 0 && back.nonce < NONCES);
    CHECK(__sync_bool_compare_and_swap(&g.owned[back.nonce], 0, 1));
    w->served++;
    return back.nonce;
}

static void disturbs(worker *w)
{
    switch (draw(&w->seed) % 8) {
    case 0:
        CHECK_EQ(vcp_pool_evict(g.pool, NULL, NULL), VCP_OK);
        break;
    case 1:
        CHECK_EQ(vcp_pool_close_idle(g.pool), VCP_OK);
        break;
    case 2:
        CHECK_EQ(vcp_cancel_fire(w->token), VCP_OK);
        CHECK_EQ(vcp_cancel_free(w->token), VCP_OK);
        CHECK_EQ(vcp_cancel_new(&w->token), VCP_OK);
        break;
    case 3: {
        int fd = client_of(&g.s);
        if (vcp_pool_put(g.pool, fd, g.s.network, g.s.address, NULL) != VCP_OK) {
            close(fd);
        }
        break;
    }
    case 4: {
        int fd = vcp_pool_get(g.pool, g.s.network, g.s.address, NULL);
        if (fd >= 0) {
            close(fd);
        }
        break;
    }
    default:
        break;
    }
}

static void *works(void *argument)
{
    worker *w = (worker *)argument;
    uint32_t round;
    for (round = 0; !__atomic_load_n(&g.is_over, __ATOMIC_ACQUIRE); round++) {
        static const int64_t waits[] = {-1, 0, 1, 5};
        vcp_dial_options d = dial_options(draw(&w->seed) % 8 == 0 ? VCP_DIAL_FRESH : 0);
        vcp_conn *conn;
        int64_t conns;
        int fd;
        d.wait_timeout_ms = waits[draw(&w->seed) % 4];
        d.cancel = draw(&w->seed) % 2 == 0 ? w->token : NULL;
        fd = vcp_dial_with(g.pool, g.s.network, g.s.address, &d, &conn);
        conns = vcp_pool_conn_count(g.pool);
        CHECK_BETWEEN(conns, 0, LIMIT);
        if (fd < 0) {
            CHECK(fd == VCP_ERR_TIMEOUT || fd == VCP_ERR_POOL_EXHAUSTED || fd == VCP_ERR_CANCELED);
            w->refused++;
        } else {
            uint32_t nonce = asks(w, conn, round);
            if (draw(&w->seed) % 4 == 0) {
                sched_yield();
            }
            if (nonce != 0) {
                CHECK(__sync_bool_compare_and_swap(&g.owned[nonce], 1, 0));
            }
            if (draw(&w->seed) % 16 == 0) {
                CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
            }
            if (draw(&w->seed) % 64 == 0) {
                int own = vcp_conn_detach(conn);
                CHECK_EQ(own, fd);
                close(own);
            } else {
                give_back(conn);
            }
        }
        if (draw(&w->seed) % 32 == 0) {
            disturbs(w);
        }
    }
    return NULL;
}

static void fight(void *(*role)(void *), const vcp_pool_options *options, int64_t ms,
                  vcp_stats *seen)
{
    worker all[WORKERS];
    vcp_stats stats;
    int served = 0;
    uint32_t i;
    g.s = tcp_server();
    g.is_over = 0;
    CHECK_EQ(pipe2(g.stop, O_CLOEXEC), 0);
    CHECK_EQ(pthread_create(&g.thread, NULL, serve, NULL), 0);
    g.pool = pool_new(options);
    memset(all, 0, sizeof all);
    for (i = 0; i < WORKERS; i++) {
        all[i].number = i;
        all[i].seed = i * 7919u + 1;
        CHECK_EQ(vcp_cancel_new(&all[i].token), VCP_OK);
        CHECK_EQ(pthread_create(&all[i].thread, NULL, role, &all[i]), 0);
    }
    let_pass(ms); /* How long they fight is what the test is given. */
    __atomic_store_n(&g.is_over, 1, __ATOMIC_RELEASE);
    for (i = 0; i < WORKERS; i++) {
        CHECK_EQ(pthread_join(all[i].thread, NULL), 0);
        CHECK_EQ(vcp_cancel_free(all[i].token), VCP_OK);
        served += all[i].served > 0;
    }
    CHECK_EQ(served, WORKERS);
    EVENTUALLY(stats_of(g.pool).dialing == 0, 5000);
    stats = stats_of(g.pool);
    CHECK_EQ(stats.borrowed, 0);
    CHECK_EQ(stats.waiting, 0);
    CHECK_STATS_ADD_UP(g.pool);
    *seen = stats;
    CHECK_EQ(vcp_pool_close(g.pool), VCP_OK);
    CHECK_EQ(write(g.stop[1], "x", 1), 1);
    CHECK_EQ(pthread_join(g.thread, NULL), 0);
    close(g.stop[0]);
    close(g.stop[1]);
    server_close(&g.s);
}

static int64_t stress_ms(void)
{
    const char *text = getenv("VCP_STRESS_MS");
    return text == NULL ? 1500 + at_most(500) : atoll(text);
}

/* ---- by the fast path ---- */

/*
 * Raw I/O, and nothing that the pool would have to be told of, so that the connection goes on by
 * the fast path. False: the server hung up.
 */
static int asks_raw(worker *w, int fd, uint32_t round)
{
    question mine;
    answer back;
    mine.worker = w->number;
    mine.round = round;
    if (send(fd, &mine, sizeof mine, MSG_NOSIGNAL) != (ssize_t)sizeof mine ||
        recv(fd, &back, sizeof back, MSG_WAITALL) != (ssize_t)sizeof back) {
        return 0;
    }
    CHECK_EQ(back.asked.worker, mine.worker);
    CHECK_EQ(back.asked.round, mine.round);
    w->served++;
    return 1;
}

/* Counted, not checked at once: two owners show themselves by what they own. */
static void ends(vcp_conn *conn, int is_served)
{
    int discarded = is_served ? VCP_OK : vcp_conn_discard(conn);
    int closed = vcp_conn_close(conn);
    if (discarded != VCP_OK || closed != VCP_OK) {
        __sync_add_and_fetch(&g.lost, 1);
    }
}

static void *borrows_fast(void *argument)
{
    worker *w = (worker *)argument;
    uint32_t round;
    for (round = 0; !__atomic_load_n(&g.is_over, __ATOMIC_ACQUIRE); round++) {
        vcp_conn *conn;
        int fd = vcp_dial(g.pool, g.s.network, g.s.address, &conn);
        int is_served;
        CHECK_BETWEEN(fd, 0, DESCRIPTORS - 1);
        CHECK(__sync_bool_compare_and_swap(&g.borrowed[fd], 0, 1)); /* it has no other owner */
        is_served = asks_raw(w, fd, round);
        CHECK(__sync_bool_compare_and_swap(&g.borrowed[fd], 1, 0));
        ends(conn, is_served);
        if (draw(&w->seed) % 16 == 0) {
            CHECK_BETWEEN(vcp_pool_conn_count(g.pool), 0, FAST_LIMIT);
        }
        if (draw(&w->seed) % 256 == 0) {
            CHECK_EQ(vcp_pool_evict(g.pool, NULL, NULL), VCP_OK);
        }
    }
    return NULL;
}

TEST(no_connection_of_the_fast_path_has_two_owners,
     "stress: Eight threads, seven connections, borrowed by the fast path and revoked: no "
     "connection has two owners")
{
    vcp_pool_options options = pool_options();
    vcp_stats stats;
    options.max_conns = FAST_LIMIT;
    options.liveness = VCP_LIVENESS_WATCH;
    options.wait_timeout_ms = VCP_FOREVER;
    fight(borrows_fast, &options, stress_ms() / 2, &stats);
    CHECK_EQ(g.lost, 0);
    CHECK(g.hung_up > 0 && stats.waits > 0 && stats.reuses > 0);
}

TEST(no_connection_has_two_owners_and_nothing_is_lost,
     "stress: Eight threads, four connections, every disturbance at once: no connection has two "
     "owners, never more than max_conns, the numbers add up")
{
    vcp_pool_options options = pool_options();
    vcp_stats stats;
    int fds;
    int64_t heap;
    options.max_conns = LIMIT;
    options.max_uses = 50;
    options.idle_timeout_ms = 20;
    fight(works, &options, at_most(200), &stats); /* warm-up: handle slots stay */
    /* A thread that was joined is in /proc for a moment more. */
    EVENTUALLY(threads() == 1 + TOOL_THREADS, 5000 + LATENESS_MS);
    fds = open_fds();
    heap = heap_bytes();
    fight(works, &options, stress_ms(), &stats);
    CHECK(g.hung_up > 0 && stats.waits > 0 && stats.reuses > 0 && stats.releases > 0 &&
          stats.detached > 0);
    CHECK_EQ(open_fds(), fds);
    EVENTUALLY(threads() == 1 + TOOL_THREADS, 5000 + LATENESS_MS);
    if (slowness() == 1) {
        CHECK_BETWEEN(heap_bytes() - heap, -(64 << 10), 64 << 10);
    }
}

BEFORE_THE_TESTS(char **argv)
{
    count_heap_exactly(argv);
}
