/*
 * network.h - what the network tests share, beside ../c/support/check.h: servers at the far end of
 * the network that `run` has built, dials whose time is taken, a plain connect(2) to compare with,
 * and the loop that runs one case.
 *
 * NETWORK_TEST(resolver, name, "subject: rule") is a case, with the resolver that it wants (`run`
 * knows them by name). A program that is called with a case's name runs that one, prints what it
 * measured, and fails if anything it opened stays open.
 */
#ifndef NETWORK_H
#define NETWORK_H

#include <sched.h>
#include <stdarg.h>
#include <sys/ioctl.h>

struct test_entry;
static void run_case(const struct test_entry *entry);
#define RUN_TEST(entry) run_case(entry)
/* The threads that watch the machine go on. */
#define AFTER_THE_TESTS()

#include "check.h"

/* "Every call returns within its deadline + 50 ms." */
#define LATE_MS 50

/* What has to wait for nothing but the network is done within the round trips and so much. */
#define SOON_MS 100

/* RFC 8305, and the default of fallback_delay_ms. */
#define FALLBACK_MS 250

/* The round trip of `run`'s nearest slow network, slow1. */
#define NEAR_MS 10

/*
 * How late the kernel's own timers may be: its timer wheel is exact to an eighth of the time set
 * (kernel/time/timer.c).
 */
#define KERNEL_TIMER_MS(ms) ((ms) + (ms) / 8)

/* ---- what was measured ---- */

static char measured_text[512];

static inline void measured(const char *what, int64_t number)
{
    size_t used = strlen(measured_text);
    snprintf(measured_text + used, sizeof measured_text - used, "%s%s %" PRId64,
             used == 0 ? "" : ", ", what, number);
}

/* ---- the machine's own lateness ---- */

/*
 * A machine with more to do than it has processors adds to every time: a thread is not let run, a
 * packet lies in a queue. Two threads that use nothing of the library find out by how much, all the
 * while that a case runs; the worst that they saw is granted to every upper bound, and printed.
 */
static int64_t worst_lateness_ms;

static inline void note_lateness(int64_t start, int64_t wanted_ms)
{
    int64_t late = now_ms() - start - wanted_ms - 1; /* 1 ms for the rounding of both readings */
    int64_t worst = __atomic_load_n(&worst_lateness_ms, __ATOMIC_RELAXED);
    while (late > worst && !__atomic_compare_exchange_n(&worst_lateness_ms, &worst, late, 0,
                                                        __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
}

/* A bare poll(2) of 1 ms, over and over. */
static inline void *sleeps_and_wakes(void *unused)
{
    for (;;) {
        int64_t start = now_ms();
        poll(NULL, 0, 1);
        note_lateness(start, 1);
    }
    return unused;
}

static inline int socket_to_a_closed_port(void)
{
    struct sockaddr_in name;
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    name.sin_port = htons(9);
    CHECK(fd >= 0);
    CHECK_EQ(inet_pton(AF_INET, "198.18.1.7", &name.sin_addr), 1);
    CHECK_EQ(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

/* A datagram over the nearest slow network, and the far kernel's refusal, over and over. */
static inline void *goes_there_and_back(void *fd)
{
    struct pollfd one;
    one.fd = *(int *)fd;
    one.events = POLLIN;
    for (;;) {
        int64_t start = now_ms();
        int is_sent = send(one.fd, "?", 1, 0) == 1;
        if (is_sent && poll(&one, 1, 1000) == 1) {
            char byte;
            CHECK(recv(one.fd, &byte, 1, 0) < 0);
            note_lateness(start, NEAR_MS);
        } else if (!is_sent) {
            poll(NULL, 0, 1); /* The case has taken the link down. */
        }
    }
    return NULL;
}

static inline void watch_the_machine(void)
{
    static int fd;
    pthread_t sleeper;
    pthread_t goer;
    fd = socket_to_a_closed_port();
    CHECK_EQ(pthread_create(&sleeper, NULL, sleeps_and_wakes, NULL), 0);
    CHECK_EQ(pthread_create(&goer, NULL, goes_there_and_back, &fd), 0);
    CHECK_EQ(pthread_detach(sleeper) + pthread_detach(goer), 0);
}

static inline int64_t machine_was_late(void)
{
    return __atomic_load_n(&worst_lateness_ms, __ATOMIC_RELAXED);
}

/* For upper bounds. */
static inline int64_t within(int64_t ms)
{
    return at_most(ms + machine_was_late());
}

/* ---- the far end ---- */

/* Runs a command of the shell, and waits for it. */
static inline void command(const char *format, ...)
{
    char text[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    check_equal(__FILE__, __LINE__, text, system(text), 0);
}

/*
 * The far end's plug is pulled: this side keeps its addresses and routes, and hears nothing any
 * more.
 */
static inline void cut_the_link(void)
{
    command("ip -n far link set near down");
}

static inline void mend_the_link(void)
{
    command("ip -n far link set near up");
}

/* A socket belongs for good to the network namespace of the thread that made it. */
static inline int far_socket(int family, int type)
{
    int here = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
    int there = open("/run/netns/far", O_RDONLY | O_CLOEXEC);
    int fd;
    CHECK(here >= 0 && there >= 0);
    CHECK_EQ(setns(there, CLONE_NEWNET), 0);
    fd = socket(family, type | SOCK_CLOEXEC, 0);
    CHECK_EQ(setns(here, CLONE_NEWNET), 0);
    CHECK(fd >= 0);
    CHECK_EQ(close(here) + close(there), 0);
    return fd;
}

/* Listens on a port of every address of the far end, in both families. */
static inline server far_server(int port, int backlog)
{
    server s;
    struct sockaddr_in6 name;
    int on = 1;
    memset(&s, 0, sizeof s);
    memset(&name, 0, sizeof name);
    name.sin6_family = AF_INET6;
    name.sin6_port = htons((uint16_t)port);
    s.type = SOCK_STREAM;
    s.family = AF_INET6;
    s.port = port;
    s.fd = far_socket(AF_INET6, SOCK_STREAM);
    CHECK_EQ(setsockopt(s.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    CHECK_EQ(bind(s.fd, (struct sockaddr *)&name, sizeof name), 0);
    CHECK_EQ(listen(s.fd, backlog), 0);
    return s;
}

/* ---- dials ---- */

/* What came of a dial. */
typedef struct outcome {
    vcp_conn *conn;
    int status;
    int error;
    int phase;
    char message[1024];
    char remote[128];
    int64_t took;
} outcome;

static inline outcome dial_unmeasured(vcp_pool *pool, const char *network, const char *address,
                                      const vcp_dial_options *options)
{
    outcome o;
    int64_t start = now_ms();
    memset(&o, 0, sizeof o);
    o.status = vcp_dial_with(pool, network, address, options, &o.conn);
    o.took = now_ms() - start;
    if (o.status >= 0) {
        CHECK(vcp_conn_remote_address(o.conn, o.remote, sizeof o.remote) > 0);
    } else {
        CHECK(o.conn == NULL);
        o.error = vcp_last_errno();
        o.phase = vcp_last_phase();
        snprintf(o.message, sizeof o.message, "%s", vcp_last_error());
    }
    return o;
}

static inline outcome dial_with(vcp_pool *pool, const char *network, const char *address,
                                const vcp_dial_options *options)
{
    outcome o = dial_unmeasured(pool, network, address, options);
    measured("dial", o.took);
    return o;
}

/* A new connection, or a failure. */
static inline outcome dial(vcp_pool *pool, const char *address, int64_t timeout_ms)
{
    vcp_dial_options options = dial_options(VCP_DIAL_FRESH);
    options.timeout_ms = timeout_ms;
    return dial_with(pool, "tcp", address, &options);
}

static inline void check_reached(const char *file, int line, const outcome *o, const char *remote,
                                 int64_t least, int64_t most)
{
    if (o->status < 0) {
        fprintf(stderr, "  %s\n", o->message);
    }
    check_true(file, line, "the dial succeeds", o->status >= 0);
    check_text(file, line, "the address that won", o->remote, remote);
    check_between(file, line, "what the dial took", o->took, least, within(most));
}

/* 1 ms below, for the rounding of both readings of the clock. */
#define CHECK_REACHED(o, remote, least, most) \
    check_reached(__FILE__, __LINE__, &(o), remote, (least)-1, most)

static inline void check_failure(const char *file, int line, const outcome *o, int status,
                                 int error, int64_t most)
{
    check_equal(file, line, o->message, o->status, status);
    check_equal(file, line, o->message, o->error, error);
    check_equal(file, line, "the phase of what is no timeout", o->phase, VCP_PHASE_NONE);
    check_between(file, line, "what the dial took", o->took, 0, within(most));
}

#define CHECK_FAILURE(o, status, error, most) \
    check_failure(__FILE__, __LINE__, &(o), status, error, most)

static inline void check_timed_out(const char *file, int line, const outcome *o, int phase,
                                   int64_t deadline)
{
    check_equal(file, line, o->message, o->status, VCP_ERR_TIMEOUT);
    check_equal(file, line, "the phase", o->phase, phase);
    check_equal(file, line, "the errno of a timeout", o->error, 0);
    check_has(file, line, "the phase's name", o->message,
              phase == VCP_PHASE_RESOLVING ? "resolving" : "connecting");
    check_between(file, line, "what the dial took", o->took, deadline - 1,
                  within(deadline + LATE_MS));
}

#define CHECK_TIMED_OUT(o, phase, deadline) \
    check_timed_out(__FILE__, __LINE__, &(o), phase, deadline)

static inline vcp_pool *pool_with_fallback_delay(int64_t ms)
{
    vcp_pool_options options = pool_options();
    options.fallback_delay_ms = ms;
    return pool_new(&options);
}

/*
 * Another thread that does one thing in a while: `act` after `delay_ms`, while the case is in a
 * call.
 */
typedef struct soon {
    pthread_t thread;
    int64_t delay_ms;
    void (*act)(void *);
    void *argument;
    int64_t acted_at;
} soon;

static inline void *soon_acts(void *argument)
{
    soon *one = (soon *)argument;
    let_pass(one->delay_ms);
    one->acted_at = now_ms();
    one->act(one->argument);
    return NULL;
}

static inline void soon_start(soon *one, int64_t delay_ms, void (*act)(void *), void *argument)
{
    one->delay_ms = delay_ms;
    one->act = act;
    one->argument = argument;
    CHECK_EQ(pthread_create(&one->thread, NULL, soon_acts, one), 0);
}

/* How long after it acted. */
static inline int64_t soon_join(soon *one, int64_t end)
{
    CHECK_EQ(pthread_join(one->thread, NULL), 0);
    return end - one->acted_at;
}

/* ---- a plain connect(2) ---- */

/* Of a literal `ip:port` or `[ip]:port`. */
static inline socklen_t parsed(const char *address, struct sockaddr_storage *name)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)name;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)name;
    char ip[128];
    unsigned short port;
    memset(name, 0, sizeof *name);
    if (sscanf(address, "[%127[^]]]:%hu", ip, &port) == 2) {
        v6->sin6_family = AF_INET6;
        v6->sin6_port = htons(port);
        CHECK_EQ(inet_pton(AF_INET6, ip, &v6->sin6_addr), 1);
        return sizeof *v6;
    }
    CHECK_EQ(sscanf(address, "%127[^:]:%hu", ip, &port), 2);
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    CHECK_EQ(inet_pton(AF_INET, ip, &v4->sin_addr), 1);
    return sizeof *v4;
}

/* The errno of a program that connects without the library. */
static inline int errno_of_connect(const char *address)
{
    struct sockaddr_storage name;
    socklen_t length = parsed(address, &name);
    int fd = socket(name.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int error = 0;
    CHECK(fd >= 0);
    if (connect(fd, (struct sockaddr *)&name, length) != 0) {
        error = errno;
    }
    CHECK_EQ(close(fd), 0);
    return error;
}

/* ---- running ---- */

#define NETWORK_TEST(resolver, name, rule) TEST_IN(#resolver, name, rule)

/*
 * Port 7 of every far address echoes in every case. Everything that a case opened is closed again
 * when its pool is (contract: within 5 s, a running look-up excepted).
 */
static void run_case(const test_entry *entry)
{
    int fds;
    int tasks;
    server echo;
    watch_the_machine();
    fds = open_fds();
    tasks = threads();
    echo = far_server(7, 512);
    server_start_echo(&echo);
    entry->body();
    server_close(&echo);
    CHECK_BASELINE(fds, tasks);
    measured("machine late", machine_was_late());
    printf("%s\n", measured_text);
}

#endif
