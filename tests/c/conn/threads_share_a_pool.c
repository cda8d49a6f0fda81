/* One pool and one connection among threads. Contract sections 2 and 6. */
#include "check.h"

enum { WORKERS = 8, ROUNDS = 400 };

static struct {
    vcp_pool *pool;
    server servers[3];
    int reused;
} shared;

static void *works(void *number)
{
    uint32_t seed = (uint32_t)(intptr_t)number * 7919u + 1;
    int round;
    for (round = 0; round < ROUNDS; round++) {
        vcp_conn *conn;
        char text[32];
        seed = seed * 1664525u + 1013904223u;
        conn = borrow(shared.pool, &shared.servers[seed % 3]);
        __sync_add_and_fetch(&shared.reused, vcp_conn_is_reused(conn));
        snprintf(text, sizeof text, "%d of %d", round, (int)(intptr_t)number);
        CHECK_EQ(vcp_conn_set_deadline(conn, at_most(10000)), VCP_OK);
        CHECK_ECHO(conn, text);
        if (seed >> 28 == 0) {
            CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        }
        if (seed >> 28 == 1) {
            CHECK_EQ(vcp_pool_close_idle(shared.pool), VCP_OK);
        }
        give_back(conn);
    }
    return NULL;
}

/* Nobody gets another's answer: each echo is its own. */
TEST(eight_threads_share_a_pool,
     "threads: 8 threads share a pool, close_idle among them: each gets its own answers")
{
    pthread_t workers[WORKERS];
    vcp_stats stats;
    int i;
    shared.pool = pool_new(NULL);
    for (i = 0; i < 3; i++) {
        shared.servers[i] = tcp_server();
        server_start_echo(&shared.servers[i]);
    }
    for (i = 0; i < WORKERS; i++) {
        CHECK_EQ(pthread_create(&workers[i], NULL, works, (void *)(intptr_t)i), 0);
    }
    for (i = 0; i < WORKERS; i++) {
        CHECK_EQ(pthread_join(workers[i], NULL), 0);
    }
    /*
     * A dial whose caller was served with a connection given back meanwhile goes on for the shelf.
     */
    EVENTUALLY(stats_of(shared.pool).dialing == 0, 5000);
    stats = stats_of(shared.pool);
    CHECK_EQ(stats.borrowed, 0);
    CHECK_EQ(stats.reuses, shared.reused);
    CHECK(stats.dials + stats.reuses >= WORKERS * ROUNDS);
    CHECK_STATS_ADD_UP(shared.pool);
    CHECK_EQ(vcp_pool_close(shared.pool), VCP_OK);
    for (i = 0; i < 3; i++) {
        server_close(&shared.servers[i]);
    }
}

static struct {
    vcp_conn *conn;
    int64_t result;
    int64_t ended;
    volatile int began;
    pid_t tid;
} running;

static void *reads(void *unused)
{
    char byte;
    (void)unused;
    running.tid = (pid_t)gettid();
    __atomic_store_n(&running.began, 1, __ATOMIC_SEQ_CST);
    running.result = vcp_conn_read(running.conn, &byte, 1);
    running.ended = now_ms();
    return NULL;
}

static void *writes(void *unused)
{
    static char bytes[1 << 20];
    (void)unused;
    running.tid = (pid_t)gettid();
    __atomic_store_n(&running.began, 1, __ATOMIC_SEQ_CST);
    do {
        running.result = vcp_conn_write(running.conn, bytes, sizeof bytes);
    } while (running.result > 0);
    running.ended = now_ms();
    return NULL;
}

static void *waits(void *unused)
{
    (void)unused;
    running.tid = (pid_t)gettid();
    __atomic_store_n(&running.began, 1, __ATOMIC_SEQ_CST);
    running.result = vcp_conn_wait(running.conn, VCP_READABLE);
    running.ended = now_ms();
    return NULL;
}

/* The thread sleeps in the kernel: its call runs and has nothing to do. */
static int sleeps(void)
{
    char path[64];
    char line[512];
    FILE *stat;
    const char *state = NULL;
    if (!__atomic_load_n(&running.began, __ATOMIC_SEQ_CST)) {
        return 0;
    }
    snprintf(path, sizeof path, "/proc/self/task/%d/stat", (int)running.tid);
    stat = fopen(path, "r");
    if (stat == NULL) {
        return 0;
    }
    if (fgets(line, sizeof line, stat) != NULL) {
        state = strrchr(line, ')');
    }
    fclose(stat);
    return state != NULL && state[2] == 'S';
}

static pthread_t start_running(void *(*function)(void *), vcp_conn *conn)
{
    pthread_t thread;
    running.conn = conn;
    __atomic_store_n(&running.began, 0, __ATOMIC_SEQ_CST);
    running.result = 12345;
    CHECK_EQ(pthread_create(&thread, NULL, function, NULL), 0);
    EVENTUALLY(sleeps(), 5000);
    return thread;
}

static void a_close_ends_it(void *(*function)(void *))
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    pthread_t thread = start_running(function, conn);
    int64_t start = now_ms();
    give_back(conn);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_BETWEEN(running.ended - start, 0, at_most(LATENESS_MS));
    CHECK_EQ(running.result, VCP_ERR_CONN_CLOSED);
    CHECK(peer_sees_end(peer) || function == writes);
    EVENTUALLY(vcp_pool_conn_count(pool) == 0, LATENESS_MS);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

TEST(a_close_ends_a_running_read,
     "threads: vcp_conn_close ends a running read with CONN_CLOSED; the connection is not kept")
{
    a_close_ends_it(reads);
}

TEST(a_close_ends_a_running_write,
     "threads: vcp_conn_close ends a running write with CONN_CLOSED; the connection is not kept")
{
    a_close_ends_it(writes);
}

TEST(a_close_ends_a_running_wait,
     "threads: vcp_conn_close ends a running wait with CONN_CLOSED; the connection is not kept")
{
    a_close_ends_it(waits);
}

/*
 * The fd number is not released before the read has ended: nobody else's file is ever read by it.
 */
TEST(the_number_is_kept_until_the_read_has_ended,
     "threads: The fd number is not released before the running read has ended")
{
    fixture f = fixture_new(NULL);
    int round;
    for (round = 0; round < 50; round++) {
        vcp_conn *conn = borrow(f.pool, &f.s);
        int fd = vcp_conn_raw_fd(conn);
        int peer = server_accept(&f.s);
        pthread_t thread = start_running(reads, conn);
        int decoy[2];
        give_back(conn);
        /* Whoever gets the number now has bytes to be read by mistake. */
        CHECK_EQ(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, decoy), 0);
        CHECK_EQ(send(decoy[0], "x", 1, 0), 1);
        CHECK_EQ(send(decoy[1], "y", 1, 0), 1);
        CHECK_EQ(pthread_join(thread, NULL), 0);
        CHECK_EQ(running.result, VCP_ERR_CONN_CLOSED);
        CHECK(fd >= 0);
        close(decoy[0]);
        close(decoy[1]);
        close(peer);
    }
    FIXTURE_END(&f);
}

TEST(one_thread_reads_while_another_writes,
     "threads: One thread may read a connection while another writes it")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    pthread_t thread;
    server_start_echo(&f.s);
    thread = start_running(reads, conn);
    CHECK_EQ(vcp_conn_write(conn, "x", 1), 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(running.result, 1);
    give_back(conn);
    CHECK_EQ(idle_in(f.pool), 1);
    FIXTURE_END(&f);
}

TEST(a_running_read_follows_a_deadline_set_meanwhile,
     "threads: A running read follows a nearer deadline set meanwhile")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    pthread_t thread = start_running(reads, conn);
    int64_t start = now_ms();
    CHECK_EQ(vcp_conn_set_read_deadline(conn, 50), VCP_OK);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_BETWEEN(running.ended - start, 49, at_most(50 + LATENESS_MS));
    CHECK_EQ(running.result, VCP_ERR_TIMEOUT);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(a_running_read_follows_a_deadline_moved_out,
     "threads: A running read follows a deadline that is taken away")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    pthread_t thread;
    int64_t start;
    start = now_ms();
    CHECK_EQ(vcp_conn_set_deadline(conn, 1000 * slowness()), VCP_OK);
    thread = start_running(reads, conn);
    CHECK_EQ(vcp_conn_set_deadline(conn, -1), VCP_OK);
    let_pass(1100 * slowness() - (now_ms() - start));
    CHECK_EQ(running.result, 12345);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(running.result, 1);
    give_back(conn);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

TEST(a_running_write_follows_a_deadline_set_meanwhile,
     "threads: A running write follows a deadline set meanwhile")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    pthread_t thread = start_running(writes, conn);
    int64_t start = now_ms();
    CHECK_EQ(vcp_conn_set_write_deadline(conn, 0), VCP_OK);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_BETWEEN(running.ended - start, 0, at_most(LATENESS_MS));
    CHECK_EQ(running.result, VCP_ERR_TIMEOUT);
    give_back(conn);
    FIXTURE_END(&f);
}

TEST(detach_while_a_read_runs_is_refused,
     "threads: detach while a read runs is INVALID_ARGUMENT, and the read goes on")
{
    server s = tcp_server();
    vcp_pool *pool = pool_new(NULL);
    vcp_conn *conn = borrow(pool, &s);
    int peer = server_accept(&s);
    pthread_t thread = start_running(reads, conn);
    int fd;
    CHECK_EQ(vcp_conn_detach(conn), VCP_ERR_INVALID_ARGUMENT);
    CHECK_EQ(running.result, 12345);
    CHECK_EQ(send(peer, "x", 1, 0), 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(running.result, 1);
    fd = vcp_conn_detach(conn);
    CHECK(fd >= 0);
    close(fd);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    close(peer);
    server_close(&s);
}

/*
 * Two readers of one connection: each byte goes to exactly one of them, and both end at the close.
 */
static void *reads_until_the_end(void *conn)
{
    intptr_t count = 0;
    char byte;
    int64_t got;
    while ((got = vcp_conn_read((vcp_conn *)conn, &byte, 1)) == 1) {
        count++;
    }
    CHECK_EQ(got, 0);
    return (void *)count;
}

TEST(two_readers_share_the_bytes,
     "threads: Two readers of one connection: each byte reaches one of them, both see the end")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    int peer = server_accept(&f.s);
    pthread_t readers[2];
    void *counts[2];
    char bytes[1000];
    int i;
    memset(bytes, 'b', sizeof bytes);
    for (i = 0; i < 2; i++) {
        CHECK_EQ(pthread_create(&readers[i], NULL, reads_until_the_end, conn), 0);
    }
    CHECK_EQ(send(peer, bytes, sizeof bytes, 0), 1000);
    close(peer);
    for (i = 0; i < 2; i++) {
        CHECK_EQ(pthread_join(readers[i], &counts[i]), 0);
    }
    CHECK_EQ((intptr_t)counts[0] + (intptr_t)counts[1], 1000);
    give_back(conn);
    FIXTURE_END(&f);
}

/* A handle may be used and closed by a thread that did not borrow it. */
static void *closes(void *conn)
{
    CHECK_EQ(vcp_conn_write((vcp_conn *)conn, "x", 1), 1);
    CHECK_EQ(vcp_conn_close((vcp_conn *)conn), VCP_OK);
    return NULL;
}

TEST(another_thread_may_give_back,
     "threads: Another thread may write to, and give back, what this one borrowed")
{
    fixture f = fixture_new(NULL);
    vcp_conn *conn = borrow(f.pool, &f.s);
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, closes, conn), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
    CHECK_EQ(idle_in(f.pool), 1);
    FIXTURE_END(&f);
}
