/*
 * A thread that borrows again what it used last asks no lock: everything that has to know of such a
 * borrow (waiters, counts, limits, timeouts, drain, abort, evict, close, fork) finds out all the
 * same. Contract sections 4, 6 and 7.
 */
#include "check.h"
#include "child_processes.h"

#include <dlfcn.h>
#include <linux/futex.h>
#include <stdarg.h>
#include <sys/syscall.h>

/* Borrowed for at least the third time by this thread, so on the fast path. */
static vcp_conn *borrow_again(vcp_pool *pool, const server *s)
{
    int i;
    for (i = 0; i < 3; i++) {
        give_back(borrow(pool, s));
    }
    return borrow(pool, s);
}

/* It leads to that peer still. */
#define CHECK_ALIVE(conn, peer)                                 \
    do {                                                        \
        char alive_;                                            \
        CHECK_EQ(vcp_conn_write(conn, "?", 1), 1);              \
        CHECK(readable_within(peer, 5000));                     \
        CHECK(recv(peer, &alive_, 1, 0) == 1 && alive_ == '?'); \
    } while (0)

static vcp_pool *watching_pool(uint32_t max_conns, int64_t wait_timeout_ms)
{
    vcp_pool_options options = pool_options();
    options.liveness = VCP_LIVENESS_WATCH;
    options.max_conns = max_conns;
    options.wait_timeout_ms = wait_timeout_ms;
    return pool_new(&options);
}

typedef struct caller {
    vcp_pool *pool;
    const server *s;
    vcp_conn *conn;
    pthread_t thread;
    int fd;
} caller;

static void *dials(void *argument)
{
    caller *c = (caller *)argument;
    c->fd = vcp_dial(c->pool, c->s->network, c->s->address, &c->conn);
    return NULL;
}

static void begin_to_dial(vcp_pool *pool, const server *s, caller *c)
{
    memset(c, 0, sizeof *c);
    c->pool = pool;
    c->s = s;
    CHECK_EQ(pthread_create(&c->thread, NULL, dials, c), 0);
}

TEST(a_waiter_gets_it,
     "fast path: A connection borrowed without the pool's lock goes to a waiter when it comes back")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(1, -1);
    vcp_conn *conn = borrow_again(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    caller waits;
    begin_to_dial(pool, &s, &waits);
    EVENTUALLY(stats_of(pool).waiting == 1, 5000);
    give_back(conn);
    CHECK_EQ(pthread_join(waits.thread, NULL), 0);
    CHECK_EQ(waits.fd, fd);
    CHECK_EQ(vcp_conn_is_reused(waits.conn), 1);
    give_back(waits.conn);
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_waiter_of_another_destination_gets_its_slot,
     "fast path: or gives its slot to a waiter of another destination")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool *pool = watching_pool(1, -1);
    vcp_conn *conn = borrow_again(pool, &a);
    caller waits;
    begin_to_dial(pool, &b, &waits);
    EVENTUALLY(stats_of(pool).waiting == 1, 5000);
    CHECK_EQ(stats_of(pool).borrowed, 1);
    give_back(conn);
    CHECK_EQ(pthread_join(waits.thread, NULL), 0);
    CHECK(waits.fd >= 0);
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    give_back(waits.conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

TEST(every_number_is_exact,
     "fast path: Counts, stats and uses know of every borrow without the lock")
{
    enum { TIMES = 1000 };
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_conn *conn = borrow(pool, &s);
    vcp_stats stats;
    char text[4096];
    int i;
    give_back(conn);
    for (i = 0; i < TIMES; i++) {
        conn = borrow(pool, &s);
        CHECK_EQ(vcp_conn_is_reused(conn), 1);
        give_back(conn);
    }
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_uses(conn), TIMES + 2);
    CHECK_EQ(idle_at(pool, &s), 0);
    CHECK_EQ(vcp_pool_conn_count(pool), 1);
    CHECK(vcp_pool_describe(pool, VCP_FORMAT_OPENMETRICS, text, sizeof text) <
          (int64_t)sizeof text);
    stats = stats_of(pool);
    CHECK_EQ(stats.borrowed, 1);
    CHECK_EQ(stats.idle, 0);
    CHECK_EQ(stats.dials, 1);
    CHECK_EQ(stats.reuses, TIMES + 1);
    CHECK_EQ(stats.releases, TIMES + 1);
    give_back(conn);
    conn = borrow_again(pool, &s);
    CHECK_EQ(vcp_conn_uses(conn), TIMES + 6);
    give_back(conn);
    stats = stats_of(pool);
    CHECK_EQ(stats.idle, 1);
    CHECK_EQ(stats.reuses, TIMES + 5);
    CHECK_EQ(stats.releases, TIMES + 6);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* close_idle leaves it alone, evict has it closed when it comes back. */
TEST(close_idle_and_evict_see_that_it_is_out,
     "fast path: close_idle leaves one that is out so alone, evict has it closed when it comes "
     "back")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_conn *conn = borrow_again(pool, &s);
    int peer = server_accept(&s);
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    CHECK_ALIVE(conn, peer);
    give_back(conn);
    CHECK_EQ(idle_at(pool, &s), 1);
    conn = borrow_again(pool, &s);
    CHECK_EQ(vcp_pool_evict(pool, s.network, s.address), VCP_OK);
    CHECK_ALIVE(conn, peer);
    give_back(conn);
    CHECK_EQ(idle_at(pool, &s), 0);
    CHECK(peer_sees_end(peer));
    CHECK_EQ(stats_of(pool).closed_evicted, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

TEST(drain_waits_for_it_and_abort_ends_its_io, "fast path: drain counts it, abort ends its reads")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_conn *conn = borrow_again(pool, &s);
    char byte;
    CHECK_EQ(vcp_pool_drain(pool, 0), 1);
    CHECK_EQ(vcp_pool_abort(pool), VCP_OK);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), VCP_ERR_POOL_CLOSED);
    give_back(conn);
    CHECK_EQ(vcp_pool_drain(pool, 0), 0);
    CHECK_EQ(stats_of(pool).closed_discarded, 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(a_closed_pool_keeps_nothing, "fast path: A closed pool does not keep it")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_conn *conn = borrow_again(pool, &s);
    vcp_conn *none;
    int peer = server_accept(&s);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(vcp_dial(pool, s.network, s.address, &none), VCP_ERR_POOL_CLOSED);
    CHECK_ALIVE(conn, peer);
    give_back(conn);
    CHECK(peer_sees_end(peer));
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
    close(peer);
    server_close(&s);
}

/* Used all the time it does not grow old; left alone it does. */
TEST(idle_timeout_counts_from_the_last_use,
     "fast path: idle_timeout_ms counts from the last use, by whichever way")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int64_t start;
    options.liveness = VCP_LIVENESS_WATCH;
    options.idle_timeout_ms = 300;
    pool = pool_new(&options);
    give_back(borrow(pool, &s));
    start = now_ms();
    while (now_ms() - start < 1000) {
        give_back(borrow(pool, &s));
        let_pass(20);
    }
    if (slowness() == 1) {
        CHECK_EQ(stats_of(pool).dials, 1);
    }
    start = now_ms();
    EVENTUALLY(idle_at(pool, &s) == 0, 1300);
    CHECK_BETWEEN(now_ms() - start, 200, at_most(1300));
    CHECK(stats_of(pool).closed_idle_timeout >= 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * What makes room is the one that was used longest ago, not the one that was put on the shelf
 * longest ago.
 */
TEST(the_longest_idle_is_by_the_last_use, "fast path: Which connection is closed to make room "
                                          "counts from the last use, fast path included")
{
    server a = tcp_server();
    server b = tcp_server();
    server c = tcp_server();
    vcp_pool *pool = watching_pool(2, 0);
    give_back(borrow(pool, &a));
    let_pass(20);
    give_back(borrow(pool, &b));
    let_pass(20);
    give_back(borrow(pool, &a));
    give_back(borrow(pool, &c));
    CHECK_EQ(idle_at(pool, &a), 1);
    CHECK_EQ(idle_at(pool, &b), 0);
    CHECK_EQ(idle_at(pool, &c), 1);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
    server_close(&c);
}

/* The last to come back is the first to go, whichever way each went. */
TEST(one_thread_finds_its_connections_newest_first,
     "fast path: LIFO within a thread, in all six orders of three")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_conn *conns[3];
    int fds[3];
    int first, second, third;
    for (first = 0; first < 3; first++) {
        for (second = 0; second < 3; second++) {
            third = 3 - first - second;
            if (first == second || third < 0 || third > 2) {
                continue;
            }
            conns[0] = borrow_again(pool, &s);
            conns[1] = borrow(pool, &s);
            conns[2] = borrow(pool, &s);
            fds[0] = vcp_conn_raw_fd(conns[first]);
            fds[1] = vcp_conn_raw_fd(conns[second]);
            fds[2] = vcp_conn_raw_fd(conns[third]);
            give_back(conns[first]);
            give_back(conns[second]);
            give_back(conns[third]);
            conns[0] = borrow(pool, &s);
            conns[1] = borrow(pool, &s);
            conns[2] = borrow(pool, &s);
            CHECK_EQ(vcp_conn_raw_fd(conns[0]), fds[2]);
            CHECK_EQ(vcp_conn_raw_fd(conns[1]), fds[1]);
            CHECK_EQ(vcp_conn_raw_fd(conns[2]), fds[0]);
            give_back(conns[0]);
            give_back(conns[1]);
            give_back(conns[2]);
        }
    }
    CHECK_EQ(stats_of(pool).dials, 3);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* Nothing of one borrow is left for the next. */
TEST(a_borrow_begins_clean,
     "fast path: Token, deadline and bytes read of one borrow are not the next one's")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_cancel *token;
    vcp_conn *conn = borrow_again(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int peer = server_accept(&s);
    char byte;
    CHECK_EQ(vcp_cancel_new(&token), VCP_OK);
    CHECK_EQ(vcp_conn_set_cancel(conn, token), VCP_OK);
    CHECK_EQ(vcp_conn_set_deadline(conn, 0), VCP_OK);
    CHECK_EQ(write(peer, "x", 1), 1);
    CHECK(readable_within(fd, 5000));
    CHECK_EQ(recv(fd, &byte, 1, 0), 1);
    give_back(conn);
    CHECK_EQ(vcp_cancel_fire(token), VCP_OK);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(write(peer, "y", 1), 1);
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 1);
    give_back(conn);
    /* No byte was read in this borrow. */
    conn = borrow_again(pool, &s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    close(peer);
    CHECK(readable_within(fd, 5000));
    CHECK_EQ(vcp_conn_read(conn, &byte, 1), 0);
    CHECK_EQ(vcp_conn_should_retry(conn), 1);
    give_back(conn);
    CHECK_EQ(idle_at(pool, &s), 0);
    CHECK_EQ(vcp_cancel_free(token), VCP_OK);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

TEST(what_a_borrower_does_to_it_is_done,
     "fast path: discard, set_liveness, detach, put and get do what they do")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_conn *conn = borrow_again(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    give_back(conn);
    CHECK_EQ(stats_of(pool).closed_discarded, 1);
    conn = borrow_again(pool, &s);
    CHECK_EQ(vcp_conn_set_liveness(conn, VCP_LIVENESS_STRICT), VCP_OK);
    give_back(conn);
    conn = borrow_again(pool, &s);
    fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_EQ(vcp_pool_put(pool, fd, s.network, s.address, NULL), VCP_OK);
    conn = borrow_again(pool, &s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_EQ(vcp_pool_get(pool, s.network, s.address, NULL), VCP_ERR_NOT_AVAILABLE);
    give_back(conn);
    CHECK_EQ(vcp_pool_get(pool, s.network, s.address, NULL), fd);
    close(fd);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* The peer's hang-up while it is idle, by the watch alone, and stray bytes under STRICT. */
TEST(neither_dead_nor_dirty_ones_are_handed_out,
     "fast path: What the peer closed, or sent bytes to under STRICT, is not handed out")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_pool *strict = pool_new(NULL);
    vcp_conn *conn = borrow_again(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int peer = server_accept(&s);
    uint64_t reuses;
    give_back(conn);
    close(peer);
    EVENTUALLY(idle_at(pool, &s) == 0, 1000);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    close(server_accept(&s));
    CHECK(readable_within(vcp_conn_raw_fd(conn), 5000));
    EVENTUALLY(stats_of(pool).borrowed == 1, 1000);
    give_back(conn);
    conn = borrow_again(strict, &s);
    fd = vcp_conn_raw_fd(conn);
    peer = server_accept(&s);
    give_back(conn);
    reuses = stats_of(strict).reuses;
    CHECK_EQ(write(peer, "stray", 5), 5);
    CHECK(readable_within(fd, 5000));
    conn = borrow(strict, &s);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    CHECK_EQ(stats_of(strict).reuses, reuses);
    give_back(conn);
    CHECK_EQ(stats_of(strict).dirty_at_borrow + stats_of(strict).closed_while_idle, 1);
    CHECK_STATS_ADD_UP(strict);
    CHECK_EQ(vcp_pool_close(strict), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

/* The program closes a descriptor that is not its own, and another connection gets the number. */
TEST(a_number_that_became_anothers_is_left_to_it,
     "fast path: A descriptor that the program closed, and whose number is another connection's "
     "by now, is left to it")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_conn *conn = borrow_again(pool, &s);
    vcp_conn *other;
    int fd = vcp_conn_raw_fd(conn);
    int peer;
    close(server_accept(&s));
    CHECK_EQ(close(fd), 0);
    other = borrow_fresh(pool, &s);
    CHECK_EQ(vcp_conn_raw_fd(other), fd);
    peer = server_accept(&s);
    give_back(conn);
    CHECK(is_open(fd));
    CHECK_ALIVE(other, peer);
    CHECK_EQ(stats_of(pool).closed_foreign_fd, 1);
    give_back(other);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

static void *gives_back(void *conn)
{
    give_back((vcp_conn *)conn);
    return NULL;
}

TEST(another_thread_may_give_it_back, "fast path: A thread may give back what another one borrowed")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    int i;
    for (i = 0; i < 100; i++) {
        pthread_t thread;
        vcp_conn *conn = borrow(pool, &s);
        CHECK_EQ(pthread_create(&thread, NULL, gives_back, conn), 0);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
    }
    CHECK_EQ(stats_of(pool).dials, 1);
    CHECK_EQ(stats_of(pool).reuses, 99);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/* The child has none of it, and the parent notices nothing. */
/*
 * What a connection stands for is guarded by the borrow, as by a mutex. The flag is relaxed, so
 * that nothing but the give-back and the borrow orders the two threads.
 */
static struct {
    vcp_pool *pool;
    const server *s;
    int requests;
    int is_back;
} guarded;

static void *borrows_after_it(void *unused)
{
    vcp_conn *conn;
    (void)unused;
    while (!__atomic_load_n(&guarded.is_back, __ATOMIC_RELAXED)) {
    }
    conn = borrow(guarded.pool, guarded.s);
    CHECK_EQ(vcp_conn_is_reused(conn), 1);
    guarded.requests++;
    give_back(conn);
    return NULL;
}

TEST(what_a_borrower_did_happens_before_the_next_borrow,
     "fast path: What a borrower did happens before the next thread's borrow")
{
    server s = tcp_server();
    vcp_conn *conn;
    pthread_t next;
    guarded.pool = watching_pool(1, 0);
    guarded.s = &s;
    guarded.requests = 0;
    guarded.is_back = 0;
    CHECK_EQ(pthread_create(&next, NULL, borrows_after_it, NULL), 0);
    conn = borrow_again(guarded.pool, &s);
    guarded.requests++;
    give_back(conn);
    __atomic_store_n(&guarded.is_back, 1, __ATOMIC_RELAXED);
    CHECK_EQ(pthread_join(next, NULL), 0);
    CHECK_EQ(guarded.requests, 2);
    CHECK_EQ(vcp_pool_close(guarded.pool), VCP_OK);
    server_close(&s);
}

TEST(a_child_takes_nothing_of_its_parents,
     "fast path: A child reuses nothing of its parent's, and the parent goes on")
{
    server s = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_conn *conn = borrow_again(pool, &s);
    int fd = vcp_conn_raw_fd(conn);
    int peer = server_accept(&s);
    int status;
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        vcp_conn *own;
        CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
        CHECK(!is_open(fd));
        own = borrow_again(pool, &s);
        CHECK_EQ(stats_of(pool).dials, 1);
        give_back(own);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        child_ends();
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    CHECK_ALIVE(conn, peer);
    give_back(conn);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        /* Idle in the parent, and the first call here takes the fast path. */
        conn = borrow(pool, &s);
        CHECK_EQ(vcp_conn_is_reused(conn), 0);
        give_back(conn);
        CHECK_EQ(vcp_pool_close(pool), VCP_OK);
        child_ends();
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
    conn = borrow(pool, &s);
    CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    CHECK_ALIVE(conn, peer);
    give_back(conn);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

/* Another pool, tag, network or address is another destination, however the text lies in memory. */
TEST(the_text_decides_not_where_it_stands,
     "fast path: The text that is passed decides, not its address in memory")
{
    server a = tcp_server();
    server b = tcp_server();
    vcp_pool *pool = watching_pool(0, 0);
    vcp_pool *other = watching_pool(0, 0);
    vcp_dial_options tagged = dial_options(0);
    char text[160];
    char tag[8] = "one";
    vcp_conn *conn;
    int fds[5];
    int i;
    snprintf(text, sizeof text, "%s", a.address);
    for (i = 0; i < 4; i++) {
        CHECK((fds[0] = vcp_dial(pool, "tcp", text, &conn)) >= 0);
        give_back(conn);
    }
    snprintf(text, sizeof text, "%s", b.address);
    CHECK((fds[1] = vcp_dial(pool, "tcp", text, &conn)) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    snprintf(text, sizeof text, "%s", a.address);
    CHECK((fds[2] = vcp_dial(pool, "tcp4", text, &conn)) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK((fds[3] = vcp_dial(other, "tcp", text, &conn)) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    tagged.reuse_tag = tag;
    for (i = 0; i < 4; i++) {
        CHECK((fds[4] = vcp_dial_with(pool, "tcp", text, &tagged, &conn)) >= 0);
        CHECK_EQ(vcp_conn_is_reused(conn), i > 0);
        give_back(conn);
    }
    tag[0] = 'x';
    CHECK(vcp_dial_with(pool, "tcp", text, &tagged, &conn) >= 0);
    CHECK_EQ(vcp_conn_is_reused(conn), 0);
    give_back(conn);
    CHECK_EQ(vcp_dial(pool, "tcp", text, &conn), fds[0]);
    give_back(conn);
    CHECK_EQ(vcp_pool_conn_count(pool), 5);
    CHECK_EQ(vcp_pool_close(other), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&a);
    server_close(&b);
}

/*
 * Texts as one that formats into a buffer of its own has them, and whose callbacks format others.
 */
typedef struct formatter {
    const server *s;
    char address[160];
    char tag[16];
} formatter;

static int formats_another(void *user, const char *network, const char *address, int64_t timeout_ms)
{
    formatter *f = (formatter *)user;
    (void)network;
    (void)timeout_ms;
    CHECK_STR(address, f->s->address);
    f->address[strlen("127.0.0.")] = '2';
    snprintf(f->tag, sizeof f->tag, "two");
    return client_of(f->s);
}

TEST(a_text_that_changes_during_its_dial_leads_to_nothing_else,
     "fast path: A text is read when it is passed: what a callback makes of its buffer during the "
     "dial leads to no other destination")
{
    server s = tcp_server();
    vcp_pool_options options = pool_options();
    vcp_dial_options tagged = dial_options(0);
    vcp_pool *pool;
    vcp_conn *conn;
    formatter f;
    char text[160];
    f.s = &s;
    options.dial = formats_another;
    options.user = &f;
    pool = pool_new(&options);
    snprintf(f.address, sizeof f.address, "%s", s.address);
    snprintf(f.tag, sizeof f.tag, "one");
    tagged.reuse_tag = f.tag;
    CHECK(vcp_dial_with(pool, "tcp", f.address, &tagged, &conn) >= 0);
    give_back(conn);
    tagged.flags = VCP_DIAL_REUSE_ONLY;
    CHECK_EQ(vcp_dial_with(pool, "tcp", f.address, &tagged, &conn), VCP_ERR_NOT_AVAILABLE);
    tagged.reuse_tag = "one";
    CHECK(vcp_dial_with(pool, "tcp", s.address, &tagged, &conn) >= 0);
    CHECK(vcp_conn_address(conn, text, sizeof text) > 0);
    CHECK_STR(text, s.address);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    server_close(&s);
}

/*
 * The library peeks by syscall(2): the pool that is asked meanwhile how many are borrowed, and what
 * it said.
 */
static vcp_pool *asked_at_peek;
static uint64_t borrowed_at_peek;

typedef long (*syscall_fn)(long, ...);

/* Found before the first thread begins. */
static syscall_fn real_syscall;

static syscall_fn find_syscall(void)
{
    syscall_fn found;
    *(void **)&found = dlsym(RTLD_NEXT, "syscall");
    return found;
}

#ifdef __cplusplus
extern "C" {
#endif

long syscall(long number, ...)
{
    syscall_fn real = real_syscall != NULL ? real_syscall : find_syscall();
    long a[6] = {0, 0, 0, 0, 0, 0};
    va_list arguments;
    int i;
    va_start(arguments, number);
    for (i = 0; i < 5; i++) {
        a[i] = va_arg(arguments, long);
    }
    /* The sixth is passed on the stack: looked at only where it was. */
    if (number == SYS_recvfrom ||
        (number == SYS_futex && (a[1] & FUTEX_CMD_MASK) == FUTEX_WAIT_BITSET)) {
        a[5] = va_arg(arguments, long);
    }
    va_end(arguments);
    if (number == SYS_recvfrom && asked_at_peek != NULL) {
        vcp_pool *pool = asked_at_peek;
        asked_at_peek = NULL;
        borrowed_at_peek = stats_of(pool).borrowed;
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#ifdef __cplusplus
}
#endif

/*
 * A number that is nobody's may become another socket's, whose pending error (SO_ERROR) a look
 * takes.
 */
TEST(only_what_is_borrowed_is_looked_at,
     "fast path: The library looks at no descriptor that is not its own at that moment: another "
     "socket's pending error stays")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn;
    give_back(borrow_again(f.pool, &f.s));
    borrowed_at_peek = 7;
    asked_at_peek = f.pool;
    conn = borrow(f.pool, &f.s);
    CHECK_EQ(borrowed_at_peek, 1);
    give_back(conn);
    FIXTURE_END(&f);
}

BEFORE_THE_TESTS(char **argv)
{
    real_syscall = find_syscall();
}

TEST(a_thread_may_use_a_hundred_pools_at_once,
     "reuse: A thread that uses a hundred pools reuses in each, after half of them have ended too")
{
    server s = tcp_server();
    vcp_pool *pools[100];
    int i;
    for (i = 0; i < 100; i++) {
        pools[i] = pool_new(NULL);
        give_back(borrow(pools[i], &s));
    }
    for (i = 0; i < 100; i += 2) {
        CHECK_EQ(vcp_pool_close(pools[i]), VCP_OK);
    }
    for (i = 1; i < 100; i += 2) {
        give_back(borrow(pools[i], &s));
        CHECK_EQ(stats_of(pools[i]).dials, 1);
        CHECK_EQ(stats_of(pools[i]).reuses, 1);
        CHECK_EQ(vcp_pool_close(pools[i]), VCP_OK);
    }
    server_close(&s);
}
