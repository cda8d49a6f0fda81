/*
 * scene.h - a pool in a process whose system or memory fails, and how both must be afterwards.
 */
#ifndef SCENE_H
#define SCENE_H

#include "outcome.h"
#include "peers.h"
#include "trials.h"

/* How long a dial may take, where nothing is said about it. */
#define DIAL_MS 1000

typedef struct scene {
    vcp_pool *pool; /* NULL: it could not be made */
    vcp_pool_options options;
    errors may_fail_by;  /* what a dial may fail by */
    const server *fills; /* what is dialed to see that no permit was lost; NULL: nothing */
    int fds;
    int tasks;
} scene;

static inline vcp_pool_options scene_options(void)
{
    vcp_pool_options options = pool_options();
    options.dial_timeout_ms = DIAL_MS;
    return options;
}

/* NULL: the default options. */
static inline scene scene_new(const vcp_pool_options *options)
{
    scene s;
    s.options = options == NULL ? scene_options() : *options;
    s.may_fail_by = dial_errors;
    s.fills = &peers[UNIX];
    s.fds = open_fds();
    s.tasks = threads();
    s.pool = NULL;
    if (MAY(vcp_pool_new(&s.options, &s.pool), 0, resource_errors) < 0) {
        CHECK(s.pool == NULL);
    }
    return s;
}

/* A dial that must not leave a handle when it fails. NULL: it failed. */
static inline vcp_conn *dials(const scene *s, const server *where, uint32_t flags)
{
    vcp_conn *conn = NULL;
    vcp_dial_options options = dial_options(flags);
    int64_t fd = MAY(vcp_dial_with(s->pool, where->network, where->address, &options, &conn),
                     DIAL_MS, s->may_fail_by);
    CHECK_EQ(conn != NULL, fd >= 0);
    if (conn != NULL) {
        CHECK_EQ(vcp_conn_raw_fd(conn), fd);
    }
    return conn;
}

static inline void gives_back(vcp_conn *conn)
{
    if (conn != NULL) {
        MUST(vcp_conn_close(conn), 0);
    }
}

/* A use as programs make it: one at a time has the connection. */
static inline void uses(const scene *s, const server *where)
{
    vcp_conn *conn = dials(s, where, 0);
    if (conn != NULL && where->type == SOCK_DGRAM) {
        echoes_datagram(vcp_conn_raw_fd(conn));
    } else if (conn != NULL) {
        disowns(owns(vcp_conn_raw_fd(conn)));
    }
    gives_back(conn);
}

static inline int is_at_rest(vcp_pool *pool)
{
    vcp_stats s = stats_of(pool);
    return s.borrowed == 0 && s.dialing == 0 && s.waiting == 0 && s.releasing == 0;
}

/* As many as the limit allows, at once: no permit was lost. */
static inline void fills(const scene *s)
{
    vcp_conn *held[8];
    uint32_t most =
        s->options.max_conns == 0 || s->options.max_conns > 8 ? 8 : s->options.max_conns;
    uint32_t i;
    for (i = 0; i < most; i++) {
        held[i] = borrow_fresh(s->pool, s->fills);
        owns(vcp_conn_raw_fd(held[i]));
    }
    CHECK_EQ(stats_of(s->pool).borrowed, most);
    for (i = 0; i < most; i++) {
        disowns(number_of(vcp_conn_raw_fd(held[i])));
        give_back(held[i]);
    }
}

/* Nothing fails any more, and nothing was lost: all goes on with the same pool. */
static inline void scene_recovers(scene *s)
{
    lift();
    if (s->pool == NULL) {
        s->pool = pool_new(&s->options);
    }
    EVENTUALLY(is_at_rest(s->pool), 2000);
    CHECK_STATS_ADD_UP(s->pool);
    if (s->fills != NULL) {
        fills(s);
    }
    EVENTUALLY(is_at_rest(s->pool), 2000);
    CHECK_STATS_ADD_UP(s->pool);
}

/* What is open, for a run in which something was left so. */
static inline void tells_descriptors(void)
{
    int fd;
    for (fd = 0; fd < 64; fd++) {
        char path[32];
        char name[64] = "";
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, name, sizeof name - 1) > 0) {
            fprintf(stderr, "  descriptor %d: %s\n", fd, name);
        }
    }
}

/* A number of which fstat(2) does not tell whose it is now is left alone, and stays open. */
static inline int most_left_open(void)
{
    static int row = -1;
    row = row < 0 ? row_called("fstat") : row;
    return (int)this_run->failed_of[row];
}

static inline int is_at_baseline(const scene *s)
{
    int left = open_fds() - s->fds;
    return threads() == s->tasks && left >= 0 && left <= most_left_open();
}

/* All of the library's threads and descriptors are gone with its last pool. */
static inline void check_baseline(const scene *s)
{
    int64_t end = now_ms() + at_most(1000);
    while (!is_at_baseline(s) && now_ms() < end) {
        poll(NULL, 0, 1);
    }
    if (!is_at_baseline(s)) {
        tells_descriptors();
    }
    CHECK_BETWEEN(open_fds(), s->fds, s->fds + most_left_open());
    CHECK_EQ(threads(), s->tasks);
}

static inline void scene_end(scene *s)
{
    scene_recovers(s);
    CHECK_EQ(vcp_pool_close(s->pool), VCP_OK);
    check_baseline(s);
    /* A thread keeps its last message: here each run leaves one, whether a call failed or not. */
    CHECK_EQ(vcp_set_last_error(VCP_ERR_IO, "the end"), VCP_ERR_IO);
}

#endif
