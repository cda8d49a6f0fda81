/*
 * signal_masks.h - which signals the library's threads block, as /proc/self/task/TID/status says
 * (proc(5), SigBlk).
 */
#ifndef SIGNAL_MASKS_H
#define SIGNAL_MASKS_H

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "checks.h"

/* valgrind and qemu keep the masks themselves. */
static inline int signal_masks_can_be_read(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
#ifdef VCP_EMULATED
    return 0;
#endif
    return preloaded == NULL || strstr(preloaded, "vgpreload") == NULL;
}

/*
 * 1 for a thread of the library: it blocks every signal that can be blocked. 0 for another one, or
 * one that has ended: then there is no file, or it says 0 threads and no mask.
 */
static inline int librarys_thread_blocks_all(const char *task)
{
    char path[64];
    char line[256];
    int is_librarys = 0;
    int has_ended = 0;
    unsigned long long blocked = 0;
    FILE *status;
    snprintf(path, sizeof path, "/proc/self/task/%.16s/status", task);
    status = fopen(path, "re");
    while (status != NULL && fgets(line, sizeof line, status) != NULL) {
        is_librarys |= strncmp(line, "Name:\tvcp-", 10) == 0;
        has_ended |= strcmp(line, "Threads:\t0\n") == 0;
        sscanf(line, "SigBlk: %llx", &blocked);
    }
    if (status != NULL) {
        fclose(status);
    }
    if (is_librarys && !has_ended) {
        /* All but SIGKILL, SIGSTOP, and the two that libc keeps for itself. */
        CHECK_EQ(blocked | 1ull << 8 | 1ull << 18 | 3ull << 31, ~0ull);
    }
    return is_librarys && !has_ended;
}

/* How many threads of the library there are; each blocks all. */
static inline int librarys_threads_block_all(void)
{
    DIR *directory = opendir("/proc/self/task");
    struct dirent *entry;
    int count = 0;
    CHECK(directory != NULL);
    while ((entry = readdir(directory)) != NULL) {
        count += entry->d_name[0] != '.' && librarys_thread_blocks_all(entry->d_name);
    }
    closedir(directory);
    return count;
}

#endif
