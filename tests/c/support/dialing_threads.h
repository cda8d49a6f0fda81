/*
 * dialing_threads.h - many threads that dial at once, and how late a thread of this machine wakes
 * up at this time of day.
 */
#ifndef DIALING_THREADS_H
#define DIALING_THREADS_H

#include "check.h"

#include <sys/syscall.h>

#define CROWD_MOST 64

/* One thread and its one dial. */
typedef struct member {
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
} member;

typedef struct crowd {
    int count;
    member all[CROWD_MOST];
} crowd;

static inline void *member_dials(void *argument)
{
    member *m = (member *)argument;
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
static inline member member_of(vcp_pool *pool, const char *address)
{
    member m;
    memset(&m, 0, sizeof m);
    m.pool = pool;
    m.network = "tcp";
    m.timeout_ms = INT64_MIN;
    snprintf(m.address, sizeof m.address, "%s", address);
    return m;
}

static inline void member_starts(member *m)
{
    CHECK_EQ(pthread_create(&m->thread, NULL, member_dials, m), 0);
}

/* Its dial has returned. */
static inline int member_is_back(const member *m)
{
    return __atomic_load_n(&m->ended, __ATOMIC_ACQUIRE) != 0;
}

static inline void member_ends(member *m)
{
    CHECK_EQ(pthread_join(m->thread, NULL), 0);
}

/*
 * All of them dial what `like` dials; a %d in its address becomes the member's number, counted from
 * `first`.
 */
static inline void crowd_starts(crowd *c, int count, const member *like, int first)
{
    const char *number = strstr(like->address, "%d");
    int i;
    CHECK(count <= CROWD_MOST);
    c->count = count;
    for (i = 0; i < count; i++) {
        c->all[i] = *like;
        if (number != NULL)
            snprintf(c->all[i].address, sizeof c->all[i].address, "%.*s%d%s",
                     (int)(number - like->address), like->address, first + i, number + 2);
    }
    for (i = 0; i < count; i++)
        member_starts(&c->all[i]);
}

static inline void crowd_ends(crowd *c)
{
    int i;
    for (i = 0; i < c->count; i++)
        member_ends(&c->all[i]);
}

/* The thread sleeps in poll(2) now: whatever its dial has to do before, it has done. */
static inline int member_sleeps(const member *m)
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
#ifdef SYS_poll
    if (call == SYS_poll)
        return 1;
#endif
    return call == SYS_ppoll;
}

static inline int crowd_sleeps(const crowd *c)
{
    int i;
    for (i = 0; i < c->count; i++)
        if (!member_sleeps(&c->all[i]))
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
    pthread_t napping[CROWD_MOST];
    int64_t late[CROWD_MOST];
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
