/*
 * fake_pthread_create.h - a pthread_create(3) of the test's own. A symbol of the executable comes
 * before libc's for every library, so libvconnpool starts its threads here: a test may refuse them,
 * or look at what holds while one is started.
 *
 * Not under ThreadSanitizer, which has to see every thread begin: CAN_FAKE_THREADS says so.
 */
#ifndef FAKE_PTHREAD_CREATE_H
#define FAKE_PTHREAD_CREATE_H

#include <dlfcn.h>
#include <errno.h>
#include <pthread.h>

#ifdef __SANITIZE_THREAD__
#define CAN_FAKE_THREADS 0
#else
#define CAN_FAKE_THREADS 1
#endif

/* Called in the place of pthread_create while it is set: 0, or the number to fail with. */
static int (*volatile before_thread)(void);

#if CAN_FAKE_THREADS
int pthread_create(pthread_t *thread, const pthread_attr_t *attributes, void *(*body)(void *),
                   void *argument)
{
    int (*create)(pthread_t *, const pthread_attr_t *, void *(*)(void *), void *);
    int (*before)(void) = before_thread;
    int number = before == NULL ? 0 : before();
    if (number != 0) {
        return number;
    }
    *(void **)&create = dlsym(RTLD_NEXT, "pthread_create");
    return create(thread, attributes, body, argument);
}
#endif

static inline int refuses(void)
{
    return EAGAIN;
}

#endif
