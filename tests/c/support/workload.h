/*
 * workload.h - pools of six kinds, which together use everything, and what must hold of them at all
 * times and at rest. workload_acts.h uses them at random, workload_run.h by many threads.
 */
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include <sched.h>

#include "completions.h"
#include "draws.h"
#include "nonces.h"

/* What a pool is for; each has limits of its own. */
enum {
    FAST,     /* hits without a wait: the fast path */
    FIGHT,    /* more threads than connections */
    FUSSY,    /* STRICT, first in first out, used up and thrown away soon; several destinations */
    HOOKED,   /* every hook, names, user data, dials ahead; events are counted */
    SESSIONS, /* of a driver, given back in the background */
    QUEUED,   /* asynchronous dials, some of which fail */
    POOLS
};

static const int32_t pool_limits[POOLS] = {32, 4, 6, 5, 4, 6};

/* The user pointer of one pool. */
typedef struct pool_life {
    int kind;
    int32_t open; /* connections and dials, as the events tell */
} pool_life;

/* All that the threads share. */
static struct workload {
    nonce_server served; /* the first ones by tcp */
    uint32_t tcp_servers;
    server nobody; /* refuses */
    vcp_pool *pools[POOLS];
    pool_life *lives[POOLS]; /* of the first ones */
    int64_t cycles_left;     /* INT64_MAX: until is_over */
    int32_t is_over;
    int32_t naps_are_over;
    int32_t keeps_pools; /* they are not made anew meanwhile */
    int32_t is_faulty;   /* system calls fail and servers die: any error may come */
    int64_t pools_made, users_freed;
    int64_t sessions_opened, sessions_freed;
    int64_t data_set, data_freed;
} work;

static inline int64_t peek(const int64_t *number)
{
    return __atomic_load_n(number, __ATOMIC_RELAXED);
}

static inline void tally(int64_t *number)
{
    __atomic_fetch_add(number, 1, __ATOMIC_RELAXED);
}

/* By chance, for callbacks, which have no actor: one in so many. */
static inline int one_in(uint32_t many)
{
    static __thread uint64_t random;
    if (random == 0) {
        random = (uint64_t)(uintptr_t)&random;
    }
    return draw(&random, many) == 0;
}

/* ---- callbacks of HOOKED ---- */

static inline void frees_data(void *data)
{
    tally(&work.data_freed);
    free(data);
}

/* Names lead to this machine; some lead nowhere. */
static inline int workload_resolves(void *user, const char *network, const char *host,
                                    int64_t timeout_ms, vcp_resolved *out)
{
    char ip[16];
    (void)user;
    (void)network;
    (void)timeout_ms;
    if (host[0] == 'x') {
        return 7;
    }
    snprintf(ip, sizeof ip, "127.0.0.%d", one_in(2) ? 1 : host[1] - '0');
    /* Nobody listens at the second: the race goes on with the first. */
    CHECK(vcp_resolved_add(out, ip) <= 0);
    return vcp_resolved_add(out, "127.0.0.1") == VCP_OK ? 0 : 1;
}

/* A login: speaks, and leaves something on the connection. */
static inline int workload_opens(void *user, vcp_conn *conn, int fd)
{
    int64_t status;
    uint32_t nonce = ask_wishing(conn, 1, WISH_ANSWER, &status);
    (void)user;
    CHECK(fd >= 0);
    if (nonce == 0) {
        return 1;
    }
    disown_nonce(nonce);
    tally(&work.data_set);
    CHECK_EQ(vcp_conn_set_data(conn, calloc(1, 64), frees_data), VCP_OK);
    return one_in(64);
}

static inline int workload_hook(void *user, vcp_conn *conn, int fd)
{
    (void)user;
    (void)fd;
    CHECK(vcp_conn_uses(conn) >= 0);
    return one_in(64);
}

/* Whoever counts events never sees the limit broken (the header, on_event). */
static inline void workload_hears(void *user, const vcp_event *event)
{
    pool_life *life = (pool_life *)user;
    int begins = event->kind == VCP_EVENT_DIAL_START;
    int ends = event->kind == VCP_EVENT_DIAL_FAILED || event->kind == VCP_EVENT_CLOSED;
    if (begins || ends) {
        int32_t open = __atomic_add_fetch(&life->open, begins ? 1 : -1, __ATOMIC_RELAXED);
        CHECK_BETWEEN(open, 0, pool_limits[life->kind]);
    }
}

static inline void workload_frees_user(void *user)
{
    pool_life *life = (pool_life *)user;
    /* Dials in the background that the close ended are told to nobody. */
    CHECK_BETWEEN(life->open, 0, pool_limits[life->kind]);
    tally(&work.users_freed);
    free(life);
}

/* ---- the driver of SESSIONS ---- */

typedef struct session_life {
    int fd;
    int32_t busy; /* calls for it that run now */
} session_life;

static inline void session_call_begins(session_life *s)
{
    CHECK_EQ(__atomic_add_fetch(&s->busy, 1, __ATOMIC_RELAXED), 1);
}

static inline void session_call_ends(session_life *s)
{
    CHECK_EQ(__atomic_sub_fetch(&s->busy, 1, __ATOMIC_RELAXED), 0);
}

static inline int session_tells(void *data)
{
    session_life *s = (session_life *)data;
    int fd;
    session_call_begins(s);
    fd = s->fd;
    session_call_ends(s);
    return fd;
}

static inline void session_ends(void *data)
{
    session_life *s = (session_life *)data;
    session_call_begins(s);
    close(s->fd);
    tally(&work.sessions_freed);
    free(s);
}

/* A blocking socket of the program's own, or -1: a server may be dead. */
static inline int workload_connects(const server *s)
{
    struct sockaddr_in name;
    struct timeval patience = {10, 0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    name.sin_port = htons((uint16_t)s->port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience) != 0) {
        CHECK(work.is_faulty);
        return -1;
    }
    /* An interrupted connect(2) goes on, and the next call waits for it or says that it is done. */
    while (connect(fd, (struct sockaddr *)&name, sizeof name) != 0 && errno != EISCONN) {
        if (errno != EINTR && errno != EALREADY) {
            CHECK(work.is_faulty);
            close(fd);
            return -1;
        }
    }
    return fd;
}

static inline int session_opens(void *user, const vcp_session_request *request, vcp_session *filled)
{
    session_life *s;
    int fd = one_in(64) ? -1 : workload_connects(&work.served.at[0]);
    (void)user;
    (void)request;
    if (fd < 0) {
        return 5;
    }
    s = (session_life *)calloc(1, sizeof *s);
    CHECK(s != NULL);
    s->fd = fd;
    tally(&work.sessions_opened);
    filled->data = s;
    filled->free_data = session_ends;
    filled->fd = session_tells;
    return 0;
}

static inline int session_hook(void *user, vcp_conn *conn, int fd)
{
    session_life *s = (session_life *)vcp_conn_data(conn);
    int answer = one_in(64);
    (void)user;
    session_call_begins(s);
    CHECK_EQ(fd, s->fd);
    session_call_ends(s);
    return answer;
}

/* ---- pools ---- */

static inline void hooked_options(vcp_pool_options *o)
{
    o->resolve = workload_resolves;
    o->on_open = workload_opens;
    o->on_reuse = workload_hook;
    o->on_release = workload_hook;
    o->on_idle = workload_hook;
    o->on_idle_ms = 10;
    o->on_event = workload_hears;
    o->wait_timeout_ms = 20;
    o->max_lifetime_ms = 100;
    o->min_idle_per_address = 1;
    o->leak_threshold_ms = 50;
    o->verify_release = 1;
}

static inline void session_options(vcp_pool_options *o)
{
    o->open_session = session_opens;
    o->on_release = session_hook;
    o->on_release_in_background = 1;
    o->on_idle = session_hook;
    o->on_idle_ms = 10;
    o->on_reuse = session_hook;
    o->on_reuse_after_ms = 5;
    o->wait_timeout_ms = 20;
}

static inline void fussy_options(vcp_pool_options *o)
{
    o->max_conns_per_address = 3;
    o->max_idle = 4;
    o->max_uses = 50;
    o->idle_timeout_ms = 20;
    o->wait_timeout_ms = 5;
    o->reuse_order = VCP_REUSE_FIFO;
}

static inline vcp_pool_options workload_options(int kind)
{
    vcp_pool_options o = pool_options();
    o.max_conns = (uint32_t)pool_limits[kind];
    o.max_idle_per_address = (uint32_t)pool_limits[kind];
    o.wait_timeout_ms = VCP_FOREVER;
    o.free_user = workload_frees_user;
    o.liveness =
        kind == FAST || kind == FIGHT || kind == QUEUED ? VCP_LIVENESS_WATCH : VCP_LIVENESS_STRICT;
    if (kind == FUSSY) {
        fussy_options(&o);
    } else if (kind == HOOKED) {
        hooked_options(&o);
    } else if (kind == SESSIONS) {
        session_options(&o);
    } else if (kind == QUEUED) {
        o.max_dials_per_address = 2;
        o.max_waiters = 16;
        o.fail_fast_ms = 5;
    }
    return o;
}

static inline pool_life *pool_life_new(int kind)
{
    pool_life *life = (pool_life *)calloc(1, sizeof *life);
    CHECK(life != NULL);
    life->kind = kind;
    return life;
}

/* NULL: no room for another, which only a faulty system says. */
static inline vcp_pool *workload_pool_new(pool_life *life)
{
    vcp_pool_options o = workload_options(life->kind);
    vcp_pool *pool = NULL;
    o.user = life;
    if (vcp_pool_new(&o, &pool) != VCP_OK) {
        CHECK(work.is_faulty);
        free(life);
        return NULL;
    }
    tally(&work.pools_made);
    return pool;
}

static inline vcp_pool *workload_pool(int kind)
{
    return __atomic_load_n(&work.pools[kind], __ATOMIC_SEQ_CST);
}

/* Open and dialing connections are never more than the limit, at any instant. */
static inline void check_limit(int kind)
{
    vcp_stats s;
    int status = vcp_pool_stats(workload_pool(kind), &s, sizeof s);
    CHECK(status == VCP_OK || status == VCP_ERR_POOL_CLOSED);
    if (status == VCP_OK) {
        CHECK_BETWEEN(s.idle + s.borrowed + s.dialing, 0, pool_limits[kind]);
        CHECK(s.releasing <= s.borrowed);
    }
}

#endif
