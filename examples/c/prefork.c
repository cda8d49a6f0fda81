/*
 * prefork - one pool, made before fork(2) and used by four children, each with connections of its
 * own.
 *
 *     prefork host:port [requests of each child]
 */
#define _POSIX_C_SOURCE 200809L

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vconnpool.h>

enum { CHILDREN = 4, DEADLINE_MS = 5000 };

/* One request over the pool; 0, or -1. */
static int ask(vcp_pool *pool, const char *address)
{
    char text[2048];
    size_t got = 0;
    int is_well = 0;
    int size = snprintf(text, sizeof text, "GET / HTTP/1.1\r\nHost: %s\r\n\r\n", address);
    vcp_conn *conn;
    if (vcp_dial(pool, "tcp", address, &conn) < 0) {
        fprintf(stderr, "prefork: %s\n", vcp_last_error());
        return -1;
    }
    if (vcp_conn_set_deadline(conn, DEADLINE_MS) == VCP_OK &&
        vcp_conn_write(conn, text, (size_t)size) == size) {
        while (!is_well && got + 1 < sizeof text) {
            int64_t count = vcp_conn_read(conn, text + got, sizeof text - 1 - got);
            const char *body;
            const char *length;
            if (count <= 0)
                break;
            got += (size_t)count;
            text[got] = '\0';
            body = strstr(text, "\r\n\r\n");
            length = strstr(text, "\r\nContent-Length: ");
            is_well = body != NULL && length != NULL &&
                      got >= (size_t)(body + 4 - text) + strtoul(length + 18, NULL, 10) &&
                      strncmp(text, "HTTP/1.1 200 ", 13) == 0;
        }
    }
    if (!is_well && vcp_conn_discard(conn) != VCP_OK)
        return -1;
    return vcp_conn_close(conn) == VCP_OK && is_well ? 0 : -1;
}

static int work(vcp_pool *pool, const char *address, int requests, const char *who)
{
    vcp_stats stats;
    int i;
    for (i = 0; i < requests; i++)
        if (ask(pool, address) != 0)
            return 1;
    if (vcp_pool_stats(pool, &stats, sizeof stats) != VCP_OK)
        return 1;
    printf("%s: %d requests, %" PRIu64 " connections\n", who, requests, stats.dials);
    return fflush(stdout) != 0;
}

int main(int argc, char **argv)
{
    int requests = argc > 2 ? atoi(argv[2]) : 100;
    pid_t children[CHILDREN];
    vcp_pool *pool;
    int failed;
    int i;
    if (argc < 2 || requests < 1) {
        fprintf(stderr, "usage: prefork host:port [requests of each child]\n");
        return 2;
    }
    if (vcp_pool_new(NULL, &pool) != VCP_OK) {
        fprintf(stderr, "prefork: %s\n", vcp_last_error());
        return 1;
    }
    /* The parent has an idle connection when it forks. No child sees it: in a child the pool is
     * empty, and works. */
    failed = work(pool, argv[1], 1, "parent");
    for (i = 0; i < CHILDREN; i++) {
        children[i] = fork();
        if (children[i] < 0)
            return 1;
        if (children[i] == 0) {
            failed = work(pool, argv[1], requests, "child");
            return vcp_pool_close(pool) != VCP_OK || failed;
        }
    }
    for (i = 0; i < CHILDREN; i++) {
        int status;
        failed |= waitpid(children[i], &status, 0) != children[i] || status != 0;
    }
    failed |= work(pool, argv[1], requests, "parent");
    return vcp_pool_close(pool) != VCP_OK || failed;
}
