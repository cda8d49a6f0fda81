/*
 * Signals at a high rate to every thread of the program, while these threads use everything. The
 * handlers fire tokens. No EINTR leaks out, and no signal reaches a thread of the library.
 * VCP_STORM_MS says how long (1,500). signal(7); signal-safety(7).
 */
#include <sys/syscall.h>

#include "signal_masks.h"
#include "workload_run.h"

enum { ACTORS = 6, SIGNALS_IN_A_ROW = 64 };

static actor actors[ACTORS];
static __thread actor *self;
static int64_t handled;
static int64_t fired;
static int64_t fires_each = 64; /* of so many signals one fires */
static int32_t on_the_librarys;
static int32_t failed_to_fire;

/* Async-signal-safe: prctl(2) is a bare system call, and vcp_cancel_fire says that it is. */
static void handles(int number)
{
    char name[16] = "";
    int old_errno = errno;
    (void)number;
    tally(&handled);
    if (self == NULL) {
        prctl(PR_GET_NAME, name);
        if (strncmp(name, "vcp-", 4) == 0) {
            count_one(&on_the_librarys);
        }
    } else if (peek(&handled) % fires_each == 0 && !load(&self->fired)) {
        int status = vcp_cancel_fire(__atomic_load_n(&self->cancel, __ATOMIC_RELAXED));
        /* The thread may be replacing it at this moment. */
        if (status != VCP_OK && status != VCP_ERR_INVALID_HANDLE) {
            count_one(&failed_to_fire);
        }
        count_one(&self->fired);
        tally(&fired);
    }
    errno = old_errno;
}

static void handle(int number, int flags)
{
    struct sigaction action;
    memset(&action, 0, sizeof action);
    action.sa_handler = handles;
    action.sa_flags = flags;
    CHECK_EQ(sigaction(number, &action, NULL), 0);
}

static void *acts_in_a_storm(void *argument)
{
    self = (actor *)argument;
    return acts(argument);
}

/* To one thread after the other, and to the process: to whichever thread takes it. */
static void storm(int64_t until)
{
    static const int numbers[] = {SIGALRM, SIGUSR1};
    uint64_t random = 1;
    int i;
    while (now_ms() < until) {
        for (i = 0; i < SIGNALS_IN_A_ROW / slowness(); i++) {
            int number = DRAW_OF(&random, numbers);
            CHECK_EQ(pthread_kill(actors[draw(&random, ACTORS)].thread, number), 0);
            if (draw(&random, 8) == 0) {
                CHECK_EQ(kill(getpid(), number), 0);
            }
        }
        poll(NULL, 0, slowness() > 1 ? 10 : 1);
    }
}

static void tick(long us)
{
    struct itimerval every;
    every.it_interval.tv_sec = every.it_value.tv_sec = 0;
    every.it_interval.tv_usec = every.it_value.tv_usec = us;
    CHECK_EQ(setitimer(ITIMER_REAL, &every, NULL), 0);
}

/* With SA_RESTART and without, the one for one signal, the other for the other. */
static void storm_both_ways(int64_t ms)
{
    handle(SIGALRM, 0);
    handle(SIGUSR1, SA_RESTART);
    tick(500 * slowness());
    storm(now_ms() + ms / 2);
    if (signal_masks_can_be_read()) {
        EVENTUALLY(librarys_threads_block_all() >= 1, 5000);
    }
    handle(SIGALRM, SA_RESTART);
    handle(SIGUSR1, 0);
    storm(now_ms() + ms - ms / 2);
    tick(0);
}

TEST(a_storm_of_signals_disturbs_nothing,
     "signals: A storm of signals, with and without SA_RESTART, while everything is used: no EINTR "
     "leaks out, tokens fire from handlers, no signal reaches a thread of the library")
{
    int64_t ms = getenv("VCP_STORM_MS") != NULL ? atoll(getenv("VCP_STORM_MS")) : 1500;
    uint64_t seed = seed_of_run();
    int fds = open_fds();
    int64_t cycles;
    int i;
    fires_each = slowness() > 1 ? 4 : 64;
    workload_open();
    work.cycles_left = INT64_MAX;
    handle(SIGALRM, 0);
    handle(SIGUSR1, SA_RESTART);
    for (i = 0; i < ACTORS; i++) {
        actor_begins(&actors[i], seed + (uint64_t)i);
        CHECK_EQ(pthread_create(&actors[i].thread, NULL, acts_in_a_storm, &actors[i]), 0);
        CHECK_EQ(pthread_create(&actors[i].napper, NULL, naps_beside, &actors[i]), 0);
    }
    storm_both_ways(ms);
    __atomic_store_n(&work.is_over, 1, __ATOMIC_SEQ_CST);
    workload_ends(actors, ACTORS);
    workload_close();
    cycles = print_results(actors, ACTORS);
    CHECK_EQ(load(&on_the_librarys), 0);
    CHECK_EQ(load(&failed_to_fire), 0);
    CHECK(peek(&handled) > (slowness() > 1 ? 20 : 1000) && peek(&fired) > 0);
    CHECK_BASELINE(fds, 1 + TOOL_THREADS);
    printf(
        "  %lld signals handled, %lld tokens fired by handlers, %lld cycles: nothing disturbed\n",
        (long long)peek(&handled), (long long)peek(&fired), (long long)cycles);
}
