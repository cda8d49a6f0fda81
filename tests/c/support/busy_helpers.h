/*
 * All helper threads of the library in the program's hands: whatever needs one waits until they are
 * let go.
 */
#ifndef BUSY_HELPERS_H
#define BUSY_HELPERS_H

#include "completions.h"

/* Callbacks of dials hold so many of the 64 threads; the others are kept for other kinds. */
#define HELPERS 42

typedef struct busy_helpers {
    vcp_pool *pool;
    vcp_queue *queue;
    int inside;
    int may_go;
} busy_helpers;

static inline int holds_a_helper(void *user, const char *network, const char *address,
                                 int64_t timeout_ms)
{
    busy_helpers *b = (busy_helpers *)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    __sync_add_and_fetch(&b->inside, 1);
    while (__sync_add_and_fetch(&b->may_go, 0) == 0) {
        let_pass(1);
    }
    return -1;
}

/* From now on none is free. The struct must stay where it is. */
static inline void busy_helpers_start(busy_helpers *b)
{
    vcp_pool_options options = pool_options();
    int i;
    memset(b, 0, sizeof *b);
    options.user = b;
    options.dial = holds_a_helper;
    options.dial_timeout_ms = 0;
    b->pool = pool_new(&options);
    b->queue = queue_new();
    for (i = 0; i < HELPERS; i++) {
        vcp_conn *conn;
        CHECK_EQ(vcp_dial_async(b->pool, "tcp", "127.0.0.1:1", NULL, b->queue, b, &conn),
                 VCP_ERR_IN_PROGRESS);
    }
    EVENTUALLY(__sync_add_and_fetch(&b->inside, 0) == HELPERS, 10000);
}

/* All are free again. */
static inline void busy_helpers_end(busy_helpers *b)
{
    int i;
    __sync_add_and_fetch(&b->may_go, 1);
    for (i = 0; i < HELPERS; i++) {
        next_fails(b->queue, b, VCP_ERR_CALLBACK);
    }
    CHECK_EQ(vcp_queue_free(b->queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(b->pool), VCP_OK);
}

#endif
