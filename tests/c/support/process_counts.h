/*
 * process_counts.h - what the process holds: descriptors, threads, heap.
 */
#ifndef PROCESS_COUNTS_H
#define PROCESS_COUNTS_H

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clock.h"

static inline int entries_of(const char *path)
{
    int count = 0;
    DIR *directory = opendir(path);
    struct dirent *entry;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        if (entry->d_name[0] != '.') {
            count++;
        }
    }
    closedir(directory);
    return count;
}

static inline int open_fds(void)
{
    return entries_of("/proc/self/fd") - 1; /* opendir's own */
}

/* Of them, those that are sockets: the library's own descriptors are none. */
static inline int open_sockets(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        struct stat status;
        count += fstat(atoi(entry->d_name), &status) == 0 && S_ISSOCK(status.st_mode);
    }
    closedir(directory);
    return count;
}

/*
 * How many connects of this process have had no answer yet, those that fill a full_server included:
 * a dial of the library is one from its connect(2) on. The state is the first byte of TCP_INFO
 * (tcp(7)).
 */
static inline int connects_under_way(void)
{
    int count = 0;
    DIR *directory = opendir("/proc/self/fd");
    struct dirent *entry;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        unsigned char info[4];
        socklen_t length = sizeof info;
        count += getsockopt(atoi(entry->d_name), IPPROTO_TCP, TCP_INFO, info, &length) == 0 &&
                 length > 0 && info[0] == TCP_SYN_SENT;
    }
    closedir(directory);
    return count;
}

static inline int threads(void)
{
    return entries_of("/proc/self/task");
}

/* The name that proc(5), comm, tells; empty for a thread that has ended. */
static inline void thread_name(const char *tid, char name[32])
{
    char path[64];
    FILE *comm;
    name[0] = '\0';
    snprintf(path, sizeof path, "/proc/self/task/%.16s/comm", tid);
    comm = tid[0] == '.' ? NULL : fopen(path, "re");
    if (comm != NULL) {
        if (fgets(name, 32, comm) == NULL) {
            name[0] = '\0';
        }
        name[strcspn(name, "\n")] = '\0';
        fclose(comm);
    }
}

/*
 * How many threads of that name are listed, and the number of one of them. Where a thread ends
 * meanwhile, the list may lack another.
 */
static inline int find_threads(const char *wanted, char tid[32])
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        char name[32];
        thread_name(entry->d_name, name);
        if (strcmp(name, wanted) == 0) {
            count++;
            snprintf(tid, 32, "%.31s", entry->d_name);
        }
    }
    closedir(directory);
    return count;
}

static inline int threads_called(const char *wanted)
{
    char tid[32];
    return find_threads(wanted, tid);
}

static inline int64_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return (int64_t)info.uordblks + (int64_t)info.hblkhd;
}

/*
 * heap_bytes counts what glibc's per-thread caches hold as in use, and one arena alone. A program
 * that compares heaps starts itself anew without those caches and with one arena, and then the
 * counts are exact. Not under valgrind and sanitizers, which replace malloc.
 */
static inline void count_heap_exactly(char **argv)
{
    if (slowness() == 1 && getenv("GLIBC_TUNABLES") == NULL) {
        const char *exact = "glibc.malloc.tcache_count=0:glibc.malloc.arena_max=1";
        CHECK_EQ(setenv("GLIBC_TUNABLES", exact, 1), 0);
        execv("/proc/self/exe", argv);
        check_failed(__FILE__, __LINE__, "execv(/proc/self/exe)");
    }
}

static inline int is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static inline int is_nonblocking(int fd)
{
    int flags = fcntl(fd, F_GETFL);
    CHECK(flags >= 0);
    return (flags & O_NONBLOCK) != 0;
}

/* ThreadSanitizer has a thread of its own, and descriptors; qemu has a thread. */
#ifdef __SANITIZE_THREAD__
#define TOOL_DESCRIPTORS 1
#else
#define TOOL_DESCRIPTORS 0
#endif
#if defined __SANITIZE_THREAD__ || defined VCP_EMULATED
#define TOOL_THREADS 1
#else
#define TOOL_THREADS 0
#endif

/*
 * The library's threads and descriptors end within 5 s of the last pool's end (contract section 2).
 * ThreadSanitizer opens some of its own meanwhile.
 */
#define CHECK_BASELINE(fds, tasks)                            \
    do {                                                      \
        EVENTUALLY(threads() == (tasks), 5000 + LATENESS_MS); \
        if (!TOOL_DESCRIPTORS) {                              \
            EVENTUALLY(open_fds() == (fds), LATENESS_MS);     \
        }                                                     \
    } while (0)

/*
 * After the tests every pool is closed and every thread of the program joined, so the library's
 * threads end too. (A process that exits while one still runs is no error, but valgrind reports
 * that thread's memory.)
 */
static inline void await_end_of_threads(void)
{
    EVENTUALLY(threads() == 1 + TOOL_THREADS, 5000 + LATENESS_MS);
}

#endif
