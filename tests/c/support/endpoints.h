/*
 * endpoints.h - one port on nine addresses of this machine, each of which answers, refuses, or is
 * silent.
 */
#ifndef ENDPOINTS_H
#define ENDPOINTS_H

#include "check.h"

#define ENDPOINTS 9

typedef struct endpoint {
    int fd;
    int family;
    char ip[16];
    char address[32];
    int fillers[8];
    int filler_count;
} endpoint;

/* at[0] is ::1, at[n] is 127.0.0.n; the port is bound on all of them, so none is anybody else's. */
typedef struct endpoints {
    int port;
    endpoint at[ENDPOINTS];
} endpoints;

static inline socklen_t endpoint_name(const endpoint *p, int port, struct sockaddr_storage *name)
{
    struct sockaddr_in *v4 = (struct sockaddr_in *)name;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)name;
    memset(name, 0, sizeof *name);
    name->ss_family = (sa_family_t)p->family;
    if (p->family == AF_INET) {
        v4->sin_port = htons((uint16_t)port);
        CHECK_EQ(inet_pton(AF_INET, p->ip, &v4->sin_addr), 1);
        return sizeof *v4;
    }
    v6->sin6_port = htons((uint16_t)port);
    CHECK_EQ(inet_pton(AF_INET6, p->ip, &v6->sin6_addr), 1);
    return sizeof *v6;
}

static inline int port_of(int fd)
{
    struct sockaddr_storage name;
    socklen_t length = sizeof name;
    CHECK_EQ(getsockname(fd, (struct sockaddr *)&name, &length), 0);
    return ntohs(name.ss_family == AF_INET ? ((struct sockaddr_in *)&name)->sin_port
                                           : ((struct sockaddr_in6 *)&name)->sin6_port);
}

/* Binds one endpoint after the other to the port that the first got; returns how many. */
static inline int endpoints_bind(endpoints *s)
{
    int i;
    for (i = 0; i < ENDPOINTS; i++) {
        endpoint *p = &s->at[i];
        struct sockaddr_storage name;
        socklen_t length;
        memset(p, 0, sizeof *p);
        p->family = i == 0 ? AF_INET6 : AF_INET;
        snprintf(p->ip, sizeof p->ip, i == 0 ? "::1" : "127.0.0.%d", i);
        p->fd = socket(p->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(p->fd >= 0);
        length = endpoint_name(p, i == 0 ? 0 : s->port, &name);
        if (bind(p->fd, (struct sockaddr *)&name, length) != 0) {
            CHECK_EQ(errno, EADDRINUSE);
            return i + 1;
        }
        s->port = i == 0 ? port_of(p->fd) : s->port;
        snprintf(p->address, sizeof p->address, i == 0 ? "[%s]:%d" : "%s:%d", p->ip, s->port);
    }
    return ENDPOINTS + 1;
}

static inline void endpoint_close(endpoint *p)
{
    while (p->filler_count > 0)
        close(p->fillers[--p->filler_count]);
    close(p->fd);
}

/* All its endpoints refuse: the port is bound and nobody listens. */
static inline endpoints endpoints_new(void)
{
    endpoints s;
    int made;
    s.port = 0;
    while ((made = endpoints_bind(&s)) <= ENDPOINTS)
        while (made > 0)
            endpoint_close(&s.at[--made]);
    return s;
}

static inline void endpoints_close(endpoints *s)
{
    int i;
    for (i = 0; i < ENDPOINTS; i++)
        endpoint_close(&s->at[i]);
}

/* From now on it answers, what was silent too (at the client's next SYN: after 1 s, 3 s, ...). */
static inline void endpoint_answers(endpoint *p)
{
    CHECK_EQ(listen(p->fd, 512), 0);
}

/* From now on further connects get no answer: its queue is full (Linux drops their SYN). */
static inline void endpoint_stays_silent(endpoint *p)
{
    struct sockaddr_storage name;
    socklen_t length;
    CHECK_EQ(listen(p->fd, 0), 0);
    length = endpoint_name(p, port_of(p->fd), &name);
    for (;;) {
        struct pollfd one;
        CHECK(p->filler_count < 8);
        one.fd = socket(p->family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        CHECK(one.fd >= 0);
        p->fillers[p->filler_count++] = one.fd;
        if (connect(one.fd, (struct sockaddr *)&name, length) == 0)
            continue;
        CHECK_EQ(errno, EINPROGRESS);
        one.events = POLLOUT;
        one.revents = 0;
        if (poll(&one, 1, 100) == 0)
            return;
    }
}

/*
 * What is not connected yet is refused from now on (a silent endpoint refuses at the client's next
 * SYN).
 */
static inline void endpoint_refuses(endpoint *p)
{
    CHECK_EQ(shutdown(p->fd, SHUT_RDWR), 0);
}

/*
 * The endpoint's end of the connection from that port (0: of any); what comes before from others is
 * closed.
 */
static inline int endpoint_accepts(endpoint *p, int wanted)
{
    struct sockaddr_storage from;
    for (;;) {
        socklen_t length = sizeof from;
        int fd, port;
        CHECK(readable_within(p->fd, 5000));
        fd = accept4(p->fd, (struct sockaddr *)&from, &length, SOCK_CLOEXEC);
        CHECK(fd >= 0);
        port = ntohs(p->family == AF_INET ? ((struct sockaddr_in *)&from)->sin_port
                                          : ((struct sockaddr_in6 *)&from)->sin6_port);
        if (wanted == 0 || port == wanted)
            return fd;
        close(fd);
    }
}

#endif
