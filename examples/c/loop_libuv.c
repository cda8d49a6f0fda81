/*
 * loop_libuv - 1,000 concurrent requests in one thread: vcp_dial_async, a queue, and libuv.
 *
 *     loop_libuv host:port [requests]
 *
 * A uv_poll_t watches the queue's descriptor, and one watches each connection while it is borrowed.
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <uv.h>
#include <vconnpool.h>

enum { MOST_CONNECTIONS = 50 };

typedef struct {
    uv_poll_t watch;
    vcp_conn *conn;
    char text[2048];
    size_t got;
    int is_well;
} request;

static const char *address;
static vcp_queue *queue;
static uv_poll_t queue_watch;
static int left;
static int failed;

static void is_over(int is_well)
{
    failed += !is_well;
    if (--left == 0)
        uv_close((uv_handle_t *)&queue_watch, NULL);
}

/* libuv has let go of the descriptor: now the connection may go back. */
static void give_back(uv_handle_t *handle)
{
    request *r = (request *)handle->data;
    if (!r->is_well && vcp_conn_discard(r->conn) != VCP_OK)
        fprintf(stderr, "loop_libuv: %s\n", vcp_last_error());
    is_over(vcp_conn_close(r->conn) == VCP_OK && r->is_well);
}

static void end(request *r, int is_well)
{
    r->is_well = is_well;
    uv_close((uv_handle_t *)&r->watch, give_back);
}

static void read_answer(uv_poll_t *watch, int status, int events)
{
    request *r = (request *)watch->data;
    const char *body;
    const char *length;
    int64_t count;
    (void)events;
    count =
        status < 0 ? -1 : vcp_conn_try_read(r->conn, r->text + r->got, sizeof r->text - 1 - r->got);
    if (count == VCP_ERR_WOULD_BLOCK)
        return;
    if (count <= 0) {
        end(r, 0);
        return;
    }
    r->got += (size_t)count;
    r->text[r->got] = '\0';
    body = strstr(r->text, "\r\n\r\n");
    length = strstr(r->text, "\r\nContent-Length: ");
    if (body != NULL && length != NULL &&
        r->got >= (size_t)(body + 4 - r->text) + strtoul(length + 18, NULL, 10))
        end(r, strncmp(r->text, "HTTP/1.1 200 ", 13) == 0);
}

/* Connected: the request goes out (it is small, and fits the socket's buffer), and the loop waits
 * for the answer. */
static void send_request(uv_loop_t *loop, request *r, vcp_conn *conn)
{
    int size = snprintf(r->text, sizeof r->text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", address);
    r->conn = conn;
    if (uv_poll_init(loop, &r->watch, vcp_conn_raw_fd(conn)) != 0) {
        if (vcp_conn_discard(conn) != VCP_OK || vcp_conn_close(conn) != VCP_OK)
            fprintf(stderr, "loop_libuv: %s\n", vcp_last_error());
        is_over(0);
        return;
    }
    r->watch.data = r;
    if (vcp_conn_try_write(conn, r->text, (size_t)size) != size ||
        uv_poll_start(&r->watch, UV_READABLE, read_answer) != 0)
        end(r, 0);
}

static void take_completions(uv_poll_t *watch, int status, int events)
{
    vcp_completion completion;
    (void)status;
    (void)events;
    while (vcp_queue_next(queue, &completion, sizeof completion) == 1) {
        if (completion.status >= 0) {
            send_request(watch->loop, (request *)completion.token, completion.conn);
        } else {
            fprintf(stderr, "loop_libuv: %s\n", vcp_last_error());
            is_over(0);
        }
    }
}

int main(int argc, char **argv)
{
    int requests = argc > 2 ? atoi(argv[2]) : 1000;
    request *all = requests > 0 ? (request *)calloc((size_t)requests, sizeof *all) : NULL;
    uv_loop_t *loop = uv_default_loop();
    vcp_pool_options options;
    vcp_dial_options dial;
    vcp_stats stats;
    vcp_pool *pool;
    vcp_conn *conn;
    int i;
    if (argc < 2 || all == NULL || loop == NULL) {
        fprintf(stderr, "usage: loop_libuv host:port [requests]\n");
        return 2;
    }
    address = argv[1];
    if (vcp_pool_options_init(&options, sizeof options) != VCP_OK ||
        vcp_dial_options_init(&dial, sizeof dial) != VCP_OK)
        return 1;
    options.max_conns = MOST_CONNECTIONS;
    options.wait_timeout_ms = VCP_FOREVER;
    options.nonblocking = 1; /* libuv puts what it polls into that mode anyhow */
    dial.flags = VCP_DIAL_QUEUED;
    if (vcp_pool_new(&options, &pool) != VCP_OK || vcp_queue_new(&queue) != VCP_OK ||
        uv_poll_init(loop, &queue_watch, vcp_queue_fd(queue)) != 0 ||
        uv_poll_start(&queue_watch, UV_READABLE, take_completions) != 0)
        return 1;
    for (i = 0; i < requests; i++, left++)
        if (vcp_dial_async(pool, "tcp", address, &dial, queue, &all[i], &conn) != VCP_OK)
            return 1;
    if (uv_run(loop, UV_RUN_DEFAULT) != 0 || vcp_pool_stats(pool, &stats, sizeof stats) != VCP_OK ||
        vcp_queue_free(queue) != VCP_OK || vcp_pool_close(pool) != VCP_OK ||
        uv_loop_close(loop) != 0)
        return 1;
    free(all);
    printf("%d requests, %d failed, %" PRIu64 " connections\n", requests, failed,
           stats.dials - stats.dial_failures);
    return failed > 0;
}
