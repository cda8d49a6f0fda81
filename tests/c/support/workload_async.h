/*
 * workload_async.h - asynchronous dials of an actor, each answered once, and what disturbs the
 * pools of workload.h: evictions, tokens, puts, limits, closes.
 */
#ifndef WORKLOAD_ASYNC_H
#define WORKLOAD_ASYNC_H

#include "workload_acts.h"

/* ---- asynchronous dials ---- */

static inline void act_let_go(actor *me)
{
    vcp_conn *conn = me->held[--me->held_count];
    int fd = vcp_conn_raw_fd(conn);
    CHECK(fd >= 0);
    act_end(me, conn, fd, draw(&me->random, 2) ? act_ask(me, conn, WISH_ANSWER, 1) : 0);
}

static inline void act_hold(actor *me, vcp_conn *conn)
{
    own_fd(vcp_conn_raw_fd(conn));
    me->held[me->held_count++] = conn;
    while (me->held_count > 2) {
        act_let_go(me);
    }
}

static inline void act_begin(actor *me)
{
    vcp_dial_options d = act_options(me);
    unsigned char *token = &DRAW_OF(&me->random, me->pending);
    const char *address = draw(&me->random, 8) ? some_tcp_server(me)->address : work.nobody.address;
    vcp_conn *conn = NULL;
    int status;
    if (*token) {
        return;
    }
    d.timeout_ms = 1 + draw(&me->random, 40);
    d.flags |= draw(&me->random, 2) ? VCP_DIAL_QUEUED : 0;
    status = vcp_dial_async(workload_pool(QUEUED), "tcp", address, &d, me->queue, token, &conn);
    note(me, QUEUED, status);
    if (conn != NULL) {
        act_hold(me, conn);
    } else if (status == VCP_ERR_IN_PROGRESS || status == VCP_OK) {
        CHECK_EQ(status == VCP_OK, (d.flags & VCP_DIAL_QUEUED) != 0);
        *token = 1;
    }
}

/* Every answer is to a dial that waits for one. */
static inline int act_fetch(actor *me)
{
    vcp_completion completion;
    unsigned char *token;
    int filled = vcp_queue_next(me->queue, &completion, sizeof completion);
    CHECK(filled >= 0);
    if (!filled) {
        return 0;
    }
    token = (unsigned char *)completion.token;
    CHECK(token >= me->pending && token < me->pending + TOKENS);
    CHECK_EQ(*token, 1);
    *token = 0;
    CHECK((completion.status >= 0) == (completion.conn != NULL));
    note(me, QUEUED, completion.status);
    if (completion.conn != NULL) {
        act_hold(me, completion.conn);
    }
    return 1;
}

/* The dials of the old one are answered by nobody. */
static inline void act_free_queue(actor *me)
{
    CHECK_EQ(vcp_queue_free(me->queue), VCP_OK);
    CHECK_EQ(vcp_queue_free(me->queue), VCP_ERR_INVALID_HANDLE);
    memset(me->pending, 0, sizeof me->pending);
    while (vcp_queue_new(&me->queue) != VCP_OK) {
        CHECK(work.is_faulty);
    }
}

static inline int act_is_pending(const actor *me)
{
    return memchr(me->pending, 1, sizeof me->pending) != NULL;
}

/* ---- disturbances ---- */

static inline void act_new_cancel(actor *me)
{
    while (vcp_cancel_new(&me->cancel) != VCP_OK) {
        CHECK(work.is_faulty);
    }
}

static inline void act_cancel(actor *me)
{
    vcp_cancel *old = me->cancel;
    vcp_cancel *none = NULL;
    act_new_cancel(me);
    CHECK_EQ(vcp_cancel_fire(old), VCP_OK);
    CHECK_EQ(vcp_cancel_free(old), VCP_OK);
    CHECK_EQ(vcp_cancel_free(none), VCP_OK);
}

static inline void act_put(actor *me)
{
    static const int kinds[] = {FIGHT, FUSSY};
    const server *s = some_tcp_server(me);
    int fd = workload_connects(s);
    vcp_pool *pool = workload_pool(DRAW_OF(&me->random, kinds));
    if (fd >= 0 && vcp_pool_put(pool, fd, s->network, s->address, NULL) != VCP_OK) {
        close(fd);
    }
}

static inline void act_get(actor *me)
{
    static const int kinds[] = {FIGHT, FUSSY};
    const server *s = some_tcp_server(me);
    int fd = vcp_pool_get(workload_pool(DRAW_OF(&me->random, kinds)), s->network, s->address, NULL);
    if (fd >= 0) {
        own_fd(fd);
        disown_fd(fd);
        close(fd);
    }
}

/* Never above what check_limit knows. */
static inline void act_set_limits(actor *me)
{
    static const int kinds[] = {FIGHT, FUSSY, QUEUED};
    int kind = DRAW_OF(&me->random, kinds);
    vcp_pool_options o = workload_options(kind);
    int status;
    o.max_conns = 1 + draw(&me->random, (uint32_t)pool_limits[kind]);
    o.max_idle = draw(&me->random, 4);
    status = vcp_pool_set_limits(workload_pool(kind), &o);
    CHECK(status == VCP_OK || status == VCP_ERR_POOL_CLOSED);
}

static inline void act_look(actor *me)
{
    char text[512];
    vcp_pool *pool = workload_pool((int)draw(&me->random, POOLS));
    int64_t size = vcp_pool_describe(pool, (int32_t)draw(&me->random, 4), text, sizeof text);
    int64_t count = vcp_pool_conn_count(pool);
    CHECK(size > 0 || size == VCP_ERR_POOL_CLOSED);
    CHECK(count >= 0 || count == VCP_ERR_POOL_CLOSED);
}

/* Only these are aborted: the others' borrowers can rely on an answer. */
static inline void act_new_pool(actor *me)
{
    int kind = (int)draw(&me->random, POOLS);
    vcp_pool *fresh = work.keeps_pools ? NULL : workload_pool_new(pool_life_new(kind));
    vcp_pool *old;
    if (fresh == NULL) {
        return;
    }
    old = __atomic_exchange_n(&work.pools[kind], fresh, __ATOMIC_SEQ_CST);
    if ((kind == FIGHT || kind == HOOKED) && draw(&me->random, 2)) {
        CHECK_EQ(vcp_pool_abort(old), VCP_OK);
    }
    if (draw(&me->random, 2)) {
        CHECK(vcp_pool_drain(old, 5) >= 0);
    }
    CHECK_EQ(vcp_pool_close(old), VCP_OK);
    CHECK_EQ(vcp_pool_close(old), VCP_ERR_POOL_CLOSED);
}

static inline void act_warm(actor *me)
{
    vcp_dial_options d = dial_options(0);
    const server *s = some_server(me);
    int status;
    d.timeout_ms = 20;
    status = vcp_pool_warm(workload_pool(FUSSY), s->network, s->address, &d, 2);
    if (status != VCP_ERR_IDLE_FULL) {
        note(me, FUSSY, status);
    }
}

static inline void act_disturb(actor *me)
{
    vcp_pool *pool = workload_pool((int)draw(&me->random, POOLS));
    int status = VCP_OK;
    switch (draw(&me->random, 10)) {
    case 0:
        status = vcp_pool_evict(pool, NULL, NULL);
        break;
    case 1:
        status = vcp_pool_evict(pool, "tcp", some_tcp_server(me)->address);
        break;
    case 2:
        status = vcp_pool_close_idle(pool);
        break;
    case 3:
        act_cancel(me);
        break;
    case 4:
        act_put(me);
        break;
    case 5:
        act_get(me);
        break;
    case 6:
        act_set_limits(me);
        break;
    case 7:
        act_look(me);
        break;
    case 8:
        act_warm(me);
        break;
    default:
        if (draw(&me->random, 4) == 0) {
            act_new_pool(me);
        } else if (draw(&me->random, 4) == 0) {
            act_free_queue(me);
        }
    }
    CHECK(status == VCP_OK || status == VCP_ERR_POOL_CLOSED);
}

#endif
