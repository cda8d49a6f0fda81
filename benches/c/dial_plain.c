/* A fresh connection, a 64-byte echo over it and its close, as a C program does that without any library. */
#include "bench.h"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *address;

static void bare(uint64_t count)
{
    while (count-- > 0) {
        int fd = connect_to(address);
        echo_over(fd);
        close(fd);
    }
}

static void set(int fd, int level, int name, int value)
{
    if (setsockopt(fd, level, name, &value, sizeof value) < 0)
        fail("setsockopt");
}

/* With the socket options that the library sets by default. */
static void with_options(uint64_t count)
{
    while (count-- > 0) {
        int fd = connect_to(address);
        set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
        set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
        set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
        set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
        set(fd, IPPROTO_TCP, TCP_KEEPCNT, 9);
        echo_over(fd);
        close(fd);
    }
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"bare", "options", NULL};
    void (*const cycles[])(uint64_t) = {bare, with_options};
    int variant = variant_of(argc, argv, variants);
    address = argv[1];
    return answer_runs(cycles[variant]);
}
