/*
 * relay.h - a relay before a server on loopback: what the server says arrives late, and how many
 * clients are connected is counted. (A backend outlives its client during a login, so the server's
 * own count is no proof of a limit there.)
 */
#ifndef RELAY_H
#define RELAY_H

#include "check.h"

#define RELAY_MOST 256

typedef struct relay {
    int listener;
    int upstream_port;
    char address[64]; /* to dial instead of the server's */
    int stop[2];
    pthread_t acceptor;
    pthread_mutex_t lock; /* guards what follows */
    int clients[RELAY_MOST];
    int count; /* of threads that serve one */
    int accepted;
    int peak; /* the most clients at once */
    int delay_ms;
} relay;

/* One client and its connection to the server. */
typedef struct relayed {
    relay *r;
    int client;
    int server;
} relayed;

static inline int relay_connect(int port)
{
    struct sockaddr_in name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int on = 1;
    memset(&name, 0, sizeof name);
    name.sin_family = AF_INET;
    name.sin_port = htons((uint16_t)port);
    name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    CHECK(fd >= 0);
    CHECK_EQ(setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&name, sizeof name), 0);
    return fd;
}

/* The client has not hung up: POLLRDHUP is told even while bytes before the end are unread. */
static inline int relay_is_connected(int client)
{
    struct pollfd one;
    one.fd = client;
    one.events = POLLRDHUP;
    one.revents = 0;
    return poll(&one, 1, 0) == 0;
}

/* How many clients are connected now. With the lock. */
static inline int relay_connected(const relay *r)
{
    int connected = 0;
    int i;
    for (i = 0; i < RELAY_MOST; i++)
        connected += r->clients[i] >= 0 && relay_is_connected(r->clients[i]);
    return connected;
}

static inline int relay_clients(relay *r)
{
    int connected;
    pthread_mutex_lock(&r->lock);
    connected = relay_connected(r);
    pthread_mutex_unlock(&r->lock);
    return connected;
}

/* How many clients there have been. */
static inline int relay_accepted(relay *r)
{
    int accepted;
    pthread_mutex_lock(&r->lock);
    accepted = r->accepted;
    pthread_mutex_unlock(&r->lock);
    return accepted;
}

static inline void relay_set_delay(relay *r, int ms)
{
    pthread_mutex_lock(&r->lock);
    r->delay_ms = ms;
    pthread_mutex_unlock(&r->lock);
}

static inline int relay_delay(relay *r)
{
    int ms;
    pthread_mutex_lock(&r->lock);
    ms = r->delay_ms;
    pthread_mutex_unlock(&r->lock);
    return ms;
}

static inline int relay_passes(int from, int to)
{
    char bytes[16384];
    ssize_t size = recv(from, bytes, sizeof bytes, 0);
    return size > 0 && send(to, bytes, (size_t)size, MSG_NOSIGNAL) == size;
}

/* Until either side hangs up. What the server says is read when its time has come. */
static inline void relay_serve(const relayed *pair)
{
    int64_t due = INT64_MAX; /* of the server's next bytes, once they are there */
    for (;;) {
        struct pollfd polled[2];
        int64_t left = due - now_ms();
        memset(polled, 0, sizeof polled);
        polled[0].fd = pair->client;
        polled[0].events = POLLIN;
        polled[1].fd = due == INT64_MAX ? pair->server : -1;
        polled[1].events = POLLIN;
        poll(polled, 2, due == INT64_MAX ? -1 : left > 0 ? (int)left : 0);
        if (polled[0].revents != 0 && !relay_passes(pair->client, pair->server))
            return;
        if (polled[1].revents != 0)
            due = now_ms() + relay_delay(pair->r);
        if (due <= now_ms()) {
            due = INT64_MAX;
            if (!relay_passes(pair->server, pair->client))
                return;
        }
    }
}

static inline void *relay_serves(void *argument)
{
    relayed *pair = (relayed *)argument;
    relay *r = pair->r;
    int i;
    relay_serve(pair);
    pthread_mutex_lock(&r->lock);
    for (i = 0; i < RELAY_MOST; i++)
        r->clients[i] = r->clients[i] == pair->client ? -1 : r->clients[i];
    close(pair->client);
    close(pair->server);
    r->count--;
    pthread_mutex_unlock(&r->lock);
    free(pair);
    return NULL;
}

static inline void relay_takes(relay *r, int client)
{
    relayed *pair = (relayed *)malloc(sizeof *pair);
    pthread_t thread;
    int on = 1;
    int i = 0;
    CHECK(pair != NULL);
    CHECK_EQ(setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
    pair->r = r;
    pair->client = client;
    pair->server = relay_connect(r->upstream_port);
    pthread_mutex_lock(&r->lock);
    while (r->clients[i] >= 0)
        CHECK(++i < RELAY_MOST);
    r->clients[i] = client;
    r->accepted++;
    r->count++;
    i = relay_connected(r);
    r->peak = i > r->peak ? i : r->peak;
    pthread_mutex_unlock(&r->lock);
    CHECK_EQ(pthread_create(&thread, NULL, relay_serves, pair), 0);
    CHECK_EQ(pthread_detach(thread), 0);
}

static inline void *relay_accepts(void *argument)
{
    relay *r = (relay *)argument;
    for (;;) {
        struct pollfd polled[2];
        memset(polled, 0, sizeof polled);
        polled[0].fd = r->stop[0];
        polled[1].fd = r->listener;
        polled[0].events = polled[1].events = POLLIN;
        CHECK(poll(polled, 2, -1) > 0 || errno == EINTR);
        if (polled[0].revents != 0)
            return NULL;
        if (polled[1].revents != 0) {
            int client = accept4(r->listener, NULL, NULL, SOCK_CLOEXEC);
            CHECK(client >= 0);
            relay_takes(r, client);
        }
    }
}

static inline relay *relay_start(int upstream_port)
{
    relay *r = (relay *)calloc(1, sizeof *r);
    server listening = tcp_server();
    int i;
    CHECK(r != NULL);
    for (i = 0; i < RELAY_MOST; i++)
        r->clients[i] = -1;
    r->listener = listening.fd;
    r->upstream_port = upstream_port;
    snprintf(r->address, sizeof r->address, "127.0.0.1:%d", listening.port);
    CHECK_EQ(pthread_mutex_init(&r->lock, NULL), 0);
    CHECK_EQ(pipe2(r->stop, O_CLOEXEC), 0);
    CHECK_EQ(pthread_create(&r->acceptor, NULL, relay_accepts, r), 0);
    return r;
}

static inline int relay_threads(relay *r)
{
    int count;
    pthread_mutex_lock(&r->lock);
    count = r->count;
    pthread_mutex_unlock(&r->lock);
    return count;
}

/* Its clients have hung up, or do so soon. */
static inline void relay_stop(relay *r)
{
    EVENTUALLY(relay_threads(r) == 0, 5000);
    CHECK_EQ(write(r->stop[1], "", 1), 1);
    CHECK_EQ(pthread_join(r->acceptor, NULL), 0);
    close(r->stop[0]);
    close(r->stop[1]);
    close(r->listener);
    pthread_mutex_destroy(&r->lock);
    free(r);
}

#endif
