/*
 * vcp_probe_request.c - one request: a dial, a ping if there is one, and the giving back.
 */
#include <string.h>
#include "vcp_probe.h"

static int pool_of(const options *how, uint32_t kept, vcp_pool **pool)
{
    vcp_pool_options pool_options;
    int status = vcp_pool_options_init(&pool_options, sizeof pool_options);
    if (status < 0)
        return status;
    pool_options.max_idle_per_address = kept;
    pool_options.max_conns = (uint32_t)how->max_conns;
    pool_options.wait_timeout_ms = VCP_FOREVER; /* as long as the dial may take */
    pool_options.dial_timeout_ms = how->timeout_ms;
    pool_options.liveness = how->liveness;
    return vcp_pool_new(&pool_options, pool);
}

static int dial_options_of(vcp_dial_options *made, uint32_t flags, vcp_cancel *cancel)
{
    int status = vcp_dial_options_init(made, sizeof *made);
    made->flags = flags;
    made->cancel = cancel;
    return status;
}

int client_open(client *opened, const options *how)
{
    *opened = (client){.how = how};
    int status = pool_of(how, 0, &opened->pools[FRESH_SIDE]);
    if (status >= 0)
        status = pool_of(how, (uint32_t)how->threads, &opened->pools[POOLED_SIDE]);
    if (status >= 0)
        status = dial_options_of(&opened->take_idle, VCP_DIAL_REUSE_ONLY, NULL);
    if (status >= 0)
        status = dial_options_of(&opened->dial_any, 0, stop_token());
    if (status >= 0)
        status = dial_options_of(&opened->dial_fresh, VCP_DIAL_FRESH, stop_token());
    return status;
}

void client_close(client *opened)
{
    for (int i = 0; i < SIDES; i++)
        vcp_pool_close(opened->pools[i]);
}

static int dial(const client *from, side of, const vcp_dial_options *with, vcp_conn **conn)
{
    const options *how = from->how;
    return vcp_dial_with(from->pools[of], how->network, how->address, with, conn);
}

static int dial_fresh(const client *from, side of, vcp_conn **conn)
{
    return dial(from, of, &from->dial_fresh, conn);
}

/* An idle connection is asked for without the token, as vcp_dial asks: a token would take the slow
 * path. A dial that may last carries it. */
static int dial_pooled(const client *from, side of, vcp_conn **conn)
{
    int fd = dial(from, of, &from->take_idle, conn);
    return fd == VCP_ERR_NOT_AVAILABLE ? dial(from, of, &from->dial_any, conn) : fd;
}

static int ends_with(const char *bytes, size_t size, const text *end)
{
    return size >= end->size && memcmp(bytes + size - end->size, end->bytes, end->size) == 0;
}

static int64_t send_ping(const options *how, vcp_conn *conn)
{
    int64_t result = vcp_conn_set_deadline(conn, how->timeout_ms);
    if (result >= 0)
        result = vcp_conn_set_cancel(conn, stop_token());
    return result < 0 ? result : vcp_conn_write(conn, how->send.bytes, how->send.size);
}

/* Reads until the answer ends as it must. Returns a status. */
static int64_t read_answer(const text *end, vcp_conn *conn, char *answer)
{
    size_t got = 0;
    int64_t result = VCP_OK;
    while (result >= 0 && !ends_with(answer, got, end)) {
        if (got == ANSWER_SIZE) { /* only its end matters */
            got = end->size - 1;
            memmove(answer, answer + ANSWER_SIZE - got, got);
        }
        result = vcp_conn_read(conn, answer + got, ANSWER_SIZE - got);
        if (result == 0)
            return vcp_set_last_error(VCP_ERR_IO, "the server hung up before the answer's end");
        got += result > 0 ? (size_t)result : 0;
    }
    return result;
}

static int ping(const options *how, vcp_conn *conn, char *answer)
{
    int64_t result = send_ping(how, conn);
    if (result >= 0)
        result = read_answer(&how->expect, conn, answer);
    return result < 0 ? (int)result : VCP_OK;
}

typedef int dial_function(const client *from, side of, vcp_conn **conn);

static outcome attempt(const client *from, side of, dial_function *by, char *answer)
{
    outcome out = {.kind = FRESH};
    vcp_conn *conn = NULL;
    uint64_t begin = now_ns();
    out.status = by(from, of, &conn);
    out.dial_ns = now_ns() - begin;
    out.has_connected = out.status >= 0;
    if (out.status >= 0 && of == POOLED_SIDE)
        out.kind = vcp_conn_is_reused(conn) == 1 ? REUSED : MISSED;
    if (out.status >= 0 && from->how->send.bytes != NULL) {
        out.status = ping(from->how, conn, answer);
        if (out.status < 0)
            out.retries = vcp_conn_should_retry(conn) == 1;
    }
    vcp_conn_close(conn); /* NULL, if the dial failed, is fine */
    out.request_ns = now_ns() - begin;
    return out;
}

/* As a program over a pool does it: a reused connection that ended before its answer began gets one
 * more try, and both together are one request that missed. */
outcome request(const client *from, side of, char *answer)
{
    if (of == FRESH_SIDE)
        return attempt(from, of, dial_fresh, answer);
    outcome first = attempt(from, of, dial_pooled, answer);
    if (first.retries == 0)
        return first;
    outcome second = attempt(from, of, dial_fresh, answer);
    second.kind = MISSED;
    second.has_connected = 1;
    second.dial_ns += first.dial_ns;
    second.request_ns += first.request_ns;
    second.retries = 1;
    return second;
}
