/* See bench.h. */
#include "bench.h"

#include <arpa/inet.h>
#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

/* A run that takes longer hangs: SIGALRM ends the program. */
enum { LONGEST_RUN_S = 300 };

void fail(const char *what)
{
    perror(what);
    exit(EXIT_FAILURE);
}

int variant_of(int argc, char **argv, const char *const *variants)
{
    for (int i = 0; argc == 4 && variants[i] != NULL; i++)
        if (strcmp(argv[2], variants[i]) == 0)
            return i;
    fprintf(stderr, "usage: %s ADDRESS VARIANT AMOUNT, with a variant that it knows\n", argv[0]);
    exit(EXIT_FAILURE);
}

uint32_t amount_of(char **argv)
{
    uint32_t amount;
    if (sscanf(argv[3], "%" SCNu32, &amount) != 1 || amount == 0)
        fail(argv[3]);
    return amount;
}

uint64_t now_ns(void)
{
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) < 0)
        fail("clock_gettime");
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

uint64_t time_of(void (*run)(uint64_t count), uint64_t count)
{
    uint64_t start = now_ns();
    run(count);
    return now_ns() - start;
}

int answer_told_runs(const char *(*run)(uint64_t count))
{
    uint64_t count;
    while (scanf(" run %" SCNu64, &count) == 1) {
        alarm(LONGEST_RUN_S);
        const char *answer = run(count);
        alarm(0);
        if (printf("%s\n", answer) < 0 || fflush(stdout) != 0)
            fail("standard output");
    }
    return EXIT_SUCCESS;
}

static uint64_t (*timed)(uint64_t count);

static const char *told_time(uint64_t count)
{
    static char text[24];
    snprintf(text, sizeof text, "%" PRIu64, timed(count));
    return text;
}

int answer_timed_runs(uint64_t (*run)(uint64_t count))
{
    timed = run;
    return answer_told_runs(told_time);
}

static void (*untimed)(uint64_t count);

static uint64_t time_of_untimed(uint64_t count)
{
    return time_of(untimed, count);
}

int answer_runs(void (*run)(uint64_t count))
{
    untimed = run;
    return answer_timed_runs(time_of_untimed);
}

static atomic_uint_fast64_t connects;

static uint64_t time_of_kept(uint64_t count)
{
    uint64_t before = connects, took = time_of(untimed, count);
    if (connects != before) {
        fprintf(stderr, "%" PRIu64 " of %" PRIu64 " cycles made a connection\n", connects - before,
                count);
        exit(EXIT_FAILURE);
    }
    return took;
}

int answer_kept_runs(void (*run)(uint64_t count))
{
    untimed = run;
    return answer_timed_runs(time_of_kept);
}

struct sockaddr_in sockaddr_of(const char *address)
{
    struct sockaddr_in name = {.sin_family = AF_INET};
    char host[INET_ADDRSTRLEN];
    const char *colon = strchr(address, ':');
    if (colon == NULL || (size_t)(colon - address) >= sizeof host)
        fail(address);
    memcpy(host, address, (size_t)(colon - address));
    host[colon - address] = '\0';
    if (inet_pton(AF_INET, host, &name.sin_addr) != 1)
        fail(address);
    name.sin_port = htons((uint16_t)atoi(colon + 1));
    return name;
}

int listen_on_loopback(struct sockaddr_in *name, int backlog)
{
    int yes = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    socklen_t length = sizeof *name;
    name->sin_family = AF_INET;
    name->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes) < 0 ||
        bind(fd, (struct sockaddr *)name, sizeof *name) < 0 || listen(fd, backlog) < 0 ||
        getsockname(fd, (struct sockaddr *)name, &length) < 0)
        fail("listen");
    return fd;
}

int connect_to(const char *address)
{
    struct sockaddr_in name = sockaddr_of(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0 || connect(fd, (struct sockaddr *)&name, sizeof name) < 0)
        fail("connect");
    connects++;
    return fd;
}

void echo_over(int fd)
{
    char bytes[ECHO_SIZE] = {0};
    if (write(fd, bytes, ECHO_SIZE) != ECHO_SIZE)
        fail("write");
    for (size_t got = 0; got < ECHO_SIZE;) {
        ssize_t count = read(fd, bytes + got, ECHO_SIZE - got);
        if (count <= 0)
            fail("read");
        got += (size_t)count;
    }
}
