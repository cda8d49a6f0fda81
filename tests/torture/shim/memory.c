/*
 * memory.c - malloc(3) and its kin: they fail where the plan says so, for the library and for what
 * libc allocates on the library's behalf (calls.c), and else are glibc's. free(3) never fails.
 *
 * What the library has allocated and not freed is counted, with the way that led there: what is
 * left at the end of a run beyond what is left without a fault has leaked.
 */
#include <pthread.h>
#include <stdlib.h>

#include "shim.h"

#define EXPORTED __attribute__((visibility("default")))
#define BLOCKS 65536

/* glibc's own (malloc/malloc.c); dlsym(3) could allocate. */
extern void *__libc_malloc(size_t size);
extern void *__libc_calloc(size_t count, size_t size);
extern void *__libc_realloc(void *block, size_t size);
extern void *__libc_memalign(size_t alignment, size_t size);
extern void __libc_free(void *block);

typedef struct block {
    void *at;
    size_t size;
    uint64_t way;
} block;

/* An open table; a free place is one whose block is NULL or GONE. */
static block blocks[BLOCKS];
static int64_t live;
static int lock;

#define GONE ((void *)1)

static void locks(void)
{
    while (__atomic_exchange_n(&lock, 1, __ATOMIC_ACQUIRE) != 0) {
    }
}

static void unlocks(void)
{
    __atomic_store_n(&lock, 0, __ATOMIC_RELEASE);
}

/* A child of fork(2) has the lock free, whoever held it. */
__attribute__((constructor)) static void survives_fork(void)
{
    pthread_atfork(locks, unlocks, unlocks);
}

static uint32_t first_place(const void *at)
{
    return (uint32_t)(((uintptr_t)at >> 4) * 0x9e3779b1u) % BLOCKS;
}

void shim_counts(void *at, size_t size, const torture_site *by)
{
    uint32_t i = first_place(at);
    if (at == NULL) {
        return;
    }
    locks();
    while (blocks[i].at != NULL && blocks[i].at != GONE) {
        i = (i + 1) % BLOCKS;
    }
    blocks[i].at = at;
    blocks[i].size = size;
    blocks[i].way = by->way;
    live++;
    unlocks();
}

static void forgets(void *at)
{
    uint32_t i = first_place(at);
    locks();
    while (blocks[i].at != NULL && blocks[i].at != at) {
        i = (i + 1) % BLOCKS;
    }
    if (blocks[i].at == at && at != NULL) {
        blocks[i].at = GONE;
        live--;
    }
    unlocks();
}

/* What is allocated is for the library; `at` gets the way. */
static int is_for_the_library(int row, const void *frame, torture_site *at)
{
    shim_call *call = shim_inside;
    if (shim_is_of_the_library(row, frame, at)) {
        return 1;
    }
    if (call == NULL) {
        return 0;
    }
    *at = call->at;
    at->row = call->row;
    /* libc's own way is not known: its allocations of one call are told by their number. */
    at->way += ++call->allocations;
    return 1;
}

__thread int shim_was_refused __attribute__((tls_model("initial-exec")));

typedef struct request {
    torture_site at;
    int is_counted; /* it is in the library's own hands: what libc allocates is libc's */
    int fails;
} request;

static void asks(request *r, int row, const void *frame)
{
    int error = 0;
    int is_ours = is_for_the_library(row, frame, &r->at);
    r->is_counted = is_ours && shim_inside == NULL;
    error = is_ours ? shim_fails_at(row, &r->at) : 0;
    if (is_ours && shim_inside == NULL) {
        shim_was_refused = error != 0;
    }
    if (error == 0 && is_ours && shim_inside != NULL && shim_inside->is_short) {
        error = ENOMEM;
    }
    r->fails = error != 0;
    if (r->fails) {
        errno = error;
    }
}

static void *answers(const request *r, void *at, size_t size)
{
    if (r->is_counted) {
        shim_counts(at, size, &r->at);
    }
    return at;
}

EXPORTED void *malloc(size_t size)
{
    request r;
    asks(&r, ROW_MALLOC, FRAME);
    return r.fails ? NULL : answers(&r, __libc_malloc(size), size);
}

EXPORTED void *calloc(size_t count, size_t size)
{
    request r;
    asks(&r, ROW_CALLOC, FRAME);
    return r.fails ? NULL : answers(&r, __libc_calloc(count, size), count * size);
}

EXPORTED void *realloc(void *at, size_t size)
{
    request r;
    void *moved;
    asks(&r, ROW_REALLOC, FRAME);
    if (r.fails) {
        return NULL;
    }
    /* Before: another thread may be given the address at once. */
    forgets(at);
    moved = __libc_realloc(at, size);
    answers(&r, moved == NULL ? at : moved, size);
    return moved;
}

EXPORTED void *aligned_alloc(size_t alignment, size_t size)
{
    request r;
    asks(&r, ROW_ALIGNED, FRAME);
    return r.fails ? NULL : answers(&r, __libc_memalign(alignment, size), size);
}

EXPORTED void *memalign(size_t alignment, size_t size)
{
    request r;
    asks(&r, ROW_ALIGNED, FRAME);
    return r.fails ? NULL : answers(&r, __libc_memalign(alignment, size), size);
}

EXPORTED int posix_memalign(void **result, size_t alignment, size_t size)
{
    request r;
    void *at;
    asks(&r, ROW_ALIGNED, FRAME);
    at = r.fails ? NULL : answers(&r, __libc_memalign(alignment, size), size);
    if (at == NULL) {
        return ENOMEM;
    }
    *result = at;
    return 0;
}

EXPORTED void free(void *at)
{
    forgets(at);
    __libc_free(at);
}

EXPORTED int64_t torture_live(void)
{
    int64_t count;
    locks();
    count = live;
    unlocks();
    return count;
}

/* `tell` must not allocate or free. */
EXPORTED void torture_each_live(void (*tell)(uint64_t way, size_t size))
{
    int i;
    locks();
    for (i = 0; i < BLOCKS; i++) {
        if (blocks[i].at != NULL && blocks[i].at != GONE) {
            tell(blocks[i].way, blocks[i].size);
        }
    }
    unlocks();
}
