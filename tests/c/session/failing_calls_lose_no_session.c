/*
 * Whichever system call of the library fails, once or from then on, no session is lost: each that
 * was opened ends once, and its descriptor is as it was. Contract section 9.
 *
 * A symbol of the executable comes before libc's, so the library's calls come by here, and the
 * return address tells them from the program's own.
 */
#include <sys/epoll.h>
#include <sys/eventfd.h>

#include "session_life.h"

static int calls_so_far; /* of the library, in this round */
static int fails_at;     /* that call, from 1; 0: none */
static int goes_on;      /* and all after it */

static int is_to_fail(const void *caller)
{
    int number;
    int first = __atomic_load_n(&fails_at, __ATOMIC_SEQ_CST);
    if (first == 0 || !is_of_the_library(caller)) {
        return 0;
    }
    number = __sync_add_and_fetch(&calls_so_far, 1);
    return goes_on ? number >= first : number == first;
}

#if CAN_GUARD

#define FAILS_AS(number)      \
    if (is_to_fail(CALLER)) { \
        errno = (number);     \
        return -1;            \
    }

#ifdef __cplusplus
extern "C" {
#endif

int epoll_create1(int flags) NEVER_THROWS
{
    REAL(int, "epoll_create1", (int))
    FAILS_AS(EMFILE)
    return real(flags);
}

int epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event) NEVER_THROWS
{
    REAL(int, "epoll_ctl", (int, int, int, struct epoll_event *))
    FAILS_AS(ENOSPC)
    return real(epoll, operation, fd, event);
}

int eventfd(unsigned count, int flags) NEVER_THROWS
{
    REAL(int, "eventfd", (unsigned, int))
    FAILS_AS(EMFILE)
    return real(count, flags);
}

int getsockopt(int fd, int level, int name, void *value, socklen_t *size) NEVER_THROWS
{
    REAL(int, "getsockopt", (int, int, int, void *, socklen_t *))
    FAILS_AS(ENOBUFS)
    return real(fd, level, name, value, size);
}

/* libc's declaration has a union of all kinds of addresses, which no definition can repeat. */
int fails_getpeername(int fd, void *name, socklen_t *size) __asm__("getpeername");

int fails_getpeername(int fd, void *name, socklen_t *size)
{
    REAL(int, "getpeername", (int, void *, socklen_t *))
    FAILS_AS(ENOBUFS)
    return real(fd, name, size);
}

int fstat(int fd, struct stat *status) NEVER_THROWS
{
    REAL(int, "fstat", (int, struct stat *))
    FAILS_AS(ENOMEM)
    return real(fd, status);
}

int fstat64(int fd, struct stat64 *status) NEVER_THROWS
{
    REAL(int, "fstat64", (int, struct stat64 *))
    FAILS_AS(ENOMEM)
    return real(fd, status);
}

int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *argument)
{
    REAL(int, "pthread_create", (pthread_t *, const pthread_attr_t *, void *(*)(void *), void *))
    if (is_to_fail(CALLER)) {
        return EAGAIN;
    }
    return real(thread, attributes, body, argument);
}

#ifdef __cplusplus
}
#endif

#endif

/* False if that many calls were not made. */
static int survives(int number, int for_good, int is_background)
{
    driver d;
    vcp_pool_options options;
    int reached;
    driver_start(&d);
    options = driver_options(&d);
    options.on_release = is_background ? driver_on_release : NULL;
    options.on_release_in_background = is_background;
    options.on_idle = is_background ? driver_on_idle : NULL;
    options.on_idle_ms = is_background ? 1 : 0;
    calls_so_far = 0;
    goes_on = for_good;
    __atomic_store_n(&fails_at, number, __ATOMIC_SEQ_CST);
    if (vcp_pool_new(&options, &d.pool) == VCP_OK) {
        sessions_live(&d);
    } else {
        d.pool = NULL;
        d.user_frees = 1;
    }
    reached = __sync_add_and_fetch(&calls_so_far, 0) >= number;
    __atomic_store_n(&fails_at, 0, __ATOMIC_SEQ_CST);
    if (d.pool != NULL) {
        EVENTUALLY(stats_of(d.pool).dialing == 0, 5000);
        EVENTUALLY(stats_of(d.pool).borrowed == 0, 5000);
        /* All goes on as before. */
        give_back(borrow(d.pool, &d.db));
        /* Nothing is asked about any more while the sums are looked at. */
        CHECK_EQ(vcp_pool_evict(d.pool, NULL, NULL), VCP_OK);
        EVENTUALLY(vcp_pool_conn_count(d.pool) == 0, 5000);
    }
    DRIVER_END(&d);
    return reached;
}

static void fails_at_each_in_turn(int for_good, int is_background)
{
    int number = 1;
    if (!CAN_GUARD) {
        SKIP("the library's calls cannot be seen here");
    }
    while (survives(number, for_good, is_background)) {
        number++;
    }
    printf("  %d calls\n", number - 1);
    CHECK(number > 20);
}

TEST(each_call_may_fail_once,
     "sessions: Each system call of the library fails in turn: every session that was opened ends "
     "once, and the pool goes on")
{
    fails_at_each_in_turn(0, 0);
}

TEST(each_call_and_all_after_it_may_fail,
     "sessions: From each system call of the library on, all fail, until that is lifted: every "
     "session ends once, and the pool goes on")
{
    fails_at_each_in_turn(1, 0);
}

TEST(each_call_may_fail_once_with_hooks_in_the_background,
     "background release: Each system call of the library fails in turn, with on_release in the "
     "background and on_idle: every session ends once, and the pool goes on")
{
    fails_at_each_in_turn(0, 1);
}

TEST(each_call_and_all_after_it_may_fail_with_hooks_in_the_background,
     "background release: From each system call on, all fail, with on_release in the background "
     "and on_idle: every session ends once, and the pool goes on")
{
    fails_at_each_in_turn(1, 1);
}
