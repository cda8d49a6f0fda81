/*
 * The contention over a bare list: connections and waiters, first come, first served. No pool: no
 * key, no limit, no count, no timeout.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "contention.h"

#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

typedef struct waiter {
    struct waiter *next;
    atomic_uint has_one;
    int fd;
} waiter;

enum { MOST = 64 };

/* Guards what follows. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static waiter *first, **last = &first;
static int idle[MOST];
static uint32_t idle_count;

static void sleep_until_served(waiter *one)
{
    while (atomic_load(&one->has_one) == 0)
        syscall(SYS_futex, &one->has_one, FUTEX_WAIT_PRIVATE, 0, NULL);
}

/* As STRICT looks. */
static void check_quiet(int fd)
{
    char byte;
    if (recv(fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0)
        fail("something arrived");
}

static int take(void **held)
{
    waiter self = {0};
    pthread_mutex_lock(&lock);
    if (idle_count > 0) {
        self.fd = idle[--idle_count];
        pthread_mutex_unlock(&lock);
    } else {
        *last = &self;
        last = &self.next;
        pthread_mutex_unlock(&lock);
        sleep_until_served(&self);
    }
    check_quiet(self.fd);
    *held = (void *)(intptr_t)self.fd;
    return self.fd;
}

static void give(void *held)
{
    int fd = (int)(intptr_t)held;
    pthread_mutex_lock(&lock);
    waiter *next = first;
    if (next == NULL) {
        idle[idle_count++] = fd;
    } else {
        first = next->next;
        last = first == NULL ? &first : last;
        next->fd = fd;
        atomic_store(&next->has_one, 1);
    }
    pthread_mutex_unlock(&lock);
    /* It may have gone by now: then another sleeper wakes and sleeps on. */
    if (next != NULL)
        syscall(SYS_futex, &next->has_one, FUTEX_WAKE_PRIVATE, 1);
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"futex", NULL};
    variant_of(argc, argv, variants);
    for (uint32_t i = 0; i < amount_of(argv) && i < MOST; i++)
        idle[idle_count++] = connect_to(argv[1]);
    return answer_contentions(take, give);
}
