/*
 * vcp_probe_stop.c - the clock, and how a signal ends the run early.
 *
 * Requests in flight carry a token of the library, which a signal handler may fire. Threads that
 * pause watch a pipe, to which it writes.
 */
#define _GNU_SOURCE /* ppoll(2) */

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>
#include "vcp_probe.h"

enum { SIGNALS = 2 };
static const int NUMBERS[SIGNALS] = {SIGINT, SIGTERM};
static struct sigaction before[SIGNALS];

static vcp_cancel *token;
static int pipe_ends[2];
static int has_stopped; /* atomic: a signal handler sets it, and all threads ask */

uint64_t now_ns(void)
{
    struct timespec now = {0, 0};
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * SECOND_NS + (uint64_t)now.tv_nsec;
}

/* All that it calls is safe in a signal handler. The pipe takes its one byte: it is never read. */
void stop_now(void)
{
    __atomic_store_n(&has_stopped, 1, __ATOMIC_RELEASE);
    vcp_cancel_fire(token);
    ssize_t written = write(pipe_ends[1], "", 1);
    (void)written;
}

/* Each signal does again what it did before: it ends the process, or it is ignored. */
static void leave_signals(void)
{
    for (int i = 0; i < SIGNALS; i++)
        sigaction(NUMBERS[i], &before[i], NULL);
}

/* The next signal, this one or the other, finds no handler and ends the process. */
static void handle(int number)
{
    int kept = errno;
    (void)number;
    leave_signals();
    stop_now();
    errno = kept;
}

/*
 * A signal that is ignored, as SIGINT in the background job of a script, stays so. None comes
 * before all are taken, for the handler leaves all.
 */
static int take_signals(void)
{
    struct sigaction action = {.sa_handler = handle};
    sigset_t mask;
    int failed = 0;
    sigemptyset(&action.sa_mask);
    for (int i = 0; i < SIGNALS; i++)
        sigaddset(&action.sa_mask, NUMBERS[i]);
    if (sigprocmask(SIG_BLOCK, &action.sa_mask, &mask) < 0)
        return -1;
    for (int i = 0; i < SIGNALS && !failed; i++) {
        failed = sigaction(NUMBERS[i], NULL, &before[i]) < 0 ||
                 (before[i].sa_handler != SIG_IGN && sigaction(NUMBERS[i], &action, NULL) < 0);
    }
    return sigprocmask(SIG_SETMASK, &mask, NULL) < 0 || failed ? -1 : 0;
}

int stop_prepare(void)
{
    if (vcp_cancel_new(&token) < 0) {
        fprintf(stderr, "vcp-probe: %s\n", vcp_last_error());
        return -1;
    }
    if (pipe(pipe_ends) < 0 || take_signals() < 0) {
        fprintf(stderr, "vcp-probe: pipe or sigaction: %s\n", strerror(errno));
        return -1;
    }
    return 0;
}

void stop_end(void)
{
    leave_signals();
    vcp_cancel_free(token);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
}

vcp_cancel *stop_token(void)
{
    return token;
}

int is_stopped(void)
{
    return __atomic_load_n(&has_stopped, __ATOMIC_ACQUIRE);
}

int is_stopped_before(uint64_t until_ns)
{
    struct pollfd stop = {.fd = pipe_ends[0], .events = POLLIN};
    for (uint64_t now = now_ns(); !is_stopped() && now < until_ns; now = now_ns()) {
        uint64_t left = until_ns - now;
        struct timespec time = {(time_t)(left / SECOND_NS), (long)(left % SECOND_NS)};
        ppoll(&stop, 1, &time, NULL);
    }
    return is_stopped();
}
