/*
 * outcome.h - what may come of a call of the library while others fail below it.
 *
 * MAY(call, ms, errors): before anything was made to fail the call must succeed. Afterwards it may
 * fail with one of the errors that the header names for it. In any case it returns within ms, which
 * is its deadline, and 50 ms. MUST(call, ms): it cannot fail, whatever fails below it. What the
 * library does with a call that fails is the program's to repeat, so in a run with one fault one
 * call fails, or none.
 */
#ifndef OUTCOME_H
#define OUTCOME_H

#include "shim/torture.h"

#define LATE_MS 50
#define EXIT_LATE 7

/* The run that this process belongs to. */
static torture_run *this_run;

/* Calls that failed, in this run and process. */
static int failures;

/* When the calls began that this thread is in: callbacks make calls inside calls. */
static __thread int64_t began_at[8];
static __thread int calls_inside;

static inline uint32_t faults(void)
{
    return __atomic_load_n(&this_run->failed, __ATOMIC_ACQUIRE);
}

/* From now on nothing fails. */
static inline void lift(void)
{
    __atomic_store_n(&this_run->is_on, 0, __ATOMIC_RELEASE);
}

/* vcp_status numbers, which end with 0. */
typedef const int *errors;

static const int dial_errors[] = {VCP_ERR_CONNECT, VCP_ERR_RESOLVE,   VCP_ERR_TIMEOUT,
                                  VCP_ERR_SYSTEM,  VCP_ERR_NO_MEMORY, 0};
/* The same, where a callback of the program has failed, or what it returned was looked at. */
static const int callback_errors[] = {VCP_ERR_CALLBACK,
                                      VCP_ERR_TIMEOUT,
                                      VCP_ERR_SYSTEM,
                                      VCP_ERR_RESOLVE,
                                      VCP_ERR_CONNECT,
                                      VCP_ERR_NO_MEMORY,
                                      0};
static const int io_errors[] = {VCP_ERR_IO, VCP_ERR_TIMEOUT, VCP_ERR_SYSTEM, VCP_ERR_NO_MEMORY, 0};
static const int resource_errors[] = {VCP_ERR_SYSTEM, VCP_ERR_NO_MEMORY, 0};
static const int memory_errors[] = {VCP_ERR_NO_MEMORY, 0};

static inline int is_one_of(int64_t status, errors allowed)
{
    while (*allowed != 0 && *allowed != status) {
        allowed++;
    }
    return *allowed != 0;
}

static inline void begins_call(void)
{
    CHECK(calls_inside < 8);
    began_at[calls_inside++] = now_ms();
}

/* Others may have had the processor: the run is made again before this counts. */
static inline void is_late(const char *file, int line, const char *what, int64_t took, int64_t ms)
{
    fflush(stdout);
    fprintf(stderr, "%s:%d: LATE: %s\n  took %lld ms of %lld\n", file, line, what, (long long)took,
            (long long)ms);
    _exit(EXIT_LATE);
}

static inline void check_in_time(const char *file, int line, const char *call, int64_t began,
                                 int64_t ms)
{
    int64_t took = now_ms() - began;
    if (took > at_most(ms + LATE_MS)) {
        is_late(file, line, call, took, ms);
    }
}

static inline void check_outcome(const char *file, int line, const char *call, int64_t result,
                                 errors allowed)
{
    if (result >= 0) {
        return;
    }
    __sync_add_and_fetch(&failures, 1);
    if (faults() == 0 && result == VCP_ERR_TIMEOUT) {
        is_late(file, line, call, 0, 0);
    }
    if (faults() == 0) {
        fprintf(stderr, "  %s, though nothing was made to fail\n", vcp_status_name((int)result));
        check_failed(file, line, call);
    }
    if (!is_one_of(result, allowed)) {
        fprintf(stderr, "  %s is no error of this call\n", vcp_status_name((int)result));
        check_failed(file, line, call);
    }
}

static inline int64_t ends_call(const char *file, int line, const char *call, int64_t ms,
                                int64_t result, errors allowed)
{
    check_in_time(file, line, call, began_at[--calls_inside], ms);
    check_outcome(file, line, call, result, allowed);
    return result;
}

static const int no_errors[] = {0};

/* wanted: a status, or VCP_OK for any success. */
static inline void check_wanted(const char *file, int line, const char *call, int64_t result,
                                int64_t wanted, errors allowed)
{
    if (wanted == VCP_OK || (result != wanted && faults() > 0)) {
        check_outcome(file, line, call, result, allowed);
    } else {
        check_equal(file, line, call, result, wanted);
    }
}

static inline int64_t fails_call(const char *file, int line, const char *call, int64_t ms,
                                 int64_t result, int64_t wanted, errors allowed)
{
    check_in_time(file, line, call, began_at[--calls_inside], ms);
    check_wanted(file, line, call, result, wanted, allowed);
    return result;
}

/* The comma: it begins before the call is made, whatever the order of a function's arguments. */
#define MAY(call, ms, allowed) \
    (begins_call(), ends_call(__FILE__, __LINE__, #call, ms, (call), allowed))
#define MUST(call, ms) MAY(call, ms, no_errors)
/* It comes to `wanted`, unless something has been made to fail. */
#define COMES_TO(call, ms, wanted, allowed) \
    (begins_call(), fails_call(__FILE__, __LINE__, #call, ms, (call), wanted, allowed))

#endif
