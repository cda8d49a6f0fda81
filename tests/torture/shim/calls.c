/*
 * calls.c - the functions of libc that stand before the kernel: each fails where the plan says so,
 * and else does what libc's own does.
 *
 * Where libc allocates memory on the library's behalf (getaddrinfo(3), pthread_create(3), ...), the
 * return address of that malloc lies in libc. So every call of the library that may do so is
 * remembered, on its thread, while libc makes it, and memory.c takes what is allocated meanwhile
 * for a call of the library, by the same way. This needs no walk through frames of libc, which has
 * no frame pointers, and no promise by the programs: what a callback of theirs allocates is not
 * taken for it, since the library calls callbacks itself and not through libc.
 */
#include <dlfcn.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <linux/futex.h>
#include <sys/epoll.h>
#include <sys/syscall.h>
#include <sys/uio.h>

#include "shim.h"

#define EXPORTED __attribute__((visibility("default")))

__thread shim_call *shim_inside __attribute__((tls_model("initial-exec")));

static void *finds(const char *name)
{
    void *found = dlsym(RTLD_NEXT, name);
    if (found == NULL) {
        abort();
    }
    return found;
}

/* libc's own, as `real`. Two threads that look for it at once find the same. */
#define REAL(result, name, parameters)          \
    static result(*volatile real) parameters;   \
    if (real == NULL) {                         \
        *(void *volatile *)&real = finds(name); \
    }

/*
 * result name(parameters): fails by errno and `failure`, or calls libc's own with the arguments.
 * libc's declarations of some differ in what C cannot say twice, so all are defined under another
 * name.
 */
#define CALL(row, result, name, parameters, arguments, failure) \
    EXPORTED result shim_##name parameters __asm__(#name);      \
    EXPORTED result shim_##name parameters                      \
    {                                                           \
        REAL(result, #name, parameters)                         \
        torture_site at;                                        \
        int error = shim_fails(row, FRAME, &at);                \
        if (error != 0) {                                       \
            errno = error;                                      \
            return failure;                                     \
        }                                                       \
        return real arguments;                                  \
    }

/* As CALL, but libc's own is called in any case: it has been done, and the caller is not told. */
#define CALL_DONE(row, result, name, parameters, arguments, failure) \
    EXPORTED result shim_##name parameters __asm__(#name);           \
    EXPORTED result shim_##name parameters                           \
    {                                                                \
        REAL(result, #name, parameters)                              \
        torture_site at;                                             \
        int error = shim_fails(row, FRAME, &at);                     \
        result done = real arguments;                                \
        if (error != 0) {                                            \
            errno = error;                                           \
            return failure;                                          \
        }                                                            \
        return done;                                                 \
    }

CALL(ROW_SOCKET, int, socket, (int domain, int type, int protocol), (domain, type, protocol), -1)
CALL(ROW_BIND, int, bind, (int fd, const void *name, unsigned size), (fd, name, size), -1)
CALL(ROW_GETSOCKOPT, int, getsockopt, (int fd, int level, int name, void *value, unsigned *size),
     (fd, level, name, value, size), -1)
CALL(ROW_SETSOCKOPT, int, setsockopt,
     (int fd, int level, int name, const void *value, unsigned size),
     (fd, level, name, value, size), -1)
CALL(ROW_GETSOCKNAME, int, getsockname, (int fd, void *name, unsigned *size), (fd, name, size), -1)
CALL(ROW_GETPEERNAME, int, getpeername, (int fd, void *name, unsigned *size), (fd, name, size), -1)
CALL(ROW_FSTAT, int, fstat, (int fd, void *status), (fd, status), -1)
CALL(ROW_FSTAT, int, fstat64, (int fd, void *status), (fd, status), -1)
CALL(ROW_SHUTDOWN, int, shutdown, (int fd, int how), (fd, how), -1)
CALL_DONE(ROW_CLOSE, int, close, (int fd), (fd), -1)
CALL(ROW_SEND, ssize_t, send, (int fd, const void *bytes, size_t size, int flags),
     (fd, bytes, size, flags), -1)
CALL(ROW_RECV, ssize_t, recv, (int fd, void *bytes, size_t size, int flags),
     (fd, bytes, size, flags), -1)
CALL(ROW_EPOLL_CREATE1, int, epoll_create1, (int flags), (flags), -1)
CALL(ROW_EPOLL_WAIT, int, epoll_wait, (int fd, struct epoll_event *events, int most, int timeout),
     (fd, events, most, timeout), -1)
CALL(ROW_POLL, int, poll, (struct pollfd * fds, nfds_t count, int timeout), (fds, count, timeout),
     -1)
CALL(ROW_PPOLL, int, ppoll,
     (struct pollfd * fds, nfds_t count, const struct timespec *timeout, const sigset_t *mask),
     (fds, count, timeout, mask), -1)
CALL(ROW_EVENTFD, int, eventfd, (unsigned count, int flags), (count, flags), -1)
CALL(ROW_IF_NAMETOINDEX, unsigned, if_nametoindex, (const char *name), (name), 0)
CALL(ROW_MMAP, void *, mmap,
     (void *address, size_t size, int protection, int flags, int fd, off_t offset),
     (address, size, protection, flags, fd, offset), (void *)-1)
CALL(ROW_MMAP, void *, mmap64,
     (void *address, size_t size, int protection, int flags, int fd, off_t offset),
     (address, size, protection, flags, fd, offset), (void *)-1)
CALL(ROW_MUNMAP, int, munmap, (void *address, size_t size), (address, size), -1)
CALL(ROW_MADVISE, int, madvise, (void *address, size_t size, int advice), (address, size, advice),
     -1)
CALL(ROW_GETRANDOM, ssize_t, getrandom, (void *bytes, size_t size, unsigned flags),
     (bytes, size, flags), -1)
CALL(ROW_READ, ssize_t, read, (int fd, void *bytes, size_t size), (fd, bytes, size), -1)
CALL(ROW_WRITE, ssize_t, write, (int fd, const void *bytes, size_t size), (fd, bytes, size), -1)
CALL(ROW_WRITE, ssize_t, writev, (int fd, const struct iovec *parts, int count), (fd, parts, count),
     -1)
CALL(ROW_SIGALTSTACK, int, sigaltstack, (const stack_t *now, stack_t *before), (now, before), -1)

/* EINTR: the connection is being made all the same (connect(2)). */
EXPORTED int shim_connect(int fd, const void *name, unsigned size) __asm__("connect");
EXPORTED int shim_connect(int fd, const void *name, unsigned size)
{
    REAL(int, "connect", (int, const void *, unsigned))
    torture_site at;
    int error = shim_fails(ROW_CONNECT, FRAME, &at);
    int done = error == 0 || error == EINTR ? real(fd, name, size) : -1;
    if (error == EINTR && done != 0 && errno != EINPROGRESS) {
        return done;
    }
    if (error != 0) {
        errno = error;
        return -1;
    }
    return done;
}

EXPORTED int shim_epoll_ctl(int epoll, int operation, int fd,
                            struct epoll_event *event) __asm__("epoll_ctl");
EXPORTED int shim_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    REAL(int, "epoll_ctl", (int, int, int, struct epoll_event *))
    torture_site at;
    int row = operation == EPOLL_CTL_ADD   ? ROW_EPOLL_ADD
              : operation == EPOLL_CTL_MOD ? ROW_EPOLL_MOD
                                           : ROW_EPOLL_DEL;
    int error = shim_fails(row, FRAME, &at);
    int done = error == 0 || row == ROW_EPOLL_DEL ? real(epoll, operation, fd, event) : -1;
    if (error != 0) {
        errno = error;
        return -1;
    }
    return done;
}

EXPORTED int shim_ioctl(int fd, unsigned long request, ...) __asm__("ioctl");
EXPORTED int shim_ioctl(int fd, unsigned long request, ...)
{
    REAL(int, "ioctl", (int, unsigned long, ...))
    torture_site at;
    va_list rest;
    void *argument;
    int error = shim_fails(ROW_IOCTL, FRAME, &at);
    va_start(rest, request);
    argument = va_arg(rest, void *);
    va_end(rest);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return real(fd, request, argument);
}

EXPORTED int shim_open64(const char *path, int flags, ...) __asm__("open64");
EXPORTED int shim_open64(const char *path, int flags, ...)
{
    REAL(int, "open64", (const char *, int, ...))
    torture_site at;
    va_list rest;
    int mode;
    int error = shim_fails(ROW_OPEN, FRAME, &at);
    va_start(rest, flags);
    mode = va_arg(rest, int);
    va_end(rest);
    if (error != 0) {
        errno = error;
        return -1;
    }
    return real(path, flags, mode);
}

/*
 * The row of a system call that syscall(2) makes, or -1. A FUTEX_WAKE, and a read or write of an
 * eventfd, cannot fail: futex(2) has no error for a right one, and eventfd(2) only EAGAIN, which
 * says that nothing is to be done.
 */
static int row_of(long number, const long *arguments)
{
    long operation = arguments[1] & FUTEX_CMD_MASK;
    switch (number) {
    case SYS_recvfrom:
        return ROW_SYS_PEEK;
    case SYS_close:
        return ROW_SYS_CLOSE_INHERITED;
    case SYS_futex:
        return operation == FUTEX_WAIT || operation == FUTEX_WAIT_BITSET ? ROW_SYS_FUTEX_WAIT : -1;
    case SYS_getrandom:
        return ROW_GETRANDOM;
    default:
        return -1;
    }
}

/* More arguments are read than the caller may have passed, as libc does. */
EXPORTED long shim_syscall(long number, ...) __asm__("syscall");
EXPORTED long shim_syscall(long number, ...)
{
    REAL(long, "syscall", (long, ...))
    torture_site at;
    va_list rest;
    long a[6];
    int i;
    int row;
    int error;
    long done = -1;
    va_start(rest, number);
    for (i = 0; i < 6; i++) {
        a[i] = va_arg(rest, long);
    }
    va_end(rest);
    row = row_of(number, a);
    error = row < 0 ? 0 : shim_fails(row, FRAME, &at);
    if (error == 0 || number == SYS_close) {
        done = real(number, a[0], a[1], a[2], a[3], a[4], a[5]);
    }
    if (error != 0) {
        errno = error;
        return -1;
    }
    return done;
}

/* ---- calls for which libc allocates ---- */

static void begins(shim_call *call, int row, const void *frame)
{
    call->is_of_the_library = shim_is_of_the_library(row, frame, &call->at);
    call->row = ROW_IN_LIBC;
    call->is_short = shim_was_refused;
    call->allocations = 0;
    call->outer = shim_inside;
    shim_inside = call->is_of_the_library ? call : NULL;
}

static void ends(const shim_call *call)
{
    shim_inside = call->outer;
}

static int fails(int row, shim_call *call)
{
    return call->is_of_the_library ? shim_fails_at(row, &call->at) : 0;
}

/* result name(parameters) that returns the number of its error. */
#define RETURNS_ERROR(row, name, parameters, arguments) \
    EXPORTED int shim_##name parameters __asm__(#name); \
    EXPORTED int shim_##name parameters                 \
    {                                                   \
        REAL(int, #name, parameters)                    \
        shim_call call;                                 \
        int error;                                      \
        begins(&call, row, FRAME);                      \
        error = fails(row, &call);                      \
        error = error != 0 ? error : real arguments;    \
        ends(&call);                                    \
        return error;                                   \
    }

RETURNS_ERROR(ROW_PTHREAD_CREATE, pthread_create,
              (pthread_t * thread, const pthread_attr_t *attributes, void *(*body)(void *),
               void *argument),
              (thread, attributes, body, argument))
RETURNS_ERROR(ROW_ATFORK, __register_atfork,
              (void (*prepare)(void), void (*parent)(void), void (*child)(void), void *handle),
              (prepare, parent, child, handle))
RETURNS_ERROR(ROW_GETATTR, pthread_getattr_np, (pthread_t thread, pthread_attr_t *attributes),
              (thread, attributes))
RETURNS_ERROR(ROW_KEY_CREATE, pthread_key_create, (pthread_key_t * key, void (*destroys)(void *)),
              (key, destroys))
RETURNS_ERROR(ROW_SETSPECIFIC, pthread_setspecific, (pthread_key_t key, const void *value),
              (key, value))

EXPORTED int shim_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                              struct addrinfo **found) __asm__("getaddrinfo");
EXPORTED int shim_getaddrinfo(const char *host, const char *service, const struct addrinfo *hints,
                              struct addrinfo **found)
{
    REAL(int, "getaddrinfo",
         (const char *, const char *, const struct addrinfo *, struct addrinfo **))
    shim_call call;
    int error;
    begins(&call, ROW_GETADDRINFO, FRAME);
    call.row = ROW_IN_NAMES;
    error = fails(ROW_GETADDRINFO, &call);
    if (error == EAI_SYSTEM) {
        errno = EMFILE;
    }
    error = error != 0 ? error : real(host, service, hints, found);
    ends(&call);
    return error;
}

EXPORTED int shim_getservbyname_r(const char *name, const char *protocol, struct servent *entry,
                                  char *text, size_t size,
                                  struct servent **found) __asm__("getservbyname_r");
EXPORTED int shim_getservbyname_r(const char *name, const char *protocol, struct servent *entry,
                                  char *text, size_t size, struct servent **found)
{
    REAL(int, "getservbyname_r",
         (const char *, const char *, struct servent *, char *, size_t, struct servent **))
    shim_call call;
    int error;
    begins(&call, ROW_GETSERVBYNAME_R, FRAME);
    call.row = ROW_IN_NAMES;
    error = fails(ROW_GETSERVBYNAME_R, &call);
    if (error != 0) {
        *found = NULL;
    } else {
        error = real(name, protocol, entry, text, size, found);
    }
    ends(&call);
    return error;
}

EXPORTED int shim_getprotobyname_r(const char *name, struct protoent *entry, char *text,
                                   size_t size,
                                   struct protoent **found) __asm__("getprotobyname_r");
EXPORTED int shim_getprotobyname_r(const char *name, struct protoent *entry, char *text,
                                   size_t size, struct protoent **found)
{
    REAL(int, "getprotobyname_r",
         (const char *, struct protoent *, char *, size_t, struct protoent **))
    shim_call call;
    int error;
    begins(&call, ROW_GETPROTOBYNAME_R, FRAME);
    call.row = ROW_IN_NAMES;
    error = fails(ROW_GETPROTOBYNAME_R, &call);
    if (error != 0) {
        *found = NULL;
    } else {
        error = real(name, entry, text, size, found);
    }
    ends(&call);
    return error;
}

/* glibc ends the process where it gets no memory for this; Rust's std calls it. */
EXPORTED int shim___cxa_thread_atexit_impl(void (*destroys)(void *), void *object,
                                           void *handle) __asm__("__cxa_thread_atexit_impl");
EXPORTED int shim___cxa_thread_atexit_impl(void (*destroys)(void *), void *object, void *handle)
{
    REAL(int, "__cxa_thread_atexit_impl", (void (*)(void *), void *, void *))
    shim_call call;
    int done;
    begins(&call, ROW_IN_LIBC, FRAME);
    done = real(destroys, object, handle);
    ends(&call);
    return done;
}
