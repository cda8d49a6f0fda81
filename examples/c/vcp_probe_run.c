/*
 * vcp_probe_run.c - the threads: each does a request with a fresh connection and one over the pool,
 * in turns, and counts what they came to.
 *
 * Which of a pair comes first changes with each pair, so that neither always finds the caches that
 * the other has left.
 */
#define _POSIX_C_SOURCE 200809L

#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include "vcp_probe.h"

static const uint64_t PROGRESS_NS = 200000000;

/* What all threads share. */
typedef struct {
    const client *client;
    uint64_t begin_ns;
    uint64_t end_ns;
} plan;

typedef struct {
    const plan *plan;
    pthread_t thread;
    int number;
    char answer[ANSWER_SIZE];
    pthread_mutex_t lock; /* of the tally, which the progress reads */
    tally done;
} worker;

uint64_t requests_of(const tally *some, kind of)
{
    return some->kinds[of].request.count;
}

uint64_t failures_of(const tally *some, side of)
{
    uint64_t count = 0;
    for (int i = 0; i < STATUSES; i++)
        count += some->failures[of][i].count;
    return count;
}

/* ---- one thread ---- */

static void count_failure(failure *failures, int status)
{
    failure *of = &failures[-status % STATUSES];
    if (of->count++ == 0)
        of->sample = strdup(vcp_last_error());
}

static void count(worker *self, side from, const outcome *out)
{
    pthread_mutex_lock(&self->lock);
    self->done.retries += (uint64_t)out->retries;
    self->done.connected += from == POOLED_SIDE && out->has_connected;
    if (out->status >= 0) {
        histogram_add(&self->done.kinds[out->kind].request, out->request_ns);
        histogram_add(&self->done.kinds[out->kind].dial, out->dial_ns);
    } else if (!is_stopped()) { /* what the signal has ended is no failure */
        count_failure(self->done.failures[from], out->status);
    }
    pthread_mutex_unlock(&self->lock);
}

static void do_pair(worker *self, side first)
{
    for (unsigned i = 0; i < SIDES && !is_stopped(); i++) {
        side from = (side)((first + i) % SIDES);
        outcome out = request(self->plan->client, from, self->answer);
        count(self, from, &out);
    }
}

/* The threads share the rate, and begin one after another. What came too late is not made up for.
 */
static void *work(void *argument)
{
    worker *self = argument;
    const options *how = self->plan->client->how;
    uint64_t threads = (uint64_t)how->threads;
    uint64_t interval = how->rate == 0 ? 0 : threads * SECOND_NS / (uint64_t)how->rate;
    uint64_t next = self->plan->begin_ns + interval * (uint64_t)self->number / threads;
    for (unsigned pair = 0; next < self->plan->end_ns && !is_stopped_before(next); pair++) {
        do_pair(self, (side)((pair + (unsigned)self->number) % SIDES));
        uint64_t now = now_ns();
        next = next + interval < now ? now : next + interval;
    }
    return NULL;
}

/* ---- all of them ---- */

static void show_progress(worker *workers, const plan *plan)
{
    const options *how = plan->client->how;
    uint64_t fresh = 0, pooled = 0, failed = 0;
    for (long i = 0; i < how->threads; i++) {
        const tally *done = &workers[i].done;
        pthread_mutex_lock(&workers[i].lock);
        fresh += requests_of(done, FRESH);
        pooled += requests_of(done, REUSED) + requests_of(done, MISSED);
        failed += failures_of(done, FRESH_SIDE) + failures_of(done, POOLED_SIDE);
        pthread_mutex_unlock(&workers[i].lock);
    }
    fprintf(stderr, "\r%.1f s of %g: %llu fresh, %llu over the pool, %llu failed\033[K",
            (double)(now_ns() - plan->begin_ns) / (double)SECOND_NS, how->seconds,
            (unsigned long long)fresh, (unsigned long long)pooled, (unsigned long long)failed);
}

static void watch(worker *workers, const plan *plan)
{
    if (!isatty(STDERR_FILENO))
        return;
    for (uint64_t next = now_ns(); next < plan->end_ns && !is_stopped_before(next);
         next += PROGRESS_NS)
        show_progress(workers, plan);
    fprintf(stderr, "\r\033[K");
}

static void join_tally(tally *total, tally *one)
{
    for (int i = 0; i < KINDS; i++) {
        histogram_join(&total->kinds[i].request, &one->kinds[i].request);
        histogram_join(&total->kinds[i].dial, &one->kinds[i].dial);
    }
    for (int i = 0; i < SIDES * STATUSES; i++) {
        failure *of = &total->failures[i / STATUSES][i % STATUSES];
        failure *from = &one->failures[i / STATUSES][i % STATUSES];
        of->count += from->count;
        if (of->sample == NULL)
            of->sample = from->sample;
        else
            free(from->sample);
    }
    total->connected += one->connected;
    total->retries += one->retries;
}

/* Runs all threads to their end. Returns 0, or -1 if one could not be started. */
static int run_workers(worker *workers, plan *plan, results *out)
{
    const options *how = plan->client->how;
    long started = 0;
    plan->begin_ns = now_ns();
    plan->end_ns = plan->begin_ns + (uint64_t)(how->seconds * (double)SECOND_NS);
    for (long i = 0; i < how->threads; i++) {
        workers[i].plan = plan;
        workers[i].number = (int)i;
        pthread_mutex_init(&workers[i].lock, NULL);
    }
    while (started < how->threads &&
           pthread_create(&workers[started].thread, NULL, work, &workers[started]) == 0)
        started++;
    if (started == how->threads)
        watch(workers, plan);
    else
        stop_now();
    for (long i = 0; i < started; i++)
        pthread_join(workers[i].thread, NULL);
    out->seconds = (double)(now_ns() - plan->begin_ns) / (double)SECOND_NS;
    for (long i = 0; i < how->threads; i++)
        join_tally(&out->total, &workers[i].done);
    return started == how->threads ? 0 : -1;
}

static double cost_of_clock(void)
{
    enum { LOOKS = 10000 };
    uint64_t begin = now_ns(), end = begin;
    for (int i = 0; i < LOOKS; i++)
        end = now_ns();
    return (double)(end - begin) / LOOKS;
}

static int complain(const char *why)
{
    fprintf(stderr, "vcp-probe: %s\n", why);
    return -1;
}

/* One request before all others, so that a server that is not there is told at once. */
static int measure(const client *client, results *out)
{
    plan plan = {.client = client};
    worker *workers = calloc((size_t)client->how->threads, sizeof *workers);
    if (workers == NULL)
        return complain("no memory");
    int result = 0;
    if (request(client, FRESH_SIDE, workers[0].answer).status < 0)
        result = complain(vcp_last_error());
    else if (run_workers(workers, &plan, out) < 0)
        result = complain("a thread cannot be started");
    free(workers);
    return result;
}

int run(const options *how, results *out)
{
    client client;
    if (stop_prepare() < 0)
        return -1;
    out->clock_ns = cost_of_clock();
    int result = client_open(&client, how) < 0 ? complain(vcp_last_error()) : measure(&client, out);
    out->was_interrupted = is_stopped();
    if (result == 0 && vcp_pool_stats(client.pools[POOLED_SIDE], &out->pool, sizeof out->pool) < 0)
        result = complain(vcp_last_error());
    client_close(&client);
    stop_end();
    return result;
}

void results_free(results *out)
{
    for (int i = 0; i < SIDES * STATUSES; i++)
        free(out->total.failures[i / STATUSES][i % STATUSES].sample);
    free(out);
}
