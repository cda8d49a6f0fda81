/*
 * faults.c - fails a part of the system calls that libvconnpool makes, by chance. It is preloaded
 * (ld.so(8)), so the library's calls come by here; the return address tells them from the program's
 * own. Off until fault_percent() says otherwise.
 *
 * Not failed: close(2), which has closed all the same; reads and writes of eventfds, which fail for
 * wrong calls only; fstat(2), without which the library cannot tell whether a number still is its
 * socket, and leaves it open rather than close another's.
 */
#include <dlfcn.h>
#include <errno.h>
#include <link.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

static uintptr_t begin, end; /* of the library's mapping */
static int percent;
static long failed;

static int is_the_library(struct dl_phdr_info *object, size_t size, void *unused)
{
    int i;
    (void)size;
    (void)unused;
    if (strstr(object->dlpi_name, "libvconnpool") == NULL) {
        return 0;
    }
    for (i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (part->p_flags & PF_X) != 0) {
            begin = object->dlpi_addr + part->p_vaddr;
            end = begin + part->p_memsz;
        }
    }
    return 1;
}

/* From now on so many of a hundred calls fail. Returns how many have failed so far. */
long fault_percent(int new_percent)
{
    dl_iterate_phdr(is_the_library, NULL);
    __atomic_store_n(&percent, new_percent, __ATOMIC_RELEASE);
    return __atomic_load_n(&failed, __ATOMIC_RELAXED);
}

static uint32_t drawn(void)
{
    static __thread uint64_t random;
    random =
        (random == 0 ? (uintptr_t)&random : random) * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)(random >> 33);
}

/* The error with which this call is to fail, or 0. */
static int fault(const void *caller, const int *errors, uint32_t count)
{
    uintptr_t at = (uintptr_t)caller;
    int share = __atomic_load_n(&percent, __ATOMIC_ACQUIRE);
    if (share == 0 || at < begin || at >= end || drawn() % 100 >= (uint32_t)share) {
        return 0;
    }
    __atomic_fetch_add(&failed, 1, __ATOMIC_RELAXED);
    return errors[drawn() % count];
}

#define CALLER __builtin_return_address(0)

/* A function that fails by -1 and errno. */
#define FAULTY(result, name, parameters, arguments, ...)                           \
    result name parameters                                                         \
    {                                                                              \
        static result(*real) parameters;                                           \
        static const int errors[] = {__VA_ARGS__};                                 \
        int number = fault(CALLER, errors, sizeof errors / sizeof *errors);        \
        if (number != 0) {                                                         \
            errno = number;                                                        \
            return -1;                                                             \
        }                                                                          \
        if (__atomic_load_n(&real, __ATOMIC_RELAXED) == NULL) {                    \
            __atomic_store_n(&real, (result(*) parameters)dlsym(RTLD_NEXT, #name), \
                             __ATOMIC_RELAXED);                                    \
        }                                                                          \
        return real arguments;                                                     \
    }

FAULTY(int, socket, (int family, int type, int protocol), (family, type, protocol), EMFILE, ENFILE,
       ENOBUFS)
FAULTY(int, connect, (int fd, const struct sockaddr *to, socklen_t size), (fd, to, size),
       ECONNREFUSED, ENETUNREACH, EADDRNOTAVAIL, EINTR)
FAULTY(int, setsockopt, (int fd, int level, int name, const void *value, socklen_t size),
       (fd, level, name, value, size), ENOBUFS)
FAULTY(int, getsockopt,
       (int fd, int level, int name, void *restrict value, socklen_t *restrict size),
       (fd, level, name, value, size), ENOBUFS)
FAULTY(int, getsockname, (int fd, struct sockaddr *restrict name, socklen_t *restrict size),
       (fd, name, size), ENOBUFS)
FAULTY(int, shutdown, (int fd, int how), (fd, how), ENOTCONN)
FAULTY(int, epoll_create1, (int flags), (flags), EMFILE, ENOMEM)
FAULTY(int, eventfd, (unsigned count, int flags), (count, flags), EMFILE, ENFILE, ENOMEM)
FAULTY(ssize_t, send, (int fd, const void *bytes, size_t size, int flags), (fd, bytes, size, flags),
       EPIPE, ECONNRESET, ENOBUFS, EINTR)
FAULTY(ssize_t, recv, (int fd, void *bytes, size_t size, int flags), (fd, bytes, size, flags),
       ECONNRESET, ETIMEDOUT, EINTR)
FAULTY(int, poll, (struct pollfd * all, nfds_t count, int ms), (all, count, ms), EINTR)
FAULTY(int, epoll_wait, (int poller, struct epoll_event *ready, int most, int ms),
       (poller, ready, most, ms), EINTR)

/* To take one out does not fail for a right call. */
int epoll_ctl(int poller, int what, int fd, struct epoll_event *event)
{
    static const int errors[] = {ENOSPC, ENOMEM};
    int number = what == EPOLL_CTL_DEL ? 0 : fault(CALLER, errors, 2);
    if (number != 0) {
        errno = number;
        return -1;
    }
    return (int)syscall(SYS_epoll_ctl, poller, what, fd, event);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *argument)
{
    static const int errors[] = {EAGAIN};
    int (*real)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    int number = fault(CALLER, errors, 1);
    if (number != 0) {
        return number;
    }
    *(void **)&real = dlsym(RTLD_NEXT, "pthread_create");
    return real(thread, attributes, body, argument);
}

/* The peek of a borrow is made by this one: it is no cancellation point. */
long syscall(long number, ...)
{
    static long (*real)(long, ...);
    static const int errors[] = {ECONNRESET, EINTR};
    va_list rest;
    long a[6];
    int i;
    va_start(rest, number);
    for (i = 0; i < 6; i++) {
        a[i] = va_arg(rest, long);
    }
    va_end(rest);
    if (number == SYS_recvfrom && (errno = fault(CALLER, errors, 2)) != 0) {
        return -1;
    }
    if (__atomic_load_n(&real, __ATOMIC_RELAXED) == NULL) {
        __atomic_store_n(&real, (long (*)(long, ...))dlsym(RTLD_NEXT, "syscall"), __ATOMIC_RELAXED);
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}
