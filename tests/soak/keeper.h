/*
 * keeper.h - three servers that are killed and started again all the time, by a process of its own:
 * it is forked before the program has threads, and the library does not hear of its forks.
 */
#ifndef KEEPER_H
#define KEEPER_H

#include "workload_run.h"

enum { SERVERS = 3 };

typedef struct keeper {
    pid_t process;
    int32_t *is_calm; /* shared: the servers are to live from now on */
    int32_t *restarts;
} keeper;

/* Outside the ports that connect(2) takes for its own end (ip(7)): a dial must not meet itself. */
static inline server server_on_a_low_port(int *port)
{
    for (;; (*port)++) {
        struct sockaddr_in name;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
        int status;
        memset(&name, 0, sizeof name);
        name.sin_family = AF_INET;
        name.sin_port = htons((uint16_t)*port);
        name.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        CHECK(fd >= 0);
        status = bind(fd, (struct sockaddr *)&name, sizeof name);
        close(fd);
        if (status == 0) {
            return server_on(AF_INET, SOCK_STREAM, (*port)++, 512);
        }
    }
}

static inline pid_t keeper_starts(const nonce_server *n, int i)
{
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        server s;
        CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        s = server_on(AF_INET, SOCK_STREAM, n->at[i].port, 512);
        CHECK_EQ(fcntl(s.fd, F_SETFL, O_NONBLOCK), 0);
        nonce_server_runs(&s.fd, 1, &n->counts[i]);
    }
    return child;
}

/* A server dies about twice a second, and is away for up to 300 ms. */
static inline void keeper_runs(const nonce_server *n, const int32_t *is_calm, int32_t *restarts)
{
    pid_t servers[SERVERS];
    uint64_t random = (uint64_t)getpid();
    int i;
    for (i = 0; i < SERVERS; i++) {
        servers[i] = keeper_starts(n, i);
    }
    for (;;) {
        let_pass(100 + draw(&random, 800));
        if (!load(is_calm)) {
            i = (int)draw(&random, SERVERS);
            CHECK_EQ(kill(servers[i], SIGKILL), 0);
            CHECK_EQ(waitpid(servers[i], NULL, 0), servers[i]);
            __atomic_store_n(&n->counts[i].open, 0, __ATOMIC_SEQ_CST);
            let_pass(draw(&random, 300));
            servers[i] = keeper_starts(n, i);
            count_one(restarts);
        }
    }
}

static inline keeper keeper_new(nonce_server *n)
{
    keeper k;
    int port = 20000 + (int)getpid() % 10000;
    int i;
    memset(n, 0, sizeof *n);
    n->counts = nonce_counts_new();
    n->listeners = SERVERS;
    for (i = 0; i < SERVERS; i++) {
        n->at[i] = server_on_a_low_port(&port);
        close(n->at[i].fd);
    }
    k.is_calm =
        (int32_t *)mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(k.is_calm != MAP_FAILED);
    k.restarts = k.is_calm + 1;
    k.process = fork();
    CHECK(k.process >= 0);
    if (k.process == 0) {
        CHECK_EQ(prctl(PR_SET_PDEATHSIG, SIGKILL), 0);
        keeper_runs(n, k.is_calm, k.restarts);
    }
    return k;
}

/* From now on all servers are there. */
static inline void keeper_calms(const keeper *k)
{
    __atomic_store_n(k->is_calm, 1, __ATOMIC_SEQ_CST);
    let_pass(1500); /* the longest that a server is away, and its start */
}

static inline void keeper_close(const keeper *k)
{
    CHECK_EQ(kill(k->process, SIGKILL), 0);
    CHECK_EQ(waitpid(k->process, NULL, 0), k->process);
}

#endif
