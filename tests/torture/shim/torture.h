/*
 * torture.h - what the shim and the programs agree on: points, plans, and what a run has seen.
 *
 * A point is one call of the library to a function that can fail: which function, by which way
 * through the library (a hash of the library's own return addresses, so it is the same in every
 * run of one build), and the how manieth such call of the process. A plan names the points of a run
 * at which the call fails, and how it goes on.
 */
#ifndef TORTURE_H
#define TORTURE_H

#include <stddef.h>
#include <stdint.h>

#define TORTURE_FRAMES 20
#define TORTURE_SITES 16384
#define TORTURE_ROWS 64
#define TORTURE_MOST_ERRORS 8
#define TORTURE_AT_ONCE 2

enum torture_kind { TORTURE_CALLS, TORTURE_MEMORY, TORTURE_NAMES };

/* What fails beside the call at the point. */
enum torture_mode {
    TORTURE_ONCE,     /* nothing */
    TORTURE_STUCK,    /* that function, from then on */
    TORTURE_FOR_EVER, /* every function of that kind, from then on */
    TORTURE_MODES
};

typedef struct torture_point {
    uint64_t way;  /* 0: none */
    int32_t row;   /* the function, by its row in rows.h */
    uint32_t turn; /* from 1 */
} torture_point;

typedef struct torture_plan {
    int32_t kind;
    int32_t mode;
    torture_point at[TORTURE_AT_ONCE];
    int32_t error[TORTURE_AT_ONCE];
} torture_plan;

/* A way to a call, as all processes of a program have seen it. */
typedef struct torture_site {
    uint64_t way;
    int32_t row;
    uint32_t turns;  /* the most calls by it in one process */
    uint32_t failed; /* how often one of them was made to fail */
    uint32_t depth;
    uint32_t frames[TORTURE_FRAMES]; /* return addresses, from the library's beginning */
    torture_plan found_by;           /* what failed when it was first seen */
} torture_site;

/* Of one run: its processes share it. */
typedef struct torture_run {
    torture_plan plan;
    int32_t is_on;    /* 0: nothing fails, as before it began and when it is lifted */
    uint32_t reached; /* points that failed, one bit each */
    uint32_t failed;  /* calls that were made to fail */
    uint32_t failed_of[TORTURE_ROWS]; /* the same, by row */
} torture_run;

typedef struct torture_row {
    const char *name;
    const char
        *errors[TORTURE_MOST_ERRORS]; /* by name; the first is that of the modes that go on */
    int32_t numbers[TORTURE_MOST_ERRORS];
    int32_t kind;
    int32_t once; /* how many of the errors, from the last, are of one call only: EINTR, EAGAIN */
} torture_row;

/* ---- what the shim does for the programs ---- */

/* NULL: there are no more. */
const torture_row *torture_row_at(int32_t number);

/* TORTURE_SITES of them, in no order; those whose way is 0 are free. */
torture_site *torture_sites(void);

/* For this process and its children; NULL: nothing fails, and nothing is counted. */
void torture_use(torture_run *run);

/* How many blocks the library has allocated and not freed, and which. */
int64_t torture_live(void);
void torture_each_live(void (*tell)(uint64_t way, size_t size));

#endif
