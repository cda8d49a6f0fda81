/*
 * dialing_threads.h - many threads that dial at once, and how late a thread of this machine wakes
 * up at this time of day.
 */
#ifndef DIALING_THREADS_H
#define DIALING_THREADS_H

#include "check.h"

#include <sys/syscall.h>

#define DIALERS_MOST 64

/* One thread and its one dial. */
typedef struct dialer {
    vcp_pool *pool;
    const char *network;
    char address[160];
    int64_t timeout_ms; /* as in vcp_dial_options */
    vcp_cancel *token;
    const char *reuse_tag;
    pthread_t thread;
    pid_t tid; /* 0: does not run yet */
    int64_t began;
    int64_t ended;
    int status;
    int number;
    int32_t phase;
    vcp_conn *conn;
    char error[512];
} dialer;

typedef struct dialers {
    int count;
    dialer all[DIALERS_MOST];
} dialers;

static inline void *dialer_dials(void *argument)
{
    dialer *m = (dialer *)argument;
    vcp_dial_options d = dial_options(0);
    int64_t ended;
    d.timeout_ms = m->timeout_ms;
    d.cancel = m->token;
    d.reuse_tag = m->reuse_tag;
    __atomic_store_n(&m->tid, (pid_t)syscall(SYS_gettid), __ATOMIC_RELEASE);
    m->began = now_ms();
    m->status = vcp_dial_with(m->pool, m->network, m->address, &d, &m->conn);
    ended = now_ms();
    if (m->status < 0) {
        m->number = vcp_last_errno();
        m->phase = vcp_last_phase();
        snprintf(m->error, sizeof m->error, "%s", vcp_last_error());
    }
    __atomic_store_n(&m->ended, ended, __ATOMIC_RELEASE);
    return NULL;
}

/* A dial of tcp that has not begun; the fields may still be changed. */
static inline dialer dialer_of(vcp_pool *pool, const char *address)
{
    dialer m;
    memset(&m, 0, sizeof m);
    m.pool = pool;
    m.network = "tcp";
    m.timeout_ms = INT64_MIN;
    snprintf(m.address, sizeof m.address, "%s", address);
    return m;
}

static inline void dialer_start(dialer *m)
{
    CHECK_EQ(pthread_create(&m->thread, NULL, dialer_dials, m), 0);
}

/* Its dial has returned. */
static inline int dialer_has_returned(const dialer *m)
{
    return __atomic_load_n(&m->ended, __ATOMIC_ACQUIRE) != 0;
}

static inline void dialer_join(dialer *m)
{
    CHECK_EQ(pthread_join(m->thread, NULL), 0);
}

/*
 * All of them dial what `like` dials; a %d in its address becomes the dialer's number, counted from
 * `first`.
 */
static inline void dialers_start(dialers *c, int count, const dialer *like, int first)
{
    const char *number = strstr(like->address, "%d");
    int i;
    CHECK(count <= DIALERS_MOST);
    c->count = count;
    for (i = 0; i < count; i++) {
        c->all[i] = *like;
        if (number != NULL)
            snprintf(c->all[i].address, sizeof c->all[i].address, "%.*s%d%s",
                     (int)(number - like->address), like->address, first + i, number + 2);
    }
    for (i = 0; i < count; i++)
        dialer_start(&c->all[i]);
}

static inline void dialers_join(dialers *c)
{
    int i;
    for (i = 0; i < c->count; i++)
        dialer_join(&c->all[i]);
}

/* The thread sleeps in poll(2) now: whatever its dial has to do before, it has done. */
static inline int dialer_sleeps(const dialer *m)
{
    pid_t tid = __atomic_load_n(&m->tid, __ATOMIC_ACQUIRE);
    char path[64];
    FILE *file;
    long call = -1;
    if (tid == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/self/task/%d/syscall", (int)tid);
    file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%ld", &call) != 1)
        call = -1;
    fclose(file);
#ifdef VCP_EMULATED
    return call == 271; /* ppoll(2) of the emulator's own machine, x86-64 */
#else
#ifdef SYS_poll
    if (call == SYS_poll)
        return 1;
#endif
    return call == SYS_ppoll;
#endif
}

static inline int dialers_sleep(const dialers *c)
{
    int i;
    for (i = 0; i < c->count; i++)
        if (!dialer_sleeps(&c->all[i]))
            return 0;
    return 1;
}

static inline void *naps(void *argument)
{
    int64_t *late = (int64_t *)argument;
    int64_t length = *late;
    int64_t began = now_ms();
    poll(NULL, 0, (int)length);
    *late = now_ms() - began - length;
    return NULL;
}

/*
 * How late the last of so many threads comes back from a bare poll(2) of `ms`: no promise of the
 * library.
 */
static inline int64_t lateness_of(int count, int64_t ms)
{
    pthread_t napping[DIALERS_MOST];
    int64_t late[DIALERS_MOST];
    int64_t latest = 0;
    int i;
    for (i = 0; i < count; i++) {
        late[i] = ms;
        CHECK_EQ(pthread_create(&napping[i], NULL, naps, &late[i]), 0);
    }
    for (i = 0; i < count; i++) {
        CHECK_EQ(pthread_join(napping[i], NULL), 0);
        latest = late[i] > latest ? late[i] : latest;
    }
    return latest;
}

#endif
