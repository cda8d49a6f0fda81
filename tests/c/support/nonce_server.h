/*
 * nonce_server.h - a server in a process of its own. It gives each connection a number, its nonce,
 * and puts it into each answer; so a client can prove whose connection it speaks on (nonces.h). It
 * does what a question wishes: answers, hangs up, is silent, sends what nobody asked for.
 */
#ifndef NONCE_SERVER_H
#define NONCE_SERVER_H

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>

#include "child_processes.h"

/* Nonces of servers that share them differ: each counts in steps, from a number of its own. */
enum { NONCE_PEERS = 8192, NONCE_LISTENERS = 4, NONCE_STEP = 4 };

/* What a question wishes. */
enum {
    WISH_ANSWER,
    WISH_ANSWER_AND_END,  /* answers, and hangs up */
    WISH_ANSWER_AND_DIRT, /* answers, and sends a byte more */
    WISH_END,             /* hangs up in place of an answer */
    WISH_RESET,           /* the same by a reset */
    WISH_SILENCE
};

typedef struct question {
    int32_t pid; /* of who asks */
    uint32_t serial;
    uint32_t wish;
} question;

typedef struct answer {
    question asked;
    uint32_t nonce;
} answer;

/* Shared with the server's process. */
typedef struct nonce_counts {
    uint32_t nonces;     /* the last that was given; never 0 */
    int32_t open;        /* connections now */
    int32_t parent;      /* whose connections must neither end nor carry other's words */
    int32_t foreign;     /* words of another process than the one that spoke first */
    int32_t ended_early; /* ends of the parent's connections */
    int32_t may_end;
} nonce_counts;

typedef struct nonce_server {
    server at[NONCE_LISTENERS];
    int listeners;
    nonce_counts *counts;
    pid_t process;
} nonce_server;

typedef struct nonce_peer {
    uint32_t nonce;
    int32_t speaker;
    int is_listener;
} nonce_peer;

static inline int32_t load(const int32_t *number)
{
    return __atomic_load_n(number, __ATOMIC_SEQ_CST);
}

static inline void count_one(int32_t *number)
{
    __atomic_fetch_add(number, 1, __ATOMIC_SEQ_CST);
}

/* For as many servers as there may be. */
static inline nonce_counts *nonce_counts_new(void)
{
    size_t size = NONCE_LISTENERS * sizeof(nonce_counts);
    void *shared = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    nonce_counts *all = (nonce_counts *)shared;
    uint32_t i;
    CHECK(shared != MAP_FAILED);
    for (i = 0; i < NONCE_LISTENERS; i++) {
        all[i].nonces = i;
    }
    return all;
}

/* ---- in the server's process ---- */

static inline void nonce_watch(int poller, int fd)
{
    struct epoll_event one;
    memset(&one, 0, sizeof one);
    one.events = EPOLLIN;
    one.data.fd = fd;
    CHECK_EQ(epoll_ctl(poller, EPOLL_CTL_ADD, fd, &one), 0);
}

static inline void nonce_accept(int poller, int listener, nonce_peer *peers, nonce_counts *counts)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
    if (fd >= 0) {
        CHECK(fd < NONCE_PEERS);
        peers[fd].nonce = __atomic_add_fetch(&counts->nonces, NONCE_STEP, __ATOMIC_SEQ_CST);
        peers[fd].speaker = 0;
        count_one(&counts->open);
        nonce_watch(poller, fd);
    }
}

/* Says what was wished; false: it hangs up. */
static inline int nonce_answers(int fd, const nonce_peer *peer, const question *asked)
{
    struct {
        answer real;
        char dirt;
    } said;
    size_t size = sizeof said.real + (asked->wish == WISH_ANSWER_AND_DIRT);
    memset(&said, 0, sizeof said);
    said.real.asked = *asked;
    said.real.nonce = peer->nonce;
    switch (asked->wish) {
    case WISH_SILENCE:
        return 1;
    case WISH_RESET: {
        struct linger hard = {1, 0};
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        return 0;
    }
    case WISH_END:
        return 0;
    default:
        return send(fd, &said, size, MSG_NOSIGNAL) == (ssize_t)size &&
               asked->wish != WISH_ANSWER_AND_END;
    }
}

/* One question; false at the end. */
static inline int nonce_hears(int fd, nonce_peer *peer, nonce_counts *counts)
{
    question asked;
    /* A question is one send(2), and comes whole. Whoever sends less is hung up on. */
    ssize_t got = recv(fd, &asked, sizeof asked, MSG_DONTWAIT);
    if (got != (ssize_t)sizeof asked) {
        if (peer->speaker == counts->parent && !load(&counts->may_end)) {
            count_one(&counts->ended_early);
        }
        return 0;
    }
    if (peer->speaker == 0) {
        peer->speaker = asked.pid;
    }
    if (peer->speaker != asked.pid) {
        count_one(&counts->foreign);
    }
    return nonce_answers(fd, peer, &asked);
}

/* Serves until it is killed. */
static inline void nonce_server_runs(const int *listeners, int count, nonce_counts *counts)
{
    static nonce_peer peers[NONCE_PEERS];
    struct epoll_event ready[64];
    int poller = epoll_create1(EPOLL_CLOEXEC);
    int i;
    CHECK(poller >= 0);
    memset(peers, 0, sizeof peers);
    for (i = 0; i < count; i++) {
        peers[listeners[i]].is_listener = 1;
        nonce_watch(poller, listeners[i]);
    }
    for (;;) {
        int found = epoll_wait(poller, ready, 64, -1);
        for (i = 0; i < found; i++) {
            int fd = ready[i].data.fd;
            if (peers[fd].is_listener) {
                nonce_accept(poller, fd, peers, counts);
            } else if (!nonce_hears(fd, &peers[fd], counts)) {
                close(fd);
                __atomic_fetch_sub(&counts->open, 1, __ATOMIC_SEQ_CST);
            }
        }
    }
}

/* ---- in the program ---- */

/* Serves at these bound sockets, which are closed with it. */
static inline nonce_server nonce_server_at(const server *at, int count)
{
    nonce_server n;
    int fds[NONCE_LISTENERS];
    int i;
    CHECK_BETWEEN(count, 1, NONCE_LISTENERS);
    memset(&n, 0, sizeof n);
    n.listeners = count;
    n.counts = nonce_counts_new();
    n.counts->parent = getpid();
    for (i = 0; i < count; i++) {
        n.at[i] = at[i];
        fds[i] = at[i].fd;
        /* Another one may take the client that epoll(7) told of, or the client may have gone. */
        CHECK_EQ(fcntl(fds[i], F_SETFL, O_NONBLOCK), 0);
    }
    n.process = fork_by(BY_FORK);
    CHECK(n.process >= 0);
    if (n.process == 0) {
        CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        nonce_server_runs(fds, count, n.counts);
    }
    return n;
}

static inline nonce_server nonce_server_new(void)
{
    server s = tcp_server();
    return nonce_server_at(&s, 1);
}

/* Connections that the servers know of. */
static inline int32_t nonce_server_open(const nonce_server *n)
{
    int32_t sum = 0;
    int i;
    for (i = 0; i < NONCE_LISTENERS; i++) {
        sum += load(&n->counts[i].open);
    }
    return sum;
}

/* No connection carried the words of two processes. */
static inline void nonce_server_close(nonce_server *n)
{
    int status;
    int i;
    for (i = 0; i < NONCE_LISTENERS; i++) {
        CHECK_EQ(load(&n->counts[i].foreign), 0);
    }
    CHECK_EQ(kill(n->process, SIGKILL), 0);
    while (waitpid(n->process, &status, 0) < 0) {
        CHECK_EQ(errno, EINTR);
    }
    CHECK_EQ(munmap(n->counts, NONCE_LISTENERS * sizeof *n->counts), 0);
    while (n->listeners > 0) {
        server_close(&n->at[--n->listeners]);
    }
}

#endif
