/*
 * runner.h - runs each TEST of a program once for every trial, two at a time, each in a process of
 * its own, which is forked before the library is first called.
 *
 * A run is the TEST twice: first with the fault, until the TEST lifts it; then without any, in the
 * same process, where every call must succeed. The fault must not have left memory of the library's
 * behind.
 */
#ifndef RUNNER_H
#define RUNNER_H

#include <execinfo.h>
#include <sys/mman.h>

#include "outcome.h"
#include "peers.h"
#include "trials.h"

#define WORKERS 2
#define DRY_RUNS 3
#define SECONDS 10
#define MOST_LATE 10
#define MOST_MISSED 6
#define LEAKY_TIMES 4
#define MOST_SHOWN 12
#define OUTPUT_BYTES 65536

#define MOST_LIVE 512

/* What the library has allocated and not freed, by way; a way that led to two stands there twice.
 */
typedef struct live_blocks {
    uint64_t way[MOST_LIVE];
    uint32_t count;
} live_blocks;

/* What a run leaves to its parent. */
typedef struct report {
    torture_run run;
    live_blocks live; /* of the library, at the end */
} report;

typedef struct worker {
    pid_t child;
    report *seen;
    int output;
    size_t trial;
} worker;

typedef struct figures {
    int points;
    int sites;
    int behind;                /* sites that only a fault has reached */
    int failed[TORTURE_MODES]; /* trials that made a call fail */
    int beside;                /* and those beside another fault */
    int not_reached;
    int lost;
} figures;

static worker workers[WORKERS];
static live_blocks live_at_rest; /* after the run without a fault that left most */
static figures total;
static const char *library_path;

/* ---- in the child ---- */

static report *own_report;

/* It must not allocate. */
static void notes_live(uint64_t way, size_t size)
{
    live_blocks *live = &own_report->live;
    (void)size;
    CHECK(live->count < MOST_LIVE);
    live->way[live->count++] = way;
}

/* Crosses out each block that a run without a fault leaves too; what remains has leaked. */
static int leaks(live_blocks *live)
{
    uint32_t i, k;
    int count = 0;
    for (i = 0; i < live->count; i++) {
        for (k = 0; k < live_at_rest.count && live_at_rest.way[k] != live->way[i]; k++) {
        }
        if (k < live_at_rest.count) {
            live_at_rest.way[k] = 0;
        } else {
            fprintf(stderr, "  leaked, or more than else: way=%llx\n",
                    (unsigned long long)live->way[i]);
            count++;
        }
    }
    return count;
}

static uint32_t blocks_left(void)
{
    own_report->live.count = 0;
    torture_each_live(notes_live);
    return own_report->live.count;
}

/* The TEST with the fault, and then without any, when every call must succeed. */
static void runs_twice(const test_entry *entry)
{
    torture_use(this_run);
    this_run->reached = 0;
    this_run->is_on = 1;
    entry->body();
    CHECK_EQ(this_run->is_on, 0);
    this_run->failed = 0;
    memset(this_run->failed_of, 0, sizeof this_run->failed_of);
    entry->body();
}

/*
 * What is left beyond what a run without a fault leaves may be a table that the fault has made the
 * library use for the first time. A leak grows with each time.
 */
static void check_leaks(const test_entry *entry)
{
    uint32_t first = this_run->reached;
    uint32_t before = live_at_rest.count;
    uint32_t now = blocks_left();
    int times = 0;
    while (before != 0 && now > before && ++times < LEAKY_TIMES) {
        before = now;
        runs_twice(entry);
        now = blocks_left();
    }
    this_run->reached = first;
    CHECK(times < LEAKY_TIMES || leaks(&own_report->live) == 0);
}

/* Where a run crashed or hung: the thread that was hit, by name if the symbol is exported. */
static void tells_stack(int number)
{
    void *frames[64];
    backtrace_symbols_fd(frames, backtrace(frames, 64), 2);
    signal(number, SIG_DFL);
    raise(number);
}

static void child_watches_itself(void)
{
    static const int numbers[] = {SIGSEGV, SIGBUS, SIGABRT, SIGILL, SIGFPE, SIGALRM};
    void *frame;
    size_t i;
    /* The first call loads what it needs (backtrace(3)). */
    backtrace(&frame, 1);
    for (i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        signal(numbers[i], tells_stack);
    }
    alarm((unsigned)at_most(SECONDS));
}

static void child_runs(const test_entry *entry, worker *w)
{
    child_watches_itself();
    CHECK(dup2(w->output, 1) == 1 && dup2(w->output, 2) == 2);
    own_report = w->seen;
    this_run = &w->seen->run;
    runs_twice(entry);
    check_leaks(entry);
    _exit(0);
}

/* ---- in the parent ---- */

static void worker_starts(worker *w, const test_entry *entry, const torture_plan *plan)
{
    memset(w->seen, 0, sizeof *w->seen);
    if (plan != NULL) {
        w->seen->run.plan = *plan;
    }
    CHECK_EQ(ftruncate(w->output, 0), 0);
    CHECK_EQ(lseek(w->output, 0, SEEK_SET), 0);
    fflush(NULL);
    w->child = fork();
    CHECK(w->child >= 0);
    if (w->child == 0) {
        child_runs(entry, w);
    }
}

static worker *worker_ends(int *status)
{
    int i;
    for (;;) {
        pid_t child = waitpid(-1, status, 0);
        CHECK(child > 0);
        for (i = 0; i < WORKERS; i++) {
            if (workers[i].child == child) {
                workers[i].child = 0;
                return &workers[i];
            }
        }
        /* The servers' process must not end before the runs. */
        CHECK(!WIFEXITED(*status));
    }
}

static const char *verdict(int status)
{
    static char text[64];
    if (WIFEXITED(status)) {
        snprintf(text, sizeof text, "%s",
                 WEXITSTATUS(status) == EXIT_LATE ? "is late" : "is wrong");
    } else if (WTERMSIG(status) == SIGALRM) {
        snprintf(text, sizeof text, "hangs");
    } else {
        snprintf(text, sizeof text, "ends by %s", strsignal(WTERMSIG(status)));
    }
    return text;
}

static void workers_make(void)
{
    int i;
    for (i = 0; i < WORKERS; i++) {
        workers[i].seen = (report *)mmap(NULL, sizeof *workers[i].seen, PROT_READ | PROT_WRITE,
                                         MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        CHECK(workers[i].seen != MAP_FAILED);
        workers[i].output = memfd_create("output", MFD_CLOEXEC);
        CHECK(workers[i].output >= 0);
    }
}

#endif
