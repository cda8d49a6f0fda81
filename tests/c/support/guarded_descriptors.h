/*
 * guarded_descriptors.h - descriptors that the library may watch, peek at and shut down, and must
 * not touch otherwise. A symbol of the executable comes before libc's for every library, so what
 * libvconnpool does to a descriptor comes by here; the return address tells its calls from the
 * program's own.
 *
 * Not under ThreadSanitizer, which has to see these calls itself: CAN_GUARD says so.
 */
#ifndef GUARDED_DESCRIPTORS_H
#define GUARDED_DESCRIPTORS_H

#include <dlfcn.h>
#include <stdarg.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "check.h"

/* A program that has another use for these symbols says so first. */
#ifndef CAN_GUARD
#ifdef __SANITIZE_THREAD__
#define CAN_GUARD 0
#else
#define CAN_GUARD 1
#endif
#endif

#define GUARDED_MOST 8192

static unsigned char guarded[GUARDED_MOST]; /* by number */
static pid_t guarding;                      /* a child closes its copies, and may */
static __attribute__((unused)) int peeks;   /* of the library, at guarded ones */
static __attribute__((unused)) int shutdowns;

static inline void guard(int fd)
{
    CHECK_BETWEEN(fd, 0, GUARDED_MOST - 1);
    guarding = getpid();
    __atomic_store_n(&guarded[fd], 1, __ATOMIC_SEQ_CST);
}

static inline void unguard(int fd)
{
    __atomic_store_n(&guarded[fd], 0, __ATOMIC_SEQ_CST);
}

static inline int is_guarded(long fd)
{
    return fd >= 0 && fd < GUARDED_MOST && __atomic_load_n(&guarded[fd], __ATOMIC_SEQ_CST) &&
           guarding == getpid();
}

static inline int is_of_the_library(const void *caller)
{
    Dl_info info;
    return dladdr(caller, &info) != 0 && strstr(info.dli_fname, "libvconnpool") != NULL;
}

/* The library may do so to a guarded descriptor: `count` is how often it did. */
static inline void count_for(int *count, long fd, const void *caller)
{
    if (is_guarded(fd) && is_of_the_library(caller)) {
        __sync_add_and_fetch(count, 1);
    }
}

static inline void forbid(const char *what, long fd, const void *caller)
{
    if (is_guarded(fd) && is_of_the_library(caller)) {
        fprintf(stderr, "  %s of descriptor %ld, which is a driver's\n", what, fd);
        check_failed(__FILE__, __LINE__, "the library leaves a driver's descriptor alone");
    }
}

#if CAN_GUARD

/* libc's own, as `real`. */
#define REAL(result, name, parameters)             \
    static result(*volatile real) parameters;      \
    if (real == NULL) {                            \
        result(*found) parameters;                 \
        *(void **)&found = dlsym(RTLD_NEXT, name); \
        real = found;                              \
    }

#define CALLER __builtin_return_address(0)

/* More arguments are read than the caller may have passed, as libc does. */
#define READS_ALL_ARGUMENTS __attribute__((no_sanitize_address))

#ifdef __cplusplus
#define NEVER_THROWS noexcept
extern "C" {
#else
#define NEVER_THROWS
#endif

int close(int fd)
{
    REAL(int, "close", (int))
    forbid("close", fd, CALLER);
    return real(fd);
}

ssize_t read(int fd, void *buffer, size_t size)
{
    REAL(ssize_t, "read", (int, void *, size_t))
    forbid("read", fd, CALLER);
    return real(fd, buffer, size);
}

ssize_t write(int fd, const void *buffer, size_t size)
{
    REAL(ssize_t, "write", (int, const void *, size_t))
    forbid("write", fd, CALLER);
    return real(fd, buffer, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count)
{
    REAL(ssize_t, "writev", (int, const struct iovec *, int))
    forbid("writev", fd, CALLER);
    return real(fd, parts, count);
}

ssize_t recv(int fd, void *buffer, size_t size, int flags)
{
    REAL(ssize_t, "recv", (int, void *, size_t, int))
    if ((flags & MSG_PEEK) == 0) {
        forbid("recv", fd, CALLER);
    } else {
        count_for(&peeks, fd, CALLER);
    }
    return real(fd, buffer, size, flags);
}

ssize_t send(int fd, const void *buffer, size_t size, int flags)
{
    REAL(ssize_t, "send", (int, const void *, size_t, int))
    forbid("send", fd, CALLER);
    return real(fd, buffer, size, flags);
}

int setsockopt(int fd, int level, int name, const void *value, socklen_t size) NEVER_THROWS
{
    REAL(int, "setsockopt", (int, int, int, const void *, socklen_t))
    forbid("setsockopt", fd, CALLER);
    return real(fd, level, name, value, size);
}

int shutdown(int fd, int how) NEVER_THROWS
{
    REAL(int, "shutdown", (int, int))
    count_for(&shutdowns, fd, CALLER);
    return real(fd, how);
}

READS_ALL_ARGUMENTS
int fcntl(int fd, int command, ...)
{
    REAL(int, "fcntl", (int, int, ...))
    va_list rest;
    long argument;
    va_start(rest, command);
    argument = va_arg(rest, long);
    va_end(rest);
    if (command != F_GETFL && command != F_GETFD) {
        forbid("fcntl", fd, CALLER);
    }
    return real(fd, command, argument);
}

READS_ALL_ARGUMENTS
int ioctl(int fd, unsigned long request, ...) NEVER_THROWS
{
    REAL(int, "ioctl", (int, unsigned long, ...))
    va_list rest;
    void *argument;
    va_start(rest, request);
    argument = va_arg(rest, void *);
    va_end(rest);
    if (request != FIONREAD) {
        forbid("ioctl", fd, CALLER);
    }
    return real(fd, request, argument);
}

/* System calls that are no cancellation points are made by this one. */
READS_ALL_ARGUMENTS
long syscall(long number, ...) NEVER_THROWS
{
    REAL(long, "syscall", (long, ...))
    va_list rest;
    long a[6];
    int i;
    va_start(rest, number);
    for (i = 0; i < 6; i++) {
        a[i] = va_arg(rest, long);
    }
    va_end(rest);
    if (number == SYS_recvfrom && (a[3] & MSG_PEEK) != 0) {
        count_for(&peeks, a[0], CALLER);
    } else if (number == SYS_read || number == SYS_readv || number == SYS_write ||
               number == SYS_writev || number == SYS_recvfrom || number == SYS_recvmsg ||
               number == SYS_sendto || number == SYS_sendmsg || number == SYS_close ||
               number == SYS_setsockopt) {
        forbid("syscall", a[0], CALLER);
    }
    return real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
}

#ifdef __cplusplus
}
#endif

#endif

#endif
