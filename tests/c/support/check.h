/*
 * check.h - what the C tests of libvconnpool share: checks that print what they saw, servers on loopback, and counts of
 * descriptors, threads and heap. Header only; C99 and C++11.
 *
 * A test is TEST(name) { ... }, named for one rule of the contract (docs/rules.md lists them all), and main runs it by
 * RUN(name). A failed check prints where and what, and ends the process. VCP_SLOW=n in the environment widens every
 * upper bound of time n times (for valgrind and sanitizers); lower bounds stay.
 */
#ifndef CHECK_H
#define CHECK_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/types.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "vconnpool.h"

/* ---- checks ---- */

static inline void check_failed(const char *file, int line, const char *what)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: FAILED: %s\n  vcp_last_error: %s (errno %d)\n", file, line, what, vcp_last_error(),
            vcp_last_errno());
    exit(1);
}

static inline void check_true(const char *file, int line, const char *text, int holds)
{
    if (!holds) {
        check_failed(file, line, text);
    }
}

static inline void check_equal(const char *file, int line, const char *text, long long seen, long long wanted)
{
    if (seen != wanted) {
        fprintf(stderr, "  seen %lld, wanted %lld\n", seen, wanted);
        check_failed(file, line, text);
    }
}

static inline void check_between(const char *file, int line, const char *text, long long seen, long long least,
                                 long long most)
{
    if (seen < least || seen > most) {
        fprintf(stderr, "  seen %lld, wanted %lld to %lld\n", seen, least, most);
        check_failed(file, line, text);
    }
}

static inline void check_text(const char *file, int line, const char *text, const char *seen, const char *wanted)
{
    if (seen == NULL || strcmp(seen, wanted) != 0) {
        fprintf(stderr, "  seen \"%s\", wanted \"%s\"\n", seen == NULL ? "(NULL)" : seen, wanted);
        check_failed(file, line, text);
    }
}

static inline void check_has(const char *file, int line, const char *text, const char *seen, const char *part)
{
    if (seen == NULL || strstr(seen, part) == NULL) {
        fprintf(stderr, "  seen \"%s\", wanted it to hold \"%s\"\n", seen == NULL ? "(NULL)" : seen, part);
        check_failed(file, line, text);
    }
}

#define CHECK(holds) check_true(__FILE__, __LINE__, #holds, (holds) ? 1 : 0)
#define CHECK_EQ(seen, wanted) \
    check_equal(__FILE__, __LINE__, #seen " == " #wanted, (long long)(seen), (long long)(wanted))
#define CHECK_BETWEEN(seen, least, most) \
    check_between(__FILE__, __LINE__, #seen, (long long)(seen), (long long)(least), (long long)(most))
#define CHECK_STR(seen, wanted) check_text(__FILE__, __LINE__, #seen, seen, wanted)
#define CHECK_HAS(seen, part) check_has(__FILE__, __LINE__, #seen, seen, part)

#define TEST(name) static void name(void)
#define RUN(name)              \
    do {                       \
        printf("%s\n", #name); \
        fflush(stdout);        \
        name();                \
    } while (0)

/* What cannot be tested on this machine is said, never passed over in silence. */
#define SKIP(why)                                     \
    do {                                              \
        printf("  SKIPPED: %s\n", why);               \
        fflush(stdout);                               \
        return;                                       \
    } while (0)

/* ---- time ---- */

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int slowness(void)
{
    const char *text = getenv("VCP_SLOW");
    int times = text == NULL ? 1 : atoi(text);
    return times < 1 ? 1 : times;
}

/* An upper bound of time. */
static inline int64_t at_most(int64_t ms)
{
    return ms * slowness();
}

/* How late a thread of a busy two-core machine may be woken: no promise of the library. */
#define LATENESS_MS 250

/* The call that began at `start` took as long as it should; 1 ms for the rounding of both readings. */
#define CHECK_TOOK(start, ms) CHECK_BETWEEN(now_ms() - (start), (ms)-1, at_most((ms) + LATENESS_MS))

/* Lets time pass where the passing of time is what is tested (an age, a "nothing happens"), never to hide a race. */
static inline void let_pass(int64_t ms)
{
    int64_t end = now_ms() + ms;
    int64_t left = ms;
    while (left > 0) {
        poll(NULL, 0, (int)left);
        left = end - now_ms();
    }
}

/* For what the contract allows time for: holds within so many milliseconds, or the test fails. */
#define EVENTUALLY(holds, ms)                                                               \
    do {                                                                                    \
        int64_t eventually_end = now_ms() + at_most(ms);                                    \
        while (!(holds)) {                                                                  \
            if (now_ms() > eventually_end) {                                                \
                check_failed(__FILE__, __LINE__, "not within " #ms " ms: " #holds);         \
            }                                                                               \
            poll(NULL, 0, 1);                                                               \
        }                                                                                   \
    } while (0)

/* Holds now and all the time from now on. */
#define STAYS(holds, ms)                                                                    \
    do {                                                                                    \
        int64_t stays_end = now_ms() + (ms);                                                \
        do {                                                                                \
            if (!(holds)) {                                                                 \
                check_failed(__FILE__, __LINE__, "did not stay so for " #ms " ms: " #holds); \
            }                                                                               \
            poll(NULL, 0, 2);                                                               \
        } while (now_ms() < stays_end);                                                     \
    } while (0)

/* ---- what the process holds ---- */

static inline int entries_of(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    struct dirent *entry;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.') {
            count++;
        }
    }
    closedir(directory);
    return count;
}

static inline int open_fds(void)
{
    return entries_of("/proc/self/fd") - 1; /* opendir's own */
}

static inline int threads(void)
{
    return entries_of("/proc/self/task");
}

static inline int64_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (int64_t)info.uordblks + (int64_t)info.hblkhd;
}

/*
 * heap_bytes counts what glibc's per-thread caches hold as in use, and one arena alone. A program that compares heaps starts itself anew
 * without those caches and with one arena, and then the counts are exact. Not under valgrind and sanitizers, which replace malloc.
 */
static inline void count_heap_exactly(char **argv)
{
    if (slowness() == 1 && getenv("GLIBC_TUNABLES") == NULL) {
        const char *exact = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";
        CHECK_EQ(setenv("GLIBC_TUNABLES", exact, 1), 0);
        execv("/proc/self/exe", argv);
        check_failed(__FILE__, __LINE__, "execv(/proc/self/exe)");
    }
}

static inline int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static inline int is_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    CHECK(flags >= 0);
    return (flags & O_NONBLOCK) != 0;
}

/* ---- servers ---- */

#define SERVER_MOST 256

/* A bound socket and the address that a client dials. The test accepts by hand, or starts an echo thread. */
typedef struct server {
    int fd;
    int type;
    int family;
    char network[16];
    char address[160];
    char path[108]; /* to be unlinked, or "" */
    int port;
    int stop[2];
    pthread_t thread;
    int echoes;
} server;

static inline void server_names_itself(server *s, const char *network)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    memset(&name, 0, sizeof name);
    snprintf(s->network, sizeof s->network, "%s", network);
    CHECK_EQ(getsockname(s->fd, (struct sockaddr *)&name, &length), 0);
    if (name.ss_family == AF_INET) {
        s->port = ntohs(((struct sockaddr_in *)&name)->sin_port);
        snprintf(s->address, sizeof s->address, "127.0.0.1:%d", s->port);
    } else {
        s->port = ntohs(((struct sockaddr_in6 *)&name)->sin6_port);
        snprintf(s->address, sizeof s->address, "[::1]:%d", s->port);
    }
}

static inline server server_on(int family, int type, int port, int backlog)
{
    server s;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    int on = 1;
    memset(&s, 0, sizeof s);
    memset(&v4, 0, sizeof v4);
    memset(&v6, 0, sizeof v6);
    v4.sin_family = AF_INET;
    v4.sin_port = htons((uint16_t)port);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons((uint16_t)port);
    v6.sin6_addr.s6_addr[15] = 1;
    s.family = family;
    s.type = type;
    s.fd = socket(family, type | SOCK_CLOEXEC, 0);
    CHECK(s.fd >= 0);
    if (type == SOCK_STREAM) {
        CHECK_EQ(setsockopt(s.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    }
    if (family == AF_INET) {
        CHECK_EQ(bind(s.fd, (struct sockaddr *)&v4, sizeof v4), 0);
    } else {
        CHECK_EQ(setsockopt(s.fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
        CHECK_EQ(bind(s.fd, (struct sockaddr *)&v6, sizeof v6), 0);
    }
    if (type == SOCK_STREAM) {
        CHECK_EQ(listen(s.fd, backlog), 0);
    }
    server_names_itself(&s, type == SOCK_STREAM ? "tcp" : "udp");
    return s;
}

static inline server tcp_server(void)
{
    return server_on(AF_INET, SOCK_STREAM, 0, 512);
}

static inline server tcp6_server(void)
{
    return server_on(AF_INET6, SOCK_STREAM, 0, 512);
}

static inline server udp_server(void)
{
    return server_on(AF_INET, SOCK_DGRAM, 0, 0);
}

/* type: SOCK_STREAM, SOCK_SEQPACKET or SOCK_DGRAM. A path in a new temporary directory, or an abstract name. */
static inline server unix_server(int type, int is_abstract)
{
    static int serial;
    server s;
    struct sockaddr_un name;
    socklen_t length;
    char directory[] = "/tmp/vcp-XXXXXX";
    memset(&s, 0, sizeof s);
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    s.family = AF_UNIX;
    s.type = type;
    snprintf(s.network, sizeof s.network, "%s",
             type == SOCK_STREAM ? "unix" : type == SOCK_DGRAM ? "unixgram" : "unixpacket");
    if (is_abstract) {
        snprintf(s.address, sizeof s.address, "@vcp-test-%d-%d", (int)getpid(), ++serial);
        memcpy(name.sun_path + 1, s.address + 1, strlen(s.address + 1));
        length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(s.address));
    } else {
        CHECK(mkdtemp(directory) != NULL);
        snprintf(s.path, sizeof s.path, "%s/socket", directory);
        snprintf(s.address, sizeof s.address, "%s", s.path);
        memcpy(name.sun_path, s.path, strlen(s.path));
        length = sizeof name;
    }
    s.fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    CHECK(s.fd >= 0);
    CHECK_EQ(bind(s.fd, (struct sockaddr *)&name, length), 0);
    if (type != SOCK_DGRAM) {
        CHECK_EQ(listen(s.fd, 512), 0);
    }
    return s;
}

static inline int readable_within(int fd, int64_t ms)
{
    struct pollfd one;
    one.fd = fd;
    one.events = POLLIN;
    one.revents = 0;
    return poll(&one, 1, (int)at_most(ms)) == 1;
}

/* The server's end of the connection that was just dialed. */
static inline int server_accept(const server *s)
{
    int fd;
    CHECK(readable_within(s->fd, 5000));
    fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

/* No client is waiting to be accepted: nothing was dialed. */
static inline int server_is_quiet(const server *s)
{
    struct pollfd one;
    one.fd = s->fd;
    one.events = POLLIN;
    one.revents = 0;
    return poll(&one, 1, 0) == 0;
}

static inline void server_echo_dgram(int fd)
{
    char bytes[4096];
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t count = recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
    if (count >= 0 && length > 0) {
        sendto(fd, bytes, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&from, length);
    }
}

/* Sends back what comes, on as many connections as come, until told to stop. */
static inline void *server_echo(void *argument)
{
    server *s = (server *)argument;
    struct pollfd polled[SERVER_MOST];
    int count = 2;
    int i;
    char bytes[65536];
    memset(polled, 0, sizeof polled);
    polled[0].fd = s->stop[0];
    polled[1].fd = s->fd;
    polled[0].events = polled[1].events = POLLIN;
    for (;;) {
        CHECK(poll(polled, (nfds_t)count, -1) > 0 || errno == EINTR);
        if (polled[0].revents != 0) {
            break;
        }
        for (i = count - 1; i >= 2; i--) {
            if (polled[i].revents != 0) {
                ssize_t got = recv(polled[i].fd, bytes, sizeof bytes, 0);
                ssize_t sent = got > 0 ? send(polled[i].fd, bytes, (size_t)got, MSG_NOSIGNAL) : -1;
                if (sent < got || got <= 0) {
                    close(polled[i].fd);
                    polled[i] = polled[--count];
                }
            }
        }
        if (polled[1].revents != 0 && s->type == SOCK_DGRAM) {
            server_echo_dgram(s->fd);
        } else if (polled[1].revents != 0) {
            int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0) {
                CHECK(count < SERVER_MOST);
                polled[count].fd = fd;
                polled[count].events = POLLIN;
                polled[count++].revents = 0;
            }
        }
    }
    for (i = 2; i < count; i++) {
        close(polled[i].fd);
    }
    return NULL;
}

static inline void server_start_echo(server *s)
{
    CHECK_EQ(pipe2(s->stop, O_CLOEXEC), 0);
    s->echoes = 1;
    CHECK_EQ(pthread_create(&s->thread, NULL, server_echo, s), 0);
}

static inline void server_close(server *s)
{
    if (s->echoes) {
        CHECK_EQ(write(s->stop[1], "", 1), 1);
        CHECK_EQ(pthread_join(s->thread, NULL), 0);
        close(s->stop[0]);
        close(s->stop[1]);
    }
    close(s->fd);
    if (s->path[0] != '\0') {
        unlink(s->path);
        *strrchr(s->path, '/') = '\0';
        rmdir(s->path);
    }
}

/* A port on which nobody listens: it was this process's a moment ago. */
static inline server refusing_server(void)
{
    server s = tcp_server();
    close(s.fd);
    return s;
}

/* A listener whose queue is full: further connects get no answer (Linux drops their SYN). */
typedef struct full_server {
    server s;
    int fillers[8];
    int count;
} full_server;

static inline full_server full_server_new(void)
{
    full_server full;
    memset(&full, 0, sizeof full);
    full.s = server_on(AF_INET, SOCK_STREAM, 0, 0);
    for (;;) {
        struct sockaddr_in name;
        struct pollfd one;
        memset(&name, 0, sizeof name);
        name.sin_family = AF_INET;
        name.sin_port = htons((uint16_t)full.s.port);
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CHECK(full.count < 8);
        one.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(one.fd >= 0);
        full.fillers[full.count++] = one.fd;
        if (connect(one.fd, (struct sockaddr *)&name, sizeof name) == 0) {
            continue;
        }
        CHECK_EQ(errno, EINPROGRESS);
        one.events = POLLOUT;
        one.revents = 0;
        if (poll(&one, 1, 100) == 0) {
            return full;
        }
    }
}

/* How many connects to it are on their way, its own fillers' included: a dial of the library is one from its connect(2) on.
 * proc(5), /proc/net/tcp: a line is "number: local:port remote:port state ...", in hex; 02 is TCP_SYN_SENT. */
static inline int connects_to(const full_server *full)
{
    FILE *table = fopen("/proc/net/tcp", "r");
    char line[512];
    int count = 0;
    CHECK(table != NULL);
    while (fgets(line, sizeof line, table) != NULL) {
        unsigned port, state;
        if (sscanf(line, " %*d: %*x:%*x %*x:%x %x", &port, &state) == 2) {
            count += (int)port == full->s.port && state == 2;
        }
    }
    fclose(table);
    return count;
}

static inline void full_server_close(full_server *full)
{
    while (full->count > 0) {
        close(full->fillers[--full->count]);
    }
    server_close(&full->s);
}

/* The peer sees that the connection has ended: end of stream, or a reset. */
static inline int peer_sees_end(int fd)
{
    char byte;
    return readable_within(fd, 5000) && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

/* The peer sees a living connection now. */
static inline int peer_sees_life(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* Closes with a reset instead of an end of stream. */
static inline void close_with_reset(int fd)
{
    struct linger hard;
    hard.l_onoff = 1;
    hard.l_linger = 0;
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    CHECK_EQ(close(fd), 0);
}

/* The client's socket has something to read: what the peer did has arrived. */
static inline void await_arrival(int fd)
{
    CHECK(readable_within(fd, 5000));
}

/* A blocking client socket of the program's own. */
static inline int client_of(const server *s)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    int fd = socket(s->family, s->type | SOCK_CLOEXEC, 0);
    memset(&name, 0, sizeof name);
    CHECK(fd >= 0);
    CHECK_EQ(getsockname(s->fd, (struct sockaddr *)&name, &length), 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&name, length), 0);
    return fd;
}

/* ---- the pool ---- */

static inline vcp_pool_options pool_options(void)
{
    vcp_pool_options options;
    CHECK_EQ(vcp_pool_options_init(&options, sizeof options), VCP_OK);
    return options;
}

static inline vcp_dial_options dial_options(uint32_t flags)
{
    vcp_dial_options options;
    CHECK_EQ(vcp_dial_options_init(&options, sizeof options), VCP_OK);
    options.flags = flags;
    return options;
}

/* NULL: all defaults. */
static inline vcp_pool *pool_new(const vcp_pool_options *options)
{
    vcp_pool *pool = NULL;
    CHECK_EQ(vcp_pool_new(options, &pool), VCP_OK);
    CHECK(pool != NULL);
    return pool;
}

static inline int dial_flags(vcp_pool *pool, const server *s, uint32_t flags, vcp_conn **conn)
{
    vcp_dial_options options = dial_options(flags);
    return vcp_dial_with(pool, s->network, s->address, &options, conn);
}

/* Dials or reuses; must succeed. */
static inline vcp_conn *borrow(vcp_pool *pool, const server *s)
{
    vcp_conn *conn = NULL;
    CHECK(vcp_dial(pool, s->network, s->address, &conn) >= 0);
    CHECK(conn != NULL);
    return conn;
}

static inline vcp_conn *borrow_fresh(vcp_pool *pool, const server *s)
{
    vcp_conn *conn = NULL;
    CHECK(dial_flags(pool, s, VCP_DIAL_FRESH, &conn) >= 0);
    return conn;
}

static inline void give_back(vcp_conn *conn)
{
    CHECK_EQ(vcp_conn_close(conn), VCP_OK);
}

static inline int64_t idle_at(vcp_pool *pool, const server *s)
{
    return vcp_pool_idle_count(pool, s->network, s->address);
}

static inline int64_t idle_in(vcp_pool *pool)
{
    return vcp_pool_idle_count(pool, NULL, NULL);
}

static inline vcp_stats stats_of(vcp_pool *pool)
{
    vcp_stats stats;
    CHECK_EQ(vcp_pool_stats(pool, &stats, sizeof stats), VCP_OK);
    return stats;
}

static inline uint64_t endings(const vcp_stats *s)
{
    return s->closed_while_idle + s->closed_idle_timeout + s->closed_lifetime + s->closed_max_uses +
           s->closed_idle_full + s->closed_evicted + s->closed_discarded + s->closed_hook + s->closed_foreign_fd;
}

/* The identity of contract section 4, true whenever nothing is under way. */
static inline void check_stats_add_up(const char *file, int line, vcp_pool *pool)
{
    vcp_stats s = stats_of(pool);
    check_equal(file, line, "the statistics add up", (long long)(s.dials - s.dial_failures + s.puts),
                (long long)(s.idle + s.borrowed + s.gets + s.detached + s.stale_at_borrow + s.dirty_at_borrow +
                            endings(&s)));
    check_equal(file, line, "the gauges and the counts agree", (long long)(s.idle + s.borrowed),
                (long long)vcp_pool_conn_count(pool));
    check_equal(file, line, "idle and idle_count agree", (long long)s.idle, (long long)idle_in(pool));
}

#define CHECK_STATS_ADD_UP(pool) check_stats_add_up(__FILE__, __LINE__, pool)

/* Writes text and reads it back. */
static inline void check_echo(const char *file, int line, vcp_conn *conn, const char *text)
{
    char bytes[256];
    size_t size = strlen(text);
    size_t have = 0;
    check_equal(file, line, "the whole text is written", vcp_conn_write(conn, text, size), (long long)size);
    while (have < size) {
        int64_t count = vcp_conn_read(conn, bytes + have, sizeof bytes - have);
        check_true(file, line, "the echo is read", count > 0);
        have += (size_t)count;
    }
    check_true(file, line, "the echo is the text", have == size && memcmp(bytes, text, size) == 0);
}

#define CHECK_ECHO(conn, text) check_echo(__FILE__, __LINE__, conn, text)

/* The library's threads and descriptors end within 5 s of the last pool's end (contract section 2). */
#define CHECK_BASELINE(fds, tasks)                                         \
    do {                                                                   \
        EVENTUALLY(threads() == (tasks), 5000 + LATENESS_MS);              \
        EVENTUALLY(open_fds() == (fds), LATENESS_MS);                      \
    } while (0)

/*
 * What main returns: by then every pool is closed and every thread of the program joined, so the library's threads end
 * too. (A process that exits while one still runs is no error, but valgrind reports that thread's memory.)
 */
#ifdef __SANITIZE_THREAD__
#define THREADS_OF_NOBODY 1 /* the sanitizer's own */
#else
#define THREADS_OF_NOBODY 0
#endif

static inline int finished(void)
{
    EVENTUALLY(threads() == 1 + THREADS_OF_NOBODY, 5000 + LATENESS_MS);
    return 0;
}

#endif
