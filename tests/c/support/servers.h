/*
 * servers.h - servers on loopback that the test accepts from by hand, that echo, refuse, or stay
 * silent; and what the peer of a connection sees.
 */
#ifndef SERVERS_H
#define SERVERS_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "clock.h"

#define SERVER_MOST 256

/*
 * A bound socket and the address that a client dials. The test accepts by hand, or starts an echo
 * thread.
 */
typedef struct server {
    int fd;
    int type;
    int family;
    char network[16];
    char address[160];
    char path[108]; /* to be unlinked, or "" */
    int port;
    int stop[2];
    pthread_t thread;
    int echoes;
} server;

static inline void server_names_itself(server *s, const char *network)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    memset(&name, 0, sizeof name);
    snprintf(s->network, sizeof s->network, "%s", network);
    CHECK_EQ(getsockname(s->fd, (struct sockaddr *)&name, &length), 0);
    if (name.ss_family == AF_INET) {
        s->port = ntohs(((struct sockaddr_in *)&name)->sin_port);
        snprintf(s->address, sizeof s->address, "127.0.0.1:%d", s->port);
    } else {
        s->port = ntohs(((struct sockaddr_in6 *)&name)->sin6_port);
        snprintf(s->address, sizeof s->address, "[::1]:%d", s->port);
    }
}

static inline server server_on(int family, int type, int port, int backlog)
{
    server s;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
    int on = 1;
    memset(&s, 0, sizeof s);
    memset(&v4, 0, sizeof v4);
    memset(&v6, 0, sizeof v6);
    v4.sin_family = AF_INET;
    v4.sin_port = htons((uint16_t)port);
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons((uint16_t)port);
    v6.sin6_addr.s6_addr[15] = 1;
    s.family = family;
    s.type = type;
    s.fd = socket(family, type | SOCK_CLOEXEC, 0);
    CHECK(s.fd >= 0);
    if (type == SOCK_STREAM) {
        CHECK_EQ(setsockopt(s.fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on), 0);
    }
    if (family == AF_INET) {
        CHECK_EQ(bind(s.fd, (struct sockaddr *)&v4, sizeof v4), 0);
    } else {
        CHECK_EQ(setsockopt(s.fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on), 0);
        CHECK_EQ(bind(s.fd, (struct sockaddr *)&v6, sizeof v6), 0);
    }
    if (type == SOCK_STREAM) {
        CHECK_EQ(listen(s.fd, backlog), 0);
    }
    server_names_itself(&s, type == SOCK_STREAM ? "tcp" : "udp");
    return s;
}

static inline server tcp_server(void)
{
    return server_on(AF_INET, SOCK_STREAM, 0, 512);
}

static inline server tcp6_server(void)
{
    return server_on(AF_INET6, SOCK_STREAM, 0, 512);
}

static inline server udp_server(void)
{
    return server_on(AF_INET, SOCK_DGRAM, 0, 0);
}

/*
 * type: SOCK_STREAM, SOCK_SEQPACKET or SOCK_DGRAM. A path in a new temporary directory, or an
 * abstract name.
 */
static inline server unix_server(int type, int is_abstract)
{
    static int serial;
    server s;
    struct sockaddr_un name;
    socklen_t length;
    char directory[] = "/tmp/vcp-XXXXXX";
    memset(&s, 0, sizeof s);
    memset(&name, 0, sizeof name);
    name.sun_family = AF_UNIX;
    s.family = AF_UNIX;
    s.type = type;
    snprintf(s.network, sizeof s.network, "%s",
             type == SOCK_STREAM  ? "unix"
             : type == SOCK_DGRAM ? "unixgram"
                                  : "unixpacket");
    if (is_abstract) {
        snprintf(s.address, sizeof s.address, "@vcp-test-%d-%d", (int)getpid(), ++serial);
        memcpy(name.sun_path + 1, s.address + 1, strlen(s.address + 1));
        length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + strlen(s.address));
    } else {
        CHECK(mkdtemp(directory) != NULL);
        snprintf(s.path, sizeof s.path, "%s/socket", directory);
        snprintf(s.address, sizeof s.address, "%s", s.path);
        memcpy(name.sun_path, s.path, strlen(s.path));
        length = sizeof name;
    }
    s.fd = socket(AF_UNIX, type | SOCK_CLOEXEC, 0);
    CHECK(s.fd >= 0);
    CHECK_EQ(bind(s.fd, (struct sockaddr *)&name, length), 0);
    if (type != SOCK_DGRAM) {
        CHECK_EQ(listen(s.fd, 512), 0);
    }
    return s;
}

static inline int readable_within(int fd, int64_t ms)
{
    struct pollfd one;
    one.fd = fd;
    one.events = POLLIN;
    one.revents = 0;
    return poll(&one, 1, (int)at_most(ms)) == 1;
}

/* The server's end of the connection that was just dialed. */
static inline int server_accept(const server *s)
{
    int fd;
    CHECK(readable_within(s->fd, 5000));
    fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
    CHECK(fd >= 0);
    return fd;
}

/* No client is waiting to be accepted: nothing was dialed. */
static inline int server_is_quiet(const server *s)
{
    struct pollfd one;
    one.fd = s->fd;
    one.events = POLLIN;
    one.revents = 0;
    return poll(&one, 1, 0) == 0;
}

static inline void server_echo_dgram(int fd)
{
    char bytes[4096];
    struct sockaddr_storage from;
    socklen_t length = sizeof from;
    ssize_t count =
        recvfrom(fd, bytes, sizeof bytes, MSG_DONTWAIT, (struct sockaddr *)&from, &length);
    if (count >= 0 && length > 0) {
        sendto(fd, bytes, (size_t)count, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&from,
               length);
    }
}

/* Sends back what comes, on as many connections as come, until told to stop. */
static inline void *server_echo(void *argument)
{
    server *s = (server *)argument;
    struct pollfd polled[SERVER_MOST];
    int count = 2;
    int i;
    char bytes[65536];
    memset(polled, 0, sizeof polled);
    polled[0].fd = s->stop[0];
    polled[1].fd = s->fd;
    polled[0].events = polled[1].events = POLLIN;
    for (;;) {
        CHECK(poll(polled, (nfds_t)count, -1) > 0 || errno == EINTR);
        if (polled[0].revents != 0) {
            break;
        }
        for (i = count - 1; i >= 2; i--) {
            if (polled[i].revents != 0) {
                ssize_t got = recv(polled[i].fd, bytes, sizeof bytes, 0);
                ssize_t sent = got > 0 ? send(polled[i].fd, bytes, (size_t)got, MSG_NOSIGNAL) : -1;
                if (sent < got || got <= 0) {
                    close(polled[i].fd);
                    polled[i] = polled[--count];
                }
            }
        }
        if (polled[1].revents != 0 && s->type == SOCK_DGRAM) {
            server_echo_dgram(s->fd);
        } else if (polled[1].revents != 0) {
            int fd = accept4(s->fd, NULL, NULL, SOCK_CLOEXEC);
            if (fd >= 0) {
                CHECK(count < SERVER_MOST);
                polled[count].fd = fd;
                polled[count].events = POLLIN;
                polled[count++].revents = 0;
            }
        }
    }
    for (i = 2; i < count; i++) {
        close(polled[i].fd);
    }
    return NULL;
}

static inline void server_start_echo(server *s)
{
    CHECK_EQ(pipe2(s->stop, O_CLOEXEC), 0);
    s->echoes = 1;
    CHECK_EQ(pthread_create(&s->thread, NULL, server_echo, s), 0);
}

static inline void server_close(server *s)
{
    if (s->echoes) {
        CHECK_EQ(write(s->stop[1], "", 1), 1);
        CHECK_EQ(pthread_join(s->thread, NULL), 0);
        close(s->stop[0]);
        close(s->stop[1]);
    }
    close(s->fd);
    if (s->path[0] != '\0') {
        unlink(s->path);
        *strrchr(s->path, '/') = '\0';
        rmdir(s->path);
    }
}

/* A port on which nobody listens: it was this process's a moment ago. */
static inline server refusing_server(void)
{
    server s = tcp_server();
    close(s.fd);
    return s;
}

/* A listener whose queue is full: further connects get no answer (Linux drops their SYN). */
typedef struct full_server {
    server s;
    int fillers[8];
    int count;
} full_server;

static inline full_server full_server_new(void)
{
    full_server full;
    memset(&full, 0, sizeof full);
    full.s = server_on(AF_INET, SOCK_STREAM, 0, 0);
    for (;;) {
        struct sockaddr_in name;
        struct pollfd one;
        memset(&name, 0, sizeof name);
        name.sin_family = AF_INET;
        name.sin_port = htons((uint16_t)full.s.port);
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CHECK(full.count < 8);
        one.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(one.fd >= 0);
        full.fillers[full.count++] = one.fd;
        if (connect(one.fd, (struct sockaddr *)&name, sizeof name) == 0) {
            continue;
        }
        CHECK_EQ(errno, EINPROGRESS);
        one.events = POLLOUT;
        one.revents = 0;
        if (poll(&one, 1, 100) == 0) {
            return full;
        }
    }
}

static inline void full_server_close(full_server *full)
{
    while (full->count > 0) {
        close(full->fillers[--full->count]);
    }
    server_close(&full->s);
}

/* The peer sees that the connection has ended: end of stream, or a reset. */
static inline int peer_sees_end(int fd)
{
    char byte;
    return readable_within(fd, 5000) && recv(fd, &byte, 1, MSG_DONTWAIT) <= 0;
}

/* The peer sees a living connection now. */
static inline int peer_sees_life(int fd)
{
    char byte;
    return recv(fd, &byte, 1, MSG_DONTWAIT | MSG_PEEK) < 0 && errno == EAGAIN;
}

/* Closes with a reset instead of an end of stream. */
static inline void close_with_reset(int fd)
{
    struct linger hard;
    hard.l_onoff = 1;
    hard.l_linger = 0;
    CHECK_EQ(setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard), 0);
    CHECK_EQ(close(fd), 0);
}

/* The client's socket has something to read: what the peer did has arrived. */
static inline void await_arrival(int fd)
{
    CHECK(readable_within(fd, 5000));
}

/* A blocking client socket of the program's own. */
static inline int client_of(const server *s)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    int fd = socket(s->family, s->type | SOCK_CLOEXEC, 0);
    memset(&name, 0, sizeof name);
    CHECK(fd >= 0);
    CHECK_EQ(getsockname(s->fd, (struct sockaddr *)&name, &length), 0);
    CHECK_EQ(connect(fd, (struct sockaddr *)&name, length), 0);
    return fd;
}

#endif
