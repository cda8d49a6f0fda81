/* Asynchronous dials, as the tests of several programs use them. */
#ifndef COMPLETIONS_H
#define COMPLETIONS_H

#include "check.h"

static inline vcp_queue *queue_new(void)
{
    vcp_queue *queue = NULL;
    CHECK_EQ(vcp_queue_new(&queue), VCP_OK);
    CHECK(queue != NULL);
    return queue;
}

/* A completion waits: the descriptor says so. */
static inline int has_completion(vcp_queue *queue)
{
    struct pollfd one;
    one.fd = vcp_queue_fd(queue);
    one.events = POLLIN;
    one.revents = 0;
    CHECK(one.fd >= 0);
    return poll(&one, 1, 0) == 1;
}

static inline vcp_completion next_completion(vcp_queue *queue)
{
    vcp_completion completion;
    memset(&completion, 0, sizeof completion);
    CHECK(readable_within(vcp_queue_fd(queue), 10000));
    CHECK_EQ(vcp_queue_next(queue, &completion, sizeof completion), 1);
    CHECK_EQ(completion.size, sizeof completion);
    CHECK((completion.status >= 0) == (completion.conn != NULL));
    return completion;
}

/* The next one, which must be of that token and succeed. */
static inline vcp_conn *next_conn(vcp_queue *queue, void *token)
{
    vcp_completion completion = next_completion(queue);
    CHECK(completion.token == token);
    if (completion.status < 0) {
        printf("  %s\n", vcp_last_error());
    }
    CHECK(completion.status >= 0);
    CHECK_EQ(vcp_conn_raw_fd(completion.conn), completion.status);
    return completion.conn;
}

static inline void next_fails(vcp_queue *queue, void *token, int status)
{
    vcp_completion completion = next_completion(queue);
    CHECK(completion.token == token);
    if (completion.status != status) {
        printf("  %s\n", vcp_last_error());
    }
    CHECK_EQ(completion.status, status);
    CHECK(completion.conn == NULL);
}

static inline int dial_async(vcp_pool *pool, const server *s, const vcp_dial_options *options,
                             vcp_queue *queue, void *token, vcp_conn **conn)
{
    return vcp_dial_async(pool, s->network, s->address, options, queue, token, conn);
}

/* Begins a dial that is answered later. */
static inline void begin_dial(vcp_pool *pool, const server *s, const vcp_dial_options *options,
                              vcp_queue *queue, void *token)
{
    vcp_conn *conn = (vcp_conn *)token;
    CHECK_EQ(dial_async(pool, s, options, queue, token, &conn), VCP_ERR_IN_PROGRESS);
    CHECK(conn == NULL);
}

#endif
