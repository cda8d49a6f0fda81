/*
 * percentiles.c - the histogram of vcp-probe alone: numbers from stdin, split over two histograms
 * that are joined; then a line each of count, min, p50, p90, p99, p99.9, max.
 */
#include <inttypes.h>
#include <stdlib.h>
#include "vcp_probe.h"

static void print(const histogram *times)
{
    static const unsigned per_mille[] = {500, 900, 990, 999};
    printf("%" PRIu64 "\n%" PRIu64 "\n", times->count, times->min_ns);
    for (size_t i = 0; i < sizeof per_mille / sizeof per_mille[0]; i++)
        printf("%" PRIu64 "\n", histogram_percentile(times, per_mille[i]));
    printf("%" PRIu64 "\n", times->max_ns);
}

int main(void)
{
    histogram *both = calloc(2, sizeof *both);
    uint64_t ns;
    if (both == NULL)
        return EXIT_FAILURE;
    for (int i = 0; scanf("%" SCNu64, &ns) == 1; i++)
        histogram_add(&both[i % 2], ns);
    histogram_join(&both[0], &both[1]);
    print(&both[0]);
    free(both);
    return EXIT_SUCCESS;
}
