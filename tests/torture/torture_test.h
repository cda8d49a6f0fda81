/*
 * torture_test.h - included first by each program of this folder: its TESTs are run once for every
 * call of the library that can fail, and fail it. tests/torture/run builds the programs, and says
 * by the environment what is to be done:
 *
 *     TORTURE_KIND       calls or memory
 *     TORTURE_LIBRARY    the library's path, for addr2line(1)
 *     TORTURE_SAMPLE     the first call of each way alone, once, instead of each point
 *     TORTURE_PAIRS      so many trials with two failures, drawn at random, instead of each point
 *     TORTURE_SEED       where the drawing begins
 *     TORTURE_PLAN       one trial, as a failure prints it
 *     TORTURE_SEEN       the file to which the calls that were failed are added
 */
#ifndef TORTURE_TEST_H
#define TORTURE_TEST_H

struct test_entry;
static void tortured(const struct test_entry *entry);
static void torture_ends(void);
#define RUN_TEST(entry) tortured(entry)
#define AFTER_THE_TESTS() torture_ends()
/* The calls of the program's own that check.h's helpers would watch are the shim's to watch. */
#define CAN_GUARD 0

#include "check.h"
#include "scene.h"
#include "report.h"

static const char *setting(const char *name, const char *otherwise)
{
    const char *value = getenv(name);
    return value == NULL || value[0] == '\0' ? otherwise : value;
}

static int kind_wanted(void)
{
    static const char *const names[] = {"calls", "memory", "names"};
    const char *wanted = setting("TORTURE_KIND", "calls");
    int kind = 0;
    while (kind <= TORTURE_NAMES && strcmp(names[kind], wanted) != 0) {
        kind++;
    }
    CHECK(kind <= TORTURE_NAMES);
    return kind;
}

/* ---- runs without a fault ---- */

/* Adds what has been failed to the file, and empties the table for the next TEST. */
static void forgets_sites(void)
{
    torture_site *site = torture_sites();
    torture_site *end = site + TORTURE_SITES;
    FILE *seen = fopen(setting("TORTURE_SEEN", "/dev/null"), "a");
    CHECK(seen != NULL);
    for (; site < end; site++) {
        uint32_t i;
        for (i = 0; site->way != 0 && i < site->depth; i++) {
            fprintf(seen, "%s%x", i == 0 ? "" : " ", site->frames[i]);
        }
        if (site->way != 0) {
            fprintf(seen, " %s %s\n", site->failed > 0 ? "failed" : "reached",
                    torture_row_at(site->row)->name);
        }
        memset(site, 0, sizeof *site);
    }
    fclose(seen);
}

static live_blocks most_live;

static int is_late_status(int status)
{
    return WIFEXITED(status) && WEXITSTATUS(status) == EXIT_LATE;
}

static void dry_run(const test_entry *entry)
{
    int status;
    trial none;
    worker *w;
    memset(&none, 0, sizeof none);
    do {
        worker_starts(&workers[0], entry, NULL);
        w = worker_ends(&status);
    } while (is_late_status(status) && ++none.late < MOST_LATE);
    if (status != 0) {
        trial_shows(entry, &none, w, status);
        exit(1);
    }
    if (w->seen->live.count > most_live.count) {
        most_live = w->seen->live;
    }
}

static void dry_runs(const test_entry *entry)
{
    int i;
    forgets_sites();
    live_at_rest.count = most_live.count = 0;
    for (i = 0; i < DRY_RUNS; i++) {
        dry_run(entry);
    }
    live_at_rest = most_live;
}

/* ---- trials ---- */

static int reached_all(const torture_run *run)
{
    uint32_t wanted = run->plan.at[1].way != 0 ? 3 : 1;
    return (run->reached & wanted) == wanted;
}

/* True if it is to be tried again: its point was not reached, or others had the processor. */
static int is_to_repeat(trial *t, const worker *w, int status)
{
    if (is_late_status(status)) {
        return ++t->late < MOST_LATE;
    }
    return status == 0 && !reached_all(&w->seen->run) && setting("TORTURE_PAIRS", NULL) == NULL &&
           ++t->missed < MOST_MISSED;
}

static void trial_ends(const test_entry *entry, trial *t, const worker *w, int status)
{
    if (status != 0) {
        trial_shows(entry, t, w, status);
    } else if (!reached_all(&w->seen->run)) {
        total.not_reached++;
    } else if (t->plan.at[1].way != 0) {
        total.beside++;
    } else {
        total.failed[t->plan.mode]++;
    }
}

static worker *free_worker(void)
{
    int i;
    for (i = 0; i < WORKERS; i++) {
        if (workers[i].child == 0) {
            return &workers[i];
        }
    }
    return NULL;
}

static void trials_run(const test_entry *entry, trials *t)
{
    size_t next = 0;
    size_t running = 0;
    while (next < t->count || running > 0) {
        worker *w = free_worker();
        int status;
        if (w != NULL && next < t->count) {
            w->trial = next++;
            worker_starts(w, entry, &t->list[w->trial].plan);
            running++;
            continue;
        }
        w = worker_ends(&status);
        running--;
        if (is_to_repeat(&t->list[w->trial], w, status)) {
            worker_starts(w, entry, &t->list[w->trial].plan);
            running++;
        } else {
            trial_ends(entry, &t->list[w->trial], w, status);
        }
    }
    t->count = 0;
}

/* ---- all of them, and the figures ---- */

static void tries_each(const test_entry *entry, trials *t)
{
    int points = 0;
    int sites = trials_of(t, kind_wanted(), &points);
    printf("%s: %d points by %d ways, %zu trials\n", entry->name, points, sites, t->count);
    fflush(stdout);
    trials_run(entry, t);
    total.points += points;
    total.sites += sites;
    total.behind += trials_behind_faults(t, kind_wanted());
    trials_run(entry, t);
}

static void tries_sample(const test_entry *entry, trials *t)
{
    int sites = trials_of_first_calls(t, kind_wanted());
    printf("%s: the first calls by %d ways\n", entry->name, sites);
    fflush(stdout);
    trials_run(entry, t);
    total.points += sites;
    total.sites += sites;
}

static void tries_pairs(const test_entry *entry, trials *t, int count)
{
    uint64_t seed = strtoull(setting("TORTURE_SEED", "1"), NULL, 10);
    const char *letter;
    for (letter = entry->name; *letter != '\0'; letter++) {
        seed = seed * 31 + (unsigned char)*letter;
    }
    trials_pairs(t, kind_wanted(), seed, count);
    printf("%s: %zu trials with two failures\n", entry->name, t->count);
    fflush(stdout);
    trials_run(entry, t);
}

static void tries_one(const test_entry *entry, trials *t, const char *text)
{
    torture_plan plan = plan_reads(text);
    trials_add(t, &plan);
    trials_run(entry, t);
}

static void tortured(const test_entry *entry)
{
    const char *plan = setting("TORTURE_PLAN", NULL);
    const char *pairs = setting("TORTURE_PAIRS", NULL);
    trials t;
    memset(&t, 0, sizeof t);
    if (workers[0].seen == NULL) {
        library_path = setting("TORTURE_LIBRARY", "libvconnpool.so");
        peers_start();
        workers_make();
    }
    dry_runs(entry);
    if (plan != NULL) {
        tries_one(entry, &t, plan);
    } else if (pairs != NULL) {
        tries_pairs(entry, &t, atoi(pairs));
    } else if (setting("TORTURE_SAMPLE", NULL) != NULL) {
        tries_sample(entry, &t);
    } else {
        tries_each(entry, &t);
    }
    free(t.list);
}

static void torture_ends(void)
{
    forgets_sites();
    printf("figures %d %d %d %d %d %d %d %d %d\n", total.points, total.sites, total.behind,
           total.failed[TORTURE_ONCE], total.failed[TORTURE_STUCK], total.failed[TORTURE_FOR_EVER],
           total.beside, total.not_reached, total.lost);
    exit(total.lost > 0);
}

#endif
