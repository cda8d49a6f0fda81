/* See threads.h. */
#include "threads.h"
#include "bench.h"

#include <pthread.h>
#include <stddef.h>

static void (*cycles_of_one)(uint64_t count);
static uint64_t total;
/* Between these two every member works; total is written outside. */
static pthread_barrier_t start, end;

static void *work(void *place)
{
    for (;;) {
        pthread_barrier_wait(&start);
        cycles_of_one((total + (uintptr_t)place) / THREADS);
        pthread_barrier_wait(&end);
    }
    return NULL;
}

static void together(uint64_t count)
{
    total = count;
    pthread_barrier_wait(&start);
    pthread_barrier_wait(&end);
}

void (*on_threads(void (*cycles)(uint64_t count)))(uint64_t count)
{
    pthread_t thread;
    cycles_of_one = cycles;
    if (pthread_barrier_init(&start, NULL, THREADS + 1) != 0 ||
        pthread_barrier_init(&end, NULL, THREADS + 1) != 0)
        fail("pthread_barrier_init");
    for (uintptr_t place = 0; place < THREADS; place++)
        if (pthread_create(&thread, NULL, work, (void *)place) != 0)
            fail("pthread_create");
    return together;
}
