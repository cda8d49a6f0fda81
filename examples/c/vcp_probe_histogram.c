/*
 * vcp_probe_histogram.c - times in log-linear buckets: a fixed size, whatever comes, and a known
 * error.
 *
 * A time below 256 ns has a bucket of its own. A longer one is shifted right until it is below 256;
 * the shift and the eight bits that are left name its bucket.
 */
#include "vcp_probe.h"

static const uint64_t LONGEST_NS = ((uint64_t)2 * STEPS << MOST_SHIFTS) - 1;

static size_t bucket_of(uint64_t ns)
{
    size_t shift = 0;
    while (ns >> shift >= 2 * STEPS)
        shift++;
    return shift * STEPS + (size_t)(ns >> shift);
}

uint64_t bucket_end(size_t bucket)
{
    size_t shift = bucket < 2 * STEPS ? 0 : bucket / STEPS - 1;
    uint64_t bits = bucket - shift * STEPS;
    return ((bits + 1) << shift) - 1;
}

void histogram_add(histogram *times, uint64_t ns)
{
    if (ns > LONGEST_NS)
        ns = LONGEST_NS;
    times->counts[bucket_of(ns)]++;
    if (times->count == 0 || ns < times->min_ns)
        times->min_ns = ns;
    if (ns > times->max_ns)
        times->max_ns = ns;
    times->count++;
    times->sum_ns += ns;
}

void histogram_join(histogram *times, const histogram *others)
{
    if (others->count == 0)
        return;
    if (times->count == 0 || others->min_ns < times->min_ns)
        times->min_ns = others->min_ns;
    if (others->max_ns > times->max_ns)
        times->max_ns = others->max_ns;
    times->count += others->count;
    times->sum_ns += others->sum_ns;
    for (size_t i = 0; i < BUCKETS; i++)
        times->counts[i] += others->counts[i];
}

uint64_t histogram_percentile(const histogram *times, unsigned per_mille)
{
    uint64_t wanted = (times->count * per_mille + 999) / 1000;
    uint64_t seen = 0;
    for (size_t i = 0; i < BUCKETS && wanted > 0; i++) {
        seen += times->counts[i];
        if (seen >= wanted)
            return bucket_end(i) < times->max_ns ? bucket_end(i) : times->max_ns;
    }
    return 0;
}

double histogram_mean(const histogram *times)
{
    return times->count == 0 ? 0 : (double)times->sum_ns / (double)times->count;
}
