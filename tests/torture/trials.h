/*
 * trials.h - what is to be tried: each point that the runs without a fault have reached, failed in
 * each way; then the points that only a fault has reached, failed beside that fault.
 */
#ifndef TRIALS_H
#define TRIALS_H

#include "shim/torture.h"

typedef struct trial {
    torture_plan plan;
    int missed; /* runs that have not come by its point */
    int late;   /* runs in which something took too long */
} trial;

typedef struct trials {
    trial *list;
    size_t count;
    size_t room;
} trials;

static const char *const mode_names[] = {"once", "stuck", "forever"};

static inline void trials_add(trials *t, const torture_plan *plan)
{
    if (t->count == t->room) {
        t->room = t->room * 2 + 1024;
        t->list = (trial *)realloc(t->list, t->room * sizeof *t->list);
        CHECK(t->list != NULL);
    }
    memset(&t->list[t->count], 0, sizeof *t->list);
    t->list[t->count++].plan = *plan;
}

static inline int errors_of(const torture_row *row)
{
    int count = 0;
    while (count < TORTURE_MOST_ERRORS && row->numbers[count] != 0) {
        count++;
    }
    return count;
}

static inline torture_plan plan_at(const torture_site *site, uint32_t turn, int error, int mode)
{
    const torture_row *row = torture_row_at(site->row);
    torture_plan plan;
    memset(&plan, 0, sizeof plan);
    plan.kind = row->kind;
    plan.mode = mode;
    plan.at[0].way = site->way;
    plan.at[0].row = site->row;
    plan.at[0].turn = turn;
    plan.error[0] = row->numbers[error];
    return plan;
}

/* The first call by a way fails with each error, those after it with one each, in turn. */
static inline void trials_once(trials *t, const torture_site *site, uint32_t turn)
{
    int count = errors_of(torture_row_at(site->row));
    int error = turn == 1 ? 0 : (int)(turn % (uint32_t)count);
    int end = turn == 1 ? count : error + 1;
    for (; error < end; error++) {
        torture_plan plan = plan_at(site, turn, error, TORTURE_ONCE);
        trials_add(t, &plan);
    }
}

/* Of the modes that go on: the function alone from the first call of a way, all from each. */
static inline void trials_going_on(trials *t, const torture_site *site, uint32_t turn)
{
    const torture_row *row = torture_row_at(site->row);
    torture_plan plan = plan_at(site, turn, 0, TORTURE_FOR_EVER);
    if (errors_of(row) == row->once) {
        return;
    }
    trials_add(t, &plan);
    if (turn == 1 && row->kind == TORTURE_CALLS) {
        plan.mode = TORTURE_STUCK;
        trials_add(t, &plan);
    }
}

/*
 * How often a thread waits, or a timer comes round, depends on the others and on the time. So of a
 * row that can only be interrupted the first two turns by a way are tried, of all others these
 * many.
 */
#define MOST_TURNS 12

static inline uint32_t turns_of(const torture_site *site)
{
    const torture_row *row = torture_row_at(site->row);
    uint32_t most = errors_of(row) == row->once ? 2 : MOST_TURNS;
    return site->turns < most ? site->turns : most;
}

/* The runs without a fault have reached it. */
static inline int is_of_kind(const torture_site *site, int kind)
{
    return site->way != 0 && torture_row_at(site->row)->kind == kind && site->turns > 0;
}

/* The sites of that kind, whose number is the answer. */
static inline int trials_of(trials *t, int kind, int *points)
{
    const torture_site *site = torture_sites();
    const torture_site *end = site + TORTURE_SITES;
    int sites = 0;
    for (; site < end; site++) {
        uint32_t turn;
        if (!is_of_kind(site, kind)) {
            continue;
        }
        sites++;
        *points += (int)turns_of(site);
        for (turn = 1; turn <= turns_of(site); turn++) {
            trials_once(t, site, turn);
            trials_going_on(t, site, turn);
        }
    }
    return sites;
}

/* By each way the first call alone fails, once, with its first error. */
static inline int trials_of_first_calls(trials *t, int kind)
{
    const torture_site *site = torture_sites();
    const torture_site *end = site + TORTURE_SITES;
    int sites = 0;
    for (; site < end; site++) {
        if (is_of_kind(site, kind)) {
            torture_plan plan = plan_at(site, 1, 0, TORTURE_ONCE);
            trials_add(t, &plan);
            sites++;
        }
    }
    return sites;
}

/* What a single fault has led to, and what has not failed by that one's going on, fails too. */
static inline int trials_behind_faults(trials *t, int kind)
{
    const torture_site *site = torture_sites();
    const torture_site *end = site + TORTURE_SITES;
    int sites = 0;
    for (; site < end; site++) {
        torture_plan plan = site->found_by;
        const torture_row *row = site->way == 0 ? NULL : torture_row_at(site->row);
        if (row == NULL || row->kind != kind || plan.at[0].way == 0 || plan.at[1].way != 0 ||
            site->failed > 0) {
            continue;
        }
        plan.at[1] = plan_at(site, 1, 0, TORTURE_ONCE).at[0];
        plan.error[1] = row->numbers[0];
        trials_add(t, &plan);
        sites++;
    }
    return sites;
}

/* ---- two at random ---- */

static inline uint32_t draws(uint64_t *state, uint32_t below)
{
    /* xorshift64*, Vigna: An experimental exploration of Marsaglia's xorshift generators. */
    *state ^= *state >> 12;
    *state ^= *state << 25;
    *state ^= *state >> 27;
    return (uint32_t)((*state * 0x2545f4914f6cdd1du) >> 32) % below;
}

/* One of the sites of that kind that the runs without a fault have reached. */
static inline const torture_site *draws_site(uint64_t *state, int kind)
{
    for (;;) {
        const torture_site *site = torture_sites() + draws(state, TORTURE_SITES);
        if (is_of_kind(site, kind)) {
            return site;
        }
    }
}

/* Of a mode that goes on the errors that may; a row that has none is failed by its first. */
static inline torture_plan draws_plan(uint64_t *state, int kind, int mode)
{
    const torture_site *site = draws_site(state, kind);
    const torture_row *row = torture_row_at(site->row);
    int most = errors_of(row) - (mode == TORTURE_ONCE ? 0 : row->once);
    int error = most == 0 ? 0 : (int)draws(state, (uint32_t)most);
    return plan_at(site, 1 + draws(state, site->turns), error, most == 0 ? TORTURE_ONCE : mode);
}

/* A failure of that kind, and one of a system call beside it. */
static inline void trials_pairs(trials *t, int kind, uint64_t seed, int count)
{
    uint64_t state = seed * 0x9e3779b97f4a7c15u + 1;
    while (count-- > 0) {
        int mode = (int)draws(&state, TORTURE_MODES);
        torture_plan plan = draws_plan(&state, kind, mode);
        torture_plan other = draws_plan(&state, TORTURE_CALLS, mode);
        plan.mode = plan.mode < other.mode ? plan.mode : other.mode;
        plan.at[1] = other.at[0];
        plan.error[1] = other.error[0];
        trials_add(t, &plan);
    }
}

/* ---- as text, so that one can be repeated ---- */

static inline const char *error_name(int row, int number)
{
    const torture_row *of = torture_row_at(row);
    int i;
    for (i = 0; i < TORTURE_MOST_ERRORS; i++) {
        if (of->numbers[i] == number && of->errors[i] != NULL) {
            return of->errors[i];
        }
    }
    return "?";
}

static inline void plan_prints(const torture_plan *plan, char *text, size_t size)
{
    size_t at = (size_t)snprintf(text, size, "%s", mode_names[plan->mode]);
    int i;
    for (i = 0; i < TORTURE_AT_ONCE && plan->at[i].way != 0 && at < size; i++) {
        const torture_point *point = &plan->at[i];
        at += (size_t)snprintf(text + at, size - at, ",%s/%llx/%u/%s",
                               torture_row_at(point->row)->name, (unsigned long long)point->way,
                               point->turn, error_name(point->row, plan->error[i]));
    }
}

static inline int row_called(const char *name)
{
    int32_t i;
    for (i = 0; torture_row_at(i) != NULL; i++) {
        if (strcmp(torture_row_at(i)->name, name) == 0) {
            return i;
        }
    }
    check_failed(__FILE__, __LINE__, name);
    return -1;
}

static inline int error_called(int row, const char *name)
{
    const torture_row *of = torture_row_at(row);
    int i;
    for (i = 0; i < TORTURE_MOST_ERRORS && of->errors[i] != NULL; i++) {
        if (strcmp(of->errors[i], name) == 0) {
            return of->numbers[i];
        }
    }
    check_failed(__FILE__, __LINE__, name);
    return 0;
}

static inline void point_reads(torture_plan *plan, int i, const char *text)
{
    char row[64];
    char error[32];
    unsigned long long way;
    torture_point *point = &plan->at[i];
    CHECK_EQ(sscanf(text, "%63[^/]/%llx/%u/%31s", row, &way, &point->turn, error), 4);
    point->way = way;
    point->row = row_called(row);
    plan->error[i] = error_called(point->row, error);
    plan->kind = torture_row_at(point->row)->kind;
}

static inline torture_plan plan_reads(const char *given)
{
    torture_plan plan;
    char text[512];
    char *part;
    int i;
    memset(&plan, 0, sizeof plan);
    snprintf(text, sizeof text, "%s", given);
    part = strtok(text, ",");
    while (plan.mode < TORTURE_MODES && part != NULL && strcmp(part, mode_names[plan.mode]) != 0) {
        plan.mode++;
    }
    CHECK(plan.mode < TORTURE_MODES);
    for (i = 0; i < TORTURE_AT_ONCE && (part = strtok(NULL, ",")) != NULL; i++) {
        point_reads(&plan, i, part);
    }
    return plan;
}

#endif
