/*
 * A fresh connection, a 64-byte echo over it and its close, as a C program does that without any
 * library.
 */
#include "bench.h"

#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
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

static void set_options(int fd)
{
    set(fd, IPPROTO_TCP, TCP_NODELAY, 1);
    set(fd, SOL_SOCKET, SO_KEEPALIVE, 1);
    set(fd, IPPROTO_TCP, TCP_KEEPIDLE, 15);
    set(fd, IPPROTO_TCP, TCP_KEEPINTVL, 15);
    set(fd, IPPROTO_TCP, TCP_KEEPCNT, 9);
}

/* With the socket options that the library sets by default. */
static void with_options(uint64_t count)
{
    while (count-- > 0) {
        int fd = connect_to(address);
        set_options(fd);
        echo_over(fd);
        close(fd);
    }
}

/*
 * With all system calls that the library makes for a dial that can be given up, and for what it
 * promises of the connection.
 */
static void with_calls(uint64_t count)
{
    struct sockaddr_in peer = sockaddr_of(address);
    while (count-- > 0) {
        struct sockaddr_in own;
        struct stat file;
        socklen_t length = sizeof own;
        int blocking = 0;
        int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, IPPROTO_TCP);
        if (fd < 0 || fstat(fd, &file) < 0)
            fail("socket");
        set_options(fd);
        if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0 && errno != EINPROGRESS)
            fail("connect");
        if (connect(fd, (struct sockaddr *)&peer, sizeof peer) < 0)
            fail("the peer has not answered at once");
        if (getsockname(fd, (struct sockaddr *)&own, &length) < 0 ||
            ioctl(fd, FIONBIO, &blocking) < 0)
            fail("a connected socket");
        echo_over(fd);
        /* Is the number still this socket? */
        if (fstat(fd, &file) < 0)
            fail("fstat");
        close(fd);
    }
}

int main(int argc, char **argv)
{
    static const char *const variants[] = {"bare", "options", "calls", NULL};
    void (*const cycles[])(uint64_t) = {bare, with_options, with_calls};
    int variant = variant_of(argc, argv, variants);
    address = argv[1];
    return answer_runs(cycles[variant]);
}
