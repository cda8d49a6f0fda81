/*
 * Twelve threads use everything at once: hits, waits, timeouts, tokens, asynchronous dials, hooks,
 * sessions, put and get, evictions, limits that change, pools that are aborted, drained, closed and
 * made anew. VCP_STRESS_CYCLES says how many cycles (100,000), VCP_SEED repeats the choices.
 */
#include "workload_run.h"

enum { ACTORS = 12 };

static actor actors[ACTORS];

static void run_cycles(int64_t cycles, uint64_t seed)
{
    work.cycles_left = cycles;
    workload_begins(actors, ACTORS, seed);
    workload_ends(actors, ACTORS);
}

TEST(everything_at_once_loses_nothing,
     "stress: Twelve threads use everything at once: no connection has two owners, no limit is "
     "broken, no call is late, nothing is lost or left")
{
    uint64_t seed = seed_of_run();
    int64_t cycles = rounds_of("VCP_STRESS_CYCLES", 100000);
    int64_t began;
    int64_t heap;
    int fds;
    workload_open();
    run_cycles(cycles / 10, seed); /* warm-up: handle slots stay */
    workload_close_pools();
    EVENTUALLY(threads() == 1 + TOOL_THREADS, 5000 + LATENESS_MS);
    fds = open_fds();
    heap = heap_bytes();
    workload_open_pools();
    began = now_ms();
    run_cycles(cycles, seed + 1);
    began = now_ms() - began;
    workload_close_pools();
    CHECK_BASELINE(fds, 1 + TOOL_THREADS);
    if (slowness() == 1) {
        CHECK_BETWEEN(heap_bytes() - heap, -(4 << 10), 4 << 10);
    }
    cycles = print_results(actors, ACTORS);
    check_latest(actors, ACTORS);
    printf("  %lld cycles in %lld ms, %u connections, %lld pools: nothing lost\n",
           (long long)cycles, (long long)began, work.served.counts->nonces / NONCE_STEP,
           (long long)work.pools_made);
    nonce_server_close(&work.served);
}

BEFORE_THE_TESTS(char **argv)
{
    count_heap_exactly(argv);
}
