/*
 * points.c - tells the library's calls from all others, names each by the way that led to it, and
 * decides which is to fail.
 *
 * A call is the library's if its return address lies in libvconnpool.so, which is looked up once,
 * at start, by dl_iterate_phdr(3), which allocates nothing. The way is the chain of return
 * addresses inside that library, found by frame pointers: the library is built with them, as Rust's
 * own std is, and no unwinder is needed, which would take locks and memory. The chain ends where
 * the program, or libc, called the library.
 *
 * Sites stand in memory that all processes of a program share, so what a child has seen is seen by
 * the program that made it.
 */
#include <link.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "shim.h"

#define E(error) error
_Static_assert(ROWS <= TORTURE_ROWS, "a run has room for every row");
#define EXPORTED __attribute__((visibility("default")))

static const int32_t numbers[][TORTURE_MOST_ERRORS] = {
#define ROW(identifier, name, kind, once, ...) {__VA_ARGS__},
#include "rows.h"
#undef ROW
#undef E
};

#define E(error) #error
static torture_row rows[] = {
#define ROW(identifier, name, kind, once, ...) {name, {__VA_ARGS__}, {0}, kind, once},
#include "rows.h"
#undef ROW
#undef E
};

static uintptr_t text_begin, text_end, library_begin;
static torture_site *sites;
static uint32_t turns[TORTURE_SITES]; /* of this process */
static torture_run *run;

/* Of glibc's dynamic linker: where the first thread's stack begins. */
extern void *__libc_stack_end;

static int looks_at_object(struct dl_phdr_info *info, size_t size, void *unused)
{
    int i;
    (void)size;
    (void)unused;
    if (strstr(info->dlpi_name, "libvconnpool") == NULL) {
        return 0;
    }
    library_begin = info->dlpi_addr;
    for (i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &info->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            text_begin = info->dlpi_addr + part->p_vaddr;
            text_end = text_begin + part->p_memsz;
        }
    }
    return 1;
}

__attribute__((constructor)) static void starts(void)
{
    int i;
    dl_iterate_phdr(looks_at_object, NULL);
    sites = mmap(NULL, TORTURE_SITES * sizeof *sites, PROT_READ | PROT_WRITE,
                 MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (sites == MAP_FAILED) {
        abort();
    }
    for (i = 0; i < ROWS; i++) {
        memcpy(rows[i].numbers, numbers[i], sizeof numbers[i]);
    }
}

static int is_in_library(uintptr_t address)
{
    return address >= text_begin && address < text_end;
}

/* No frame of this thread lies above it: a thread's control block is at its stack's beginning. */
static uintptr_t stack_end(uintptr_t frame)
{
    uintptr_t own = (uintptr_t)pthread_self();
    uintptr_t first = (uintptr_t)__libc_stack_end;
    return own > frame && own - frame < (uintptr_t)64 << 20 ? own : first;
}

/* FNV-1a, by 32 bits at a time. */
static uint64_t mixes(uint64_t hash, uint32_t number)
{
    return (hash ^ number) * 0x100000001b3u;
}

static void names_way(torture_site *at)
{
    uint32_t i;
    uint64_t hash = mixes(0xcbf29ce484222325u, (uint32_t)at->row);
    for (i = 0; i < at->depth; i++) {
        hash = mixes(hash, at->frames[i]);
    }
    hash ^= hash >> 29;
    at->way = hash == 0 ? 1 : hash;
}

static void walks(uintptr_t frame, torture_site *at)
{
    uintptr_t end = stack_end(frame);
    at->depth = 0;
    while (at->depth < TORTURE_FRAMES && frame % sizeof(uintptr_t) == 0 && frame + 16 <= end) {
        const uintptr_t *words = (const uintptr_t *)frame;
        if (!is_in_library(words[1])) {
            return;
        }
        at->frames[at->depth++] = (uint32_t)(words[1] - library_begin);
        if (words[0] <= frame) {
            return;
        }
        frame = words[0];
    }
}

int shim_is_of_the_library(int row, const void *frame, torture_site *at)
{
    if (!is_in_library(((const uintptr_t *)frame)[1])) {
        return 0;
    }
    at->row = row;
    walks((uintptr_t)frame, at);
    names_way(at);
    return 1;
}

/* Its place in the table; it is put there by the first that comes by that way. */
static uint32_t place_of(const torture_site *at)
{
    uint32_t i = (uint32_t)at->way % TORTURE_SITES;
    for (;;) {
        uint64_t seen = 0;
        if (__atomic_compare_exchange_n(&sites[i].way, &seen, at->way, 0, __ATOMIC_ACQ_REL,
                                        __ATOMIC_ACQUIRE)) {
            sites[i].row = at->row;
            memcpy(sites[i].frames, at->frames, sizeof at->frames);
            sites[i].found_by = run->plan;
            __atomic_store_n(&sites[i].depth, at->depth, __ATOMIC_RELEASE);
            return i;
        }
        if (seen == at->way) {
            return i;
        }
        i = (i + 1) % TORTURE_SITES;
    }
}

static uint32_t counts_turn(uint32_t place)
{
    uint32_t turn = __atomic_add_fetch(&turns[place], 1, __ATOMIC_ACQ_REL);
    uint32_t most = __atomic_load_n(&sites[place].turns, __ATOMIC_ACQUIRE);
    while (most < turn && !__atomic_compare_exchange_n(&sites[place].turns, &most, turn, 0,
                                                       __ATOMIC_ACQ_REL, __ATOMIC_ACQUIRE)) {
    }
    return turn;
}

/* The error that goes on; 0 if the row has none. */
static int lasting_error(int row)
{
    int count = 0;
    while (count < TORTURE_MOST_ERRORS && rows[row].numbers[count] != 0) {
        count++;
    }
    return count > rows[row].once ? rows[row].numbers[0] : 0;
}

/* The bit of the plan's point that this call is, or 0. */
static uint32_t point_reached(const torture_site *at, uint32_t turn)
{
    int i;
    for (i = 0; i < TORTURE_AT_ONCE; i++) {
        const torture_point *point = &run->plan.at[i];
        if (point->way == at->way && point->row == at->row && point->turn == turn) {
            return 1u << i;
        }
    }
    return 0;
}

/* The run has reached a point after which this call fails too. */
static int goes_on(int row)
{
    uint32_t reached = __atomic_load_n(&run->reached, __ATOMIC_ACQUIRE);
    int i;
    for (i = 0; i < TORTURE_AT_ONCE; i++) {
        const torture_point *point = &run->plan.at[i];
        if ((reached & 1u << i) != 0 && point->row != row && run->plan.mode == TORTURE_FOR_EVER &&
            rows[row].kind == run->plan.kind) {
            return lasting_error(row);
        }
        if ((reached & 1u << i) != 0 && point->row == row && run->plan.mode != TORTURE_ONCE) {
            return run->plan.error[i];
        }
    }
    return 0;
}

static int fails_now(const torture_site *at, uint32_t turn)
{
    uint32_t point = point_reached(at, turn);
    int error;
    if (point != 0) {
        __atomic_or_fetch(&run->reached, point, __ATOMIC_ACQ_REL);
        error = run->plan.error[point >> 1];
    } else {
        error = goes_on(at->row);
    }
    if (error != 0) {
        __atomic_add_fetch(&run->failed_of[at->row], 1, __ATOMIC_ACQ_REL);
        __atomic_add_fetch(&run->failed, 1, __ATOMIC_ACQ_REL);
    }
    return error;
}

int shim_fails_at(int row, torture_site *at)
{
    uint32_t place;
    uint32_t turn;
    int error;
    (void)row;
    if (run == NULL || !__atomic_load_n(&run->is_on, __ATOMIC_ACQUIRE)) {
        return 0;
    }
    place = place_of(at);
    turn = counts_turn(place);
    error = fails_now(at, turn);
    if (error != 0) {
        __atomic_add_fetch(&sites[place].failed, 1, __ATOMIC_ACQ_REL);
    }
    return error;
}

int shim_fails(int row, const void *frame, torture_site *at)
{
    return shim_is_of_the_library(row, frame, at) ? shim_fails_at(row, at) : 0;
}

/* ---- for the programs ---- */

EXPORTED const torture_row *torture_row_at(int32_t number)
{
    return number < ROWS ? &rows[number] : NULL;
}

EXPORTED torture_site *torture_sites(void)
{
    return sites;
}

EXPORTED void torture_use(torture_run *given)
{
    memset(turns, 0, sizeof turns);
    run = given;
}
