/*
 * Sixteen threads use everything for as long as is asked: three servers are killed and started
 * again, a part of the library's system calls fails, names change, limits change, pools are made
 * and closed. One line a minute; at the end the verdict. See run.
 */
#include <dlfcn.h>

#include "keeper.h"

enum { ACTORS = 16 };

static actor actors[ACTORS];
static long (*fault_percent)(int);

/* What the process holds, and what its threads have done since the last line. */
typedef struct sample {
    int64_t rss_kib; /* the least of the minute */
    int fds;
    int threads;
    int64_t results[STATUSES];
    int64_t late;
} sample;

static int64_t rss_kib(void)
{
    FILE *status = fopen("/proc/self/status", "re");
    char line[256];
    long long kib = 0;
    CHECK(status != NULL);
    while (fgets(line, sizeof line, status) != NULL) {
        sscanf(line, "VmRSS: %lld", &kib);
    }
    fclose(status);
    return kib;
}

static void add_up(sample *s)
{
    int64_t late = 0;
    int64_t nap = 0;
    int i, k;
    for (i = 0; i < ACTORS; i++) {
        int64_t one = peek(&actors[i].latest);
        late = one > late ? one : late;
        one = peek(&actors[i].latest_nap);
        nap = one > nap ? one : nap;
        for (k = 0; k < STATUSES; k++) {
            s->results[k] += peek(&actors[i].results[k]);
        }
    }
    s->late = late > nap ? late - nap : 0;
}

static void print_line(int64_t minute, const sample *now, const sample *before, long faults,
                       int32_t restarts)
{
    int64_t total = 0;
    int k;
    for (k = 0; k < STATUSES; k++) {
        total += now->results[k] - before->results[k];
    }
    printf("minute %lld: %lld operations, RSS %lld KiB, %d fds, %d threads, %lld ms late, "
           "%ld faults, %d restarts;",
           (long long)minute, (long long)total, (long long)now->rss_kib, now->fds, now->threads,
           (long long)now->late, faults, restarts);
    for (k = 1; k < STATUSES; k++) {
        int64_t count = now->results[k] - before->results[k];
        if (count > 0) {
            printf(" %s %lld", vcp_status_name(-k) + strlen("VCP_ERR_"), (long long)count);
        }
    }
    printf("\n");
    fflush(stdout);
}

/* The least of a minute: what is held for a moment comes and goes. */
static sample minute_of(int64_t until)
{
    sample s;
    memset(&s, 0, sizeof s);
    s.rss_kib = INT64_MAX;
    while (now_ms() < until) {
        int64_t kib = rss_kib();
        s.rss_kib = kib < s.rss_kib ? kib : s.rss_kib;
        let_pass(500);
    }
    s.fds = open_fds();
    s.threads = threads();
    add_up(&s);
    return s;
}

static void run_minutes(int64_t minutes, const keeper *k, int percent)
{
    int64_t began = now_ms();
    sample before;
    int64_t first = 0;
    int64_t last = 0;
    int64_t i;
    memset(&before, 0, sizeof before);
    for (i = 1; i <= minutes; i++) {
        sample now = minute_of(began + i * 60000);
        print_line(i, &now, &before, fault_percent(percent), load(k->restarts));
        /* The first minute is the warm-up. */
        first = i == 2 ? now.rss_kib : first;
        last = now.rss_kib;
        before = now;
    }
    if (minutes > 2) {
        printf("RSS from minute 2 to minute %lld: %+lld KiB\n", (long long)minutes,
               (long long)(last - first));
        CHECK(last - first < 1024);
    }
}

/* Touched now, or its pages would look like growth. */
static void touch_the_marks(void)
{
    memset(nonce_marks, 1, sizeof nonce_marks);
    memset(nonce_marks, 0, sizeof nonce_marks);
    memset(fd_marks, 1, sizeof fd_marks);
    memset(fd_marks, 0, sizeof fd_marks);
}

static void soak(int64_t minutes, int percent)
{
    int fds = open_fds();
    keeper k = keeper_new(&work.served);
    work.tcp_servers = SERVERS;
    work.nobody = work.served.at[0];
    work.is_faulty = 1;
    work.cycles_left = INT64_MAX;
    touch_the_marks();
    workload_open_pools();
    workload_begins(actors, ACTORS, seed_of_run());
    fault_percent(percent);
    run_minutes(minutes, &k, percent);
    fault_percent(0);
    keeper_calms(&k);
    __atomic_store_n(&work.is_over, 1, __ATOMIC_SEQ_CST);
    workload_ends(actors, ACTORS);
    workload_close_pools();
    check_latest(actors, ACTORS);
    keeper_close(&k);
    CHECK_BASELINE(fds, 1);
}

/* usage: soak MINUTES PERCENT, with faults.so preloaded */
int main(int argc, char **argv)
{
    CHECK_EQ(argc, 3);
    count_heap_exactly(argv);
    *(void **)&fault_percent = dlsym(RTLD_DEFAULT, "fault_percent");
    CHECK(fault_percent != NULL);
    soak(atoll(argv[1]), atoi(argv[2]));
    printf("soak: %s minutes, %s %% faults: nothing lost, nothing left\n", argv[1], argv[2]);
    return 0;
}
