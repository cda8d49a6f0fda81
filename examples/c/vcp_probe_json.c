/*
 * vcp_probe_json.c - the results as one JSON object. Its names do not change.
 */
#include <inttypes.h>
#include "vcp_probe.h"

/* Texts of the library are UTF-8; the network and the address were taken by it. */
static void print_string(const char *text)
{
    putchar('"');
    for (; *text != '\0'; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            printf("\\%c", c);
        else if (c < ' ')
            printf("\\u%04x", c);
        else
            putchar(c);
    }
    putchar('"');
}

static void print_named_string(const char *name, const char *text)
{
    printf("\"%s\": ", name);
    print_string(text);
}

/* [the longest time of a bucket, its count], for each that has one. */
static void print_buckets(const histogram *times)
{
    const char *separator = "";
    printf("\"buckets\": [");
    for (size_t i = 0; i < BUCKETS; i++) {
        if (times->counts[i] > 0) {
            printf("%s[%" PRIu64 ", %" PRIu64 "]", separator, bucket_end(i), times->counts[i]);
            separator = ", ";
        }
    }
    printf("]");
}

static void print_histogram(const char *name, const histogram *times)
{
    printf("      \"%s\": ", name);
    if (times->count == 0) {
        printf("null");
        return;
    }
    printf("{\"min\": %" PRIu64 ", \"mean\": %.1f, \"p50\": %" PRIu64 ", \"p90\": %" PRIu64,
           times->min_ns, histogram_mean(times), histogram_percentile(times, 500),
           histogram_percentile(times, 900));
    printf(", \"p99\": %" PRIu64 ", \"p99_9\": %" PRIu64 ", \"max\": %" PRIu64 ",\n        ",
           histogram_percentile(times, 990), histogram_percentile(times, 999), times->max_ns);
    print_buckets(times);
    printf("}");
}

static void print_kind(const options *how, const tally *of, kind one)
{
    const timing *times = &of->kinds[one];
    double rate = per_second(how, &times->request);
    printf("    \"%s\": {\n      \"requests\": %" PRIu64 ",\n      \"per_second_without_pause\": ",
           KIND_NAMES[one], times->request.count);
    if (rate > 0)
        printf("%.1f,\n", rate);
    else
        printf("null,\n");
    print_histogram("request_ns", &times->request);
    printf(",\n");
    print_histogram("dial_ns", &times->dial);
    printf("\n    }%s\n", one + 1 < KINDS ? "," : "");
}

static void print_saved(const results *of)
{
    double ns, connections;
    if (saved(of, &ns, &connections))
        printf("  \"saved_per_request\": {\"ns\": %.1f, \"connections\": %.6f},\n", ns,
               connections);
    else
        printf("  \"saved_per_request\": null,\n");
}

static void print_pool(const vcp_stats *pool)
{
    printf("  \"pool\": {\"dials\": %" PRIu64 ", \"dial_failures\": %" PRIu64
           ", \"reuses\": %" PRIu64,
           pool->dials, pool->dial_failures, pool->reuses);
    printf(", \"waits\": %" PRIu64 ", \"stale_at_borrow\": %" PRIu64
           ", \"dirty_at_borrow\": %" PRIu64,
           pool->waits, pool->stale_at_borrow, pool->dirty_at_borrow);
    printf(", \"closed_while_idle\": %" PRIu64 ", \"closed_discarded\": %" PRIu64 "},\n",
           pool->closed_while_idle, pool->closed_discarded);
}

static void print_failures(const tally *of)
{
    const char *separator = "";
    printf("  \"failures\": [");
    for (int i = 0; i < SIDES * STATUSES; i++) {
        const failure *one = &of->failures[i / STATUSES][i % STATUSES];
        if (one->count == 0)
            continue;
        printf("%s\n    {", separator);
        print_named_string("side", SIDE_NAMES[i / STATUSES]);
        printf(", ");
        print_named_string("status", vcp_status_name(-(i % STATUSES)));
        printf(", \"count\": %" PRIu64 ", ", one->count);
        print_named_string("message", one->sample == NULL ? "" : one->sample);
        printf("}");
        separator = ",";
    }
    printf("%s]\n", *separator == '\0' ? "" : "\n  ");
}

static void print_run(const options *how, const results *of)
{
    printf("  ");
    print_named_string("library", vcp_version_string());
    printf(",\n  ");
    print_named_string("network", how->network);
    printf(",\n  ");
    print_named_string("address", how->address);
    printf(",\n  \"threads\": %ld,\n  \"rate\": %ld,\n  \"max_conns\": %ld,\n  ", how->threads,
           how->rate, how->max_conns);
    print_named_string("liveness", liveness_name(how->liveness));
    printf(",\n  \"has_ping\": %s,\n  \"seconds\": %.3f,\n  \"was_interrupted\": %s,\n",
           how->send.bytes == NULL ? "false" : "true", of->seconds,
           of->was_interrupted ? "true" : "false");
    printf("  \"clock_ns\": %.1f,\n  \"largest_relative_error\": %g,\n", of->clock_ns, 1.0 / STEPS);
}

void json_print(const options *how, const results *of)
{
    printf("{\n");
    print_run(how, of);
    printf("  \"kinds\": {\n");
    for (int i = 0; i < KINDS; i++)
        print_kind(how, &of->total, (kind)i);
    printf("  },\n  \"retries\": %" PRIu64 ",\n", of->total.retries);
    print_saved(of);
    print_pool(&of->pool);
    print_failures(&of->total);
    printf("}\n");
}
