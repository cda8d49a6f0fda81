/*
 * A 64-byte echo by vcp_conn_write and vcp_conn_read whose answer is not there when it is asked
 * for: the peer, a thread of this program, answers when the borrower sleeps. The connection is
 * borrowed anew for each.
 */
#define _GNU_SOURCE
#include "bench.h"
#include "pool.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static vcp_pool *pool;
static char address[32];
static int listener;

/*
 * Whether the thread waits in the kernel: not while it runs, nor while a tracer has stopped it
 * (stat of proc(5)).
 */
static int sleeps(const char *stat_path)
{
    char text[512];
    FILE *file = fopen(stat_path, "re");
    if (file == NULL)
        fail(stat_path);
    text[fread(text, 1, sizeof text - 1, file)] = '\0';
    fclose(file);
    const char *name_end = strrchr(text, ')');
    return name_end != NULL && name_end[2] == 'S';
}

static void *answer(void *borrower)
{
    char stat_path[64], bytes[ECHO_SIZE];
    snprintf(stat_path, sizeof stat_path, "/proc/self/task/%d/stat", *(pid_t *)borrower);
    int fd = accept(listener, NULL, NULL);
    while (recv(fd, bytes, ECHO_SIZE, MSG_WAITALL) == ECHO_SIZE) {
        while (!sleeps(stat_path))
            sched_yield();
        if (send(fd, bytes, ECHO_SIZE, MSG_NOSIGNAL) != ECHO_SIZE)
            fail("send");
    }
    return NULL;
}

static void cycles(uint64_t count)
{
    while (count-- > 0) {
        vcp_conn *conn;
        must(vcp_dial(pool, "tcp", address, &conn));
        echo_over_conn(conn);
        must(vcp_conn_close(conn));
    }
}

int main(int argc, char **argv)
{
    static pid_t self;
    struct sockaddr_in name = {0};
    pthread_t peer;
    vcp_pool_options options = pool_options_of(argc, argv);
    self = gettid();
    listener = listen_on_loopback(&name, 1);
    snprintf(address, sizeof address, "127.0.0.1:%d", ntohs(name.sin_port));
    if (pthread_create(&peer, NULL, answer, &self) != 0)
        fail("pthread_create");
    pool = new_pool(&options);
    fill(pool, address, 1);
    return answer_hits(pool, cycles);
}
