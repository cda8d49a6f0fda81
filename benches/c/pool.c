/* See pool.h. */
#include "pool.h"
#include "bench.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

int64_t must(int64_t result)
{
    if (result < 0) {
        fprintf(stderr, "libvconnpool: %s\n", vcp_last_error());
        exit(EXIT_FAILURE);
    }
    return result;
}

vcp_pool_options pool_options(void)
{
    vcp_pool_options options;
    must(vcp_pool_options_init(&options, sizeof options));
    return options;
}

vcp_pool_options pool_options_of(int argc, char **argv)
{
    static const char *const variants[] = {"strict", "watch", NULL};
    static const int32_t livenesses[] = {VCP_LIVENESS_STRICT, VCP_LIVENESS_WATCH};
    vcp_pool_options options = pool_options();
    options.liveness = livenesses[variant_of(argc, argv, variants)];
    return options;
}

void keep_at_least(vcp_pool_options *options, uint32_t count)
{
    if (options->max_idle_per_address < count)
        options->max_idle_per_address = count;
}

vcp_pool *new_pool(const vcp_pool_options *options)
{
    vcp_pool *pool;
    must(vcp_pool_new(options, &pool));
    return pool;
}

vcp_stats stats_of(vcp_pool *pool)
{
    vcp_stats stats;
    must(vcp_pool_stats(pool, &stats, sizeof stats));
    return stats;
}

void fill(vcp_pool *pool, const char *address, uint32_t count)
{
    uint64_t before = stats_of(pool).idle;
    vcp_conn **conns = calloc(count, sizeof(vcp_conn *));
    if (conns == NULL)
        fail("calloc");
    for (uint32_t i = 0; i < count; i++)
        must(vcp_dial(pool, "tcp", address, &conns[i]));
    for (uint32_t i = 0; i < count; i++)
        must(vcp_conn_close(conns[i]));
    free(conns);
    if (stats_of(pool).idle != before + count)
        fail("the pool does not keep what it was given");
}

void echo_over_conn(vcp_conn *conn)
{
    char bytes[ECHO_SIZE] = {0};
    must(vcp_conn_write(conn, bytes, ECHO_SIZE));
    for (size_t got = 0; got < ECHO_SIZE;) {
        int64_t count = must(vcp_conn_read(conn, bytes + got, ECHO_SIZE - got));
        if (count == 0)
            fail("end of stream");
        got += (size_t)count;
    }
}

static vcp_pool *hit;
static void (*cycles_of_hits)(uint64_t count);

static uint64_t time_of_hits(uint64_t count)
{
    vcp_stats before = stats_of(hit);
    uint64_t took = time_of(cycles_of_hits, count);
    vcp_stats after = stats_of(hit);
    uint64_t reuses = after.reuses - before.reuses, dials = after.dials - before.dials;
    if (reuses != count || dials != 0) {
        fprintf(stderr, "%" PRIu64 " cycles were %" PRIu64 " hits and %" PRIu64 " dials\n", count,
                reuses, dials);
        exit(EXIT_FAILURE);
    }
    return took;
}

int answer_hits(vcp_pool *pool, void (*cycles)(uint64_t count))
{
    hit = pool;
    cycles_of_hits = cycles;
    return answer_timed_runs(time_of_hits);
}
