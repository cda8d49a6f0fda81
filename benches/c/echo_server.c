/*
 * The other end of every connection: one process, one thread, epoll. Prints its address and ends
 * with its standard input.
 *
 * It answers a client's end of stream with a reset (SO_LINGER 0), which spares the client's port
 * its TIME_WAIT: a run of some ten thousand dials would otherwise use up the local ports, and
 * measure the kernel's search for a free one.
 *
 * It listens on all addresses of the loopback device, and of no other: to a client that is as many
 * destinations as it likes.
 */
#define _GNU_SOURCE
#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

enum { BACKLOG = 4096, EVENTS = 64 };

static int listen_on_device(void)
{
    struct sockaddr_in name = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_ANY)}};
    struct linger reset = {.l_onoff = 1, .l_linger = 0}; /* accepted sockets inherit it */
    socklen_t length = sizeof name;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0 || setsockopt(fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset) < 0 ||
        setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, "lo", sizeof "lo") < 0 ||
        bind(fd, (struct sockaddr *)&name, sizeof name) < 0 || listen(fd, BACKLOG) < 0 ||
        getsockname(fd, (struct sockaddr *)&name, &length) < 0)
        fail("listen");
    printf("127.0.0.1:%d\n", ntohs(name.sin_port));
    if (fflush(stdout) != 0)
        fail("standard output");
    return fd;
}

static void watch(int epoll, int fd)
{
    struct epoll_event event = {.events = EPOLLIN, .data = {.fd = fd}};
    if (epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event) < 0)
        fail("epoll_ctl");
}

static void accept_from(int listener, int epoll)
{
    int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
    if (fd >= 0)
        watch(epoll, fd);
    else if (errno != EAGAIN && errno != ECONNABORTED)
        fail("accept");
}

static void answer(int fd)
{
    char bytes[4096];
    ssize_t count = recv(fd, bytes, sizeof bytes, 0);
    if (count <= 0 || send(fd, bytes, (size_t)count, MSG_NOSIGNAL) != count)
        close(fd);
}

int main(void)
{
    struct epoll_event events[EVENTS];
    int epoll = epoll_create1(EPOLL_CLOEXEC), listener = listen_on_device();
    if (epoll < 0)
        fail("epoll_create1");
    watch(epoll, listener);
    watch(epoll, STDIN_FILENO);
    for (;;) {
        int count = epoll_wait(epoll, events, EVENTS, -1);
        for (int i = 0; i < count; i++) {
            if (events[i].data.fd == STDIN_FILENO)
                return 0; /* nothing is ever written to it: the driver has ended */
            if (events[i].data.fd == listener)
                accept_from(listener, epoll);
            else
                answer(events[i].data.fd);
        }
    }
}
