/* See contention.h. */
#include "contention.h"
#include "bench.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

typedef struct {
    pthread_t thread;
    uint64_t *waits;
    size_t count;
    size_t room;
} member;

static contention_take *take_one;
static contention_give *give_back;
static atomic_bool is_over;
static pthread_barrier_t start;

static void note(member *one, uint64_t wait)
{
    if (one->count == one->room) {
        one->room = one->room == 0 ? 4096 : 2 * one->room;
        one->waits = realloc(one->waits, one->room * sizeof *one->waits);
        if (one->waits == NULL)
            fail("realloc");
    }
    one->waits[one->count++] = wait;
}

static void *take_part(void *context)
{
    member *one = context;
    pthread_barrier_wait(&start);
    while (!atomic_load_explicit(&is_over, memory_order_relaxed)) {
        void *held;
        uint64_t asked = now_ns();
        int fd = take_one(&held);
        note(one, now_ns() - asked);
        echo_over(fd);
        give_back(held);
    }
    return NULL;
}

static int by_size(const void *left, const void *right)
{
    uint64_t one = *(const uint64_t *)left, other = *(const uint64_t *)right;
    return (one > other) - (one < other);
}

static void report(member *members)
{
    uint64_t least = UINT64_MAX, most = 0, p99 = 0, longest = 0, sum = 0, count = 0;
    for (member *one = members; one < members + THREADS; one++) {
        least = one->count < least ? one->count : least;
        most = one->count > most ? one->count : most;
        count += one->count;
        for (size_t i = 0; i < one->count; i++)
            sum += one->waits[i];
        if (one->count > 0) {
            qsort(one->waits, one->count, sizeof *one->waits, by_size);
            uint64_t of_this = one->waits[(one->count - 1) * 99 / 100];
            uint64_t last = one->waits[one->count - 1];
            p99 = of_this > p99 ? of_this : p99;
            longest = last > longest ? last : longest;
        }
        free(one->waits);
    }
    printf("%" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 "\n", least, most, p99,
           longest, count > 0 ? sum / count : 0);
    if (fflush(stdout) != 0)
        fail("standard output");
}

static void run_for(uint64_t milliseconds)
{
    member members[THREADS] = {0};
    struct timespec time = {(time_t)(milliseconds / 1000), (long)(milliseconds % 1000) * 1000000};
    atomic_store(&is_over, false);
    for (member *one = members; one < members + THREADS; one++)
        if (pthread_create(&one->thread, NULL, take_part, one) != 0)
            fail("pthread_create");
    pthread_barrier_wait(&start);
    nanosleep(&time, NULL);
    atomic_store(&is_over, true);
    for (member *one = members; one < members + THREADS; one++)
        if (pthread_join(one->thread, NULL) != 0)
            fail("pthread_join");
    report(members);
}

int answer_contentions(contention_take *take, contention_give *give)
{
    uint64_t milliseconds;
    take_one = take;
    give_back = give;
    if (pthread_barrier_init(&start, NULL, THREADS + 1) != 0)
        fail("pthread_barrier_init");
    while (scanf(" run %" SCNu64, &milliseconds) == 1)
        run_for(milliseconds);
    return EXIT_SUCCESS;
}
