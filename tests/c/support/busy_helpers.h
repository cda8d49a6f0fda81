/*
 * All helper threads of the library in the program's hands: whatever needs one waits until they are
 * let go.
 */
#ifndef BUSY_HELPERS_H
#define BUSY_HELPERS_H

#include "completions.h"

/* The header's "at most 64 at once". */
#define CREW 64

typedef struct crew {
    vcp_pool *pool;
    vcp_queue *queue;
    int inside;
    int may_go;
} crew;

static inline int crew_holds(void *user, const char *network, const char *address,
                             int64_t timeout_ms)
{
    crew *c = (crew *)user;
    (void)network;
    (void)address;
    (void)timeout_ms;
    __sync_add_and_fetch(&c->inside, 1);
    while (__sync_add_and_fetch(&c->may_go, 0) == 0) {
        let_pass(1);
    }
    return -1;
}

/* From now on none is free. The crew must stay where it is. */
static inline void crew_begins(crew *c)
{
    vcp_pool_options options = pool_options();
    int i;
    memset(c, 0, sizeof *c);
    options.user = c;
    options.dial = crew_holds;
    options.dial_timeout_ms = 0;
    c->pool = pool_new(&options);
    c->queue = queue_new();
    for (i = 0; i < CREW; i++) {
        vcp_conn *conn;
        CHECK_EQ(vcp_dial_async(c->pool, "tcp", "127.0.0.1:1", NULL, c->queue, c, &conn),
                 VCP_ERR_IN_PROGRESS);
    }
    EVENTUALLY(__sync_add_and_fetch(&c->inside, 0) == CREW, 10000);
}

/* All are free again. */
static inline void crew_ends(crew *c)
{
    int i;
    __sync_add_and_fetch(&c->may_go, 1);
    for (i = 0; i < CREW; i++) {
        next_fails(c->queue, c, VCP_ERR_CALLBACK);
    }
    CHECK_EQ(vcp_queue_free(c->queue), VCP_OK);
    CHECK_EQ(vcp_pool_close(c->pool), VCP_OK);
}

#endif
