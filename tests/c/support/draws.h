/*
 * draws.h - numbers by chance that a seed repeats, and how many rounds a test has.
 */
#ifndef DRAWS_H
#define DRAWS_H

#include "check.h"

/* From 0 to below - 1 (a linear congruential generator with Knuth's numbers for MMIX). */
static inline uint32_t draw(uint64_t *random, uint32_t below)
{
    *random = *random * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(*random >> 33) % below;
}

/* One of a table. */
#define DRAW_OF(random, table) ((table)[draw(random, sizeof(table) / sizeof *(table))])

/* VCP_SEED, or another one at each run; printed, so that a run can be repeated. */
static inline uint64_t seed_of_run(void)
{
    const char *text = getenv("VCP_SEED");
    uint64_t seed =
        text != NULL ? strtoull(text, NULL, 0) : (uint64_t)now_ms() * 1000003u + (uint64_t)getpid();
    printf("  VCP_SEED=%llu\n", (unsigned long long)seed);
    fflush(stdout);
    return seed;
}

/* What the environment says, or a short form; a shorter one where everything is slow. */
static inline int64_t rounds_of(const char *variable, int64_t quick)
{
    const char *text = getenv(variable);
    return text != NULL ? atoll(text) : slowness() > 1 ? quick / 10 : quick;
}

#endif
