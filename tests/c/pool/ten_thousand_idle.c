/*
 * Ten thousand idle connections to a server in another process, and nothing left of them. Contract
 * sections 2 and 4.
 */
#include <sys/epoll.h>

#include "check.h"

static struct {
    int count;
    int stop; /* write end: closing it ends the server */
    pid_t process;
    server tcp;
    server local; /* abstract: no ports that run out, no TIME_WAIT */
} far;

static void watch(int epoll, int fd)
{
    struct epoll_event event;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN | EPOLLRDHUP;
    event.data.fd = fd;
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) != 0) {
        _exit(2);
    }
}

/* Accepts, and closes what the client closes, until the pipe closes. */
static void serve(int stop)
{
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    watch(epoll, stop);
    watch(epoll, far.tcp.fd);
    watch(epoll, far.local.fd);
    for (;;) {
        struct epoll_event event;
        if (epoll_wait(epoll, &event, 1, -1) != 1 || event.data.fd == stop) {
            _exit(0);
        }
        if (event.data.fd == far.tcp.fd || event.data.fd == far.local.fd) {
            int fd = accept4(event.data.fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd < 0) {
                _exit(1);
            }
            watch(epoll, fd);
        } else {
            close(event.data.fd);
        }
    }
}

static void start_server(void)
{
    int ends[2];
    far.tcp = server_on(AF_INET, SOCK_STREAM, 0, 4096);
    far.local = unix_server(SOCK_STREAM, 1);
    CHECK_EQ(listen(far.local.fd, 4096), 0);
    CHECK_EQ(pipe2(ends, O_CLOEXEC), 0);
    far.process = fork();
    CHECK(far.process >= 0);
    if (far.process == 0) {
        close(ends[1]);
        serve(ends[0]);
    }
    close(ends[0]);
    close(far.tcp.fd);
    close(far.local.fd);
    far.stop = ends[1];
}

static void stop_server(void)
{
    int status = 1;
    close(far.stop);
    CHECK_EQ(waitpid(far.process, &status, 0), far.process);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

/* How many connections the limits of this machine allow: 10,000 at most. */
static int allow_many(void)
{
    struct rlimit limit;
    CHECK_EQ(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = limit.rlim_max;
    CHECK_EQ(setrlimit(RLIMIT_NOFILE, &limit), 0);
    if (slowness() > 1) {
        return 800; /* valgrind keeps a soft limit of its own */
    }
    return limit.rlim_cur < 10100 ? (int)limit.rlim_cur - 100 : 10000;
}

static vcp_pool *fill_a_pool(const server *s, vcp_conn **conns)
{
    vcp_pool_options options = pool_options();
    vcp_pool *pool;
    int i;
    options.max_idle_per_address = (uint32_t)far.count;
    pool = pool_new(&options);
    for (i = 0; i < far.count; i++) {
        CHECK(vcp_dial(pool, s->network, s->address, &conns[i]) >= 0);
    }
    CHECK_EQ(vcp_pool_conn_count(pool), far.count);
    CHECK_EQ(idle_in(pool), 0);
    for (i = 0; i < far.count; i++) {
        give_back(conns[i]);
    }
    CHECK_EQ(idle_in(pool), far.count);
    CHECK_EQ(stats_of(pool).dials, far.count);
    return pool;
}

static vcp_conn **room_for_handles(void)
{
    return (vcp_conn **)calloc((size_t)far.count, sizeof(vcp_conn *));
}

static void one_life(vcp_conn **conns)
{
    vcp_pool *pool = fill_a_pool(&far.local, conns);
    int fds = open_fds();
    CHECK(fds >= far.count);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    CHECK_BETWEEN(open_fds(), 0, fds - far.count);
}

TEST(ten_thousand_come_and_go_without_a_trace,
     "scale: 10,000 idle connections: pool close returns every fd; fds, threads and heap back at "
     "baseline")
{
    vcp_conn **conns = room_for_handles();
    int fds = open_fds();
    int tasks = threads();
    int64_t heap;
    int64_t after;
    /* Handle slots stay: the baseline of the heap is taken after one life of the same size. */
    one_life(conns);
    CHECK_BASELINE(fds, tasks);
    heap = heap_bytes();
    one_life(conns);
    CHECK_BASELINE(fds, tasks);
    after = heap_bytes();
    printf("  %d connections; heap at rest %lld, then %lld bytes\n", far.count, (long long)heap,
           (long long)after);
    if (slowness() == 1) {
        CHECK_BETWEEN(after - heap, -1024, 1024);
    }
    free(conns);
}

TEST(ten_thousand_are_each_reused, "scale: 10,000 idle connections are each reused once")
{
    vcp_conn **conns = room_for_handles();
    vcp_pool *pool = fill_a_pool(&far.local, conns);
    int i;
    for (i = 0; i < far.count; i++) {
        conns[i] = borrow(pool, &far.local);
        CHECK_EQ(vcp_conn_is_reused(conns[i]), 1);
        CHECK_EQ(vcp_conn_uses(conns[i]), 2);
    }
    CHECK_EQ(stats_of(pool).dials, far.count);
    for (i = 0; i < far.count; i++) {
        give_back(conns[i]);
    }
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    free(conns);
}

TEST(close_idle_closes_ten_thousand, "scale: close_idle closes 10,000 before it returns")
{
    vcp_conn **conns = room_for_handles();
    vcp_pool *pool = fill_a_pool(&far.local, conns);
    int fds = open_fds();
    CHECK_EQ(vcp_pool_close_idle(pool), VCP_OK);
    CHECK_EQ(vcp_pool_conn_count(pool), 0);
    CHECK_BETWEEN(open_fds(), 0, fds - far.count);
    CHECK_EQ(stats_of(pool).closed_evicted, far.count);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    free(conns);
}

/*
 * How many ms that thread has been ready to run and had no CPU: the second number of
 * /proc/self/task/TID/schedstat, in ns (Linux, Documentation/scheduler/sched-stats.rst).
 * 0 where the kernel does not count it.
 */
static int64_t waited_for_a_cpu(const char *tid)
{
    char path[64];
    long long ns = 0;
    FILE *file;
    snprintf(path, sizeof path, "/proc/self/task/%.31s/schedstat", tid);
    file = fopen(path, "re");
    if (file != NULL) {
        CHECK_EQ(fscanf(file, "%*d %lld", &ns), 1);
        fclose(file);
    }
    return ns / 1000000;
}

/*
 * The last one, over TCP: the server dies, and all of its connections leave the pool within 1 s,
 * without the time that the background thread, which does it all here, waits for a CPU.
 */
TEST(the_death_of_the_server_is_noticed_on_all,
     "scale: The death of a server with 10,000 connections is noticed on all within 1 s")
{
    vcp_conn **conns = room_for_handles();
    vcp_pool *pool = fill_a_pool(&far.tcp, conns);
    char engine[32];
    int64_t start, waited, took;
    EVENTUALLY(find_threads("vcp-engine", engine) == 1, 5000);
    stop_server();
    start = now_ms();
    waited = waited_for_a_cpu(engine);
    while (vcp_pool_conn_count(pool) != 0) {
        CHECK(now_ms() - start <= at_most(1000) + waited_for_a_cpu(engine) - waited);
        poll(NULL, 0, 1);
    }
    took = now_ms() - start;
    printf("  %d noticed and closed in %" PRId64 " ms; waited %" PRId64 " ms for a CPU\n",
           far.count, took, waited_for_a_cpu(engine) - waited);
    CHECK_EQ(stats_of(pool).closed_while_idle, far.count);
    CHECK_STATS_ADD_UP(pool);
    CHECK_EQ(vcp_pool_close(pool), VCP_OK);
    free(conns);
}

BEFORE_THE_TESTS(char **argv)
{
    count_heap_exactly(argv);
    far.count = allow_many();
    start_server();
}
