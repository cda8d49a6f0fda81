/*
 * pools.h - pools and connections, with every answer checked, and the identity that the statistics
 * keep.
 */
#ifndef POOLS_H
#define POOLS_H

#include "clock.h"
#include "servers.h"

static inline vcp_pool_options pool_options(void)
{
    vcp_pool_options options;
    CHECK_EQ(vcp_pool_options_init(&options, sizeof options), VCP_OK);
    return options;
}

static inline vcp_dial_options dial_options(uint32_t flags)
{
    vcp_dial_options options;
    CHECK_EQ(vcp_dial_options_init(&options, sizeof options), VCP_OK);
    options.flags = flags;
    return options;
}

/* NULL: all defaults. */
static inline vcp_pool *pool_new(const vcp_pool_options *options)
{
    vcp_pool *pool = NULL;
    CHECK_EQ(vcp_pool_new(options, &pool), VCP_OK);
    CHECK(pool != NULL);
    return pool;
}

static inline int dial_flags(vcp_pool *pool, const server *s, uint32_t flags, vcp_conn **conn)
{
    vcp_dial_options options = dial_options(flags);
    return vcp_dial_with(pool, s->network, s->address, &options, conn);
}

/* Dials or reuses; must succeed. */
static inline vcp_conn *borrow(vcp_pool *pool, const server *s)
{
    vcp_conn *conn = NULL;
    CHECK(vcp_dial(pool, s->network, s->address, &conn) >= 0);
    CHECK(conn != NULL);
    return conn;
}

static inline vcp_conn *borrow_fresh(vcp_pool *pool, const server *s)
{
    vcp_conn *conn = NULL;
    CHECK(dial_flags(pool, s, VCP_DIAL_FRESH, &conn) >= 0);
    return conn;
}

static inline void give_back(vcp_conn *conn)
{
    CHECK_EQ(vcp_conn_close(conn), VCP_OK);
}

static inline int64_t idle_at(vcp_pool *pool, const server *s)
{
    return vcp_pool_idle_count(pool, s->network, s->address);
}

static inline int64_t idle_in(vcp_pool *pool)
{
    return vcp_pool_idle_count(pool, NULL, NULL);
}

static inline vcp_stats stats_of(vcp_pool *pool)
{
    vcp_stats stats;
    CHECK_EQ(vcp_pool_stats(pool, &stats, sizeof stats), VCP_OK);
    return stats;
}

static inline uint64_t endings(const vcp_stats *s)
{
    return s->closed_while_idle + s->closed_idle_timeout + s->closed_lifetime + s->closed_max_uses +
           s->closed_idle_full + s->closed_evicted + s->closed_discarded + s->closed_hook +
           s->closed_foreign_fd;
}

/* The identity of contract section 4, true whenever nothing is under way. */
static inline void check_stats_add_up(const char *file, int line, vcp_pool *pool)
{
    vcp_stats s;
    int64_t count, idle;
    /* The watch may close a dead one between two looks. */
    do {
        count = vcp_pool_conn_count(pool);
        s = stats_of(pool);
        idle = idle_in(pool);
    } while (vcp_pool_conn_count(pool) != count);
    check_equal(file, line, "the statistics add up",
                (long long)(s.dials - s.dial_failures + s.puts),
                (long long)(s.idle + s.borrowed + s.gets + s.detached + s.stale_at_borrow +
                            s.dirty_at_borrow + endings(&s)));
    check_equal(file, line, "the gauges and the counts agree", (long long)(s.idle + s.borrowed),
                (long long)count);
    check_equal(file, line, "idle and idle_count agree", (long long)s.idle, (long long)idle);
}

#define CHECK_STATS_ADD_UP(pool) check_stats_add_up(__FILE__, __LINE__, pool)

/* Writes text and reads it back. */
static inline void check_echo(const char *file, int line, vcp_conn *conn, const char *text)
{
    char bytes[256];
    size_t size = strlen(text);
    size_t have = 0;
    check_equal(file, line, "the whole text is written", vcp_conn_write(conn, text, size),
                (long long)size);
    while (have < size) {
        int64_t count = vcp_conn_read(conn, bytes + have, sizeof bytes - have);
        check_true(file, line, "the echo is read", count > 0);
        have += (size_t)count;
    }
    check_true(file, line, "the echo is the text", have == size && memcmp(bytes, text, size) == 0);
}

#define CHECK_ECHO(conn, text) check_echo(__FILE__, __LINE__, conn, text)

#endif
