/*
 * loop_epoll - 1,000 concurrent requests in one thread: vcp_dial_async, a queue, and epoll.
 *
 *     loop_epoll host:port [requests]
 *
 * All requests begin at once. The pool opens at most 50 connections; the other requests wait at
 * that limit, in order.
 */
#define _POSIX_C_SOURCE 200809L

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>
#include <vconnpool.h>

enum { MOST_CONNECTIONS = 50, AT_ONCE = 64, DEADLINE_MS = 20000 };

typedef struct {
    vcp_conn *conn;
    char text[2048];
    size_t got;
    int is_reading;
} request;

static const char *address;
static int loop;
static int left;
static int failed;

static void end(request *r, int is_well)
{
    if (r->conn != NULL) {
        /* Out of the loop first: the descriptor stays open in the pool. */
        if (r->is_reading && epoll_ctl(loop, EPOLL_CTL_DEL, vcp_conn_raw_fd(r->conn), NULL) != 0)
            is_well = 0;
        if (!is_well && vcp_conn_discard(r->conn) != VCP_OK)
            failed++;
        if (vcp_conn_close(r->conn) != VCP_OK)
            failed++;
    }
    if (!is_well)
        failed++;
    left--;
}

/* Connected: the request goes out (it is small, and fits the socket's buffer), and the loop waits
 * for the answer. */
static void send_request(request *r, vcp_conn *conn)
{
    struct epoll_event event;
    int size = snprintf(r->text, sizeof r->text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", address);
    r->conn = conn;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    event.data.ptr = r;
    if (vcp_conn_try_write(conn, r->text, (size_t)size) != size ||
        epoll_ctl(loop, EPOLL_CTL_ADD, vcp_conn_raw_fd(conn), &event) != 0) {
        end(r, 0);
        return;
    }
    r->is_reading = 1;
}

static void read_answer(request *r)
{
    const char *body;
    const char *length;
    int64_t count = vcp_conn_try_read(r->conn, r->text + r->got, sizeof r->text - 1 - r->got);
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

static void take_completions(vcp_queue *queue)
{
    vcp_completion completion;
    while (vcp_queue_next(queue, &completion, sizeof completion) == 1) {
        if (completion.status >= 0) {
            send_request((request *)completion.token, completion.conn);
        } else {
            fprintf(stderr, "loop_epoll: %s\n", vcp_last_error());
            end((request *)completion.token, 0);
        }
    }
}

static int run(vcp_queue *queue)
{
    struct epoll_event events[AT_ONCE];
    while (left > 0) {
        int i;
        int count = epoll_wait(loop, events, AT_ONCE, DEADLINE_MS);
        if (count == 0 || (count < 0 && errno != EINTR))
            return -1;
        for (i = 0; i < count; i++) {
            if (events[i].data.ptr == queue)
                take_completions(queue);
            else
                read_answer((request *)events[i].data.ptr);
        }
    }
    return 0;
}

int main(int argc, char **argv)
{
    int requests = argc > 2 ? atoi(argv[2]) : 1000;
    request *all = requests > 0 ? (request *)calloc((size_t)requests, sizeof *all) : NULL;
    struct epoll_event event;
    vcp_pool_options options;
    vcp_dial_options dial;
    vcp_stats stats;
    vcp_pool *pool;
    vcp_queue *queue;
    vcp_conn *conn;
    int i;
    if (argc < 2 || all == NULL) {
        fprintf(stderr, "usage: loop_epoll host:port [requests]\n");
        return 2;
    }
    address = argv[1];
    if (vcp_pool_options_init(&options, sizeof options) != VCP_OK ||
        vcp_dial_options_init(&dial, sizeof dial) != VCP_OK)
        return 1;
    options.max_conns = MOST_CONNECTIONS;
    options.wait_timeout_ms = VCP_FOREVER;
    options.nonblocking = 1;
    dial.flags = VCP_DIAL_QUEUED; /* hits come through the queue too: one way for all */
    loop = epoll_create1(EPOLL_CLOEXEC);
    if (vcp_pool_new(&options, &pool) != VCP_OK || vcp_queue_new(&queue) != VCP_OK)
        return 1;
    memset(&event, 0, sizeof event);
    event.events = EPOLLIN;
    event.data.ptr = queue;
    if (loop < 0 || epoll_ctl(loop, EPOLL_CTL_ADD, vcp_queue_fd(queue), &event) != 0)
        return 1;
    for (i = 0; i < requests; i++, left++)
        if (vcp_dial_async(pool, "tcp", address, &dial, queue, &all[i], &conn) != VCP_OK)
            return 1;
    if (run(queue) != 0 || vcp_pool_stats(pool, &stats, sizeof stats) != VCP_OK ||
        vcp_queue_free(queue) != VCP_OK || vcp_pool_close(pool) != VCP_OK || close(loop) != 0)
        return 1;
    free(all);
    printf("%d requests, %d failed, %" PRIu64 " connections\n", requests, failed,
           stats.dials - stats.dial_failures);
    return failed > 0;
}
