/*
 * shim.h - what the files of the shim have in common.
 */
#ifndef SHIM_H
#define SHIM_H

#include <errno.h>
#include <netdb.h>

#include "torture.h"

#define ROW(identifier, ...) ROW_##identifier,
enum row {
#include "rows.h"
    ROWS
};
#undef ROW

/* A call of the library that is being made by libc: what libc allocates meanwhile is for it. */
typedef struct shim_call {
    torture_site at;
    int is_of_the_library;
    int row;      /* of what libc allocates meanwhile */
    int is_short; /* the thread's last allocation before it had failed, and more may follow */
    uint32_t allocations;
    struct shim_call *outer;
} shim_call;

/* The library's last allocation on this thread was made to fail. */
extern __thread int shim_was_refused __attribute__((tls_model("initial-exec")));

extern __thread shim_call *shim_inside __attribute__((tls_model("initial-exec")));

/*
 * Called by each function of the shim with its own frame: 0, or the error with which the call is to
 * fail. `at` gets the way by which the library made the call, if it was the library.
 */
int shim_fails(int row, const void *frame, torture_site *at);

/* As shim_fails, for a call that libc makes by the way `at`. */
int shim_fails_at(int row, torture_site *at);

/* True if the call with that frame is the library's; fills `at`. */
int shim_is_of_the_library(int row, const void *frame, torture_site *at);

/* A block of the library's own, to be counted until it is freed. */
void shim_counts(void *block, size_t size, const torture_site *at);

#define FRAME __builtin_frame_address(0)

#endif
