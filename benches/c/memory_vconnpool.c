/*
 * The memory of idle connections: AMOUNT connected sockets are put into the pool, into "one"
 * destination or "many", and "run N" is answered, once, with the growth of the resident set (statm
 * of proc(5)) in bytes over the last N of them. So what the pool needs in any case is not counted,
 * nor are the sockets, which are open before, nor their peers' ends, which are the server's.
 */
#include "bench.h"
#include "destinations.h"
#include "pool.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static vcp_pool *pool;
static const char *addresses[VISITS];
static int fds[VISITS];
static uint32_t most;

static uint64_t resident(void)
{
    uint64_t pages;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL || fscanf(file, "%*u %" SCNu64, &pages) != 1 || fclose(file) != 0)
        fail("/proc/self/statm");
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}

static void put(uint64_t i)
{
    must(vcp_pool_put(pool, fds[i], "tcp", addresses[i], NULL));
}

static uint64_t growth(uint64_t count)
{
    if (count >= most)
        fail("AMOUNT or more");
    for (uint32_t i = 0; i < most; i++)
        fds[i] = connect_to(addresses[i]);
    for (uint64_t i = 0; i < most - count; i++)
        put(i);
    uint64_t before = resident();
    for (uint64_t i = most - count; i < most; i++)
        put(i);
    uint64_t after = resident();
    if (stats_of(pool).idle != most)
        fail("the pool does not keep what it was given");
    return after - before;
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"one", "many", NULL};
    int is_many = variant_of(argc, argv, variants);
    most = amount_of(argv);
    vcp_pool_options options = pool_options();
    keep_at_least(&options, most);
    pool = new_pool(&options);
    make_destinations(argv[1], most);
    for (uint32_t i = 0; i < most; i++)
        addresses[i] = is_many ? destinations[i] : argv[1];
    return answer_timed_runs(growth);
}
