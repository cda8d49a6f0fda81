/*
 * AMOUNT idle connections in "one" destination or "many", and nothing happens: "run MS" waits so
 * many milliseconds and is answered with two numbers: how often the library's background thread
 * slept and woke up meanwhile (its voluntary context switches), and the nanoseconds of CPU that it
 * took. No expiry is armed. What the pool arms after a give-back is over before the first run
 * begins.
 */
#include "bench.h"
#include "destinations.h"
#include "pool.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#define THREAD "vcp-engine"
enum { SETTLE_MS = 2000, PATH = 512 };

typedef struct {
    uint64_t sleeps;
    uint64_t cpu_ns;
} work;

static vcp_pool *pool;
static uint32_t amount;
/* The thread's directory. */
static char directory[PATH];

/* One of its files, as text. */
static const char *text_of(const char *task, const char *name)
{
    static char text[4096];
    char path[PATH + 32];
    snprintf(path, sizeof path, "%s/%s", task, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        fail(path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    return text;
}

static void find_thread(void)
{
    char task[PATH];
    struct dirent *entry;
    DIR *tasks = opendir("/proc/self/task");
    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(task, sizeof task, "/proc/self/task/%s", entry->d_name);
        if (strcmp(text_of(task, "comm"), THREAD "\n") == 0)
            memcpy(directory, task, sizeof task);
    }
    if (directory[0] == '\0')
        fail("no thread " THREAD);
    closedir(tasks);
}

/* status and schedstat of proc(5). */
static work work_so_far(void)
{
    work work;
    const char *sleeps = strstr(text_of(directory, "status"), "\nvoluntary_ctxt_switches:");
    if (sleeps == NULL || sscanf(sleeps, "%*s %" SCNu64, &work.sleeps) != 1 ||
        sscanf(text_of(directory, "schedstat"), "%" SCNu64, &work.cpu_ns) != 1)
        fail(directory);
    return work;
}

static void wait_for(uint64_t milliseconds)
{
    struct timespec time = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    nanosleep(&time, NULL);
}

static const char *work_meanwhile(uint64_t milliseconds)
{
    static char answer[64];
    work before = work_so_far();
    wait_for(milliseconds);
    work after = work_so_far();
    if (stats_of(pool).idle != amount)
        fail("the pool does not keep what it was given");
    snprintf(answer, sizeof answer, "%" PRIu64 " %" PRIu64, after.sleeps - before.sleeps,
             after.cpu_ns - before.cpu_ns);
    return answer;
}

static void fill_many(const char *address)
{
    make_destinations(address, amount);
    for (uint32_t i = 0; i < amount; i++)
        fill(pool, destinations[i], 1);
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"one", "many", NULL};
    int is_many = variant_of(argc, argv, variants);
    vcp_pool_options options = pool_options();
    amount = amount_of(argv);
    keep_at_least(&options, amount);
    options.idle_timeout_ms = 0;
    pool = new_pool(&options);
    if (is_many)
        fill_many(argv[1]);
    else
        fill(pool, argv[1], amount);
    wait_for(SETTLE_MS);
    find_thread();
    return answer_told_runs(work_meanwhile);
}
