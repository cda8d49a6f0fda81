/*
 * misuse.h - wrong values of every kind that a C function can be given: handles that never were
 * one, that are dead, of another kind, or somebody else's; bad texts, sizes, times and numbers.
 */
#ifndef MISUSE_H
#define MISUSE_H

#include "draws.h"
#include "nonces.h"

enum { STALE_MOST = 512, SHARED_MOST = 16 };

typedef enum handle_kind { A_POOL, A_CONN, A_QUEUE, A_CANCEL, HANDLE_KINDS } handle_kind;

/* What is known of a value that is passed as a handle. */
typedef enum truth { NEVER_ONE, DEAD, MAYBE_ALIVE } truth;

typedef struct handle_value {
    void *value;
    truth is;
} handle_value;

typedef struct stale_handles {
    void *values[STALE_MOST];
    uint32_t count;
} stale_handles;

/* Live handles that every misuser may use, and end. */
typedef struct shared_handles {
    void *values[SHARED_MOST];
    int64_t begun;
    int64_t ended;
} shared_handles;

typedef struct misuser {
    pthread_t thread;
    uint64_t random;
    int64_t calls;
    int64_t results[128]; /* by status, negated; [0]: successes */
    int gave_two;         /* this call was given a second handle, perhaps a wrong one */
    stale_handles stale[HANDLE_KINDS];
} misuser;

static shared_handles shared[HANDLE_KINDS];
static void *proper[HANDLE_KINDS]; /* passed as handles of other kinds only */

static inline void *shared_at(handle_kind kind, uint32_t at)
{
    return __atomic_load_n(&shared[kind].values[at], __ATOMIC_RELAXED);
}

static inline void remember_stale(misuser *m, handle_kind kind, void *value)
{
    stale_handles *of = &m->stale[kind];
    of->values[of->count++ % STALE_MOST] = value;
}

/* Whoever ends it (only one can) says so. */
static inline void shared_ended(misuser *m, handle_kind kind, void *value)
{
    uint32_t i;
    for (i = 0; i < SHARED_MOST; i++) {
        void *expected = value;
        __atomic_compare_exchange_n(&shared[kind].values[i], &expected, NULL, 0, __ATOMIC_RELAXED,
                                    __ATOMIC_RELAXED);
    }
    __atomic_fetch_add(&shared[kind].ended, 1, __ATOMIC_RELAXED);
    remember_stale(m, kind, value);
}

/* False: there is no place for it. */
static inline int share(handle_kind kind, void *value)
{
    uint32_t i;
    for (i = 0; i < SHARED_MOST; i++) {
        void *none = NULL;
        if (__atomic_compare_exchange_n(&shared[kind].values[i], &none, value, 0, __ATOMIC_RELAXED,
                                        __ATOMIC_RELAXED)) {
            __atomic_fetch_add(&shared[kind].begun, 1, __ATOMIC_RELAXED);
            return 1;
        }
    }
    return 0;
}

/* Below 2^27 no number is a handle, nor is an aligned pointer (src/handle). */
static inline void *garbage(misuser *m)
{
    switch (draw(&m->random, 5)) {
    case 0:
        return NULL;
    case 1:
        return (void *)(uintptr_t)draw(&m->random, 1 << 20);
    case 2:
        return (void *)&m->random;
    case 3:
        return (void *)(UINTPTR_MAX - draw(&m->random, 64));
    default:
        return (void *)((uintptr_t)draw(&m->random, 1u << 31) << 33 |
                        (uintptr_t)draw(&m->random, 1u << 31) << 3 | draw(&m->random, 8));
    }
}

/* Any value in the place of a handle of that kind. */
static inline handle_value any_handle(misuser *m, handle_kind kind)
{
    const stale_handles *of = &m->stale[kind];
    handle_value chosen = {NULL, MAYBE_ALIVE};
    uint32_t other = draw(&m->random, HANDLE_KINDS);
    switch (draw(&m->random, 4)) {
    case 0:
        chosen.value = garbage(m);
        chosen.is = NEVER_ONE;
        break;
    case 1:
        chosen.is = DEAD;
        chosen.value = of->count == 0 ? NULL : of->values[draw(&m->random, of->count) % STALE_MOST];
        break;
    case 2:
        chosen.is = NEVER_ONE;
        if (other != (uint32_t)kind) {
            chosen.value = draw(&m->random, 2) ? proper[other] : shared_at((handle_kind)other, 0);
        }
        break;
    default:
        chosen.value = shared_at(kind, draw(&m->random, SHARED_MOST));
    }
    chosen.is = chosen.value == NULL ? NEVER_ONE : chosen.is;
    return chosen;
}

/* ---- other arguments ---- */

static inline const char *any_network(misuser *m)
{
    static const char *const some[] = {"tcp4", "unix", "tcp5", "",    NULL,
                                       "\xff", "ip",   "ip4:", "udp6"};
    return draw(&m->random, 2) ? "tcp" : DRAW_OF(&m->random, some);
}

static char real_address[160];
static char long_text[3000];

static inline const char *any_address(misuser *m)
{
    static const char *const some[] = {
        "127.0.0.1:1", "",       NULL,      "127.0.0.1",    "[::1",      "\xc3\x28:80",
        "@",           ":99999", long_text, "127.0.0.1:-1", "[::1%]:80", "name.test:1",
    };
    return draw(&m->random, 2) ? real_address : DRAW_OF(&m->random, some);
}

static inline const char *any_text(misuser *m)
{
    static const char *const some[] = {NULL, "", "tag", "\xff\xfe", long_text};
    return DRAW_OF(&m->random, some);
}

/* Never "for ever": nobody would end it. */
static inline int64_t any_time(misuser *m)
{
    static const int64_t some[] = {0, 1, 2, -2, INT64_MIN, INT64_MIN + 1, -1000};
    return DRAW_OF(&m->random, some);
}

static inline int32_t any_number(misuser *m)
{
    static const int32_t some[] = {0, 1, 2, 3, 4, -1, -2, 99, INT32_MAX, INT32_MIN};
    return DRAW_OF(&m->random, some);
}

/* Sizes of structs and of a buffer of 64 bytes; the huge ones come with NULL only. */
static inline size_t any_size(misuser *m)
{
    static const size_t some[] = {0, 1, 7, 8, 12, 64};
    return DRAW_OF(&m->random, some);
}

/* ---- what a call may answer ---- */

static inline int is_argument_error(int64_t result)
{
    return result == VCP_ERR_INVALID_ARGUMENT || result == VCP_ERR_UNKNOWN_NETWORK ||
           result == VCP_ERR_INVALID_ADDRESS;
}

static inline void note_result(misuser *m, int64_t result)
{
    CHECK(result >= 0 || (result <= -1 && result >= -20));
    m->results[result < 0 ? -result : 0]++;
    m->calls++;
}

/* The worst that a wrong handle may do is an error code. */
static inline void judge(misuser *m, const char *call, handle_kind kind, handle_value given,
                         int64_t result)
{
    int64_t closed = kind == A_POOL   ? VCP_ERR_POOL_CLOSED
                     : kind == A_CONN ? VCP_ERR_CONN_CLOSED
                                      : VCP_ERR_INVALID_HANDLE;
    int may_be_invalid = given.is == NEVER_ONE || m->gave_two;
    int fits = given.is == MAYBE_ALIVE || result == closed || is_argument_error(result) ||
               (may_be_invalid && result == VCP_ERR_INVALID_HANDLE);
    m->gave_two = 0;
    if (!fits) {
        fprintf(stderr, "  %s of %p (%s) answered %lld\n", call, given.value,
                given.is == DEAD ? "dead" : "never a handle of its kind", (long long)result);
    }
    CHECK(fits);
    note_result(m, result);
}

#endif
