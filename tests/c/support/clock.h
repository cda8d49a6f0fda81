/*
 * clock.h - the time, upper bounds of time, and waiting for what takes a while.
 *
 * VCP_SLOW=n in the environment widens every upper bound n times (for valgrind and sanitizers);
 * lower bounds stay.
 */
#ifndef CLOCK_H
#define CLOCK_H

#include <inttypes.h>
#include <poll.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

#include "checks.h"

static inline int64_t now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static inline int slowness(void)
{
    const char *text = getenv("VCP_SLOW");
    int times = text == NULL ? 1 : atoi(text);
    return times < 1 ? 1 : times;
}

/* An upper bound of time. */
static inline int64_t at_most(int64_t ms)
{
    return ms * slowness();
}

/* How late a thread of a busy two-core machine may be woken: no promise of the library. */
#define LATENESS_MS 250

/*
 * How far the clock of idle times and pauses may be behind now_ms: CLOCK_MONOTONIC_COARSE, which
 * ticks every 1 to 10 ms (clock_gettime(2)).
 */
#define COARSE_MS 10

/*
 * The call that began at `start` took as long as it should; 1 ms for the rounding of both readings.
 */
#define CHECK_TOOK(start, ms) CHECK_BETWEEN(now_ms() - (start), (ms)-1, at_most((ms) + LATENESS_MS))

/*
 * Lets time pass where the passing of time is what is tested (an age, a "nothing happens"), never
 * to hide a race.
 */
static inline void let_pass(int64_t ms)
{
    int64_t end = now_ms() + ms;
    int64_t left = ms;
    while (left > 0) {
        poll(NULL, 0, (int)left);
        left = end - now_ms();
    }
}

/* For what the contract allows time for: holds within so many milliseconds, or the test fails. */
#define EVENTUALLY(holds, ms)                                                       \
    do {                                                                            \
        int64_t eventually_end = now_ms() + at_most(ms);                            \
        while (!(holds)) {                                                          \
            if (now_ms() > eventually_end) {                                        \
                check_failed(__FILE__, __LINE__, "not within " #ms " ms: " #holds); \
            }                                                                       \
            poll(NULL, 0, 1);                                                       \
        }                                                                           \
    } while (0)

/* Holds now and all the time from now on. */
#define STAYS(holds, ms)                                                                     \
    do {                                                                                     \
        int64_t stays_end = now_ms() + (ms);                                                 \
        do {                                                                                 \
            if (!(holds)) {                                                                  \
                check_failed(__FILE__, __LINE__, "did not stay so for " #ms " ms: " #holds); \
            }                                                                                \
            poll(NULL, 0, 2);                                                                \
        } while (now_ms() < stays_end);                                                      \
    } while (0)

#endif
