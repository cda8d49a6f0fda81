/*
 * quickstart - 1,000 requests over a pool, and the same with a fresh dial each.
 *
 * The echo server in this program hangs up now and then, at the worst moment: it has read a request
 * and does not answer. A reused connection may always end like that, since the peer decides when it
 * has been idle long enough. Such a request deserves one more try on a new connection, provided
 * that doing it twice does no harm: see ask().
 */
#define _POSIX_C_SOURCE 200809L

#include <arpa/inet.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>
#include <vconnpool.h>

enum { REQUESTS = 1000, ANSWERS_PER_CONNECTION = 300, SIZE = 16, DEADLINE_MS = 5000 };

static void fail(const char *what, const char *why)
{
    fprintf(stderr, "quickstart: %s: %s\n", what, why);
    exit(EXIT_FAILURE);
}

/* Passes a result of the library on, or ends the program. */
static int64_t must(const char *what, int64_t result)
{
    if (result < 0)
        fail(what, vcp_last_error());
    return result;
}

static double now_ms(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        fail("clock_gettime", "failed");
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* Serves one connection after another until the listener is shut down; that is enough for a client
 * that has one. */
static void *serve(void *listener)
{
    char request[SIZE];
    int fd;
    while ((fd = accept(*(int *)listener, NULL, NULL)) >= 0) {
        int answered = 0;
        while (recv(fd, request, SIZE, MSG_WAITALL) == SIZE && answered++ < ANSWERS_PER_CONNECTION)
            if (send(fd, request, SIZE, MSG_NOSIGNAL) != SIZE)
                break;
        close(fd);
    }
    return NULL;
}

static int start_server(pthread_t *thread, int *listener, char *address, size_t size)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof name;
    *listener = socket(AF_INET, SOCK_STREAM, 0);
    if (*listener < 0 || bind(*listener, (struct sockaddr *)&name, sizeof name) < 0 ||
        listen(*listener, 128) < 0 || getsockname(*listener, (struct sockaddr *)&name, &length) < 0)
        return -1;
    snprintf(address, size, "127.0.0.1:%d", ntohs(name.sin_port));
    return pthread_create(thread, NULL, serve, listener) == 0 ? 0 : -1;
}

/* Sends one request and reads its answer. Returns SIZE, 0 if the server hung up, or a vcp_status.
 */
static int64_t exchange(vcp_conn *conn, const char *request, char *answer)
{
    int64_t result = vcp_conn_set_deadline(conn, DEADLINE_MS);
    if (result >= 0)
        result = vcp_conn_write(conn, request, SIZE);
    for (size_t got = 0; result > 0 && got < SIZE; got += (size_t)result)
        result = vcp_conn_read(conn, answer + got, SIZE - got);
    return result > 0 ? SIZE : result;
}

/* One request over the pool. Returns how many retries it took: 0 or 1. */
static int ask(vcp_pool *pool, const char *address, int number)
{
    char request[SIZE] = {0}, answer[SIZE];
    vcp_dial_options fresh;
    vcp_conn *conn;
    int retries = 0;
    snprintf(request, sizeof request, "request %d", number);
    must("vcp_dial", vcp_dial(pool, "tcp", address, &conn));
    int64_t result = exchange(conn, request, answer);
    if (result <= 0 && must("vcp_conn_should_retry", vcp_conn_should_retry(conn)) == 1) {
        retries = 1;
        must("vcp_conn_close", vcp_conn_close(conn)); /* really closes it: its exchange failed */
        must("vcp_dial_options_init", vcp_dial_options_init(&fresh, sizeof fresh));
        fresh.flags = VCP_DIAL_FRESH; /* another idle one might have ended too */
        must("vcp_dial_with", vcp_dial_with(pool, "tcp", address, &fresh, &conn));
        result = exchange(conn, request, answer);
    }
    must("exchange", result);
    if (result == 0)
        fail("exchange", "the server hung up");
    if (memcmp(request, answer, SIZE) != 0)
        fail("exchange", "the answer is not the request");
    must("vcp_conn_close", vcp_conn_close(conn)); /* gives it back */
    return retries;
}

/* All requests over one new pool that keeps so many idle connections. Returns how many retries they
 * took. */
static int measure(const char *title, const char *address, uint32_t max_idle)
{
    vcp_pool_options options;
    vcp_pool *pool;
    vcp_stats stats;
    int retries = 0;
    must("vcp_pool_options_init", vcp_pool_options_init(&options, sizeof options));
    options.max_idle_per_address = max_idle;
    must("vcp_pool_new", vcp_pool_new(&options, &pool));
    double start = now_ms();
    for (int i = 0; i < REQUESTS; i++)
        retries += ask(pool, address, i);
    double time = now_ms() - start;
    must("vcp_pool_stats", vcp_pool_stats(pool, &stats, sizeof stats));
    must("vcp_pool_close", vcp_pool_close(pool));
    printf("%-18s %d requests, %4" PRIu64 " dials, %3" PRIu64 " reuses, %d retries, %7.2f ms\n",
           title, REQUESTS, stats.dials, stats.reuses, retries, time);
    return retries;
}

int main(void)
{
    pthread_t server;
    char address[32];
    int listener;
    if (start_server(&server, &listener, address, sizeof address) < 0)
        fail("server", "cannot start");
    int retries = measure("over the pool:", address, 8);
    measure("a fresh dial each:", address, 0); /* nothing is kept */
    if (shutdown(listener, SHUT_RDWR) < 0 || pthread_join(server, NULL) != 0 || close(listener) < 0)
        fail("server", "cannot stop");
    if (retries == 0)
        fail("retry", "no connection ended under a request"); /* this program is here to show it */
    return fflush(stdout) == 0 ? EXIT_SUCCESS : EXIT_FAILURE;
}
