/*
 * child_processes.h - children of the test's process: made in three ways, each runs one function,
 * and must end well and in time.
 */
#ifndef CHILD_PROCESSES_H
#define CHILD_PROCESSES_H

#include "check.h"

#include <sys/syscall.h>

typedef enum fork_kind { BY_FORK, BY_UNDERSCORE_FORK, BY_CLONE } fork_kind;

/* Every other thread of the process sleeps now. */
static inline int others_sleep(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    int awake = 0;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        char path[300];
        char state = 'S';
        FILE *file;
        if (entry->d_name[0] == '.' || atoi(entry->d_name) == (int)syscall(SYS_gettid))
            continue;
        snprintf(path, sizeof path, "/proc/self/task/%s/stat", entry->d_name);
        file = fopen(path, "re");
        if (file == NULL)
            continue;
        if (fscanf(file, "%*d (%*[^)]) %c", &state) != 1 || state != 'S')
            awake++;
        fclose(file);
    }
    closedir(directory);
    return awake == 0;
}

static inline int others_sleep_for_a_while(void)
{
    int i;
    for (i = 0; i < 5; i++) {
        if (!others_sleep())
            return 0;
        let_pass(1);
    }
    return 1;
}

/*
 * As fork(2). Only the first runs the handlers of pthread_atfork(3), and libc makes its malloc
 * usable in the child for the first alone: for the others no thread may be inside malloc, as one is
 * that starts or ends.
 */
static inline pid_t fork_by(fork_kind how)
{
    fflush(stdout);
    if (how == BY_FORK)
        return fork();
    EVENTUALLY(others_sleep_for_a_while(), 5000);
    if (how == BY_UNDERSCORE_FORK)
        return _Fork();
    return (pid_t)syscall(SYS_clone, (long)SIGCHLD, 0L, 0L, 0L, 0L);
}

/*
 * A child that has done what it should. What it inherited and left alone stays allocated, some of
 * it held only by pointers into its middle (a hash table), which valgrind would call "possibly
 * lost"; another program has no leaks.
 */
static inline void child_ends(void)
{
    if (slowness() > 1)
        execl("/bin/true", "true", (char *)NULL);
    _exit(0);
}

/* Runs `body` in a child, which is killed by SIGALRM if it takes longer than so many seconds. */
static inline pid_t child_that(fork_kind how, unsigned seconds, void (*body)(void *),
                               void *argument)
{
    pid_t child = fork_by(how);
    CHECK(child >= 0);
    if (child == 0) {
        signal(SIGALRM, SIG_DFL);
        alarm((unsigned)at_most(seconds));
        body(argument);
        child_ends();
    }
    return child;
}

static inline void check_child(const char *file, int line, pid_t child)
{
    int status = 0;
    pid_t ended;
    do {
        ended = waitpid(child, &status, 0);
    } while (ended < 0 && errno == EINTR);
    check_equal(file, line, "the child is waited for", ended, child);
    check_true(file, line, "the child did not hang",
               !(WIFSIGNALED(status) && WTERMSIG(status) == SIGALRM));
    check_equal(file, line, "the child ended well", status, 0);
}

#define CHECK_CHILD(child) check_child(__FILE__, __LINE__, child)

/* What its threads are doing, by gdb(1) where that is installed. */
static inline void print_stacks(pid_t process)
{
    char command[160];
    snprintf(command, sizeof command,
             "command -v gdb >&2 && gdb -p %d -batch -ex 'thread apply all bt' >&2", (int)process);
    fflush(stdout);
    if (system(command) != 0) {
        fprintf(stderr, "  no stacks of %d: gdb(1) is missing, or failed\n", (int)process);
    }
}

/* As check_child; one that hangs is shown before it is killed. */
static inline void check_child_in_time(const char *file, int line, pid_t child, int64_t ms)
{
    int64_t end = now_ms() + at_most(ms);
    siginfo_t ended;
    memset(&ended, 0, sizeof ended);
    while (waitid(P_PID, (id_t)child, &ended, WEXITED | WNOHANG | WNOWAIT) == 0 &&
           ended.si_pid == 0) {
        if (now_ms() > end) {
            print_stacks(child);
            kill(child, SIGKILL);
            check_failed(file, line, "the child did not hang");
        }
        poll(NULL, 0, 1);
    }
    check_child(file, line, child);
}

#define CHECK_CHILD_IN(child, ms) check_child_in_time(__FILE__, __LINE__, child, ms)

/* Both at once. */
#define IN_A_CHILD(how, body, argument) CHECK_CHILD(child_that(how, 10, body, argument))

/* A gate between two processes: one waits, the other opens it. */
typedef struct gate {
    int ends[2];
} gate;

static inline gate gate_new(void)
{
    gate g;
    CHECK_EQ(pipe2(g.ends, O_CLOEXEC), 0);
    return g;
}

static inline void gate_open(const gate *g)
{
    CHECK_EQ(write(g->ends[1], "", 1), 1);
}

static inline void gate_pass(const gate *g)
{
    char byte;
    CHECK_EQ(read(g->ends[0], &byte, 1), 1);
}

static inline void gate_close(gate *g)
{
    close(g->ends[0]);
    close(g->ends[1]);
}

#endif
