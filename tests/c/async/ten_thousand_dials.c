/* Ten thousand dials in flight from one thread, to a server that answers late. */
#include "completions.h"

#include <sys/resource.h>

enum { MANY = 10000 };

static char seen[MANY];

/*
 * A server in a process of its own, for its descriptors: accepts nothing until it is told to, then
 * everything.
 */
static pid_t late_server(int listener, int told)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        char byte;
        CHECK_EQ(read(told, &byte, 1), 1);
        CHECK_EQ(listen(listener, 4096), 0);
        for (;;) {
            if (accept4(listener, NULL, NULL, SOCK_CLOEXEC) < 0) {
                CHECK(errno == EINTR || errno == ECONNABORTED);
            }
        }
    }
    return child;
}

static int by_size(const void *one, const void *other)
{
    int64_t a = *(const int64_t *)one;
    int64_t b = *(const int64_t *)other;
    return a < b ? -1 : a > b;
}

static int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

TEST(ten_thousand_dials_in_flight_all_end_once,
     "async: 10,000 asynchronous dials in flight to a server that answers late: each ends once, "
     "at most 3 threads more")
{
    server s = server_on(AF_INET, SOCK_STREAM, 0, 0);
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue;
    struct rlimit limit;
    int told[2];
    int tasks = threads();
    int most_tasks = tasks;
    int i;
    pid_t child;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    if (limit.rlim_max < MANY + 100) {
        SKIP("the limit of open descriptors is too low");
    }
    limit.rlim_cur = limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    CHECK_EQ(pipe2(told, O_CLOEXEC), 0);
    child = late_server(s.fd, told[0]);
    options.dial_timeout_ms = 120000;
    options.max_idle_per_address = 0;
    pool = pool_new(&options);
    queue = queue_new();
    for (i = 0; i < MANY; i++) {
        vcp_conn *conn;
        CHECK_EQ(dial_async(pool, &s, NULL, queue, &seen[i], &conn), VCP_ERR_IN_PROGRESS);
        if (i % 1000 == 0 && threads() > most_tasks) {
            most_tasks = threads();
        }
    }
    CHECK_BETWEEN(stats_of(pool).dialing + stats_of(pool).borrowed, MANY, MANY);
    CHECK_EQ(write(told[1], "", 1), 1);
    for (i = 0; i < MANY; i++) {
        vcp_completion completion;
        CHECK(readable_within(vcp_queue_fd(queue), 60000));
        CHECK_EQ(vcp_queue_next(queue, &completion, sizeof completion), 1);
        if (completion.status < 0) {
            printf("  %s\n", vcp_last_error());
        }
        CHECK(completion.status >= 0);
        CHECK_EQ((*(char *)completion.token)++, 0);
        if (i % 1000 == 0 && threads() > most_tasks) {
            most_tasks = threads();
        }
        give_back(completion.conn);
    }
    CHECK(!has_completion(queue));
    CHECK_BETWEEN(most_tasks, tasks, tasks + 3);
    /* A connection given back may have answered a dial, whose own connect is then for nobody. */
    EVENTUALLY(stats_of(pool).dialing == 0, 60000);
    CHECK_EQ(stats_of(pool).dials, MANY);
    CHECK_EQ(stats_of(pool).dial_failures, 0);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_EQ(kill(child, SIGKILL), 0);
    CHECK_EQ(waitpid(child, NULL, 0), child);
    close(told[0]);
    close(told[1]);
    server_close(&s);
}

static int hang[2];

static int hangs(void *user, const char *network, const char *host, int64_t timeout_ms,
                 vcp_resolved *out)
{
    (void)user;
    (void)network;
    (void)host;
    (void)timeout_ms;
    (void)out;
    CHECK(readable_within(hang[0], 60000));
    return 1;
}

/*
 * How often another thread was given this one's processor: no call is to blame for the time that
 * takes.
 */
static long preemptions(void)
{
    struct rusage usage;
    CHECK_EQ(getrusage(RUSAGE_THREAD, &usage), 0);
    return usage.ru_nivcsw;
}

TEST(each_call_returns_at_once_while_the_resolver_hangs,
     "async: vcp_dial_async returns within 1 ms at the 99.9th percentile while the resolver hangs")
{
    static int64_t took[MANY];
    int timed = 0;
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    vcp_queue *queue = queue_new();
    int i;
    CHECK_EQ(pipe2(hang, O_CLOEXEC), 0);
    options.resolve = hangs;
    pool = pool_new(&options);
    memset(seen, 0, sizeof seen);
    for (i = 0; i < MANY; i++) {
        char address[40];
        vcp_conn *conn;
        int64_t start;
        int64_t end;
        long before;
        snprintf(address, sizeof address, "name-%d.test:80", i);
        before = preemptions();
        start = now_us();
        CHECK_EQ(vcp_dial_async(pool, "tcp", address, NULL, queue, &seen[i], &conn),
                 VCP_ERR_IN_PROGRESS);
        end = now_us();
        if (preemptions() == before) {
            took[timed++] = end - start;
        }
    }
    CHECK_BETWEEN(timed, MANY / 2, MANY);
    qsort(took, (size_t)timed, sizeof took[0], by_size);
    printf("  %d calls without a switch of threads: median %d us, 99.9th percentile %d us, longest "
           "%d us\n",
           timed, (int)took[timed / 2], (int)took[timed - timed / 1000 - 1], (int)took[timed - 1]);
    /*
     * On a machine that does nothing else (VCP_QUIET, as .ci/run has it) the bound is the
     * contract's; elsewhere who holds a lock may be without a processor for a while.
     */
    CHECK(took[timed - timed / 1000 - 1] <
          (getenv("VCP_QUIET") != NULL ? 1000 : at_most(LATENESS_MS) * 1000));
    CHECK_EQ(write(hang[1], "", 1), 1);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    for (i = 0; i < MANY; i++) {
        vcp_completion completion = next_completion(queue);
        CHECK(completion.status == VCP_ERR_POOL_CLOSED || completion.status == VCP_ERR_CALLBACK);
        CHECK_EQ((*(char *)completion.token)++, 0);
    }
    CHECK(!has_completion(queue));
    CHECK_EQ(vcp_queue_free(queue), VCP_OK);
    close(hang[0]);
    close(hang[1]);
}
