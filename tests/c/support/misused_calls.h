/*
 * misused_calls.h - every function of the library that takes a handle, called with wrong values.
 */
#ifndef MISUSED_CALLS_H
#define MISUSED_CALLS_H

#include "misuse.h"

/* Whether a call ends what it is given: NULL is fine for a _close and a _free. */
typedef enum ending { ENDS_NOTHING, BY_CLOSE, OTHERWISE } ending;

typedef struct misused_call {
    const char *name;
    handle_kind kind;
    ending ends;
    int64_t (*call)(misuser *m, void *handle);
} misused_call;

/* Zeros: what is written to the server asks nothing that a proper user could have asked. */
static char zeros[64];
static int proper_fd; /* of the pool that the proper users have */
static vcp_resolved *last_resolved;

#define MISUSE(kind, name, type, result)                       \
    static inline int64_t misuse_##name(misuser *m, void *one) \
    {                                                          \
        type *handle = (type *)one;                            \
        char text[64];                                         \
        (void)m;                                               \
        (void)text;                                            \
        return result;                                         \
    }

#define ON_CONN(name, result) MISUSE(A_CONN, name, vcp_conn, result)
#define ON_POOL(name, result) MISUSE(A_POOL, name, vcp_pool, result)

/* Buffers are NULL with every size, or real ones with sizes that they have. */
#define SOME_TEXT draw(&m->random, 4) ? text : NULL, any_size(m)
#define SOME_ZEROS draw(&m->random, 4) ? zeros : NULL, any_size(m)

static inline vcp_cancel *any_cancel(misuser *m)
{
    m->gave_two = 1;
    return (vcp_cancel *)any_handle(m, A_CANCEL).value;
}

static inline int64_t ended_if(misuser *m, handle_kind kind, void *value, int64_t result)
{
    if (result >= 0 && value != NULL) {
        shared_ended(m, kind, value);
    }
    return result;
}

/* ---- of connections ---- */

static inline int64_t misuse_detach(misuser *m, void *one)
{
    int fd = vcp_conn_detach((vcp_conn *)one);
    /* 0 is a session's that has no descriptor. */
    if (fd > 2) {
        close(fd);
    }
    return ended_if(m, A_CONN, one, fd);
}

static inline void free_nothing(void *data)
{
    CHECK(data == zeros);
}

static inline int64_t data_of(vcp_conn *conn)
{
    return vcp_conn_data(conn) == NULL ? VCP_ERR_CONN_CLOSED : VCP_OK;
}

ON_CONN(conn_close, ended_if(m, A_CONN, one, vcp_conn_close(handle)))
ON_CONN(raw_fd, vcp_conn_raw_fd(handle))
ON_CONN(discard, vcp_conn_discard(handle))
ON_CONN(is_reused, vcp_conn_is_reused(handle))
ON_CONN(uses, vcp_conn_uses(handle))
ON_CONN(idle_ms, vcp_conn_idle_ms(handle))
ON_CONN(age_ms, vcp_conn_age_ms(handle))
ON_CONN(should_retry, vcp_conn_should_retry(handle))
ON_CONN(set_liveness, vcp_conn_set_liveness(handle, any_number(m)))
ON_CONN(set_cancel, vcp_conn_set_cancel(handle, any_cancel(m)))
ON_CONN(conn_wait, vcp_conn_wait(handle, any_number(m)))
ON_CONN(try_read, vcp_conn_try_read(handle, SOME_TEXT))
ON_CONN(try_write, vcp_conn_try_write(handle, SOME_ZEROS))
ON_CONN(read, vcp_conn_read(handle, SOME_TEXT))
ON_CONN(read_full, vcp_conn_read_full(handle, SOME_TEXT))
ON_CONN(write, vcp_conn_write(handle, SOME_ZEROS))
ON_CONN(shutdown, vcp_conn_shutdown(handle, any_number(m)))
ON_CONN(report, vcp_conn_report(handle, any_time(m), any_number(m)))
ON_CONN(set_deadline, vcp_conn_set_deadline(handle, any_time(m)))
ON_CONN(set_read_deadline, vcp_conn_set_read_deadline(handle, any_time(m)))
ON_CONN(set_write_deadline, vcp_conn_set_write_deadline(handle, any_time(m)))
ON_CONN(set_deadline_at, vcp_conn_set_deadline_at(handle, vcp_now_ms() + any_time(m) / 2))
ON_CONN(local_address, vcp_conn_local_address(handle, SOME_TEXT))
ON_CONN(remote_address, vcp_conn_remote_address(handle, SOME_TEXT))
ON_CONN(network, vcp_conn_network(handle, SOME_TEXT))
ON_CONN(address, vcp_conn_address(handle, SOME_TEXT))
ON_CONN(reuse_tag, vcp_conn_reuse_tag(handle, SOME_TEXT))
ON_CONN(set_data, vcp_conn_set_data(handle, draw(&m->random, 2) ? zeros : NULL, free_nothing))
ON_CONN(data, data_of(handle))

/* ---- of pools ---- */

/* A connection that a misuser got is everybody's; its calls end soon. */
static inline void share_conn(misuser *m, vcp_conn *conn)
{
    CHECK_EQ(vcp_conn_set_deadline(conn, 1), VCP_OK);
    if (!share(A_CONN, conn)) {
        CHECK_EQ(vcp_conn_close(conn), VCP_OK);
        remember_stale(m, A_CONN, conn);
    }
}

static inline vcp_dial_options some_dial_options(misuser *m)
{
    vcp_dial_options options = dial_options(draw(&m->random, 64));
    options.timeout_ms = any_time(m);
    options.wait_timeout_ms = any_time(m);
    options.reuse_tag = any_text(m);
    options.cancel = any_cancel(m);
    if (draw(&m->random, 8) == 0) {
        options.size = any_size(m);
    } else if (draw(&m->random, 2)) {
        options = dial_options(0);
        options.timeout_ms = at_most(20);
    }
    return options;
}

static inline int64_t misuse_dial_with(misuser *m, void *one)
{
    vcp_dial_options options = some_dial_options(m);
    vcp_conn *conn = (vcp_conn *)zeros;
    int is_null = draw(&m->random, 16) == 0;
    int64_t fd = vcp_dial_with((vcp_pool *)one, any_network(m), any_address(m), &options,
                               is_null ? NULL : &conn);
    if (fd >= 0) {
        share_conn(m, conn);
    } else {
        CHECK(is_null || conn == NULL);
    }
    return fd;
}

static inline int64_t misuse_dial(misuser *m, void *one)
{
    vcp_conn *conn = NULL;
    int64_t fd = vcp_dial((vcp_pool *)one, any_network(m), any_address(m), &conn);
    if (fd >= 0) {
        share_conn(m, conn);
    }
    return fd;
}

static inline int64_t misuse_dial_async(misuser *m, void *one)
{
    vcp_dial_options options = some_dial_options(m);
    vcp_conn *conn = NULL;
    vcp_queue *queue = (vcp_queue *)any_handle(m, A_QUEUE).value;
    int64_t fd = vcp_dial_async((vcp_pool *)one, any_network(m), any_address(m), &options, queue,
                                zeros, &conn);
    m->gave_two = 1;
    if (conn != NULL) {
        share_conn(m, conn);
    }
    return fd;
}

static inline int64_t misuse_warm(misuser *m, void *one)
{
    vcp_dial_options options = some_dial_options(m);
    return vcp_pool_warm((vcp_pool *)one, any_network(m), any_address(m), &options,
                         draw(&m->random, 3));
}

/* No pool takes what another one has, or what is no connection. */
static inline int64_t misuse_put(misuser *m, void *one)
{
    int bad[] = {-1, 0, 1 << 20, INT_MIN, __atomic_load_n(&proper_fd, __ATOMIC_RELAXED)};
    int fd = DRAW_OF(&m->random, bad);
    int64_t result = draw(&m->random, 2) ? vcp_pool_put((vcp_pool *)one, fd, any_network(m),
                                                        any_address(m), any_text(m))
                                         : vcp_pool_add((vcp_pool *)one, fd);
    CHECK(result < 0);
    return result;
}

/* Whatever size it claims, so much is there. */
typedef union sized_session {
    vcp_session real;
    char bytes[64];
} sized_session;

static inline int64_t misuse_put_session(misuser *m, void *one)
{
    sized_session session;
    memset(&session, 0x5a, sizeof session);
    CHECK_EQ(vcp_session_init(&session.real, sizeof session.real), VCP_OK);
    session.real.data = draw(&m->random, 4) ? zeros : NULL;
    session.real.liveness = any_number(m);
    if (draw(&m->random, 4) == 0) {
        session.real.size = any_size(m);
    }
    return vcp_pool_put_session((vcp_pool *)one, draw(&m->random, 8) ? &session.real : NULL,
                                any_network(m), "127.0.0.1:1", any_text(m));
}

static inline int64_t misuse_get(misuser *m, void *one)
{
    int fd = vcp_pool_get((vcp_pool *)one, any_network(m), any_address(m), any_text(m));
    if (fd >= 0) {
        close(fd);
    }
    return fd;
}

static inline int64_t misuse_set_limits(misuser *m, void *one)
{
    vcp_pool_options options = pool_options();
    options.max_conns = draw(&m->random, 9);
    options.max_idle_per_address = draw(&m->random, 9);
    options.idle_timeout_ms = any_time(m);
    options.wait_timeout_ms = draw(&m->random, 2) ? 0 : -7;
    if (draw(&m->random, 4) == 0) {
        options.size = any_size(m);
    }
    return vcp_pool_set_limits((vcp_pool *)one, draw(&m->random, 8) ? &options : NULL);
}

static inline int64_t misuse_stats(misuser *m, void *one)
{
    vcp_stats stats;
    size_t sizes[] = {0, 1, 7, 8, 64, sizeof stats};
    return vcp_pool_stats((vcp_pool *)one, draw(&m->random, 4) ? &stats : NULL,
                          DRAW_OF(&m->random, sizes));
}

ON_POOL(pool_close, ended_if(m, A_POOL, one, vcp_pool_close(handle)))
ON_POOL(drain, vcp_pool_drain(handle, any_time(m)))
ON_POOL(abort, vcp_pool_abort(handle))
ON_POOL(close_idle, vcp_pool_close_idle(handle))
ON_POOL(evict, vcp_pool_evict(handle, any_network(m), any_address(m)))
ON_POOL(conn_count, vcp_pool_conn_count(handle))
ON_POOL(idle_count, vcp_pool_idle_count(handle, any_network(m), any_address(m)))
ON_POOL(describe, vcp_pool_describe(handle, any_number(m), SOME_TEXT))

/* ---- of queues and tokens ---- */

static inline int64_t misuse_queue_next(misuser *m, void *one)
{
    vcp_completion completion;
    size_t sizes[] = {0, 8, sizeof completion, sizeof completion, sizeof completion};
    int64_t result = vcp_queue_next((vcp_queue *)one, draw(&m->random, 8) ? &completion : NULL,
                                    DRAW_OF(&m->random, sizes));
    if (result == 1 && completion.conn != NULL) {
        share_conn(m, completion.conn);
    }
    return result;
}

MISUSE(A_QUEUE, queue_fd, vcp_queue, vcp_queue_fd(handle))
MISUSE(A_QUEUE, queue_free, vcp_queue, ended_if(m, A_QUEUE, one, vcp_queue_free(handle)))
MISUSE(A_CANCEL, fire, vcp_cancel, vcp_cancel_fire(handle))
MISUSE(A_CANCEL, cancel_free, vcp_cancel, ended_if(m, A_CANCEL, one, vcp_cancel_free(handle)))

#define CALL(kind, ends, name)           \
    {                                    \
#name, kind, ends, misuse_##name \
    }
#define CONN_CALL(name) CALL(A_CONN, ENDS_NOTHING, name)
#define POOL_CALL(name) CALL(A_POOL, ENDS_NOTHING, name)

static const misused_call misused_calls[] = {
    CALL(A_CONN, BY_CLOSE, conn_close),
    CALL(A_CONN, OTHERWISE, detach),
    CONN_CALL(raw_fd),
    CONN_CALL(discard),
    CONN_CALL(is_reused),
    CONN_CALL(uses),
    CONN_CALL(idle_ms),
    CONN_CALL(age_ms),
    CONN_CALL(should_retry),
    CONN_CALL(set_liveness),
    CONN_CALL(set_cancel),
    CONN_CALL(conn_wait),
    CONN_CALL(try_read),
    CONN_CALL(try_write),
    CONN_CALL(read),
    CONN_CALL(read_full),
    CONN_CALL(write),
    CONN_CALL(shutdown),
    CONN_CALL(report),
    CONN_CALL(set_deadline),
    CONN_CALL(set_read_deadline),
    CONN_CALL(set_write_deadline),
    CONN_CALL(set_deadline_at),
    CONN_CALL(local_address),
    CONN_CALL(remote_address),
    CONN_CALL(network),
    CONN_CALL(address),
    CONN_CALL(reuse_tag),
    CONN_CALL(set_data),
    CONN_CALL(data),
    CALL(A_POOL, BY_CLOSE, pool_close),
    CALL(A_POOL, OTHERWISE, drain),
    CALL(A_POOL, OTHERWISE, abort),
    POOL_CALL(close_idle),
    POOL_CALL(evict),
    POOL_CALL(conn_count),
    POOL_CALL(idle_count),
    POOL_CALL(describe),
    POOL_CALL(dial),
    POOL_CALL(dial_with),
    POOL_CALL(dial_async),
    POOL_CALL(warm),
    POOL_CALL(put),
    POOL_CALL(put_session),
    POOL_CALL(get),
    POOL_CALL(set_limits),
    POOL_CALL(stats),
    CALL(A_QUEUE, ENDS_NOTHING, queue_next),
    CALL(A_QUEUE, ENDS_NOTHING, queue_fd),
    CALL(A_QUEUE, BY_CLOSE, queue_free),
    CALL(A_CANCEL, ENDS_NOTHING, fire),
    CALL(A_CANCEL, BY_CLOSE, cancel_free),
};

#endif
