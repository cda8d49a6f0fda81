/*
 * workload_acts.h - what a thread does with the pools of workload.h: one cycle at random, with its
 * answers checked.
 */
#ifndef WORKLOAD_ACTS_H
#define WORKLOAD_ACTS_H

#include "workload.h"

enum { TOKENS = 64, HELD_MOST = 8, STATUSES = 21 };

typedef struct actor {
    pthread_t thread;
    uint64_t random;
    uint32_t serial;
    vcp_cancel *cancel;
    vcp_queue *queue;
    unsigned char pending[TOKENS]; /* dials that the queue has not answered yet */
    vcp_conn *held[HELD_MOST];     /* by asynchronous dials */
    int held_count;
    vcp_conn *borrowed; /* for whoever looks on */
    int32_t fired;      /* somebody else has fired its token */
    int64_t cycles;
    int64_t results[STATUSES]; /* by status, negated; [0]: successes */
    int64_t latest;            /* how late a call was at its deadline, at most, in ms */
    pthread_t napper;          /* sleeps beside it */
    int64_t latest_nap;        /* how late that was */
} actor;

/* ---- answers ---- */

static inline int is_expected(int kind, int64_t status)
{
    int of_dials = status == VCP_ERR_TIMEOUT || status == VCP_ERR_CANCELED ||
                   status == VCP_ERR_POOL_EXHAUSTED || status == VCP_ERR_NOT_AVAILABLE;
    if (status >= 0 || status == VCP_ERR_POOL_CLOSED || status == VCP_ERR_IN_PROGRESS) {
        return 1;
    }
    if (work.is_faulty) {
        return status > VCP_ERR_INTERNAL && status != VCP_ERR_INVALID_HANDLE &&
               status != VCP_ERR_INVALID_ARGUMENT && status != VCP_ERR_CONN_CLOSED;
    }
    switch (kind) {
    case FAST:
        return 0;
    case HOOKED:
        return of_dials || status == VCP_ERR_CALLBACK;
    case SESSIONS:
        return of_dials || status == VCP_ERR_CALLBACK;
    case QUEUED:
        return of_dials || status == VCP_ERR_CONNECT;
    default:
        return of_dials;
    }
}

static inline void note(actor *me, int kind, int64_t status)
{
    CHECK(is_expected(kind, status));
    CHECK(status >= 0 || vcp_last_errno() != EINTR);
    me->results[status < 0 ? -status : 0]++;
}

/* A call that had so much time. */
static inline void note_lateness(actor *me, int64_t began, int64_t ms)
{
    int64_t late = now_ms() - began - ms;
    if (late > me->latest) {
        __atomic_store_n(&me->latest, late, __ATOMIC_RELAXED);
    }
}

/* ---- dials and their ends ---- */

static inline const server *some_server(actor *me)
{
    return &work.served.at[draw(&me->random, (uint32_t)work.served.listeners)];
}

static inline const server *some_tcp_server(actor *me)
{
    return &work.served.at[draw(&me->random, work.tcp_servers)];
}

static inline int act_dial(actor *me, int kind, const char *address, const vcp_dial_options *d,
                           vcp_conn **conn)
{
    const char *network = address[0] == '@' ? "unix" : "tcp";
    int64_t began = now_ms();
    int fd = vcp_dial_with(workload_pool(kind), network, address, d, conn);
    note(me, kind, fd);
    if (d->timeout_ms >= 0) {
        note_lateness(me, began, d->timeout_ms);
    }
    /* Nothing here takes long, and nobody keeps what others wait for: a waiter was lost. */
    CHECK(now_ms() - began < at_most(10000));
    if (fd >= 0) {
        own_fd(fd);
        __atomic_store_n(&me->borrowed, *conn, __ATOMIC_RELAXED);
    }
    return fd;
}

/* The nonce is 0 where the server did not answer. */
static inline void act_disown(int fd, uint32_t nonce)
{
    disown_fd(fd);
    if (nonce != 0) {
        disown_nonce(nonce);
    }
}

static inline void act_give_back(vcp_conn *conn, int fd, uint32_t nonce)
{
    act_disown(fd, nonce);
    CHECK_EQ(vcp_conn_close(conn), VCP_OK);
}

/* Mostly back; or away. */
static inline void act_end(actor *me, vcp_conn *conn, int fd, uint32_t nonce)
{
    uint32_t how = draw(&me->random, 64);
    if (how < 4) {
        CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
    } else if (how == 4) {
        act_disown(fd, nonce);
        CHECK_EQ(vcp_conn_detach(conn), fd);
        CHECK_EQ(vcp_conn_close(conn), VCP_ERR_CONN_CLOSED);
        close(fd);
        return;
    } else if (how < 16) {
        sched_yield();
    }
    act_give_back(conn, fd, nonce);
}

/*
 * A question; the nonce is owned until the connection's end. Where nobody has wished the server to
 * hang up the answer must come, unless the pool was aborted or the token fired.
 */
static inline uint32_t act_ask(actor *me, vcp_conn *conn, uint32_t wish, int must_come)
{
    int64_t status;
    uint32_t nonce;
    CHECK_EQ(vcp_conn_set_deadline(conn, at_most(10000)), VCP_OK);
    nonce = ask_wishing(conn, me->serial++, wish, &status);
    if (nonce == 0) {
        CHECK(status != VCP_ERR_TIMEOUT || work.is_faulty);
        CHECK(status != VCP_ERR_IO || vcp_last_errno() != EINTR);
        CHECK(!must_come || work.is_faulty || status == VCP_ERR_POOL_CLOSED);
    }
    return nonce;
}

static inline void act_hit(actor *me)
{
    vcp_conn *conn;
    uint32_t nonce;
    const server *s = some_server(me);
    int fd = vcp_dial(workload_pool(FAST), s->network, s->address, &conn);
    note(me, FAST, fd);
    if (fd < 0) {
        return;
    }
    own_fd(fd);
    __atomic_store_n(&me->borrowed, conn, __ATOMIC_RELAXED);
    nonce = draw(&me->random, 16) == 0 ? act_ask(me, conn, WISH_ANSWER, 1) : 0;
    act_give_back(conn, fd, nonce);
}

static inline vcp_dial_options act_options(actor *me)
{
    static const uint32_t flags[] = {
        0, 0, 0, 0, VCP_DIAL_FRESH, VCP_DIAL_REUSE_ONLY, VCP_DIAL_NONBLOCKING, VCP_DIAL_BLOCKING};
    static const int64_t times[] = {VCP_POOL_DEFAULT, VCP_POOL_DEFAULT, 1, 3, 20};
    static const int64_t waits[] = {VCP_POOL_DEFAULT, VCP_FOREVER, 0, 1, 5};
    vcp_dial_options d = dial_options(DRAW_OF(&me->random, flags));
    d.timeout_ms = DRAW_OF(&me->random, times);
    d.wait_timeout_ms = DRAW_OF(&me->random, waits);
    d.cancel = draw(&me->random, 2) ? me->cancel : NULL;
    return d;
}

static inline void act_fight(actor *me)
{
    vcp_dial_options d = act_options(me);
    vcp_conn *conn;
    int fd = act_dial(me, FIGHT, some_tcp_server(me)->address, &d, &conn);
    if (fd >= 0) {
        act_end(me, conn, fd, act_ask(me, conn, WISH_ANSWER, 1));
    }
    check_limit(FIGHT);
}

/* The server does what is not expected of it, and the borrower waits in vain. */
static inline void act_fussy(actor *me)
{
    static const uint32_t wishes[] = {WISH_ANSWER,          WISH_ANSWER, WISH_ANSWER_AND_END,
                                      WISH_ANSWER_AND_DIRT, WISH_END,    WISH_RESET};
    vcp_dial_options d = act_options(me);
    vcp_conn *conn;
    uint32_t nonce = 0;
    int fd;
    d.flags &= ~(uint32_t)(VCP_DIAL_NONBLOCKING | VCP_DIAL_BLOCKING);
    d.reuse_tag = draw(&me->random, 4) ? NULL : "tag";
    fd = act_dial(me, FUSSY, some_server(me)->address, &d, &conn);
    if (fd >= 0 && draw(&me->random, 64) == 0) {
        int64_t began = now_ms();
        int result;
        CHECK_EQ(vcp_conn_set_deadline(conn, 3), VCP_OK);
        result = vcp_conn_wait(conn, VCP_READABLE);
        if (result == VCP_ERR_TIMEOUT) {
            note_lateness(me, began, 3);
        }
    } else if (fd >= 0) {
        nonce = act_ask(me, conn, DRAW_OF(&me->random, wishes), 0);
    }
    if (fd >= 0) {
        act_end(me, conn, fd, nonce);
    }
    check_limit(FUSSY);
}

static inline void act_hooked(actor *me)
{
    char name[32];
    vcp_dial_options d = dial_options(0);
    vcp_conn *conn;
    int fd;
    snprintf(name, sizeof name, "%c%u.test:%d", draw(&me->random, 32) ? 'h' : 'x',
             1 + draw(&me->random, 3), some_tcp_server(me)->port);
    d.timeout_ms = draw(&me->random, 2) ? 50 : VCP_POOL_DEFAULT;
    d.label = "an actor";
    fd = act_dial(me, HOOKED, name, &d, &conn);
    if (fd >= 0) {
        uint32_t nonce = act_ask(me, conn, WISH_ANSWER, 0);
        CHECK(vcp_conn_data(conn) != NULL);
        if (draw(&me->random, 16) == 0) {
            CHECK_EQ(vcp_conn_discard(conn), VCP_OK);
        }
        act_give_back(conn, fd, nonce);
    }
    check_limit(HOOKED);
}

static inline void act_session(actor *me)
{
    vcp_dial_options d = dial_options(draw(&me->random, 8) ? 0 : VCP_DIAL_FRESH);
    vcp_conn *conn;
    int fd;
    d.timeout_ms = draw(&me->random, 2) ? 50 : VCP_POOL_DEFAULT;
    fd = act_dial(me, SESSIONS, "db.invalid:1", &d, &conn);
    if (fd >= 0) {
        session_life *s = (session_life *)vcp_conn_data(conn);
        uint32_t nonce;
        session_call_begins(s);
        CHECK_EQ(s->fd, fd);
        nonce = ask_raw(fd, me->serial++);
        CHECK(nonce != 0 || work.is_faulty);
        CHECK_EQ(vcp_conn_report(conn, nonce != 0 ? (int64_t)sizeof(answer) : 0, 0), VCP_OK);
        session_call_ends(s);
        act_give_back(conn, fd, nonce);
    }
    check_limit(SESSIONS);
}

#endif
