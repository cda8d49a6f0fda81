/*
 * nine_addresses.h - one port on nine addresses of this machine, each of which answers, refuses, or
 * is silent; and a resolve and a control callback that follow a script and note which address was
 * tried when.
 */
#ifndef NINE_ADDRESSES_H
#define NINE_ADDRESSES_H

#include "check.h"

#define PLACES 9

typedef struct place {
    int fd;
    int family;
    char ip[16];
    char address[32];
    int fillers[8];
    int filler_count;
} place;

/* at[0] is ::1, at[n] is 127.0.0.n; the port is bound on all of them, so none is anybody else's. */
typedef struct site {
    int port;
    place at[PLACES];
} site;

static inline socklen_t place_name(const place *p, int port, struct sockaddr_storage *name)
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

/* Binds one place after the other to the port that the first got; returns how many. */
static inline int site_bind(site *s)
{
    int i;
    for (i = 0; i < PLACES; i++) {
        place *p = &s->at[i];
        struct sockaddr_storage name;
        socklen_t length;
        memset(p, 0, sizeof *p);
        p->family = i == 0 ? AF_INET6 : AF_INET;
        snprintf(p->ip, sizeof p->ip, i == 0 ? "::1" : "127.0.0.%d", i);
        p->fd = socket(p->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
        CHECK(p->fd >= 0);
        length = place_name(p, i == 0 ? 0 : s->port, &name);
        if (bind(p->fd, (struct sockaddr *)&name, length) != 0) {
            CHECK_EQ(errno, EADDRINUSE);
            return i + 1;
        }
        s->port = i == 0 ? port_of(p->fd) : s->port;
        snprintf(p->address, sizeof p->address, i == 0 ? "[%s]:%d" : "%s:%d", p->ip, s->port);
    }
    return PLACES + 1;
}

static inline void place_close(place *p)
{
    while (p->filler_count > 0)
        close(p->fillers[--p->filler_count]);
    close(p->fd);
}

/* All its places refuse: the port is bound and nobody listens. */
static inline site site_new(void)
{
    site s;
    int made;
    s.port = 0;
    while ((made = site_bind(&s)) <= PLACES)
        while (made > 0)
            place_close(&s.at[--made]);
    return s;
}

static inline void site_close(site *s)
{
    int i;
    for (i = 0; i < PLACES; i++)
        place_close(&s->at[i]);
}

/* From now on it answers, what was silent too (at the client's next SYN: after 1 s, 3 s, ...). */
static inline void place_answers(place *p)
{
    CHECK_EQ(listen(p->fd, 512), 0);
}

/* From now on further connects get no answer: its queue is full (Linux drops their SYN). */
static inline void place_is_silent(place *p)
{
    struct sockaddr_storage name;
    socklen_t length;
    CHECK_EQ(listen(p->fd, 0), 0);
    length = place_name(p, port_of(p->fd), &name);
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
 * What is not connected yet is refused from now on (a silent place refuses at the client's next
 * SYN).
 */
static inline void place_refuses(place *p)
{
    CHECK_EQ(shutdown(p->fd, SHUT_RDWR), 0);
}

/*
 * The place's end of the connection from that port (0: of any); what comes before from others is
 * closed.
 */
static inline int place_accepts(place *p, int wanted)
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

/* ---- the script of a pool's callbacks ---- */

#define TRIED_MOST 64

static inline int64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

/* One call of the control callback. */
typedef struct tried {
    int64_t at_us;
    char network[8];
    char address[64];
    int fd;
} tried;

typedef struct script {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    /*
     * What resolve does: adds each address once so much time has passed since its call, then
     * returns, or holds.
     */
    char text[256];
    const char *ips[16];
    int64_t after_ms[16];
    int resolve_holds;
    int resolve_calls;
    int resolving;
    /* What control does and saw. */
    int control_holds;
    int control_answer;
    int count;
    tried all[TRIED_MOST];
} script;

static inline void script_init(script *s)
{
    memset(s, 0, sizeof *s);
    CHECK_EQ(pthread_mutex_init(&s->lock, NULL), 0);
    CHECK_EQ(pthread_cond_init(&s->changed, NULL), 0);
}

/* resolve answers with these, with one space between them; what was tried before is forgotten. */
static inline void script_says(script *s, const char *ips)
{
    char *rest = NULL;
    int i = 0;
    memset(s->after_ms, 0, sizeof s->after_ms);
    snprintf(s->text, sizeof s->text, "%s", ips);
    s->ips[0] = strtok_r(s->text, " ", &rest);
    while (s->ips[i] != NULL) {
        CHECK(++i < 16);
        s->ips[i] = strtok_r(NULL, " ", &rest);
    }
    s->count = 0;
}

static inline void script_holds(script *s, int *what, int holds)
{
    pthread_mutex_lock(&s->lock);
    *what = holds;
    pthread_cond_broadcast(&s->changed);
    pthread_mutex_unlock(&s->lock);
}

static inline int script_number(script *s, const int *what)
{
    int number;
    pthread_mutex_lock(&s->lock);
    number = *what;
    pthread_mutex_unlock(&s->lock);
    return number;
}

/* How many sockets were made to connect. */
static inline int attempts(script *s)
{
    return script_number(s, &s->count);
}

static inline int script_resolve(void *user, const char *network, const char *host,
                                 int64_t timeout_ms, vcp_resolved *out)
{
    script *s = (script *)user;
    int64_t began = now_us();
    int i;
    (void)network;
    (void)host;
    (void)timeout_ms;
    pthread_mutex_lock(&s->lock);
    s->resolve_calls++;
    s->resolving++;
    pthread_mutex_unlock(&s->lock);
    for (i = 0; i < 16 && s->ips[i] != NULL; i++) {
        int64_t left;
        while ((left = began + s->after_ms[i] * 1000 - now_us()) > 0)
            poll(NULL, 0, (int)(left / 1000 + 1));
        CHECK_EQ(vcp_resolved_add(out, s->ips[i]), VCP_OK);
    }
    pthread_mutex_lock(&s->lock);
    while (s->resolve_holds)
        pthread_cond_wait(&s->changed, &s->lock);
    s->resolving--;
    pthread_mutex_unlock(&s->lock);
    return 0;
}

static inline int script_control(void *user, const char *network, const char *address, int fd)
{
    script *s = (script *)user;
    tried *one;
    int answer;
    pthread_mutex_lock(&s->lock);
    CHECK(s->count < TRIED_MOST);
    one = &s->all[s->count];
    one->at_us = now_us();
    one->fd = fd;
    snprintf(one->network, sizeof one->network, "%s", network);
    snprintf(one->address, sizeof one->address, "%s", address);
    s->count++;
    while (s->control_holds)
        pthread_cond_wait(&s->changed, &s->lock);
    answer = s->control_answer;
    pthread_mutex_unlock(&s->lock);
    return answer;
}

/* The hosts that were tried, in their order: "127.0.0.1 [::1]". */
static inline const char *order_of(script *s, char *text, size_t size)
{
    size_t used = 0;
    int i;
    text[0] = '\0';
    for (i = 0; i < s->count && used < size; i++)
        used += (size_t)snprintf(text + used, size - used, "%s%.*s", i == 0 ? "" : " ",
                                 (int)(strrchr(s->all[i].address, ':') - s->all[i].address),
                                 s->all[i].address);
    return text;
}

/* When attempt number so and so began, in ms since `start_us`, rounded down. */
static inline int64_t tried_after(const script *s, int number, int64_t start_us)
{
    CHECK(number < s->count);
    return (s->all[number].at_us - start_us) / 1000;
}

/*
 * A site, a script, and a pool whose dials follow the script and keep nothing: each is a fresh one.
 */
typedef struct ground {
    site where;
    script s;
    char name[64];            /* an address: a host name with the site's port */
    vcp_pool_options options; /* to be changed before ground_pool */
    vcp_pool *pool;
} ground;

static inline void ground_init(ground *g)
{
    g->where = site_new();
    snprintf(g->name, sizeof g->name, "somewhere.test:%d", g->where.port);
    script_init(&g->s);
    g->options = pool_options();
    g->options.user = &g->s;
    g->options.control = script_control;
    g->options.max_idle_per_address = 0;
    g->pool = NULL;
}

static inline vcp_pool *ground_pool(ground *g)
{
    g->pool = pool_new(&g->options);
    return g->pool;
}

static inline void ground_end(ground *g)
{
    CHECK_STATS_ADD_UP(g->pool);
    EVENTUALLY(script_number(&g->s, &g->s.resolving) == 0, 5000);
    CHECK_EQ(stats_of(g->pool).borrowed, 0);
    CHECK_EQ(stats_of(g->pool).dialing, 0);
    CHECK_EQ(vcp_pool_close(g->pool), VCP_OK);
    site_close(&g->where);
}

#endif
